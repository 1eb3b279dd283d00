// Wheels: real ones of five build tools, and a table of hostile ones, each refused with its own sentence.
import { readdirSync, readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { archiveChecker, wheelChecker } from '../../../pypi/archives.ts'
import { parseFilename, parseWheelFilename } from '../../../pypi/filenames.ts'
import { BOMB_FREE_BYTES } from '../../../pypi/limits.ts'
import { Refusal } from '../../../pypi/refusal.ts'
import {
  bytesOf,
  check,
  concat,
  DIST_INFO,
  type Entry,
  extra,
  METADATA,
  recordLine,
  TAR_END,
  tarMembers,
  uint64s,
  WHEEL,
  WHEEL_NAME,
  wheelEntries,
  type ZipEnd,
  zip,
} from './build.ts'

const FILE = parseWheelFilename(WHEEL_NAME)
const judge = (bytes: Uint8Array, sizes?: readonly number[]) => check(wheelChecker(FILE), bytes, sizes)
const wheel = (files?: Entry[], over?: Record<string, Partial<Entry> | undefined>, end?: ZipEnd) =>
  zip(wheelEntries(files, over), end)

const PACKAGES = new URL('../../vectors/packages/', import.meta.url)

describe('real archives', () => {
  const names = readdirSync(PACKAGES).filter((name) => /\.(whl|tar\.gz)$/.test(name))
  it('of five build tools are there', () => {
    expect(names).toHaveLength(10)
  })
  for (const name of names)
    it(`${name} is accepted with its exact metadata`, async () => {
      const report = await check(archiveChecker(parseFilename(name)), readFileSync(new URL(name, PACKAGES)), [1_000])
      expect(report.warnings).toEqual([])
      expect(report.metadata.version).toBe('1.2.3')
      expect(report.metadata.requiresPython).toBe('>=3.9')
      expect(report.metadata.requiresDist).toContain('rich[jupyter]')
      expect(new TextDecoder().decode(report.metadataBytes)).toMatch(/^Metadata-Version: 2\.\d\nName: [Dd]emo[.-]/)
      expect(report.metadata.description).toContain('# Demo – größe')
    })
})

describe('a wheel', () => {
  it('is accepted with the exact bytes of METADATA', async () => {
    const report = await judge(wheel())
    expect(report.metadataBytes).toEqual(bytesOf(METADATA))
    expect(report.metadata.name).toBe('Demo.Pkg')
    expect(report.warnings).toEqual([])
  })

  const accepted: [string, () => Uint8Array][] = [
    ['stored entries', () => wheel([], { METADATA: { stored: true }, RECORD: { stored: true } })],
    [
      'folders',
      () =>
        wheel([
          { name: 'demo/', content: '', stored: true },
          { name: 'demo/a.py', content: '' },
        ]),
    ],
    ['names beyond ASCII', () => wheel([{ name: 'demo/größe 1.txt', content: 'x' }])],
    ['names with a comma and quotes', () => zip(quotedNames())],
    ['an archive comment', () => wheel([], {}, { comment: 'made by hand' })],
    ['needless ZIP64 records', () => wheel([], {}, { zip64: true })],
    ['ZIP64 sizes in a local header', () => zip(zip64Entries())],
    [
      'repeated ZIP64 sizes',
      () => wheel([{ name: 'r.py', content: 'abc', stored: true, extra: extra(1, uint64s(3, 3)) }]),
    ],
    [
      'times in an extra field',
      () => wheel([{ name: 'r.py', content: 'abc', extra: extra(0x5455, new Uint8Array(5)) }]),
    ],
    ['a valid Unicode path', () => wheel([{ name: 'ü.py', content: '', extra: unicodePath('ü.py', 'ü.py') }])],
    ['entry points', () => wheel([{ name: `${DIST_INFO}/entry_points.txt`, content: '[console_scripts]\nd = a:b\n' }])],
    ['signatures of RECORD', () => zip([...wheelEntries(), { name: `${DIST_INFO}/RECORD.jws`, content: '{}' }])],
    ['a large compressible file below the ratio', () => wheel([{ name: 'z', content: new Uint8Array(1 << 20) }])],
  ]
  for (const [what, make] of accepted)
    it(`may have ${what}`, async () => {
      expect((await judge(make())).warnings).toEqual([])
    })

  function quotedNames(): Entry[] {
    const entries = wheelEntries()
    const name = 'data/a,"b".txt'
    const record = entries.at(-1)!
    record.content = recordLine('"data/a,""b"".txt"', 'x') + (record.content as string)
    return [{ name, content: 'x' }, ...entries]
  }

  function zip64Entries(): Entry[] {
    const content = 'abc'
    const [first, ...rest] = wheelEntries([{ name: 'r.py', content }])
    const entry = rest.shift()!
    const sized: Entry = {
      ...entry,
      stored: true,
      extra: extra(1, uint64s(3, 3)),
      size: 0xffffffff,
      packed: 0xffffffff,
    }
    sized.central = { extra: extra(1, uint64s(3, 3)) }
    return [first!, sized, ...rest]
  }

  function unicodePath(raw: string, said: string): Uint8Array {
    const crc = new Uint8Array(4)
    new DataView(crc.buffer).setUint32(0, crc32(bytesOf(raw)), true)
    return extra(0x7075, concat(new Uint8Array([1]), crc, said))
  }

  const zeros = new Uint8Array(1 << 20)
  const refused: [string, () => Uint8Array, RegExp][] = [
    // the container
    ['nothing', () => new Uint8Array(), /cut short/],
    ['text', () => bytesOf('this is not a zip file at all'), /bytes that belong to no zip record/],
    ['only an end record', () => zip([]), /has no demo_pkg-1\.0\.dist-info\/WHEEL/],
    ['bytes before it', () => wheel([], {}, { before: bytesOf('#!/bin/sh\n') }), /bytes that belong to no zip record/],
    ['bytes after it', () => wheel([], {}, { after: bytesOf('x') }), /bytes after its end/],
    ['another zip after it', () => concat(wheel(), wheel()), /bytes after its end/],
    ['a gap', () => wheel([{ name: 'a', content: 'x', gap: bytesOf('gap') }]), /belong to no zip record/],
    ['a comment like an end', () => wheel([], {}, { comment: 'xPK\x05\x06' }), /comment with a zip signature/],
    ['a wrong count', () => wheel([], {}, { entries: 9 }), /do not agree/],
    ['a wrong offset', () => wheel([], {}, { offset: 1 }), /do not agree/],
    ['wrong ZIP64 counts', () => wheel([], {}, { zip64: true, entries: 9 }), /do not agree/],
    ['extensible ZIP64 data', () => wheel([], {}, { zip64: { extensible: bytesOf('more') } }), /extensible ZIP64 data/],
    ['a tar around it', () => polyglot(), /a zip and a tar archive at once/],
    ['a tar in its place', () => concat(tarMembers([{ name: 'a', content: 'x' }]), TAR_END), /belong to no zip record/],
    // entries
    ['a data descriptor', () => wheel([{ name: 'a', content: 'x', flags: 8 }]), /written as a stream: 'a'/],
    ['encryption', () => wheel([{ name: 'a', content: 'x', flags: 1 }]), /encrypted entry 'a'/],
    ['strong encryption', () => wheel([{ name: 'a', content: 'x', flags: 0x40 }]), /unknown flags/],
    ['masked headers', () => wheel([{ name: 'a', content: 'x', flags: 0x2000 }]), /unknown flags/],
    ['LZMA', () => wheel([{ name: 'a', content: 'x', method: 14 }]), /another compression than deflate/],
    ['two stored sizes', () => wheel([{ name: 'a', content: 'x', stored: true, size: 2 }]), /two different sizes/],
    ['a folder with content', () => wheel([{ name: 'a/', content: 'x', stored: true }]), /folder 'a\/' with content/],
    [
      'a truncated extra field',
      () => wheel([{ name: 'a', content: 'x', extra: new Uint8Array(3) }]),
      /malformed extra/,
    ],
    [
      'a long extra field',
      () => wheel([{ name: 'a', content: 'x', extra: new Uint8Array([9, 9, 9, 9]) }]),
      /malformed/,
    ],
    ['two ZIP64 fields', () => twoExtras(extra(1, uint64s(1, 1))), /malformed extra field/],
    ['two Unicode paths', () => twoExtras(unicodePath('a', 'a')), /malformed extra field/],
    [
      'a second name',
      () => wheel([{ name: 'a', content: 'x', extra: unicodePath('a', 'b') }]),
      /malformed extra field/,
    ],
    ['ZIP64 without a field', () => wheel([{ name: 'a', content: 'x', size: 0xffffffff }]), /malformed extra field/],
    ['other ZIP64 sizes', () => wheel([{ name: 'a', content: '', extra: extra(1, uint64s(9, 2)) }]), /malformed extra/],
    // the two directories
    ['a name twice', () => wheel([1, 2].map((i) => ({ name: 'a', content: `${i}` }))), /the entry 'a' twice/],
    ['another central name', () => wheel([{ name: 'a', content: 'x', central: { name: 'b' } }]), /do not agree/],
    ['another central size', () => wheel([{ name: 'a', content: 'x', central: { size: 2 } }]), /do not agree/],
    ['another central CRC', () => wheel([{ name: 'a', content: 'x', central: { crc: 2 } }]), /do not agree/],
    ['overlapping entries', () => wheel([{ name: 'a', content: 'x', central: { offset: 0 } }]), /do not agree/],
    ['an unlisted entry', () => wheel([{ name: 'a', content: 'x', central: { omit: true } }]), /do not agree/],
    ['an entry listed twice', () => wheel([{ name: 'a', content: 'x', central: { repeat: true } }]), /do not agree/],
    ['one listed twice and counted once', () => listedTwice(), /do not agree/],
    [
      'an entry comment',
      () => wheel([{ name: 'a', content: 'x', central: { comment: 'c' } }]),
      /comment on the entry 'a'/,
    ],
    [
      'a symbolic link',
      () => wheel([{ name: 'a', content: '/etc', central: { attributes: 0xa1ff0000 } }]),
      /symbolic link/,
    ],
    // names
    ['..', () => wheel([{ name: '../x', content: '' }]), /'\.\.\/x', whose path goes up/],
    ['.. inside', () => wheel([{ name: 'a/../../x', content: '' }]), /whose path goes up/],
    ['an absolute path', () => wheel([{ name: '/etc/passwd', content: '' }]), /whose path is absolute/],
    ['a drive', () => wheel([{ name: 'C:x', content: '' }]), /whose path is absolute/],
    ['a backslash', () => wheel([{ name: '..\\x', content: '' }]), /has a backslash/],
    ['an empty segment', () => wheel([{ name: 'a//b', content: '' }]), /empty or '\.' segment/],
    ['a dot segment', () => wheel([{ name: './a', content: '' }]), /empty or '\.' segment/],
    ['no name', () => wheel([{ name: '', content: '' }]), /an entry without a name/],
    ['a NUL', () => wheel([{ name: 'a\0.py', content: '' }]), /unprintable characters/],
    ['a bidi override', () => wheel([{ name: 'a\u202e.py', content: '' }]), /unprintable characters/],
    ['bytes that are not UTF-8', () => wheel([{ name: new Uint8Array([0xff]), content: '' }]), /not UTF-8/],
    ['no UTF-8 flag', () => wheel([{ name: 'ü', content: '', flags: 0 }]), /without the UTF-8 flag/],
    ['a very long name', () => wheel([{ name: 'a/'.repeat(1_024).concat('b'), content: '' }]), /over 2048 bytes/],
    // what it holds
    ['no METADATA', () => wheel([], { METADATA: undefined }), /has no demo_pkg-1\.0\.dist-info\/METADATA/],
    ['no WHEEL', () => wheel([], { WHEEL: undefined }), /has no demo_pkg-1\.0\.dist-info\/WHEEL/],
    ['no RECORD', () => wheel([], { RECORD: undefined }), /has no demo_pkg-1\.0\.dist-info\/RECORD/],
    ['METADATA in other case', () => wheel([], { METADATA: { name: `${DIST_INFO}/metadata` } }), /METADATA/],
    ['a second .dist-info', () => wheel([{ name: 'evil-1.0.dist-info/METADATA', content: '' }]), /may only have/],
    ['one in other case', () => wheel([{ name: 'Demo_Pkg-1.0.DIST-INFO/x', content: '' }]), /may only have/],
    ['another project', () => wheel([], { METADATA: { content: METADATA.replace('Demo', 'X') } }), /project 'X\.Pkg'/],
    [
      'another version',
      () => wheel([], { METADATA: { content: METADATA.replace('1.0', '1.1') } }),
      /about version '1\.1'/,
    ],
    ['bad metadata', () => wheel([], { METADATA: { content: 'x' } }), /neither a field nor a continuation/],
    ['a wrong CRC', () => wheel([], { METADATA: { crc: 1 } }), /does not unpack to its declared size and CRC-32/],
    ['too small a size', () => wheel([], { METADATA: { size: 10 } }), /does not unpack to its declared size/],
    ['too large a size', () => wheel([], { METADATA: { size: 10_000 } }), /does not unpack to its declared size/],
    ['a size with its own CRC', () => padded(), /does not unpack to its declared size/],
    ['broken deflate', () => wheel([], { METADATA: { content: 'x', stored: true, method: 8 } }), /does not unpack/],
    ['huge METADATA', () => wheel([], { METADATA: { content: 'x'.repeat(5e6) } }), /METADATA is over 4194304 bytes/],
    ['WHEEL of version 2', () => wheel([], { WHEEL: { content: WHEEL.replace('1.0', '2.0') } }), /takes 1\.x/],
    ['WHEEL without version', () => wheel([], { WHEEL: { content: 'Generator: x\n' } }), /no valid Wheel-Version/],
    [
      'a file not in RECORD',
      () => zip([...wheelEntries(), { name: 'evil.pth', content: 'x' }]),
      /'evil\.pth', which is not in/,
    ],
    ['a RECORD that is no list', () => wheel([], { RECORD: { content: 'a,b\n' } }), /malformed line 'a,b'/],
    ['a RECORD line twice', () => wheel([], { RECORD: { content: 'a,,\na,,\n' } }), /has 'a' twice/],
    ['bad entry points', () => wheel([{ name: `${DIST_INFO}/entry_points.txt`, content: 'x' }]), /malformed line 'x'/],
    ['a missing licence', () => wheel([], { METADATA: { content: licensed() } }), /lacks the License-File/],
    // bombs
    ['declared sizes beyond the ratio', () => wheel([bomb()]), /more than 50 times its size/],
    ['a bomb as METADATA', () => wheel([], { METADATA: { content: zeros, size: 100 } }), /does not unpack/],
    ['a RECORD beyond its limit', () => wheel([], { RECORD: { size: 17 << 20 } }), /RECORD is over 16777216 bytes/],
  ]

  function listedTwice(): Uint8Array {
    return wheel([{ name: 'a', content: 'x', central: { repeat: true } }], {}, { entries: 5 })
  }

  function padded(): Uint8Array {
    return wheel([], { METADATA: { size: METADATA.length + 3, crc: crc32(`${METADATA}\0\0\0`) } })
  }

  function licensed(): string {
    return METADATA.replace('2.1', '2.4').replace('\n\n', '\nLicense-File: LICENSE\n\n')
  }

  function bomb(): Entry {
    return { name: 'zeros', content: zeros, size: BOMB_FREE_BYTES + 1 }
  }

  function twoExtras(one: Uint8Array): Uint8Array {
    return wheel([{ name: 'a', content: 'x', extra: concat(one, one) }])
  }

  // A first entry whose extra field completes a tar header: tar reads its checksum at 148, the entry starts at 0.
  function polyglot(): Uint8Array {
    const entries = wheelEntries()
    const name = entries[0]!.name as string
    const before = 30 + name.length + 4
    const body = new Uint8Array(600 - before)
    const make = (): Uint8Array => zip([{ ...entries[0]!, extra: extra(0x9999, body) }, ...entries.slice(1)])
    const at = 148 - before
    body.fill(0x20, at, at + 8)
    const sum = make()
      .subarray(0, 512)
      .reduce((total, byte) => total + byte, 0)
    body.set(bytesOf(`${sum.toString(8).padStart(6, '0')}\0 `), at)
    return make()
  }

  for (const [what, make, sentence] of refused)
    it(`is refused for ${what}`, async () => {
      const bytes = make()
      const told = await judge(bytes).catch((error: unknown) => error)
      expect(told).toBeInstanceOf(Refusal)
      expect((told as Refusal).message).toMatch(sentence)
      expect((told as Refusal).message).toMatch(/^[^\n]{10,400}\.$/)
      // The same byte by byte, where chunks end in every place.
      if (bytes.length < 3_000) await expect(judge(bytes, [1])).rejects.toThrow((told as Refusal).message)
    })

  it('of metadata 2.4 needs its licence files, and has them', async () => {
    const files = [{ name: `${DIST_INFO}/licenses/LICENSE`, content: 'text' }]
    const entries = wheelEntries(files)
    const metadata = entries.find(({ name }) => name === `${DIST_INFO}/METADATA`)!
    const record = entries.at(-1)!
    record.content = (record.content as string).replace(
      recordLine(metadata.name as string, METADATA),
      recordLine(metadata.name as string, licensed()),
    )
    metadata.content = licensed()
    expect((await judge(zip(entries))).metadata.licenseFiles).toEqual(['LICENSE'])
  })

  it('with a RECORD that promises too much is accepted with warnings, or refused when strict', async () => {
    const promises = (content: string): Uint8Array => {
      const entries = wheelEntries()
      entries.at(-1)!.content = content + (entries.at(-1)!.content as string)
      return zip(entries)
    }
    const bytes = promises('gone1,,\ngone2,,\ngone3,,\ngone4,,\ngone5,,\n')
    expect((await judge(bytes)).warnings).toEqual([
      "RECORD names 'gone1', which the wheel does not have.",
      "RECORD names 'gone2', which the wheel does not have.",
      "RECORD names 'gone3', which the wheel does not have.",
      'RECORD names 2 more files that are not there.',
    ])
    await expect(check(wheelChecker(FILE, { strictRecord: true }), bytes)).rejects.toThrow(/RECORD names 'gone1'/)
    await check(wheelChecker(FILE, { strictRecord: true }), wheel())

    const other = wheelEntries()
    other.at(-1)!.content = (other.at(-1)!.content as string).replace(
      recordLine(`${DIST_INFO}/WHEEL`, WHEEL),
      `${DIST_INFO}/WHEEL,sha256=AAAA,1\n`,
    )
    expect((await judge(zip(other))).warnings).toEqual([
      `RECORD has another digest for '${DIST_INFO}/WHEEL' than the file.`,
    ])
  })

  it('with more entries than the limit is refused before they are all held', async () => {
    const many = Array.from({ length: 65_600 }, (_, i) => ({ name: `f${i}`, content: '', stored: true }))
    await expect(judge(zip([...many, ...wheelEntries()]))).rejects.toThrow(/more than 65534 entries/)
  })

  it(`needs METADATA within a limit of the caller's`, async () => {
    await expect(check(wheelChecker(FILE, { metadataBytesMax: 10 }), wheel())).rejects.toThrow(
      /METADATA is over 10 bytes/,
    )
  })
})
