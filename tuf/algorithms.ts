// The signature schemes of TUF keys and what WebCrypto calls them (TUF 1.0.34, 4.2.1; securesystemslib's names).
// Invariant: a key is usable only if its scheme is in SCHEMES and its keytype is one of that scheme's.

export interface Ed25519Scheme {
  kind: 'ed25519'
  keytypes: readonly string[]
}
export interface EcdsaScheme {
  kind: 'ecdsa'
  keytypes: readonly string[]
  curve: 'P-256' | 'P-384'
  hash: 'SHA-256' | 'SHA-384'
  /** Bytes of r, of s and of a coordinate. */
  size: number
}
export interface RsaScheme {
  kind: 'rsa'
  keytypes: readonly string[]
  hash: 'SHA-256' | 'SHA-384' | 'SHA-512'
  /** Bytes of the digest; also the salt length this code signs with. */
  size: number
}

export type Scheme = Ed25519Scheme | EcdsaScheme | RsaScheme

/**
 * Every scheme this code verifies. securesystemslib wrote the scheme's name as the keytype of ECDSA keys before it
 * settled on `ecdsa`, and both are found in published roots.
 */
const SCHEMES: ReadonlyMap<string, Scheme> = new Map<string, Scheme>([
  ['ed25519', { kind: 'ed25519', keytypes: ['ed25519'] }],
  [
    'ecdsa-sha2-nistp256',
    { kind: 'ecdsa', keytypes: ['ecdsa', 'ecdsa-sha2-nistp256'], curve: 'P-256', hash: 'SHA-256', size: 32 },
  ],
  [
    'ecdsa-sha2-nistp384',
    { kind: 'ecdsa', keytypes: ['ecdsa', 'ecdsa-sha2-nistp384'], curve: 'P-384', hash: 'SHA-384', size: 48 },
  ],
  ['rsassa-pss-sha256', { kind: 'rsa', keytypes: ['rsa'], hash: 'SHA-256', size: 32 }],
  ['rsassa-pss-sha384', { kind: 'rsa', keytypes: ['rsa'], hash: 'SHA-384', size: 48 }],
  ['rsassa-pss-sha512', { kind: 'rsa', keytypes: ['rsa'], hash: 'SHA-512', size: 64 }],
])

/** The scheme with this name, or undefined if it is not one this code verifies. */
export function schemeOf(name: string): Scheme | undefined {
  return SCHEMES.get(name)
}
