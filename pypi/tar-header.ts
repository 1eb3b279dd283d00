// One header block of a tar archive (POSIX ustar, with what GNU tar and pax add). State: none.
import { Refusal } from './refusal.ts'

/** Bytes of a block; headers are one, content is padded to whole ones. */
export const TAR_BLOCK_BYTES = 512

/** A header as it is written. Names may be overridden by a pax or GNU record before it. */
export interface TarHeader {
  readonly rawName: Uint8Array
  /** Bytes of content. */
  readonly size: number
  /** The type flag's character; '0' for the old NUL. */
  readonly type: string
  readonly rawLink: Uint8Array
}

const CHECKSUM_AT = 148
const CHECKSUM_BYTES = 8

function checksum(block: Uint8Array): number {
  let sum = CHECKSUM_BYTES * 0x20 // the checksum field counts as spaces
  for (let i = 0; i < TAR_BLOCK_BYTES; i++) if (i < CHECKSUM_AT || i >= CHECKSUM_AT + CHECKSUM_BYTES) sum += block[i]!
  return sum
}

/** An octal field: digits, then NULs or spaces. Null if it is anything else. */
function octal(field: Uint8Array): number | null {
  const text = String.fromCharCode(...field)
    .replace(/[\0 ]+$/, '')
    .replace(/^ +/, '')
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : null
}

/** True if the block is a tar header: its checksum is right. */
export function isTarHeader(block: Uint8Array): boolean {
  return octal(block.subarray(CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES)) === checksum(block)
}

/** True if the block is all zeros: the archive's end. */
export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0)
}

function untilNul(field: Uint8Array): Uint8Array {
  const end = field.indexOf(0)
  return end < 0 ? field : field.subarray(0, end)
}

/** Reads a header. GNU's base-256 sizes are refused: they are for content over 8 GiB. */
export function parseTarHeader(block: Uint8Array): TarHeader {
  if (!isTarHeader(block)) throw new Refusal('The sdist has a tar header with a wrong checksum: build it again.')
  const size = octal(block.subarray(124, 136))
  if (size === null) throw new Refusal('The sdist has a tar header without a valid size: build it again.')
  const name = untilNul(block.subarray(0, 100))
  // `ustar\0` is POSIX, whose prefix field GNU's `ustar ` uses for times.
  const isPosix = String.fromCharCode(...block.subarray(257, 263)) === 'ustar\0'
  const prefix = isPosix ? untilNul(block.subarray(345, 500)) : new Uint8Array()
  const rawName = new Uint8Array(prefix.length === 0 ? name.length : prefix.length + 1 + name.length)
  rawName.set(name, rawName.length - name.length)
  if (prefix.length > 0) {
    rawName.set(prefix)
    rawName[prefix.length] = 0x2f
  }
  const type = block[156] === 0 ? '0' : String.fromCharCode(block[156]!)
  return { rawName, size, type, rawLink: untilNul(block.subarray(157, 257)).slice() }
}
