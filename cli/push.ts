// `tuf-edge push`: new files of a repository that is signed elsewhere, all of them or none. What each is it says itself: its
// name has the role, its content the version.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { formatDate } from '../tuf/dates.ts'
import { TufError } from '../tuf/errors.ts'
import { parseRoot, parseTargets } from '../tuf/metadata.ts'
import { mustBeName } from './adopt.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl } from './caller.ts'
import { handOver, type Pushed } from './hand-over.ts'
import { CommandError, note, say } from './terminal.ts'

export const PUSH_HELP = `tuf-edge push FILE … --name NAME [--url URL] [--token-file FILE] [--json]

Hands over new metadata of a repository that is signed elsewhere: roots, targets, delegated roles. All files are taken or
none; a refusal names its rule. The role is read from the file's name, as clients write it: 3.root.json, targets.json,
5.alpha.json, 2.a%2Fx.json. Takes a token with the scope admin, or metadata:ROLE for each of the roles.

  --name NAME        the repository, as it was adopted
${CALLER_HELP}

Examples
  tuf-edge push metadata/targets.json metadata/alpha.json --name tools --url https://pypi.example.org
`

export async function pushCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...CALLER_OPTIONS, name: { type: 'string' } },
  })
  if (values.help) {
    say(PUSH_HELP)
    return
  }
  const name = mustBeName(values.name, 'push')
  if (positionals.length === 0) throw new CommandError('push wants at least one file of metadata.', 2)
  const files = positionals.map((path) => ({ path, ...fileOf(path) }))
  const token = mustHaveToken(values['token-file'])
  const base = new URL(`/r/${name}`, parseUrl(values.url)).href
  const pushed = await handOver(base, token, files, { method: 'PUT', path: '/api/metadata' })
  if (values.json) say(JSON.stringify(pushed, undefined, 2))
  else sayPushed(pushed)
}

export function sayPushed({ accepted, held, warnings, visible }: Pushed): void {
  for (const warning of warnings) note(warning)
  if (accepted.length === 0) say('nothing new: all of it is published already')
  for (const file of accepted) say(`${file}: ${visible ? 'published' : 'accepted, visible in a moment'}`)
  for (const { root, notBefore } of held) say(`${root}.root goes out at ${formatDate(notBefore)}`)
}

/** @throws CommandError for what no client would call metadata under this name */
export function fileOf(path: string): { role: string; bytes: Uint8Array } {
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(readFileSync(path))
  } catch {
    throw new CommandError(`${path} cannot be read.`)
  }
  const [, number, encoded] = /^(?:([1-9]\d{0,9})\.)?(.+)\.json$/s.exec(basename(path)) ?? []
  const role = encoded && decoded(encoded)
  if (!role) throw new CommandError(`${path} is not named as metadata is: ROLE.json or VERSION.ROLE.json.`)
  if (role === 'snapshot' || role === 'timestamp')
    throw new CommandError(`${path}: the ${role} is signed by the service; leave it out.`)
  try {
    const { version } = (role === 'root' ? parseRoot(bytes) : parseTargets(bytes)).signed
    if (number !== undefined && Number(number) !== version)
      throw new CommandError(`${path} holds version ${version}: give it the name ${version}.${encoded}.json.`)
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    throw new CommandError(`${path}: ${error.message} Nothing was sent.`)
  }
  return { role, bytes }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
