// Lower-case hexadecimal, the only spelling of digests, keyids, keys and signatures in TUF metadata.
import { FormatError } from './errors.ts'

const BYTE_TO_HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += BYTE_TO_HEX[byte]
  return hex
}

/** Bytes of a lower-case hex string of even length; throws FormatError for anything else, upper case included. */
export function fromHex(hex: string): Uint8Array {
  if (hex.length % 2 !== 0 || !/^[0-9a-f]*$/.test(hex))
    throw new FormatError('A value that should be an even number of lower-case hex digits is not.')
  const bytes = new Uint8Array(hex.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)
  return bytes
}
