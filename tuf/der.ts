// DER, read strictly, and the few structures that PEM keys and ECDSA signatures need: one value has one accepted encoding,
// so that the same public key cannot stand under two spellings.
import { FormatError } from './errors.ts'
import { toHex } from './hex.ts'

const INTEGER = 0x02
const BIT_STRING = 0x03
const SEQUENCE = 0x30

// AlgorithmIdentifier contents (RFC 3279 2.3.1, RFC 5480 2.1.1), without the enclosing SEQUENCE.
const RSA_ENCRYPTION = '06092a864886f70d0101010500'
const EC_P256 = '06072a8648ce3d020106082a8648ce3d030107'
const EC_P384 = '06072a8648ce3d020106052b81040022'

/** A public key as a SubjectPublicKeyInfo holds it. */
export type SpkiKey =
  | { type: 'rsa'; modulus: Uint8Array; exponent: Uint8Array }
  | { type: 'ec'; curve: 'P-256' | 'P-384'; point: Uint8Array }

/** Reads DER elements one after another. */
export class DerReader {
  readonly bytes: Uint8Array
  position = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Content of the next element, which must have this tag. */
  read(tag: number): Uint8Array {
    const { bytes } = this
    if (bytes[this.position] !== tag) throw new FormatError('A DER structure does not hold what it should.')
    let length = bytes[this.position + 1] ?? 0x80
    let start = this.position + 2
    if (length >= 0x80) {
      const size = length & 0x7f
      // Two length bytes are enough for any key or certificate: 65,535 is an RSA modulus of half a million bits.
      if (size < 1 || size > 2) throw new FormatError('A DER length has a form that is not allowed.')
      length = 0
      for (let i = 0; i < size; i++) length = length * 256 + (bytes[start + i] ?? 0)
      if (length < (size === 1 ? 0x80 : 0x100)) throw new FormatError('A DER length is longer than it needs to be.')
      start += size
    }
    if (start + length > bytes.length) throw new FormatError('A DER structure is cut off.')
    this.position = start + length
    return bytes.subarray(start, start + length)
  }

  /** The next element with its tag and length. */
  whole(tag: number): Uint8Array {
    const start = this.position
    this.read(tag)
    return this.bytes.subarray(start, this.position)
  }

  /** Tag of the next element; undefined at the end. */
  get next(): number | undefined {
    return this.bytes[this.position]
  }

  /** A non-negative INTEGER as big-endian bytes without leading zeros. */
  unsigned(): Uint8Array {
    const content = this.read(INTEGER)
    const [first, second] = content
    if (first === undefined || first >= 0x80) throw new FormatError('A DER integer is empty or negative.')
    if (first !== 0) return content
    if (content.length > 1 && second! < 0x80) throw new FormatError('A DER integer is longer than it needs to be.')
    return content.subarray(1)
  }

  end(): void {
    if (this.position !== this.bytes.length) throw new FormatError('A DER structure has something behind it.')
  }
}

/** The key inside a SubjectPublicKeyInfo; throws FormatError for other algorithms and encodings. */
export function readSpki(der: Uint8Array): SpkiKey {
  const outer = new DerReader(der)
  const info = new DerReader(outer.read(SEQUENCE))
  outer.end()
  const algorithm = toHex(info.read(SEQUENCE))
  const bits = info.read(BIT_STRING)
  info.end()
  if (bits[0] !== 0) throw new FormatError('A public key is not a whole number of bytes.')
  const key = bits.subarray(1)
  switch (algorithm) {
    case RSA_ENCRYPTION: {
      const wrapped = new DerReader(key)
      const inner = new DerReader(wrapped.read(SEQUENCE))
      wrapped.end()
      const modulus = inner.unsigned()
      const exponent = inner.unsigned()
      inner.end()
      return { type: 'rsa', modulus, exponent }
    }
    case EC_P256:
      return { type: 'ec', curve: 'P-256', point: key }
    case EC_P384:
      return { type: 'ec', curve: 'P-384', point: key }
    default:
      throw new FormatError('A public key is neither RSA nor ECDSA on P-256 or P-384.')
  }
}

/** The bytes of a `PUBLIC KEY` PEM block. */
export function pemToDer(pem: string): Uint8Array {
  const match = /^\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PUBLIC KEY-----\s*$/.exec(pem)
  if (!match) throw new FormatError('A public key is not a "PUBLIC KEY" PEM block.')
  try {
    return Uint8Array.from(atob(match[1]!.replace(/\s+/g, '')), (character) => character.charCodeAt(0))
  } catch {
    throw new FormatError('A PEM block is not valid base64.')
  }
}

/** A `PUBLIC KEY` PEM block as OpenSSL writes it: lines of 64, a line feed after each, the last included. */
export function derToPem(der: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...der))
  return `-----BEGIN PUBLIC KEY-----\n${base64.replace(/.{1,64}/g, '$&\n')}-----END PUBLIC KEY-----\n`
}

/**
 * r‖s, each `size` bytes, of a DER ECDSA signature: the form WebCrypto verifies.
 *
 * @throws {FormatError} if it is not exactly one SEQUENCE of two integers that fit
 */
export function ecdsaFromDer(der: Uint8Array, size: number): Uint8Array {
  const outer = new DerReader(der)
  const inner = new DerReader(outer.read(SEQUENCE))
  outer.end()
  const raw = new Uint8Array(2 * size)
  for (const end of [size, 2 * size]) {
    const integer = inner.unsigned()
    if (integer.length > size) throw new FormatError('An ECDSA signature is too large for its curve.')
    raw.set(integer, end - integer.length)
  }
  inner.end()
  return raw
}

/** DER of an ECDSA signature given as r‖s: the form TUF metadata carries. */
export function ecdsaToDer(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2
  const body = [...derInteger(raw.subarray(0, half)), ...derInteger(raw.subarray(half))]
  // At most 2 × (2 + 49) = 102 bytes for P-384, so one length byte is enough.
  return Uint8Array.from([SEQUENCE, body.length, ...body])
}

function derInteger(bytes: Uint8Array): number[] {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const digits = [...bytes.subarray(start)]
  if (digits[0]! >= 0x80) digits.unshift(0)
  return [INTEGER, digits.length, ...digits]
}
