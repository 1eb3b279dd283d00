// Bins by the leading bits of SHA-256(target path): the assignment of TUF's path_hash_prefixes and of TAP 15. PEP 458
// says SHA-512, with which every client would look in the wrong bin and find nothing.
import { sha256HexSync } from './digest.ts'

/** Lower-case hex SHA-256 of the UTF-8 target path. */
export function pathHash(path: string): string {
  return sha256HexSync(path)
}

/** Name of the bin a path with this hash is in: prefix, hyphen, bin number in zero-padded hex (TAP 15). */
export function succinctName(roles: { namePrefix: string; bitLength: number }, hash: string): string {
  // The first 32 bits as an unsigned number; a shift by 32 would be one by 0, so bitLength is 1 … 32.
  const bin = Number.parseInt(hash.slice(0, 8), 16) >>> (32 - roles.bitLength)
  return binName(roles.namePrefix, bin, Math.ceil(roles.bitLength / 4))
}

/** `prefix-` and `bin` in hex of `digits` digits. */
export function binName(prefix: string, bin: number, digits: number): string {
  return `${prefix}-${bin.toString(16).padStart(digits, '0')}`
}
