// The outer shape of METADATA and PKG-INFO: header lines, an empty line, a body (the email format as core metadata uses it).
// State: none. Invariant: what this reads, Python's `email` reads the same; where the two could differ, this refuses.
import { Refusal, shown } from './refusal.ts'
import { decodeUtf8 } from './utf8.ts'

/** Header fields in lower case, each with its values in order, and the body. */
export interface HeaderFile {
  readonly fields: ReadonlyMap<string, readonly string[]>
  /** Text after the first empty line; absent if there is none. */
  readonly body?: string
}

// RFC 822 field names: printable ASCII without the colon.
const FIELD = /^([\x21-\x39\x3b-\x7e]+):(.*)$/

/** Splits header bytes into fields. `what` names the file in messages. Linear time. */
export function parseHeaderFile(bytes: Uint8Array, what: string): HeaderFile {
  const text = decodeUtf8(bytes)
  if (text === null)
    throw new Refusal(`${what} is not valid UTF-8: build the distribution with a current build backend.`)
  if (text.includes('\0')) throw new Refusal(`${what} has a NUL character: remove it.`)
  const fields = new Map<string, string[]>()
  let last: string[] | undefined
  let at = 0
  while (at < text.length) {
    const { line, next } = lineAt(text, at)
    at = next
    if (line === '') return { fields, body: text.slice(at) }
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (!last) throw new Refusal(`${what} begins with a continuation line: its first line must be a field.`)
      last[last.length - 1] += `\n${line}`
      continue
    }
    const found = FIELD.exec(line)
    // Python takes such a line as the start of the body, so readers would lose every field after it.
    if (!found) throw new Refusal(`${what} has a line that is neither a field nor a continuation: ${shown(line)}.`)
    const name = found[1]!.toLowerCase()
    last = fields.get(name) ?? []
    fields.set(name, last)
    last.push(found[2]!.trim())
  }
  return { fields }
}

/** The line that starts at `at`, ended by \n, \r\n or \r like Python's universal newlines, and where the next starts. */
function lineAt(text: string, at: number): { line: string; next: number } {
  let end = at
  while (end < text.length && text[end] !== '\n' && text[end] !== '\r') end++
  const next = text[end] === '\r' && text[end + 1] === '\n' ? end + 2 : end + 1
  return { line: text.slice(at, end), next }
}
