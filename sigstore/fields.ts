// Values as protobuf's JSON writes them (bundles, trust roots): base64, 64-bit integers as text, dates. Read strictly: one
// value has one spelling. Errors are FormatError, one sentence that names the field.
import { FormatError } from '../tuf/errors.ts'
import { asObject, asString } from '../tuf/fields.ts'
import type { Json, JsonObject } from '../tuf/json.ts'

/** Base64 with padding, nothing left over in its last digit. */
export function asBytes(value: Json | undefined, what: string): Uint8Array {
  const text = asString(value, what)
  const binary = /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0 ? atob(text) : ''
  if (binary === '' || btoa(binary) !== text) throw new FormatError(`${what} must be base64.`)
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

/** An integer of at least 0, as text or as a number. */
export function asCount(value: Json | undefined, what: string): number {
  const number = typeof value === 'string' && /^(?:0|[1-9]\d{0,15})$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0)
    throw new FormatError(`${what} must be an integer of at least 0.`)
  return number
}

/** An object with these members and no others: what nobody looked at is not passed on. */
export function asExactly(value: Json | undefined, what: string, known: readonly string[]): JsonObject {
  const object = asObject(value, what)
  const stray = [...object.keys()].find((name) => !known.includes(name))
  if (stray !== undefined) throw new FormatError(`${what} has a member beside ${known.join(', ')}.`)
  return object
}

const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/

/** Unix milliseconds. */
export function asDate(value: Json | undefined, what: string): number {
  const text = asString(value, what)
  const time = DATE.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isFinite(time)) throw new FormatError(`${what} must be a date like 2026-01-31T12:00:00Z.`)
  return time
}
