// Target paths: what they may look like, which delegation pattern holds one, and under which name it is fetched.
import { FormatError } from './errors.ts'

/**
 * python-tuf and tuf-js keep a downloaded target in one file named by the percent-encoded path, and file systems allow
 * 255 bytes in a name: a longer path would be published and could not be fetched.
 */
export const ENCODED_PATH_MAX = 255

/**
 * Whether a delegation pattern holds a target path (TUF 1.0.34, 4.5, PATHPATTERN): `*` is any run of characters, `?` one
 * character, neither crosses a `/`; everything else, brackets and braces included, is literal; case counts.
 */
export function matchPattern(pattern: string, path: string): boolean {
  const patternSegments = pattern.split('/')
  const segments = path.split('/')
  return (
    patternSegments.length === segments.length &&
    patternSegments.every((segment, i) => matchSegment(segment, segments[i]!))
  )
}

/** Most segments are literal or a whole `*`, and a look-up tries thousands of patterns. */
function matchSegment(pattern: string, text: string): boolean {
  if (pattern === '*' || pattern === text) return true
  return /[*?]/.test(pattern) && matchWildcards(Array.from(pattern), Array.from(text))
}

/**
 * Matches one segment, in characters. On a mismatch only the last `*` seen is tried again one character further, which
 * is enough because an earlier one could match nothing that the later could not: time is at most the product of the
 * lengths, whatever the pattern.
 */
function matchWildcards(pattern: readonly string[], text: readonly string[]): boolean {
  let p = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = p++
      resume = t
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++resume
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** `dir/HASH.name`: the name of a target in a repository with consistent snapshots (TUF 1.0.34, 6.2.1). */
export function targetUrlName(path: string, hash: string): string {
  const slash = path.lastIndexOf('/') + 1
  return `${path.slice(0, slash)}${hash}.${path.slice(slash)}`
}

/** Bytes of `path` as python-tuf and tuf-js name its file; see ENCODED_PATH_MAX. */
export function encodedPathLength(path: string): number {
  return encodeSegment(path).length
}

/**
 * Refuses a target path that a client could not ask for or keep, or that would leave its directory. This is for paths we
 * write; foreign metadata may hold others and is read as it is.
 *
 * Only visible ASCII without `"` and `\`: clients differ in how they sort, escape and normalise every other character,
 * and a difference is a bad signature (tough also sorts a space differently when one path is the start of another).
 *
 * @throws {FormatError} for other characters, an empty segment (so also a leading or trailing slash), `.` and `..`, or
 * more than 255 bytes when percent-encoded
 */
export function checkTargetPath(path: string): void {
  if (!/^[!#-[\]-~]*$/.test(path))
    throw new FormatError(
      `The target path ${JSON.stringify(path)} holds characters other than visible ASCII without " and \\.`,
    )
  checkSegments(path)
  if (encodedPathLength(path) > ENCODED_PATH_MAX)
    throw new FormatError(`The target path "${path}" is longer than ${ENCODED_PATH_MAX} bytes when percent-encoded.`)
}

/**
 * A target path as the path of a URL. Characters that RFC 3986 allows in a segment stay as they are, because plain file
 * servers do not decode; everything else is percent-encoded.
 *
 * @throws {FormatError} for a path whose segments a URL cannot carry: empty, `.` or `..`
 */
export function targetUrlPath(path: string): string {
  checkSegments(path)
  return path
    .split('/')
    .map((segment) => encodeURIComponent(segment).replace(/%(?:24|26|2B|2C|3A|3B|3D|40)/g, decodeURIComponent))
    .join('/')
}

/** `text` with everything percent-encoded but letters, digits and `_.-~`: role names in URLs and file names. */
export function encodeSegment(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function checkSegments(path: string): void {
  if (path.split('/').some((segment) => segment === '' || segment === '.' || segment === '..'))
    throw new FormatError(`The target path ${JSON.stringify(path)} has an empty, "." or ".." segment.`)
}
