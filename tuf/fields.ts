// Typed access to parsed metadata. Each function returns the value or refuses the file with one sentence that names the
// field; unknown fields are never looked at here and stay in the raw object.
import { FormatError } from './errors.ts'
import type { Json, JsonObject } from './json.ts'

/** `value` as an object; `what` names it in the refusal. */
export function asObject(value: Json | undefined, what: string): JsonObject {
  if (!(value instanceof Map)) throw new FormatError(`${what} must be an object.`)
  return value
}

/** `value` as an array. */
export function asArray(value: Json | undefined, what: string): Json[] {
  if (!Array.isArray(value)) throw new FormatError(`${what} must be an array.`)
  return value
}

/** `value` as a string. */
export function asString(value: Json | undefined, what: string): string {
  if (typeof value !== 'string') throw new FormatError(`${what} must be a string.`)
  return value
}

/** `value` as an array of strings. */
export function asStrings(value: Json | undefined, what: string): string[] {
  return asArray(value, what).map((item) => asString(item, `Each item of ${what}`))
}

/** `value` as a boolean. */
export function asBoolean(value: Json | undefined, what: string): boolean {
  if (typeof value !== 'boolean') throw new FormatError(`${what} must be true or false.`)
  return value
}

/** `value` as an integer of at least `least`; the JSON reader has already excluded all but safe integers. */
export function asInteger(value: Json | undefined, least: number, what: string): number {
  if (typeof value !== 'number' || value < least)
    throw new FormatError(`${what} must be an integer of at least ${least}.`)
  return value
}
