// The JWT of a CI run (RFC 7519), read and checked. State: none. It is taken only as CIs make it: signed with RS256 or
// ES256 by a named key, for this index alone, with a short life. Whatever could be read in two ways is refused.

import { sha256HexSync, source } from '../tuf/digest.ts'
import { FormatError } from '../tuf/errors.ts'
import { asInteger, asObject, asString } from '../tuf/fields.ts'
import { type Json, type JsonObject, parseJson } from '../tuf/json.ts'

export type Algorithm = 'RS256' | 'ES256'

/** GitHub's are 2 kB, GitLab's with many groups 4. */
const LENGTH_MAX = 16 * 1024
/** Claims are strings, numbers and short lists of them. */
const DEPTH_MAX = 8
/** Clocks of a CI and of the edge differ by seconds. */
const LEEWAY_MS = 30_000
/** GitHub's live minutes, GitLab's as long as the job may run. It is how long an id is remembered, so it has a limit. */
const LIFE_MAX_MS = 24 * 3_600_000
const JTI_LENGTH_MAX = 255

/** Nothing in it is to be believed yet. */
export interface UnverifiedIdentity {
  algorithm: Algorithm
  kid: string
  issuer: string
  claims: JsonObject
  /** What the signature is over. */
  signed: Uint8Array<ArrayBuffer>
  signature: Uint8Array<ArrayBuffer>
}

/** @throws FormatError whose message is for the person whose CI sent it */
export function readIdentity(jwt: string): UnverifiedIdentity {
  const parts = jwt.length <= LENGTH_MAX ? jwt.split('.') : []
  const [head, body, tail] = parts.map(fromBase64Url)
  if (parts.length !== 3 || !head || !body || !tail) throw new FormatError('The token is not a signed JWT.')
  const header = objectOf(head, 'header')
  const algorithm = header.get('alg')
  if (algorithm !== 'RS256' && algorithm !== 'ES256')
    throw new FormatError('The JWT must be signed with RS256 or ES256.')
  if (header.has('crit')) throw new FormatError('The JWT wants something of its reader (crit) that is not known here.')
  const claims = objectOf(body, 'body')
  return {
    algorithm,
    kid: asString(header.get('kid'), "The JWT's kid"),
    issuer: asString(claims.get('iss'), "The JWT's iss"),
    claims,
    signed: source(new TextEncoder().encode(jwt.slice(0, jwt.lastIndexOf('.')))),
    signature: tail,
  }
}

const ALGORITHMS = {
  RS256: 'RSASSA-PKCS1-v1_5',
  ES256: { name: 'ECDSA', hash: 'SHA-256' },
} as const

export const signatureHolds = (
  { algorithm, signature, signed }: UnverifiedIdentity,
  key: CryptoKey,
): Promise<boolean> => crypto.subtle.verify(ALGORITHMS[algorithm], key, signature, signed)

/** What makes this JWT this one and no other, and when it may be forgotten (Unix milliseconds). */
export interface Once {
  id: string
  until: number
}

/**
 * Whether a JWT whose signature holds is for this index and for now. @throws FormatError
 *
 * @param now Unix milliseconds
 */
export function checkClaims({ claims, signed }: UnverifiedIdentity, audience: string, now: number): Once {
  // A list of several would be good elsewhere too, and whoever takes it there could bring it here.
  const aud = claims.get('aud')
  const intended = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
  if (intended !== audience)
    throw new FormatError(`The JWT is for another audience: ask the CI for one for '${audience}' and nobody else.`)
  const expires = time(claims, 'exp')
  const issued = time(claims, 'iat')
  const from = claims.has('nbf') ? time(claims, 'nbf') : issued
  if (expires + LEEWAY_MS <= now) throw new FormatError('The JWT has expired: ask the CI for a new one.')
  if (issued - LEEWAY_MS > now || from - LEEWAY_MS > now) throw new FormatError('The JWT is of a time to come.')
  if (expires - issued > LIFE_MAX_MS) throw new FormatError('The JWT lives longer than a day: ask for a shorter one.')
  return { id: idOf(claims.get('jti'), signed), until: expires + LEEWAY_MS }
}

/** Some issuers give no `jti`. Then it is what was signed, and not the signature, which ECDSA has two of. */
function idOf(jti: Json | undefined, signed: Uint8Array): string {
  if (jti === undefined) return `sha256:${sha256HexSync(signed)}`
  if (typeof jti !== 'string' || jti === '' || jti.length > JTI_LENGTH_MAX)
    throw new FormatError(`The JWT's jti must be a string of at most ${JTI_LENGTH_MAX} characters.`)
  return `jti:${jti}`
}

const time = (claims: JsonObject, name: string): number => asInteger(claims.get(name), 0, `The JWT's ${name}`) * 1000

function objectOf(bytes: Uint8Array, what: string): JsonObject {
  try {
    return asObject(parseJson(bytes, { maxDepth: DEPTH_MAX }), what)
  } catch {
    throw new FormatError(`The ${what} of the JWT is not a JSON object.`)
  }
}

/** Undefined for what is not base64url without padding (RFC 7515, 2). */
function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(text) || text.length % 4 === 1) return undefined
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
}
