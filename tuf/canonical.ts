// OLPC canonical JSON, the byte form that TUF signs (TUF 1.0.34, 4.2.1): keys sorted by code point, no white space, only
// `"` and `\` escaped, whole numbers only. Control characters stand raw in it, so canonical bytes are not always valid
// JSON: see `signRole` for how they are put into a file.
import { FormatError } from './errors.ts'

/** What can be canonicalised: parsed JSON, or plain objects and arrays of the same values. */
export type Canonical =
  | null
  | boolean
  | number
  | string
  | readonly Canonical[]
  | ReadonlyMap<string, Canonical>
  | { readonly [key: string]: Canonical }

const UTF8 = new TextEncoder()
const SPECIAL = /["\\]/
const SURROGATE = /[\ud800-\udfff]/

/**
 * The canonical bytes of `value`.
 *
 * @throws {FormatError} for a number that is not a safe integer, a string that is not well-formed Unicode, or a value
 * that JSON does not have (undefined, functions …)
 */
export function canonicalize(value: Canonical): Uint8Array {
  const text = textOf(value)
  // UTF-8 cannot carry half a surrogate pair: encode() would silently put U+FFFD in its place.
  if (!text.isWellFormed()) throw new FormatError('A string to be signed holds half of a surrogate pair.')
  return UTF8.encode(text)
}

function textOf(value: Canonical): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Object.is(value, -0))
      throw new FormatError(`${value} cannot be signed: only whole numbers up to 2^53 - 1 can.`)
    return String(value)
  }
  if (value === null || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return textOfArray(value)
  if (value instanceof Map) return textOfMap(value)
  if (typeof value === 'object' && isPlain(value)) return textOfMap(new Map(Object.entries(value)))
  throw new FormatError('A value to be signed is not JSON.')
}

function textOfArray(array: readonly Canonical[]): string {
  let text = '['
  let separator = ''
  for (const item of array) {
    text += separator + textOf(item)
    separator = ','
  }
  return `${text}]`
}

// Appending is the fast way to build a long string in V8: it keeps the parts and copies each character once, at the end.
function textOfMap(map: ReadonlyMap<string, Canonical>): string {
  let text = '{'
  let separator = ''
  for (const key of sortedKeys(map)) {
    text += `${separator}${quote(key)}:${textOf(map.get(key)!)}`
    separator = ','
  }
  return `${text}}`
}

/**
 * Keys in code point order. The default sort compares UTF-16 units, which differs only when a key holds a character
 * above U+FFFF, so the slower comparison is kept for those.
 */
function sortedKeys(map: ReadonlyMap<string, Canonical>): string[] {
  const keys = [...map.keys()]
  return keys.some((key) => SURROGATE.test(key)) ? keys.sort(byCodePoint) : keys.sort()
}

function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(i) !== b.charCodeAt(i)) {
      // Both may stand in the middle of a pair: the halves before them are equal, so the second halves decide.
      return a.codePointAt(i)! - b.codePointAt(i)!
    }
  }
  return a.length - b.length
}

function quote(text: string): string {
  return SPECIAL.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : `"${text}"`
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
