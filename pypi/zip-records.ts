// The records of a zip file (APPNOTE 6.3), each read strictly. State: none.
// Invariant: a field that two readers could understand differently is a refusal, not a choice.
import { crc32 } from './crc32.ts'
import { Refusal, shown } from './refusal.ts'

/** Signatures, little endian. */
export const LOCAL_FILE = 0x04034b50
export const CENTRAL_ENTRY = 0x02014b50
export const ZIP64_END = 0x06064b50
export const ZIP64_LOCATOR = 0x07064b50
export const END = 0x06054b50

/** Bytes of each record after its signature, without its variable parts. */
export const LOCAL_FILE_BYTES = 26
export const CENTRAL_ENTRY_BYTES = 42
export const ZIP64_END_BYTES = 52
export const ZIP64_LOCATOR_BYTES = 16
export const END_BYTES = 18

/** Value of a 16 or 32 bit field that says "see the ZIP64 record". */
export const SEE_ZIP64_16 = 0xffff
export const SEE_ZIP64_32 = 0xffffffff

const STORED = 0
const DEFLATED = 8

// General purpose flags, by bit: 1 and 2 are the deflate level, 11 is UTF-8. All others change what the bytes mean.
const FLAG_ENCRYPTED = 1 << 0
const FLAG_DATA_DESCRIPTOR = 1 << 3
const FLAG_UTF8 = 1 << 11
const FLAGS_KNOWN = (1 << 1) | (1 << 2) | FLAG_UTF8

/** What local header and central directory both say of an entry; they must say the same. */
export interface ZipEntry {
  readonly flags: number
  readonly method: number
  readonly crc: number
  /** Bytes in the archive. */
  readonly packed: number
  /** Bytes unpacked, as declared. */
  readonly size: number
}

/** A record with the fields read so far still split from its name and extra field. */
export interface RawEntry extends ZipEntry {
  readonly nameBytes: number
  readonly extraBytes: number
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A 64 bit number that fits a JavaScript integer. */
export function uint64(data: DataView, offset: number): number {
  const value = data.getBigUint64(offset, true)
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new Refusal('The wheel has an impossible ZIP64 size: build it again.')
  return Number(value)
}

// Both records have these ten fields in one order, the central one two bytes later ("version made by").
function parseShared(data: DataView, at: number): RawEntry {
  return {
    flags: data.getUint16(at + 2, true),
    method: data.getUint16(at + 4, true),
    crc: data.getUint32(at + 10, true),
    packed: data.getUint32(at + 14, true),
    size: data.getUint32(at + 18, true),
    nameBytes: data.getUint16(at + 22, true),
    extraBytes: data.getUint16(at + 24, true),
  }
}

/** A local file header after its signature. */
export function parseLocalFile(record: Uint8Array): RawEntry {
  return parseShared(view(record), 0)
}

/** A central directory entry after its signature. */
export function parseCentralEntry(record: Uint8Array): RawEntry & {
  readonly commentBytes: number
  readonly disk: number
  readonly isSymlink: boolean
  readonly offset: number
} {
  const data = view(record)
  const madeByUnix = data.getUint8(1) === 3
  return {
    ...parseShared(data, 2),
    commentBytes: data.getUint16(28, true),
    disk: data.getUint16(30, true),
    // S_IFLNK in the mode that Unix tools keep in the upper half of the external attributes.
    isSymlink: madeByUnix && data.getUint16(36, true) >>> 12 === 0xa,
    offset: data.getUint32(38, true),
  }
}

/** Refuses entries that are not plainly stored or deflated bytes of a known length. */
export function checkEntry(entry: ZipEntry, name: string): void {
  if (entry.flags & FLAG_ENCRYPTED) throw new Refusal(`The wheel has the encrypted entry ${shown(name)}.`)
  if (entry.flags & FLAG_DATA_DESCRIPTOR)
    throw new Refusal(
      `The wheel was written as a stream: ${shown(name)} has a data descriptor. Build it with a tool that writes to a file.`,
    )
  if (entry.flags & ~FLAGS_KNOWN)
    throw new Refusal(`The wheel has the entry ${shown(name)} with unknown flags: build it with a current tool.`)
  if (entry.method !== STORED && entry.method !== DEFLATED)
    throw new Refusal(`The wheel has the entry ${shown(name)} with another compression than deflate: use deflate.`)
  if (entry.method === STORED && entry.packed !== entry.size)
    throw new Refusal(`The wheel has the stored entry ${shown(name)} with two different sizes: build it again.`)
  if (name.endsWith('/') && entry.size !== 0) throw new Refusal(`The wheel has the folder ${shown(name)} with content.`)
  // Without the flag Python reads CP437, others UTF-8.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: everything outside ASCII
  if (!(entry.flags & FLAG_UTF8) && /[^\u0000-\u007f]/.test(name))
    throw new Refusal(`The wheel has the entry ${shown(name)} without the UTF-8 flag: build it with a current tool.`)
}

export function isStored(entry: ZipEntry): boolean {
  return entry.method === STORED
}

const EXTRA_ZIP64 = 0x0001
const EXTRA_UNICODE_PATH = 0x7075

/**
 * Reads an entry's extra field and gives the entry with its ZIP64 sizes put in. `offset` is only there for central
 * entries. Refuses malformed fields, repeated ones, and a second name.
 */
export function applyExtra<T extends ZipEntry & { readonly offset?: number }>(
  entry: T,
  extra: Uint8Array,
  rawName: Uint8Array,
  name: string,
): T {
  const malformed = new Refusal(`The wheel has the entry ${shown(name)} with a malformed extra field: build it again.`)
  const seen = new Set<number>()
  let zip64: DataView | undefined
  for (let at = 0; at < extra.length; ) {
    if (extra.length - at < 4) throw malformed
    const id = view(extra).getUint16(at, true)
    const length = view(extra).getUint16(at + 2, true)
    const body = extra.subarray(at + 4, at + 4 + length)
    if (body.length !== length || seen.has(id)) throw malformed
    seen.add(id)
    if (id === EXTRA_ZIP64) zip64 = view(body)
    if (id === EXTRA_UNICODE_PATH && !isSameName(body, rawName)) throw malformed
    at += 4 + length
  }
  // The fields that are there are exactly those that say so, in this order (APPNOTE 4.5.3).
  const order = ['size', 'packed', 'offset'] as const
  const wanted = order.filter((key) => entry[key] === SEE_ZIP64_32)
  if (!zip64) {
    if (wanted.length > 0) throw malformed
    return entry
  }
  const data = zip64
  const fields = data.byteLength / 8
  if (wanted.length === 0) {
    // protobuf's wheels repeat the 32 bit sizes there: harmless, if they are the same.
    const isRepetition = order.slice(0, fields).every((key, i) => uint64(data, i * 8) === entry[key])
    if ((fields !== 2 && fields !== 3) || !isRepetition) throw malformed
    return entry
  }
  if (fields !== wanted.length) throw malformed
  return { ...entry, ...Object.fromEntries(wanted.map((key, i) => [key, uint64(data, i * 8)])) }
}

/** Info-ZIP's Unicode path: version 1, CRC-32 of the plain name, the name again. It may not be another name. */
function isSameName(body: Uint8Array, rawName: Uint8Array): boolean {
  if (body.length !== 5 + rawName.length || body[0] !== 1) return false
  return view(body).getUint32(1, true) === crc32(rawName) && rawName.every((byte, i) => body[5 + i] === byte)
}
