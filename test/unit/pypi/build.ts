// Tiny writers of zip and tar files for the tests: right by default, wrong in one place on request.
import { createHash } from 'node:crypto'
import { crc32, deflateRawSync, gzipSync } from 'node:zlib'
import type { ArchiveChecker, ArchiveReport } from '../../../pypi/archives.ts'

const encoder = new TextEncoder()

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text)
}

export function concat(...parts: (Uint8Array | string)[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts.map((part) => (typeof part === 'string' ? bytesOf(part) : part))))
}

function le(width: 2 | 4 | 8, value: number): Uint8Array {
  const bytes = new Uint8Array(width)
  const data = new DataView(bytes.buffer)
  if (width === 2) data.setUint16(0, value, true)
  else if (width === 4) data.setUint32(0, value, true)
  else data.setBigUint64(0, BigInt(value), true)
  return bytes
}

/** One entry; fields after `content` lie about it. */
export interface Entry {
  name: string | Uint8Array
  content: string | Uint8Array
  stored?: boolean
  flags?: number
  method?: number
  crc?: number
  size?: number
  packed?: number
  extra?: Uint8Array
  /** Between this entry's bytes and the next. */
  gap?: Uint8Array
  central?: {
    name?: string
    crc?: number
    size?: number
    offset?: number
    comment?: string
    extra?: Uint8Array
    attributes?: number
    repeat?: boolean
    omit?: boolean
  }
}

export interface ZipEnd {
  before?: Uint8Array
  after?: Uint8Array
  comment?: string
  entries?: number
  offset?: number
  zip64?: boolean | { extensible: Uint8Array }
}

export function zip(entries: Entry[], end: ZipEnd = {}): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [end.before ?? new Uint8Array()]
  const central: Uint8Array[] = []
  let offset = parts[0]!.length
  let count = 0
  for (const entry of entries) {
    const content = typeof entry.content === 'string' ? bytesOf(entry.content) : entry.content
    const name = typeof entry.name === 'string' ? bytesOf(entry.name) : entry.name
    const data = entry.stored ? content : new Uint8Array(deflateRawSync(content))
    const nonAscii = name.some((byte) => byte > 127)
    const shared = (nameBytes: number, extra: number, over: { crc?: number; size?: number } = {}): Uint8Array =>
      concat(
        le(2, 20),
        le(2, entry.flags ?? (nonAscii ? 0x800 : 0)),
        le(2, entry.method ?? (entry.stored ? 0 : 8)),
        le(4, 0x00210000),
        le(4, over.crc ?? entry.crc ?? crc32(content)),
        le(4, entry.packed ?? data.length),
        le(4, over.size ?? entry.size ?? content.length),
        le(2, nameBytes),
        le(2, extra),
      )
    const extra = entry.extra ?? new Uint8Array()
    const local = concat(
      'PK\x03\x04',
      shared(name.length, extra.length),
      name,
      extra,
      data,
      entry.gap ?? new Uint8Array(),
    )
    parts.push(local)
    const c = entry.central ?? {}
    const centralName = c.name === undefined ? name : bytesOf(c.name)
    const record = concat(
      'PK\x01\x02',
      le(2, 0x0314),
      shared(centralName.length, c.extra?.length ?? 0, c),
      le(2, c.comment?.length ?? 0),
      le(2, 0),
      le(2, 0),
      le(4, c.attributes ?? 0),
      le(4, c.offset ?? offset),
      centralName,
      c.extra ?? new Uint8Array(),
      c.comment ?? '',
    )
    for (let i = 0; i < (c.omit ? 0 : c.repeat ? 2 : 1); i++) {
      central.push(record)
      count++
    }
    offset += local.length
  }
  const directory = concat(...central)
  const directoryOffset = end.offset ?? offset
  const entryCount = end.entries ?? count
  const extensible = typeof end.zip64 === 'object' ? end.zip64.extensible : new Uint8Array()
  const zip64 = end.zip64
    ? concat(
        'PK\x06\x06',
        le(8, 44 + extensible.length),
        le(2, 45),
        le(2, 45),
        le(4, 0),
        le(4, 0),
        le(8, entryCount),
        le(8, entryCount),
        le(8, directory.length),
        le(8, directoryOffset),
        extensible,
        'PK\x06\x07',
        le(4, 0),
        le(8, offset + directory.length),
        le(4, 1),
      )
    : new Uint8Array()
  const hidden = Boolean(end.zip64)
  return concat(
    ...parts,
    directory,
    zip64,
    'PK\x05\x06',
    le(2, 0),
    le(2, 0),
    le(2, hidden ? 0xffff : entryCount),
    le(2, hidden ? 0xffff : entryCount),
    le(4, hidden ? 0xffffffff : directory.length),
    le(4, hidden ? 0xffffffff : directoryOffset),
    le(2, end.comment?.length ?? 0),
    end.comment ?? '',
    end.after ?? new Uint8Array(),
  )
}

