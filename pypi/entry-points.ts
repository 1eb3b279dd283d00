// entry_points.txt (entry points specification): an INI file with `=` alone as delimiter. State: none.
import { Refusal, shown } from './refusal.ts'
import { decodeUtf8 } from './utf8.ts'

// `module.path`, `module.path:object.attribute`, and extras that only old files have.
const OBJECT = /^[\p{L}_][\p{L}\p{N}_.]*\s*(?::\s*[\p{L}_][\p{L}\p{N}_.]*)?\s*(?:\[[^[\]]*\])?$/u

// Groups whose names become files in a folder of the PATH.
const SCRIPT_GROUPS = new Set(['console_scripts', 'gui_scripts'])

/** Refuses a file that Python's configparser would not read, scripts without an object, and scripts named as paths. */
export function checkEntryPoints(bytes: Uint8Array, what: string): void {
  const text = decodeUtf8(bytes)
  if (text === null) throw new Refusal(`${what} is not valid UTF-8: build the wheel again.`)
  let group: string | undefined
  const groups = new Set<string>()
  const names = new Set<string>()
  let continues = false
  for (const raw of text.split(/\r\n|\n|\r/)) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue
    if (continues && /^\s/.test(raw)) continue
    const section = /^\[([^\]]+)\]$/.exec(line)
    if (section) {
      group = section[1]!
      if (groups.has(group)) throw new Refusal(`${what} has the group ${shown(group)} twice: build the wheel again.`)
      groups.add(group)
      names.clear()
      continues = false
      continue
    }
    const equals = line.indexOf('=')
    if (group === undefined || equals < 1)
      throw new Refusal(`${what} has the malformed line ${shown(line)}: each is 'name = module:object' in a [group].`)
    const name = line.slice(0, equals).trim()
    if (names.has(name)) throw new Refusal(`${what} has the name ${shown(name)} twice in a group: build it again.`)
    names.add(name)
    continues = true
    if (SCRIPT_GROUPS.has(group)) checkScript(name, line.slice(equals + 1).trim(), what)
  }
}

function checkScript(name: string, object: string, what: string): void {
  if (!/^[^/\\:\s[\]]+$/.test(name) || name === '.' || name === '..')
    throw new Refusal(`${what} has the script ${shown(name)}: a script's name must not be a path.`)
  if (!OBJECT.test(object))
    throw new Refusal(`${what} has the script ${shown(name)} for ${shown(object)}: write it as 'module:object'.`)
}
