// Project names and file names. State: none. Invariant: whatever passes here can be a TUF target path, an object key and
// a URL segment without a second look. The publisher's bundle contains this file: no third-party imports.
import { DIGEST_PREFIX_BYTES, STORED_NAME_BYTES_MAX, TARGET_PATH_ENCODED_MAX } from './limits.ts'
import { Refusal, shown } from './refusal.ts'

// PEP 508 says IGNORECASE; spelled out, because JavaScript's `i` with `u` would let U+017F and U+212A through.
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/

/** True if `name` is a project name (PEP 508, ASCII only). Linear time. */
export function isValidName(name: string): boolean {
  return NAME.test(name)
}

/** Normalised form: runs of `-`, `_`, `.` become `-`, lower case (PEP 503). Only meaningful for valid names. */
export function normalizeName(name: string): string {
  return name.replace(/[-_.]+/g, '-').toLowerCase()
}

/** True if `name` is a valid project name and already in its normalised form. */
export function isNormalizedName(name: string): boolean {
  return isValidName(name) && normalizeName(name) === name
}

/** The name as it stands in wheel and sdist file names: normalised, with `_` for `-` (PEP 427, PEP 625). */
export function escapedName(name: string): string {
  return normalizeName(name).replaceAll('-', '_')
}

/** First four hex digits of sha256(normalised project name): the `{shard}` of target paths and URLs. */
export async function projectShard(project: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(project)))
  return [digest[0]!, digest[1]!].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

// Endings that this index, or clients, give to things beside a file: `x.whl` and `x.whl.metadata` must not be two files.
const RESERVED_ENDINGS = ['.metadata', '.asc', '.provenance']

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/**
 * Refuses file names that cannot be stored, linked or downloaded by every client: control characters, separators, a
 * leading dot (tuf-js does not match it against `*`), endings with another meaning, and names too long for a file system
 * once a client has put the sha256 in front or `.metadata` behind.
 */
export function checkFilename(filename: string): void {
  if (filename === '') throw new Refusal('The file has no name: send the distribution with its file name.')
  if (CONTROL.test(filename)) throw new Refusal(`File name ${shown(filename)} has control characters: rename the file.`)
  if (/[/\\]/.test(filename))
    throw new Refusal(`File name ${shown(filename)} must not contain '/' or '\\': send the name without its folder.`)
  if (filename.startsWith('.'))
    throw new Refusal(`File name ${shown(filename)} must not start with a dot: rename the file.`)
  const ending = RESERVED_ENDINGS.find((reserved) => filename.toLowerCase().endsWith(reserved))
  if (ending) throw new Refusal(`File name ${shown(filename)} must not end in '${ending}': that ending is reserved.`)
  if (!filename.isWellFormed())
    throw new Refusal(`File name ${shown(filename)} is not valid Unicode: use ASCII letters and digits.`)
  // The prefix is the longer of the two additions, so it alone decides.
  const max = STORED_NAME_BYTES_MAX - DIGEST_PREFIX_BYTES
  if (new TextEncoder().encode(filename).length > max)
    throw new Refusal(`File name ${shown(filename)} is too long: the limit is ${max} bytes. Shorten version or tags.`)
}

/** Percent-encodes a URL segment like Python's `quote(text, safe='')`: everything but letters, digits and `_.-~`. */
export function encodeSegment(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Target path of a distribution file. `project` is normalised, `shard` is its `projectShard`. */
export function fileTargetPath(shard: string, project: string, filename: string): string {
  return `files/${shard}/${project}/${filename}`
}

/** Refuses a project and file name whose encoded target path is longer than TUF clients can store. */
export function checkTargetPath(project: string, filename: string): void {
  const bytes = encodeSegment(fileTargetPath('0000', project, filename)).length
  if (bytes <= TARGET_PATH_ENCODED_MAX) return
  const over = bytes - TARGET_PATH_ENCODED_MAX
  throw new Refusal(
    `Project name and file name ${shown(filename)} are together ${over} bytes too long for TUF clients: shorten one of them.`,
  )
}
