// Public keys as TUF metadata lists them, and the identity under which they count towards a threshold.
//
// Invariant: `identity` is the key material itself in one spelling, so that the same public key listed twice (two
// keyids, PEM and hex, other line breaks, other schemes) counts once. A key without identity is unusable: it is kept,
// because a file may list keys for other clients, and never verifies anything.
import { Point } from '@noble/ed25519'
import { schemeOf } from './algorithms.ts'
import { canonicalize } from './canonical.ts'
import { isOnCurve } from './curve.ts'
import { derToPem, pemToDer, readSpki } from './der.ts'
import { sha256HexSync } from './digest.ts'
import { FormatError } from './errors.ts'
import { asObject, asString } from './fields.ts'
import { fromHex, toHex } from './hex.ts'
import type { Json, JsonObject } from './json.ts'

/** RSA sizes that are used: NIST SP 800-131A asks for 2,048 bits; above 8,192 a verification costs tens of ms. */
const RSA_BITS_MIN = 2048
const RSA_BITS_MAX = 8192

/** A public key (TUF 1.0.34, 4.2.1). */
export interface Key {
  readonly keytype: string
  readonly scheme: string
  /** `keyval.public` as listed: 64 hex digits for Ed25519, PEM (or a hex point) for ECDSA, PEM for RSA. */
  readonly public: string
  /** The name it is listed under; for keys made here, the hash below. */
  readonly keyid: string
  /** Whether `keyid` is the SHA-256 of the canonical key object, as the specification asks and few clients check. */
  readonly keyidMatches: boolean
  /** The public key in one spelling; undefined if it cannot be used. */
  readonly identity: string | undefined
  /** Why it cannot be used; undefined if it can. */
  readonly problem: string | undefined
  /** The key object as listed, unknown fields included: what the keyid is the hash of. */
  readonly raw: JsonObject
}

/**
 * Reads a key object.
 *
 * @param keyid the name it is listed under; its own hash if omitted
 * @param strict refuse what is otherwise kept as unusable: unknown types and schemes, malformed, weak or non-canonical
 * public keys, and a keyid that is not the key's hash
 * @throws {FormatError} if the object is not `{keytype, scheme, keyval: {public}}`, all strings
 */
export function parseKey(json: Json, { keyid, strict = false }: { keyid?: string; strict?: boolean } = {}): Key {
  const raw = asObject(json, 'A key')
  const keytype = asString(raw.get('keytype'), 'The keytype of a key')
  const scheme = asString(raw.get('scheme'), 'The scheme of a key')
  const keyval = asObject(raw.get('keyval'), 'The keyval of a key')
  const publicKey = asString(keyval.get('public'), 'The public part of a key')

  const hash = keyId(raw)
  if (strict && keyid !== undefined && keyid !== hash)
    throw new FormatError(`The key ${keyid} is listed under a keyid that is not its hash.`)
  const judgement = strict ? { identity: identityOf(keytype, scheme, publicKey), problem: undefined } : undefined
  return lazyKey(
    { keytype, scheme, public: publicKey, keyid: keyid ?? hash, keyidMatches: (keyid ?? hash) === hash, raw },
    judgement,
  )
}

type Judgement = Pick<Key, 'identity' | 'problem'>

/**
 * A key that is judged when somebody asks. Unpacking a curve point takes a tenth of a millisecond, a file may list
 * thousands of keys (one for each team of an index), and a client uses one or two of them.
 */
function lazyKey(key: Omit<Key, keyof Judgement>, known: Judgement | undefined): Key {
  let judgement = known
  const judge = (): Judgement => {
    judgement ??= judgementOf(key.keytype, key.scheme, key.public)
    return judgement
  }
  return {
    ...key,
    get identity() {
      return judge().identity
    },
    get problem() {
      return judge().problem
    },
  }
}

function judgementOf(keytype: string, scheme: string, publicKey: string): Judgement {
  try {
    return { identity: identityOf(keytype, scheme, publicKey), problem: undefined }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    return { identity: undefined, problem: error.message }
  }
}

/** An Ed25519 key from 64 lower-case hex digits; throws FormatError for weak, non-canonical or malformed ones. */
export function ed25519Key(publicHex: string): Key {
  return makeKey('ed25519', 'ed25519', publicHex)
}

/** An ECDSA or RSA-PSS key from its SubjectPublicKeyInfo (WebCrypto's `spki` export), listed as PEM. */
export function spkiKey(scheme: string, spki: Uint8Array): Key {
  const keytype = schemeOf(scheme)?.kind ?? scheme
  return makeKey(keytype, scheme, derToPem(spki))
}

/** The object that lists `key` in metadata: unchanged, unknown fields included, or its keyid would not be its hash. */
export function keyObject(key: Key): JsonObject {
  return key.raw
}

