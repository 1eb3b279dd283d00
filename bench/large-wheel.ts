// Wheels of 20 MB that differ in name and share their large member, so that fifty of them do not cost a gigabyte here:
// a zip with stored members, the shared one first.
import { createHash, type Hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Distribution } from './uploads.ts'

interface Member {
  name: string
  bytes: Uint8Array
  crc: number
}

export interface Shared extends Member {
  /** Local header and bytes: how every wheel begins. */
  prefix: Uint8Array[]
  /** State of SHA-256 after the prefix. */
  hash: Hash
  record: string
}

export function sharedMember(size: number): Shared {
  const bytes = randomBytes(size)
  const member = { name: 'bench_large/data.bin', bytes, crc: crc32(bytes) }
  const prefix = [localHeader(member), bytes]
  const hash = createHash('sha256')
  for (const part of prefix) hash.update(part)
  const digest = createHash('sha256').update(bytes).digest('base64url')
  return { ...member, prefix, hash, record: `${member.name},sha256=${digest},${size}` }
}

export function largeWheel(project: string, version: string, shared: Shared): Distribution {
  const stem = `${project.replaceAll('-', '_')}-${version}`
  const info = `${stem}.dist-info`
  const texts: [string, string][] = [
    [
      `${info}/METADATA`,
      `Metadata-Version: 2.1\nName: ${project}\nVersion: ${version}\nSummary: A large wheel of a benchmark\n`,
    ],
    [`${info}/WHEEL`, 'Wheel-Version: 1.0\nGenerator: tuf-edge\nRoot-Is-Purelib: true\nTag: py3-none-any\n'],
  ]
  const lines = texts.map(([name, text]) => {
    const digest = createHash('sha256').update(text).digest('base64url')
    return `${name},sha256=${digest},${Buffer.byteLength(text)}`
  })
  texts.push([`${info}/RECORD`, [shared.record, ...lines, `${info}/RECORD,,`, ''].join('\n')])
  const small = texts.map(([name, text]): Member => {
    const bytes = Buffer.from(text)
    return { name, bytes, crc: crc32(bytes) }
  })

  let offset = sizeOf(shared.prefix)
  const central = [centralHeader(shared, 0)]
  const tail: Uint8Array[] = []
  for (const member of small) {
    central.push(centralHeader(member, offset))
    const parts = [localHeader(member), member.bytes]
    tail.push(...parts)
    offset += sizeOf(parts)
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(central.length, 8)
  end.writeUInt16LE(central.length, 10)
  end.writeUInt32LE(sizeOf(central), 12)
  end.writeUInt32LE(offset, 16)
  tail.push(...central, end)

  const hash = shared.hash.copy()
  for (const part of tail) hash.update(part)
  const parts = [...shared.prefix, Buffer.concat(tail)]
  const filename = `${stem}-py3-none-any.whl`
  return { project, version, filename, parts, size: sizeOf(parts), sha256: hash.digest('hex') }
}

const sizeOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0)

/** From "version needed" to the lengths, which both headers have: version 2.0, stored, 1980-01-01. */
function fields(header: Buffer, at: number, { name, bytes, crc }: Member): void {
  header.writeUInt16LE(20, at)
  header.writeUInt16LE(0x21, at + 8)
  header.writeUInt32LE(crc, at + 10)
  header.writeUInt32LE(bytes.length, at + 14)
  header.writeUInt32LE(bytes.length, at + 18)
  header.writeUInt16LE(Buffer.byteLength(name), at + 22)
}

function localHeader(member: Member): Buffer {
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  fields(header, 4, member)
  return Buffer.concat([header, Buffer.from(member.name)])
}

function centralHeader(member: Member, offset: number): Buffer {
  const header = Buffer.alloc(46)
  header.writeUInt32LE(0x02014b50, 0)
  header.writeUInt16LE(20, 4)
  fields(header, 6, member)
  header.writeUInt32LE(offset, 42)
  return Buffer.concat([header, Buffer.from(member.name)])
}
