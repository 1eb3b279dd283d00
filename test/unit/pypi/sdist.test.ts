// Sdists: a table of hostile ones, each refused with its own sentence. Real ones are in wheel.test.ts.
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sdistChecker } from '../../../pypi/archives.ts'
import { parseSdistFilename } from '../../../pypi/filenames.ts'
import { Refusal } from '../../../pypi/refusal.ts'
import { Tail } from '../../../pypi/tail.ts'
import {
  bytesOf,
  check,
  concat,
  METADATA,
  type Member,
  PKG_INFO,
  pax,
  SDIST_NAME,
  TAR_END,
  tarGz,
  tarMembers,
  wheelEntries,
  zip,
} from './build.ts'

const FILE = parseSdistFilename(SDIST_NAME)
const TOP = 'demo_pkg-1.0'
const judge = (bytes: Uint8Array, sizes?: readonly number[]) => check(sdistChecker(FILE), bytes, sizes)
const sdist = (...members: Member[]) => tarGz([{ name: `${TOP}/`, type: '5' }, PKG_INFO, ...members])
const gz = (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes))

// Bytes that do not compress, the same on every run.
const noise = Uint8Array.from({ length: 70_000 }, (_, i) => (Math.imul(i ^ (i >>> 3), 2654435761) >>> 13) & 0xff)

const link = (name: string, target: string): Member => ({ name: `${TOP}/${name}`, type: '2', link: target })
const hard = (name: string, target: string): Member => ({ name: `${TOP}/${name}`, type: '1', link: target })
const file = (name: string, content = 'x'): Member => ({ name: `${TOP}/${name}`, content })
const record = (type: string, content: string): Member => ({ name: 'record', type, content })

