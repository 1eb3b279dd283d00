// ECDSA signatures as X.509, Sigstore's logs and DSSE carry them (DER, with a SubjectPublicKeyInfo), checked by WebCrypto.
import { ecdsaFromDer, readSpki } from '../tuf/der.ts'
import { source } from '../tuf/digest.ts'
import { FormatError } from '../tuf/errors.ts'

const SCALAR_BYTES = { 'P-256': 32, 'P-384': 48 } as const

export type Hash = 'SHA-256' | 'SHA-384'

/** False for a signature that does not verify, malformed ones and keys that are no points of their curve included. */
export async function ecdsaHolds(
  spki: Uint8Array,
  hash: Hash,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  try {
    const key = readSpki(spki)
    if (key.type !== 'ec') return false
    const raw = ecdsaFromDer(signature, SCALAR_BYTES[key.curve])
    const algorithm = { name: 'ECDSA', namedCurve: key.curve }
    const imported = await crypto.subtle.importKey('spki', source(spki), algorithm, false, ['verify'])
    return await crypto.subtle.verify({ name: 'ECDSA', hash }, imported, source(raw), source(message))
  } catch (error) {
    if (error instanceof FormatError || error instanceof DOMException) return false
    throw error
  }
}
