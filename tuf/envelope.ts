// The file every role is: `{"signatures": […], "signed": {…}}`, and the fields all roles share.
//
// Invariant: `payload` is the canonical form of the `signed` value that was received, made from the parsed JSON and never
// from typed fields, so that what a reader does not know about is still under the signature.
import { canonicalize } from './canonical.ts'
import { parseDate } from './dates.ts'
import { FormatError } from './errors.ts'
import { asArray, asInteger, asObject, asString } from './fields.ts'
import { type JsonObject, parseJson } from './json.ts'
import type { Signature } from './verify.ts'

/** A role's file as received and understood; nothing here says that a signature was checked. */
export interface Envelope<T> {
  readonly signed: T
  readonly signatures: readonly Signature[]
  /** Canonical bytes of `signed`: what the signatures are over. */
  readonly payload: Uint8Array
  /** The file, byte for byte: what is hashed, stored and served. */
  readonly bytes: Uint8Array
}

/** What root, timestamp, snapshot and targets have in common (TUF 1.0.34, 4.2.1). */
export interface Common {
  readonly type: string
  readonly specVersion: string
  readonly version: number
  /** As written, `YYYY-MM-DDTHH:MM:SSZ`. */
  readonly expires: string
  /** Milliseconds since 1970. */
  readonly expiresMs: number
  /** The whole `signed` object, unknown fields included. */
  readonly raw: JsonObject
}

/** The `_type` of the four kinds of role. */
export type RoleType = 'root' | 'timestamp' | 'snapshot' | 'targets'

/**
 * Reads a role's file; `read` adds the fields of its type.
 *
 * @throws {FormatError} for anything but strict JSON of this form: another `_type`, a specification that is not 1.x, a
 * version below 1, a malformed date, a keyid that signs twice
 */
export function parseEnvelope<T extends Common>(
  bytes: Uint8Array,
  type: RoleType,
  read: (common: Common) => T,
): Envelope<T> {
  const file = asObject(parseJson(bytes), `A ${type} file`)
  const raw = asObject(file.get('signed'), `"signed" of ${type}`)
  const signatures = readSignatures(file, type)
  return { signed: read(readCommon(raw, type)), signatures, payload: canonicalize(raw), bytes }
}

function readSignatures(file: JsonObject, type: RoleType): Signature[] {
  const seen = new Set<string>()
  return asArray(file.get('signatures'), `"signatures" of ${type}`).map((item) => {
    const entry = asObject(item, `A signature of ${type}`)
    const keyid = asString(entry.get('keyid'), `The keyid of a signature of ${type}`)
    if (seen.has(keyid)) throw new FormatError(`The key ${keyid} signs ${type} twice.`)
    seen.add(keyid)
    return { keyid, sig: asString(entry.get('sig'), `The sig of a signature of ${type}`) }
  })
}

function readCommon(raw: JsonObject, type: RoleType): Common {
  const found = asString(raw.get('_type'), `"_type" of ${type}`)
  if (found !== type) throw new FormatError(`A ${type} file was expected, and its type is "${found}".`)
  const specVersion = asString(raw.get('spec_version'), `"spec_version" of ${type}`)
  if (!/^1\.\d+(\.\d+)?$/.test(specVersion))
    throw new FormatError(`${type} follows TUF "${specVersion}"; only versions 1.x are understood.`)
  const expires = asString(raw.get('expires'), `"expires" of ${type}`)
  return {
    type,
    specVersion,
    version: asInteger(raw.get('version'), 1, `"version" of ${type}`),
    expires,
    expiresMs: parseDate(expires),
    raw,
  }
}
