// Which Ed25519 signatures are well-formed (RFC 8032, 5.1.7), so that whether one is good does not depend on the platform.
//
// Implementations of WebCrypto differ in what they decode before they compute: S of L or more, a y of p or more, the sign
// of an x that is 0. All of these are refused here, and so are the same spellings of a public key, and keys of small order
// (keys.ts). What is left is the equation, and there the strictest reading decides: an implementation that compares bytes
// (OpenSSL, BoringSSL, NSS) holds R = [S]B - [k]A, from which [8]R = [8][S]B - [8][k]A follows. So whatever WebCrypto
// takes and these checks let through, @noble/ed25519 takes in its strict mode as well, which asks for that second equation
// and for the checks here and in keys.ts; asking it too could change no answer, at 2 ms a signature
// (test/unit/tuf/ed25519.test.ts holds the two against each other).

/** The order of the base point, 2^252 + …; big-endian, to be compared from the first byte. */
const L = Uint8Array.from([
  0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c, 0xd6, 0x58, 0x12, 0x63,
  0x1a, 0x5c, 0xf5, 0xd3, 0xed,
])
/** The prime of the field, 2^255 - 19; big-endian. */
const P = new Uint8Array(32).fill(0xff)
P[0] = 0x7f
P[31] = 0xed

const ONE = new Uint8Array(32)
ONE[31] = 1
/** p - 1: with 1, the two y whose x is 0, which has no sign. */
const MINUS_ONE = P.slice()
MINUS_ONE[31] = 0xec

/** Whether R and S stand in `signature` in their one spelling. Says nothing about whom it is by. */
export function isWellFormed(signature: Uint8Array): boolean {
  if (signature.length !== 64) return false
  const s = signature.slice(32).reverse()
  if (compare(s, L) >= 0) return false
  const y = signature.slice(0, 32).reverse()
  const isNegative = y[0]! >= 0x80
  y[0]! &= 0x7f
  if (compare(y, P) >= 0) return false
  return !isNegative || (compare(y, ONE) !== 0 && compare(y, MINUS_ONE) !== 0)
}

/** Signatures are public, so the time this takes may depend on them. */
function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return 0
}
