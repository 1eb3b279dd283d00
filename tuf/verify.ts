// Signature verification. A signature counts only for a usable key, over the canonical bytes of what was received, and
// a threshold counts distinct public keys: two keyids of one key, or two spellings of it, are one voice.
import { type EcdsaScheme, type RsaScheme, schemeOf } from './algorithms.ts'
import { ecdsaFromDer, pemToDer } from './der.ts'
import { source } from './digest.ts'
import { isWellFormed } from './ed25519.ts'
import { FormatError, SignatureError } from './errors.ts'
import { fromHex } from './hex.ts'
import { ecdsaPoint, type Key, rsaNumbers } from './keys.ts'

/** One entry of `signatures`. `sig` is hex as listed; an empty one is legal and counts for nothing. */
export interface Signature {
  readonly keyid: string
  readonly sig: string
}

/** Who may sign for a role, and how many of them must (TUF 1.0.34, 4.2.2). */
export interface RoleKeys {
  readonly keyids: readonly string[]
  readonly threshold: number
}

/** The part of an envelope that verification reads. */
export interface Signed {
  /** Canonical bytes of `signed`. */
  readonly payload: Uint8Array
  readonly signatures: readonly Signature[]
}

/** Imported keys (never promises of them: a Worker may not wait for what another request started); null if refused. */
const imported = new WeakMap<Key, CryptoKey | null>()

/**
 * Whether `sigHex` is a signature of `payload` by `key`. Never throws for bad input: an unusable key, malformed hex or a
 * malformed signature is false.
 */
export async function verifySignature(key: Key, payload: Uint8Array, sigHex: string): Promise<boolean> {
  if (key.identity === undefined) return false
  let signature: Uint8Array
  try {
    signature = fromHex(sigHex.toLowerCase())
  } catch {
    return false
  }
  const scheme = schemeOf(key.scheme)
  switch (scheme?.kind) {
    case 'ed25519':
      return verifyEd25519(key, payload, signature)
    case 'ecdsa':
      return verifyEcdsa(key, scheme, payload, signature)
    case 'rsa':
      return verifyRsa(key, scheme, payload, signature)
    default:
      return false
  }
}

/**
 * Checks that enough of a role's keys signed an envelope. Signatures by other keys, and invalid ones beside enough good
 * ones, are ignored (TUF 1.0.34, 4.2.2; tuf-conformance).
 *
 * @param name the role, for the refusal's sentence
 * @returns the identities of those that signed, `threshold` of them
 * @throws {SignatureError} if fewer than `threshold` distinct public keys signed
 */
export async function verifyRole(
  envelope: Signed,
  role: RoleKeys,
  keys: ReadonlyMap<string, Key>,
  name: string,
): Promise<ReadonlySet<string>> {
  const listed = new Set(role.keyids)
  const voices = new Set<string>()
  for (const { keyid, sig } of envelope.signatures) {
    const key = listed.has(keyid) ? keys.get(keyid) : undefined
    if (key?.identity === undefined || voices.has(key.identity)) continue
    if (await verifySignature(key, envelope.payload, sig)) voices.add(key.identity)
    if (voices.size >= role.threshold) return voices
  }
  throw new SignatureError(name, voices.size, role.threshold)
}

/** WebCrypto decides, among what has one spelling: see `ed25519.ts` for why the answer is the same everywhere. */
async function verifyEd25519(key: Key, payload: Uint8Array, signature: Uint8Array): Promise<boolean> {
  if (!isWellFormed(signature)) return false
  const cryptoKey = await importOnce(key, () =>
    crypto.subtle.importKey('raw', source(fromHex(key.public)), { name: 'Ed25519' }, false, ['verify']),
  )
  return cryptoKey !== null && crypto.subtle.verify({ name: 'Ed25519' }, cryptoKey, source(signature), source(payload))
}

async function verifyEcdsa(
  key: Key,
  { curve, hash, size }: EcdsaScheme,
  payload: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  let raw: Uint8Array
  try {
    raw = ecdsaFromDer(signature, size)
  } catch (error) {
    if (error instanceof FormatError) return false
    throw error
  }
  const cryptoKey = await importOnce(key, () => {
    const point = ecdsaPoint(key.public, curve, size)
    return crypto.subtle.importKey('raw', source(point), { name: 'ECDSA', namedCurve: curve }, false, ['verify'])
  })
  return cryptoKey !== null && crypto.subtle.verify({ name: 'ECDSA', hash }, cryptoKey, source(raw), source(payload))
}

/**
 * TUF does not fix the salt length: securesystemslib signs with the digest's, Go's default is the longest that fits, and
 * WebCrypto wants to be told, so both are tried.
 */
async function verifyRsa(
  key: Key,
  { hash, size }: RsaScheme,
  payload: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const { bits } = rsaNumbers(key.public)
  if (signature.length !== Math.ceil(bits / 8)) return false
  const cryptoKey = await importOnce(key, () =>
    crypto.subtle.importKey('spki', source(pemToDer(key.public)), { name: 'RSA-PSS', hash }, false, ['verify']),
  )
  if (!cryptoKey) return false
  // RFC 8017, 9.1.1: emLen = ceil((bits - 1) / 8) holds the digest, the salt and two bytes.
  const longest = Math.ceil((bits - 1) / 8) - size - 2
  for (const saltLength of [size, longest])
    if (await crypto.subtle.verify({ name: 'RSA-PSS', saltLength }, cryptoKey, source(signature), source(payload)))
      return true
  return false
}

/** The WebCrypto form of `key`, or null if WebCrypto refuses it (an RSA modulus that is even, say). */
async function importOnce(key: Key, load: () => Promise<CryptoKey>): Promise<CryptoKey | null> {
  let cryptoKey = imported.get(key)
  if (cryptoKey === undefined) {
    try {
      cryptoKey = await load()
    } catch (error) {
      // The key's fault, under a name that differs between platforms; an algorithm that is missing must be seen.
      if (!(error instanceof DOMException) || error.name === 'NotSupportedError') throw error
      cryptoKey = null
    }
    imported.set(key, cryptoKey)
  }
  return cryptoKey
}
