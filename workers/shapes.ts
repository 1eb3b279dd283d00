// What values of the API look like: one description each, which reads a value strictly and says the same as JSON Schema
// (2020-12, the dialect of OpenAPI 3.1). Invariant: there is no second list, so what is documented is what is enforced.
import { isValidName, normalizeName } from '../pypi/names.ts'
import { parseVersion, releaseKey } from '../pypi/versions.ts'
import { FormatError } from '../tuf/errors.ts'
import { asArray, asBoolean, asInteger, asString } from '../tuf/fields.ts'
import type { Json } from '../tuf/json.ts'
import { fromBase64, objectOf } from './api-json.ts'

export type Schema = { [key: string]: unknown }

export interface Shape<T> {
  schema: Schema
  /** May be absent. */
  optional?: true
  /** @param what names the value in a refusal. @throws FormatError */
  read(value: Json | undefined, what: string): T
}

export type Fields = Readonly<Record<string, Shape<unknown>>>
export type Values<F extends Fields> = { [K in keyof F]: F[K] extends Shape<infer T> ? T : never }

/** One line of text. */
export const text = (max: number): Shape<string> => ({
  schema: { type: 'string', maxLength: max, pattern: '^[^\\p{Cc}]*$' },
  read(value, what) {
    const given = asString(value, what)
    if (given.length > max || /\p{Cc}/u.test(given))
      throw new FormatError(`${what} must be one line of at most ${max} characters.`)
    return given
  },
})

/** A SHA-256 digest. */
export const hex64: Shape<string> = {
  schema: { type: 'string', pattern: '^[0-9a-f]{64}$' },
  read(value, what) {
    const given = asString(value, what)
    if (/^[0-9a-f]{64}$/.test(given)) return given
    throw new FormatError(`${what} must be 64 lower-case hex digits.`)
  },
}

export const word = <T extends string>(...words: T[]): Shape<T> => ({
  schema: { type: 'string', enum: words },
  read(value, what) {
    const given = asString(value, what)
    if (words.includes(given as T)) return given as T
    throw new FormatError(`${what} must be one of: ${words.join(', ')}.`)
  },
})

export const integer = (least: number, most: number = Number.MAX_SAFE_INTEGER): Shape<number> => ({
  schema: { type: 'integer', minimum: least, maximum: most },
  read(value, what) {
    const given = asInteger(value, least, what)
    if (given > most) throw new FormatError(`${what} must be at most ${most}.`)
    return given
  },
})

export const flag: Shape<boolean> = { schema: { type: 'boolean' }, read: asBoolean }

/** Bytes in standard base64, with padding. */
export const base64: Shape<Uint8Array> = {
  schema: { type: 'string', contentEncoding: 'base64' },
  read: (value, what) => fromBase64(asString(value, what), what),
}

export const nothing: Shape<null> = {
  schema: { type: 'null' },
  read(value, what) {
    if (value === null) return null
    throw new FormatError(`${what} must be null.`)
  },
}

export const list = <T>(of: Shape<T>): Shape<T[]> => ({
  schema: { type: 'array', items: of.schema },
  read: (value, what) => asArray(value, what).map((item) => of.read(item, `Each item of ${what}`)),
})

/** The first that takes the value. */
export const either = <A, B>(a: Shape<A>, b: Shape<B>): Shape<A | B> => ({
  schema: { anyOf: [a.schema, b.schema] },
  read(value, what) {
    try {
      return a.read(value, what)
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      return b.read(value, what)
    }
  },
})

export const maybe = <T>(shape: Shape<T>): Shape<T | undefined> => ({
  schema: shape.schema,
  optional: true,
  read: (value, what) => (value === undefined ? undefined : shape.read(value, what)),
})

/** An object with these fields and no other. */
export const record = <F extends Fields>(fields: F): Shape<Values<F>> => ({
  schema: {
    type: 'object',
    properties: Object.fromEntries(Object.entries(fields).map(([name, shape]) => [name, shape.schema])),
    required: Object.entries(fields).flatMap(([name, shape]) => (shape.optional ? [] : [name])),
    additionalProperties: false,
  },
  read(value, what) {
    const object = objectOf(value, what, Object.keys(fields))
    const read = Object.entries(fields).map(([name, shape]) => [name, shape.read(object.get(name), name)])
    return Object.fromEntries(read) as Values<F>
  },
})

/** An answer's object: described, never read; later releases may add fields. */
export const given = (fields: Fields): Shape<unknown> => {
  const { schema, read } = record(fields)
  const { additionalProperties: _, ...open } = schema
  return { schema: open, read }
}

const TOKEN_ID = /^[0-9a-f]{12}$/
export const tokenId: Shape<string> = {
  schema: { type: 'string', pattern: TOKEN_ID.source },
  read(value, what) {
    const id = asString(value, what)
    if (TOKEN_ID.test(id)) return id
    throw new FormatError(`${what} must be 12 hex digits, as the list of tokens shows them.`)
  },
}

/** Life and tick times in seconds, or the name of a profile. Which names there are is the publisher's to know. */
const seconds = integer(1)
export const freshness = either(
  text(40),
  record({ timestampSeconds: seconds, snapshotSeconds: seconds, binSeconds: seconds, tickSeconds: seconds }),
)

/** A project's name in any spelling; read as its normal form (PEP 503). */
export const projectName: Shape<string> = {
  schema: { type: 'string', pattern: '^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$', maxLength: 200 },
  read(value, what) {
    const name = asString(value, what)
    if (name.length <= 200 && isValidName(name)) return normalizeName(name)
    throw new FormatError(`${what} is no project name: use ASCII letters, digits, '-', '_' and '.'.`)
  },
}

/** A version in any spelling; read as what releases are equal by (PEP 440): `1.0` and `1.0.0` are one. */
export const releaseName: Shape<string> = {
  schema: { type: 'string', description: 'PEP 440', maxLength: 100 },
  read(value, what) {
    const version = asString(value, what)
    if (version.length <= 100 && parseVersion(version)) return releaseKey(version)
    throw new FormatError(`${what} is no version as PEP 440 describes it, such as 1.2.3.`)
  },
}