/** A zip extra field. */
export function extra(id: number, body: Uint8Array): Uint8Array {
  return concat(le(2, id), le(2, body.length), body)
}

export function uint64s(...values: number[]): Uint8Array {
  return concat(...values.map((value) => le(8, value)))
}

export const METADATA = 'Metadata-Version: 2.1\nName: Demo.Pkg\nVersion: 1.0\n\nText\n'
export const WHEEL = 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
export const WHEEL_NAME = 'demo_pkg-1.0-py3-none-any.whl'
export const SDIST_NAME = 'demo_pkg-1.0.tar.gz'
export const DIST_INFO = 'demo_pkg-1.0.dist-info'

export function recordLine(name: string, content: string | Uint8Array): string {
  const bytes = typeof content === 'string' ? bytesOf(content) : content
  return `${name},sha256=${createHash('sha256').update(bytes).digest('base64url')},${bytes.length}\n`
}

/** The entries of a right wheel, RECORD last; `files` are added, `over` replaces or (undefined) removes by name. */
export function wheelEntries(files: Entry[] = [], over: Record<string, Partial<Entry> | undefined> = {}): Entry[] {
  const plain: Entry[] = [
    { name: 'demo_pkg.py', content: 'print("demo")\n' },
    ...files,
    { name: `${DIST_INFO}/METADATA`, content: METADATA },
    { name: `${DIST_INFO}/WHEEL`, content: WHEEL },
  ]
  const record = plain
    .filter(({ name }) => typeof name === 'string' && !name.endsWith('/'))
    .map(({ name, content }) => recordLine(name as string, content))
    .join('')
  const all: Entry[] = [...plain, { name: `${DIST_INFO}/RECORD`, content: `${record}${DIST_INFO}/RECORD,,\n` }]
  return all.flatMap((entry) => {
    const key = String(entry.name).replace(`${DIST_INFO}/`, '')
    return key in over ? (over[key] === undefined ? [] : [{ ...entry, ...over[key] }]) : [entry]
  })
}

export interface Member {
  name: string
  content?: string | Uint8Array
  type?: string
  link?: string
  size?: number
  badChecksum?: boolean
}

/** A tar archive without its end. */
export function tarMembers(members: Member[]): Uint8Array<ArrayBuffer> {
  const parts = members.map((member) => {
    const content = typeof member.content === 'string' ? bytesOf(member.content) : (member.content ?? new Uint8Array())
    const header = new Uint8Array(512)
    const put = (at: number, text: string): void => header.set(bytesOf(text), at)
    put(0, member.name)
    put(100, '0000644\0')
    put(108, '0000000\0')
    put(116, '0000000\0')
    put(124, `${(member.size ?? content.length).toString(8).padStart(11, '0')}\0`)
    put(136, '00000000000\0')
    put(148, '        ')
    put(156, member.type ?? '0')
    put(157, member.link ?? '')
    put(257, 'ustar\x0000')
    const sum = header.reduce((total, byte) => total + byte, member.badChecksum ? 1 : 0)
    put(148, `${sum.toString(8).padStart(6, '0')}\0 `)
    return concat(header, content, new Uint8Array((512 - (content.length % 512)) % 512))
  })
  return new Uint8Array(Buffer.concat(parts))
}

export const TAR_END = new Uint8Array(1024)

export function tarGz(members: Member[], end: Uint8Array = TAR_END): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(concat(tarMembers(members), end)))
}

/** A pax record. */
export function pax(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length
  while (String(length).length + bytesOf(rest).length !== length) length = String(length).length + bytesOf(rest).length
  return `${length}${rest}`
}

export const PKG_INFO: Member = { name: 'demo_pkg-1.0/PKG-INFO', content: METADATA }

/** Gives all bytes to a checker, cut at the given sizes in turn. */
export async function check(
  checker: ArchiveChecker,
  bytes: Uint8Array,
  sizes: readonly number[] = [65_536],
): Promise<ArchiveReport> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    await checker.write(bytes.subarray(at, at + size))
    at += size
  }
  return checker.end()
}