describe('an sdist', () => {
  it('is accepted with the exact bytes of PKG-INFO', async () => {
    const report = await judge(sdist(file('demo_pkg.py')))
    expect(report.metadataBytes).toEqual(bytesOf(METADATA))
    expect(report.warnings).toEqual([])
  })

  const long = `${TOP}/${'d/'.repeat(120)}f.py`
  const accepted: [string, () => Uint8Array][] = [
    ['no entry for its folder', () => tarGz([PKG_INFO])],
    ['a folder twice', () => sdist({ name: `${TOP}/a/`, type: '5' }, { name: `${TOP}/a`, type: '5' }, file('a/b'))],
    ['a pax path', () => sdist(record('x', pax('path', long) + pax('mtime', '1.5')), file('short'))],
    ['a GNU long name', () => sdist(record('L', `${long}\0`), file('short'))],
    ['a GNU long link', () => sdist(record('K', 'PKG-INFO\0'), link('l', 'wrong'))],
    ['a pax size', () => sdist(record('x', pax('size', '3')), { ...file('a', 'abc'), size: 3 })],
    [
      'a global comment',
      () => tarGz([{ name: 'pax_global_header', type: 'g', content: pax('comment', 'abc') }, PKG_INFO]),
    ],
    ['links inside', () => sdist(file('a/b/c'), link('a/l', 'b/c'), link('a/up', '../PKG-INFO'), link('dir', './a/'))],
    ['a hard link to a file', () => sdist(file('a'), hard('b', `${TOP}/a`))],
    ['a very padded end', () => tarGz([PKG_INFO], new Uint8Array(10_240))],
    ['one zero block', () => tarGz([PKG_INFO], new Uint8Array(512))],
    ['content that does not compress', () => sdist({ name: `${TOP}/noise`, content: noise })],
  ]
  for (const [what, make] of accepted)
    it(`may have ${what}`, async () => {
      expect((await judge(make())).metadata.name).toBe('Demo.Pkg')
    })

  const zeros = new Uint8Array(70 << 20)
  const refused: [string, () => Uint8Array, RegExp][] = [
    // gzip
    ['nothing', () => new Uint8Array(), /not a whole gzip file/],
    ['text', () => bytesOf('this is no gzip file'), /not a whole gzip file/],
    ['a bare tar', () => concat(tarMembers([PKG_INFO]), TAR_END), /not a whole gzip file/],
    ['a wheel', () => zip(wheelEntries()), /not a whole gzip file/],
    ['bytes after it', () => concat(sdist(), 'junk after the end'), /not a whole gzip file/],
    ['a second stream', () => concat(gz(tarMembers([PKG_INFO])), gz(TAR_END)), /more than one gzip stream/],
    ['a second tar', () => concat(sdist(), sdist()), /more than one gzip stream|data after its end/],
    ['a zip at its end', () => zipInside(), /ends like a zip archive/],
    ['a wrong checksum', () => flipTrailer(sdist()), /not a whole gzip file/],
    // bombs
    ['a gzip bomb', () => sdist({ name: `${TOP}/zeros`, content: zeros }), /more than 50 times its size/],
    ['a bomb in its padding', () => tarGz([PKG_INFO], zeros), /more than 50 times its size/],
    // tar
    ['an empty tar', () => gz(TAR_END), /has no demo_pkg-1\.0\/PKG-INFO/],
    ['no end', () => tarGz([PKG_INFO], new Uint8Array()), /is cut short/],
    ['content cut short', () => gz(tarMembers([{ ...PKG_INFO, size: 5_000 }])), /is cut short/],
    ['data after its end', () => tarGz([PKG_INFO], concat(TAR_END, tarMembers([file('x')]))), /data after its end/],
    ['a wrong header checksum', () => sdist({ ...file('a'), badChecksum: true }), /wrong checksum/],
    ['a header at the end', () => sdist(record('x', pax('path', `${TOP}/a`))), /ends after a header/],
    ['no PKG-INFO', () => tarGz([file('setup.py')]), /has no demo_pkg-1\.0\/PKG-INFO/],
    [
      'PKG-INFO deeper only',
      () => tarGz([{ ...PKG_INFO, name: `${TOP}/x.egg-info/PKG-INFO` }]),
      /has no demo_pkg-1\.0\/PKG/,
    ],
    ['PKG-INFO as a link', () => tarGz([file('x', METADATA), link('PKG-INFO', 'x')]), /has no demo_pkg-1\.0\/PKG-INFO/],
    ['PKG-INFO twice', () => sdist(PKG_INFO), /'demo_pkg-1\.0\/PKG-INFO' twice/],
    ['huge PKG-INFO', () => tarGz([{ ...PKG_INFO, content: noiseText() }]), /PKG-INFO is over 4194304 bytes/],
    ['another project', () => tarGz([{ ...PKG_INFO, content: METADATA.replace('Demo', 'X') }]), /project 'X\.Pkg'/],
    ['another version', () => tarGz([{ ...PKG_INFO, content: METADATA.replace('1.0', '2') }]), /about version '2'/],
    ['a missing licence', () => tarGz([{ ...PKG_INFO, content: licensed() }]), /lacks the License-File/],
    // its one folder
    ['two top folders', () => sdist({ name: 'other-1.0/x', content: '' }), /'other-1\.0\/x' outside its top folder/],
    ['another top folder', () => tarGz([{ name: 'Demo.Pkg-1.0/PKG-INFO', content: METADATA }]), /outside its top/],
    ['a file at the top', () => sdist({ name: 'pax_global_header', content: '' }), /outside its top folder/],
    ['a file named as the folder', () => sdist({ name: TOP, content: '' }), /both as a file and as a folder|outside/],
    ['./', () => tarGz([{ name: `./${TOP}/PKG-INFO`, content: METADATA }]), /empty or '\.' segment/],
    ['..', () => sdist(file('../x')), /whose path goes up/],
    ['an absolute path', () => sdist({ name: '/etc/passwd', content: '' }), /whose path is absolute/],
    ['a pax path outside', () => sdist(record('x', pax('path', '../x')), file('a')), /whose path goes up/],
    ['a GNU name outside', () => sdist(record('L', '/x\0'), file('a')), /whose path is absolute/],
    ['a file below a file', () => sdist(file('a'), file('a/b')), /below a file or link/],
    ['a file over a folder', () => sdist(file('a/b'), file('a')), /both as a file and as a folder/],
    [
      'a folder over a file',
      () => sdist(file('a'), { name: `${TOP}/a/`, type: '5' }),
      /both as a file and as a folder/,
    ],
    ['a file twice', () => sdist(file('a'), file('a')), /'demo_pkg-1\.0\/a' twice/],
    // links
    ['an absolute link', () => sdist(link('l', '/etc/passwd')), /links must stay in 'demo_pkg-1\.0\/'/],
    ['a link up', () => sdist(link('l', '..')), /links must stay in/],
    ['a link up and down', () => sdist(link('a/l', '../../other/x')), /links must stay in/],
    [
      'a link through a link',
      () => sdist(link('a/b/c/s', '../../..'), link('m', 'a/b/c/s/../..')),
      /links must stay in/,
    ],
    ['an empty link', () => sdist(link('l', '')), /links must stay in/],
    ['a pax link outside', () => sdist(record('x', pax('linkpath', '../..')), link('l', 'ok')), /links must stay in/],
    ['a file below a link', () => sdist(link('l', 'a'), file('l/b')), /below a file or link/],
    ['a link over a folder', () => sdist(file('a/b'), link('a', 'c')), /both as a file and as a folder/],
    ['a hard link outside', () => sdist(hard('h', '/etc/passwd')), /which is no file before it/],
    [
      'a hard link to a link',
      () => sdist(link('l', 'PKG-INFO'), hard('a/h', `${TOP}/l`)),
      /which is no file before it/,
    ],
    ['a hard link to itself', () => sdist(hard('h', `${TOP}/h`)), /which is no file before it/],
    // kinds of members
    ['a device', () => sdist({ ...file('d', ''), type: '3' }), /no file, folder or link/],
    ['a block device', () => sdist({ ...file('d', ''), type: '4' }), /no file, folder or link/],
    ['a fifo', () => sdist({ ...file('d', ''), type: '6' }), /no file, folder or link/],
    ['an unknown type', () => sdist({ ...file('d', ''), type: 'Z' }), /no file, folder or link/],
    ['a GNU sparse member', () => sdist({ ...file('s'), type: 'S' }), /sparse member/],
    ['a pax sparse member', () => sdist(record('x', pax('GNU.sparse.major', '1')), file('s')), /sparse member/],
    ['a folder with content', () => sdist({ ...file('d'), type: '5' }), /content it cannot have/],
    // records
    ['a global path', () => sdist(record('g', pax('path', `${TOP}/x`))), /global tar header with a path/],
    [
      'two names',
      () => sdist(record('x', pax('path', 'a')), record('L', 'b\0'), file('c')),
      /two names for one member/,
    ],
    [
      'two paths in one record',
      () => sdist(record('x', pax('path', 'a') + pax('path', 'b')), file('c')),
      /malformed pax/,
    ],
    ['a pax length too long', () => sdist(record('x', '99 path=a\n'), file('c')), /malformed pax/],
    ['a pax length too short', () => sdist(record('x', '3 path=a\n'), file('c')), /malformed pax/],
    // It was read for ever: what follows the first record has no length.
    ['a pax rest without length', () => sdist(record('x', `${pax('comment', 'a')}path`), file('c')), /malformed pax/],
    ['a pax record without =', () => sdist(record('x', '8 patha\n'), file('c')), /malformed pax/],
    ['a pax size that is no number', () => sdist(record('x', pax('size', '-1')), file('c')), /malformed pax/],
    ['a huge record', () => sdist(record('x', pax('comment', 'x'.repeat(70_000))), file('c')), /tar record over 65536/],
    ['a name that is not UTF-8', () => latin1(), /not UTF-8/],
  ]

  function licensed(): string {
    return METADATA.replace('2.1', '2.4').replace('\n\n', '\nLicense-File: LICENSE\n\n')
  }

  function noiseText(): string {
    return METADATA + Buffer.from(noise).toString('base64').repeat(50)
  }

  function latin1(): Uint8Array {
    return tarGz([
      { name: 'record', type: 'L', content: concat(`${TOP}/`, new Uint8Array([0xe9])) },
      file('a'),
      PKG_INFO,
    ])
  }

  function flipTrailer(bytes: Uint8Array): Uint8Array {
    const changed = bytes.slice()
    changed[changed.length - 8]! ^= 1
    return changed
  }

  /** A stored block of deflate keeps a zip as it is: pip before 26 would have unpacked that instead. */
  function zipInside(): Uint8Array {
    const tar = concat(tarMembers([PKG_INFO, { name: `${TOP}/x.zip`, content: zip(wheelEntries()) }]), TAR_END)
    return new Uint8Array(gzipSync(tar, { level: 0 }))
  }

  for (const [what, make, sentence] of refused)
    it(`is refused for ${what}`, async () => {
      const told = await judge(make()).catch((error: unknown) => error)
      expect(told).toBeInstanceOf(Refusal)
      expect((told as Refusal).message).toMatch(sentence)
      expect((told as Refusal).message).toMatch(/^[^\n]{10,400}\.$/)
    })

  it('of metadata 2.4 needs its licence files, and has them', async () => {
    const report = await judge(tarGz([{ ...PKG_INFO, content: licensed() }, file('LICENSE')]))
    expect(report.metadata.licenseFiles).toEqual(['LICENSE'])
  })

  it('with more members than the limit is refused', async () => {
    const many = Array.from({ length: 65_600 }, (_, i) => file(`f${i}`, ''))
    await expect(judge(sdist(...many))).rejects.toThrow(/more than 65534 members/)
  })
})