/** Lower-case hex SHA-256 of the canonical key object (TUF 1.0.34, 4.2.1). */
export function keyId(keyObject: JsonObject): string {
  return sha256HexSync(canonicalize(keyObject))
}

function makeKey(keytype: string, scheme: string, publicKey: string): Key {
  const raw: JsonObject = new Map<string, Json>([
    ['keytype', keytype],
    ['scheme', scheme],
    ['keyval', new Map([['public', publicKey]])],
  ])
  return parseKey(raw, { strict: true })
}

function identityOf(keytype: string, schemeName: string, publicKey: string): string {
  const scheme = schemeOf(schemeName)
  if (!scheme?.keytypes.includes(keytype))
    throw new FormatError(`Keys of type "${keytype}" with scheme "${schemeName}" are not supported.`)
  switch (scheme.kind) {
    case 'ed25519':
      checkEd25519(publicKey)
      return `ed25519:${publicKey}`
    case 'ecdsa':
      return `ecdsa:${toHex(ecdsaPoint(publicKey, scheme.curve, scheme.size))}`
    case 'rsa': {
      const { modulus, exponent } = rsaNumbers(publicKey)
      return `rsa:${toHex(modulus)}:${toHex(exponent)}`
    }
  }
}

/** Ed25519 public keys that were judged, and why each cannot be used; a client reads the same root at every refresh. */
const judged = new Map<string, string | undefined>()
/** Keys of one deployment, many times over; each entry is two hundred bytes. */
const JUDGED_MAX = 1_000

function checkEd25519(publicHex: string): void {
  if (publicHex.length !== 64) throw new FormatError('An Ed25519 public key must be 64 lower-case hex digits.')
  if (!judged.has(publicHex)) {
    const problem = problemOfPoint(fromHex(publicHex))
    if (judged.size >= JUDGED_MAX) judged.clear()
    judged.set(publicHex, problem)
  }
  const problem = judged.get(publicHex)
  if (problem !== undefined) throw new FormatError(problem)
}

/**
 * Refuses public keys under which somebody without a private key can sign. Under a point of small order one fixed
 * signature verifies for one message in eight, or for all of them, depending on the library; a non-canonical encoding
 * gives one point two spellings.
 */
function problemOfPoint(bytes: Uint8Array): string | undefined {
  try {
    const point = Point.fromBytes(bytes, false)
    return point.isSmallOrder() ? 'An Ed25519 public key is of small order, so anybody can sign for it.' : undefined
  } catch {
    return 'An Ed25519 public key is not the canonical encoding of a point of the curve.'
  }
}

/**
 * The uncompressed point (04‖x‖y) of an ECDSA key that is listed as PEM or, as in early sigstore roots, as its hex.
 *
 * @throws {FormatError} for another curve, a compressed point or a malformed key
 */
export function ecdsaPoint(publicKey: string, curve: 'P-256' | 'P-384', size: number): Uint8Array {
  let point: Uint8Array
  if (publicKey.includes('-----BEGIN')) {
    const key = readSpki(pemToDer(publicKey))
    if (key.type !== 'ec' || key.curve !== curve) throw new FormatError(`An ECDSA public key is not on ${curve}.`)
    point = key.point
  } else {
    point = fromHex(publicKey)
  }
  if (point.length !== 1 + 2 * size || point[0] !== 4)
    throw new FormatError(`An ECDSA public key is not an uncompressed point of ${curve}.`)
  if (!isOnCurve(curve, toHex(point.subarray(1, 1 + size)), toHex(point.subarray(1 + size))))
    throw new FormatError(`An ECDSA public key is not a point of ${curve}.`)
  return point
}

/**
 * Modulus and exponent of an RSA key listed as PEM, big-endian without leading zeros, and the bits of the modulus.
 *
 * @throws {FormatError} for a size or an exponent outside what is used, or a malformed key
 */
export function rsaNumbers(pem: string): { modulus: Uint8Array; exponent: Uint8Array; bits: number } {
  const key = readSpki(pemToDer(pem))
  if (key.type !== 'rsa') throw new FormatError('A public key listed as RSA is not RSA.')
  const { modulus, exponent } = key
  // clz32 counts from 32 bits, and the first byte has 8.
  const bits = modulus.length === 0 ? 0 : 8 * modulus.length - (Math.clz32(modulus[0]!) - 24)
  if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
    throw new FormatError(`An RSA public key has ${bits} bits; ${RSA_BITS_MIN} to ${RSA_BITS_MAX} are allowed.`)
  // Exponent 1 leaves the message unchanged, and an even one belongs to no key pair; real ones fit 4 bytes.
  const odd = exponent.length > 0 && exponent.at(-1)! % 2 === 1
  if (!odd || exponent.length > 4 || toHex(exponent) === '01')
    throw new FormatError('An RSA public key has an exponent that is not allowed.')
  return { modulus, exponent, bits }
}
