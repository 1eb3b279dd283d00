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
  let text = textOf(value, byCodeUnit)
  // UTF-8 cannot carry half a surrogate pair: encode() would silently put U+FFFD in its place.
  if (!text.isWellFormed()) throw new FormatError('A string to be signed holds half of a surrogate pair.')
  // JavaScript compares UTF-16 units. That is code point order until a character above U+FFFF comes in, which is so rare
  // that everything is written again then.
  if (SURROGATE.test(text)) text = textOf(value, byCodePoint)
  return UTF8.encode(text)
}

type Order = (a: string, b: string) => number

function textOf(value: Canonical, order: Order): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Object.is(value, -0))
      throw new FormatError(`${value} cannot be signed: only whole numbers up to 2^53 - 1 can.`)
    return String(value)
  }
  if (value === null || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return textOfArray(value, order)
  if (value instanceof Map) return textOfMap(value, order)
  if (typeof value === 'object' && isPlain(value)) return textOfMap(new Map(Object.entries(value)), order)
  throw new FormatError('A value to be signed is not JSON.')
}

function textOfArray(array: readonly Canonical[], order: Order): string {
  let text = '['
  let separator = ''
  for (const item of array) {
    text += separator + textOf(item, order)
    separator = ','
  }
  return `${text}]`
}

// Appending is the fast way to build a long string in V8: it keeps the parts and copies each character once, at the end.
function textOfMap(map: ReadonlyMap<string, Canonical>, order: Order): string {
  let text = '{'
  let separator = ''
  for (const [key, value] of sorted(map, order)) {
    text += `${separator}${quote(key)}:${textOf(value, order)}`
    separator = ','
  }
  return `${text}}`
}

/** The entries in order; most metadata comes canonical, so the map itself when its keys are in order already. */
function sorted(map: ReadonlyMap<string, Canonical>, order: Order): Iterable<[string, Canonical]> {
  let previous: string | undefined
  for (const key of map.keys()) {
    if (previous !== undefined && order(previous, key) > 0) return [...map].sort(([a], [b]) => order(a, b))
    previous = key
  }
  return map
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    // Both may stand in the middle of a pair: the halves before them are equal, so the second halves decide.
    if (a.charCodeAt(i) !== b.charCodeAt(i)) return a.codePointAt(i)! - b.codePointAt(i)!
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