describe('a stream of chunks', () => {
  it('gives the same report however it is cut', async () => {
    const bytes = sdist({ name: `${TOP}/noise`, content: noise.subarray(0, 5_000) })
    const whole = await judge(bytes)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 20 }), async (sizes) => {
        expect(await judge(bytes, sizes)).toEqual(whole)
      }),
      { numRuns: 60 },
    )
    expect(await judge(bytes, [1])).toEqual(whole)
  })

  it('that ends anywhere is refused', async () => {
    const bytes = sdist(file('a'))
    for (let length = 0; length < bytes.length; length++)
      await expect(judge(bytes.subarray(0, length)), `${length}`).rejects.toThrow(Refusal)
  })

  it('with any byte of the tar changed is refused or says the same', async () => {
    const bytes = gunzipSync(sdist(file('a')))
    const whole = await judge(sdist(file('a')))
    for (let at = 0; at < bytes.length; at += at < 2_600 ? 3 : 101) {
      const changed = new Uint8Array(bytes)
      changed[at]! ^= 0x41
      const told = await judge(gz(changed)).catch((error: unknown) => error)
      if (told instanceof Error) expect(told, `${at}: ${told.stack}`).toBeInstanceOf(Refusal)
      else if (at < 1_024 || at >= 1_024 + METADATA.length)
        expect(told).toMatchObject({ metadataBytes: whole.metadataBytes })
    }
  })

  it('of random bytes, bare, behind a gzip header or inside one, only ever refuses', async () => {
    const wrap = fc.constantFrom(
      (bytes: Uint8Array) => bytes,
      (bytes: Uint8Array) => concat(new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), bytes),
      gz,
      (bytes: Uint8Array) => gz(concat(tarMembers([PKG_INFO]), bytes)),
    )
    await fc.assert(
      fc.asyncProperty(wrap, fc.uint8Array({ minLength: 1, maxLength: 1_500 }), async (make, bytes) => {
        const told = await judge(make(bytes), [5, 700]).catch((error: unknown) => error)
        expect(told).toBeInstanceOf(Refusal)
      }),
      { numRuns: 300 },
    )
  })

  it('tells a refusal early, and at every later call', async () => {
    const checker = sdistChecker(FILE)
    const bytes = concat(gz(tarMembers([{ name: 'evil', content: noise }])), new Uint8Array(1 << 20))
    await expect(
      (async () => {
        for (let at = 0; at < bytes.length; at += 4_096) await checker.write(bytes.subarray(at, at + 4_096))
      })(),
    ).rejects.toThrow(/outside its top folder/)
    await expect(checker.write(bytes)).rejects.toThrow(/outside its top folder/)
    await expect(checker.end()).rejects.toThrow(/outside its top folder/)
  })

  it('may be given up', async () => {
    const checker = sdistChecker(FILE)
    await checker.write(sdist().subarray(0, 30))
    checker.abort()
    await expect(checker.end()).rejects.toThrow(/was given up/)
  })
})

describe('the end of a file', () => {
  it('is kept however the file is cut, as far as a zip could end in it', () => {
    const total = 200_000
    const end = new Uint8Array(22)
    end.set(bytesOf('PK\x05\x06'))
    fc.assert(
      fc.property(
        // The last four bytes are the trailer's and must not reach into the record.
        fc.integer({ min: 0, max: total - 22 - 4 }),
        fc.array(fc.integer({ min: 1, max: 150_000 }), { minLength: 1, maxLength: 9 }),
        (at, sizes) => {
          const bytes = new Uint8Array(total).fill(0x50)
          bytes.set(end, at)
          bytes.set([1, 2, 3, 4], total - 4)
          const tail = new Tail()
          for (let from = 0, i = 0; from < total; i++) {
            const size = sizes[i % sizes.length]!
            tail.push(bytes.subarray(from, from + size))
            from += size
          }
          expect(tail.total).toBe(total)
          expect(tail.uint32()).toBe(0x04030201)
          expect(tail.looksLikeZip()).toBe(at >= total - 22 - 65_535)
        },
      ),
      { numRuns: 200 },
    )
  })
})
