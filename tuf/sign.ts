// Signing: the bytes of a role's file from its `signed` object and the keys at hand.
//
// Invariant: the object is serialised once. What was signed is what stands in the file, so no reader can see a
// difference between the two.
import { type Scheme, schemeOf } from './algorithms.ts'
import { type Canonical, canonicalize } from './canonical.ts'
import { ecdsaToDer } from './der.ts'
import { source } from './digest.ts'
import { FormatError, UsageError } from './errors.ts'
import { toHex } from './hex.ts'
import type { Key } from './keys.ts'
import type { Signature } from './verify.ts'

/** Something that holds a private key and signs with it: an online key, a person's key file, a remote service. */
export interface Signer {
  readonly keyid: string
  readonly key: Key
  /** Signature in the form TUF carries (64 bytes for Ed25519, DER for ECDSA), not yet hex. */
  sign(payload: Uint8Array): Promise<Uint8Array>
}

const UTF8 = new TextEncoder()

/**
 * Signs a role and returns its file. The number of signers is not compared with any threshold: a ceremony signs in
 * parts.
 *
 * @param signed the object of `build.ts`, or any that canonical JSON can carry
 * @throws {UsageError} if two signers have the same keyid
 */
export async function signRole(signed: Canonical, signers: readonly Signer[]): Promise<Uint8Array> {
  const payload = canonicalize(signed)
  const signatures: Signature[] = []
  for (const signer of signers) signatures.push({ keyid: signer.keyid, sig: toHex(await signer.sign(payload)) })
  return writeEnvelope(payload, signatures)
}

/**
 * The file `{"signatures":[…],"signed":…}` of a canonical payload: signatures of several people, made apart, put
 * together.
 *
 * @throws {UsageError} if a keyid appears twice, which every client refuses
 */
export function writeEnvelope(payload: Uint8Array, signatures: readonly Signature[]): Uint8Array {
  if (new Set(signatures.map(({ keyid }) => keyid)).size !== signatures.length)
    throw new UsageError('The same key signs twice; give each key once.')
  const list = signatures.map(({ keyid, sig }) => ({ keyid, sig }))
  const head = UTF8.encode(`{"signatures":${JSON.stringify(list)},"signed":`)
  const body = escapeControls(payload)
  const file = new Uint8Array(head.length + body.length + 1)
  file.set(head)
  file.set(body, head.length)
  file[file.length - 1] = 0x7d // }
  return file
}

/** An Ed25519 signer over a WebCrypto private key. */
export function ed25519Signer(privateKey: CryptoKey, key: Key): Signer {
  if (key.scheme !== 'ed25519') throw new UsageError(`A key with scheme "${key.scheme}" cannot sign as Ed25519.`)
  return webCryptoSigner(privateKey, key)
}

/**
 * A signer over a WebCrypto private key of any scheme in `algorithms.ts`; the salt of RSA-PSS is as long as the digest.
 *
 * @throws {FormatError} if the key's scheme is not one of them
 */
export function webCryptoSigner(privateKey: CryptoKey, key: Key): Signer {
  const scheme = schemeOf(key.scheme)
  if (!scheme || key.identity === undefined)
    throw new FormatError(`The key ${key.keyid} cannot sign: ${key.problem ?? 'its scheme is not supported'}`)
  return {
    keyid: key.keyid,
    key,
    async sign(payload) {
      const raw = new Uint8Array(await crypto.subtle.sign(signParameters(scheme), privateKey, source(payload)))
      return scheme.kind === 'ecdsa' ? ecdsaToDer(raw) : raw
    },
  }
}

function signParameters(scheme: Scheme): { name: string; hash?: string; saltLength?: number } {
  switch (scheme.kind) {
    case 'ed25519':
      return { name: 'Ed25519' }
    case 'ecdsa':
      return { name: 'ECDSA', hash: scheme.hash }
    case 'rsa':
      return { name: 'RSA-PSS', saltLength: scheme.size }
  }
}

/**
 * Canonical JSON leaves control characters raw (the line feeds of a PEM key), which JSON forbids. Inside canonical bytes
 * they occur only in strings, so each can be replaced by its escape where it stands.
 */
function escapeControls(payload: Uint8Array): Uint8Array {
  let count = 0
  for (const byte of payload) if (byte < 0x20) count++
  if (count === 0) return payload
  const escaped = new Uint8Array(payload.length + 5 * count)
  let at = 0
  for (const byte of payload) {
    if (byte >= 0x20) {
      escaped[at++] = byte
    } else {
      escaped.set(UTF8.encode(`\\u${byte.toString(16).padStart(4, '0')}`), at)
      at += 6
    }
  }
  return escaped
}
