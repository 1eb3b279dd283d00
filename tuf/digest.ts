// Digests. WebCrypto where the whole input is at hand and the caller can wait; @noble/hashes for the short inputs that
// must be hashed synchronously (keyids, shards, bins) and for streams, which WebCrypto cannot hash piece by piece.
import { sha256 as nobleSha256, sha384 as nobleSha384, sha512 as nobleSha512 } from '@noble/hashes/sha2.js'
import { toHex } from './hex.ts'

const UTF8 = new TextEncoder()

/**
 * Digest algorithms a `hashes` object may name here, as TUF spells them. A name outside this table makes the entry
 * unverifiable and the content is refused, as python-tuf does: ignoring it would trust the writer's weakest choice.
 */
const ALGORITHMS = {
  sha256: { web: 'SHA-256', noble: nobleSha256 },
  sha384: { web: 'SHA-384', noble: nobleSha384 },
  sha512: { web: 'SHA-512', noble: nobleSha512 },
} as const

/** TUF's name of a digest algorithm that this code can compute. */
export type HashName = keyof typeof ALGORITHMS

/** An unfinished digest of a stream. */
export interface StreamHash {
  update(chunk: Uint8Array): void
  /** Lower-case hex; nothing may be added afterwards. */
  hex(): string
}

/** Whether `name` (as found in a `hashes` object) is an algorithm this code can compute. */
export function isHashName(name: string): name is HashName {
  return Object.hasOwn(ALGORITHMS, name)
}

/** The algorithm that a lower-case hex digest is of, by its length: where only sha256 and sha512 occur. */
export const algorithmOf = (hex: string): 'sha256' | 'sha512' => (hex.length === 128 ? 'sha512' : 'sha256')

/** `bytes` as WebCrypto's types want them: its declarations exclude shared memory, which no caller here uses. */
export function source(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>
}

/** Digest of `bytes` as lower-case hex. */
export async function digestHex(name: HashName, bytes: Uint8Array): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest(ALGORITHMS[name].web, source(bytes))))
}

/** SHA-256 of `bytes`, 32 bytes. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', source(bytes)))
}

/** SHA-256 of `bytes` as 64 lower-case hex digits. */
export async function sha256Hex(bytes: Uint8Array): Promise<string> {
  return toHex(await sha256(bytes))
}

/** SHA-256 as hex, synchronously; for short inputs. A string is hashed as UTF-8. */
export function sha256HexSync(input: Uint8Array | string): string {
  return toHex(nobleSha256(typeof input === 'string' ? UTF8.encode(input) : input))
}

/** Starts the digest of a stream. */
export function streamHash(name: HashName): StreamHash {
  const hash = ALGORITHMS[name].noble.create()
  return {
    update(chunk) {
      hash.update(chunk)
    },
    hex() {
      return toHex(hash.digest())
    },
  }
}

/** Compares without telling by its duration where the first difference is; unequal lengths are unequal. */
export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
  return difference === 0
}
