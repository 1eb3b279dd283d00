// The readers of wheels and sdists: whole files, and sound archives of hostile entries, which get further. Properties as in
// `judging.ts`.
import { gunzipSync, gzipSync } from 'node:zlib'
import { type ArchiveReport, archiveChecker } from '../../pypi/archives.ts'
import { parseFilename } from '../../pypi/filenames.ts'
import {
  check,
  concat,
  DIST_INFO,
  METADATA,
  PKG_INFO,
  pax,
  SDIST_NAME,
  TAR_END,
  tarGz,
  tarMembers,
  WHEEL,
  WHEEL_NAME,
  wheelEntries,
  zip,
} from '../unit/pypi/build.ts'
import { bytesOf, type Target } from './fuzz.ts'
import { text, twice, vectors } from './judging.ts'
import type { Random } from './mutate.ts'

const reported = ({ metadata, warnings, metadataBytes }: ArchiveReport) => [
  metadata.name,
  metadata.version,
  warnings,
  metadataBytes.length,
]
const archive = (filename: string, random: Random, bytes: Uint8Array) =>
  twice(random, async (sizes) => reported(await check(archiveChecker(parseFilename(filename)), bytes, sizes)))

const ZIP = ['PK\x01\x02', 'PK\x03\x04', 'PK\x05\x06', 'PK\x06\x06', 'PK\x06\x07', 'PK\x07\x08', '\x01\x00', '\x75\x70']
const NAMES = [
  `${DIST_INFO}/`,
  'METADATA',
  'WHEEL',
  'RECORD',
  'entry_points.txt',
  '../',
  '.dist-info/',
  '.data/',
  'C:\\',
]
const stored = (entries: ReturnType<typeof wheelEntries>) => entries.map((entry) => ({ ...entry, stored: true }))

const wheel: Target = {
  name: 'wheel',
  corpus: [
    ...vectors('packages/', 'uv-1.2.3-py3-none-any.whl'),
    zip(wheelEntries()),
    zip(stored(wheelEntries()), { comment: 'a comment' }),
    zip(wheelEntries([{ name: 'a/', content: '' }]), { zip64: true }),
  ],
  dictionary: [...ZIP, ...NAMES],
  run: (input, random) =>
    archive(text(input.subarray(0, 4096)).includes('demo_pkg_uv') ? PACKAGE : WHEEL_NAME, random, input),
}
const PACKAGE = 'demo_pkg_uv-1.2.3-py3-none-any.whl'

const MARK = '\n%%%%\n'
/** A sound zip around hostile texts: METADATA, WHEEL, a line of RECORD, a name and content of one more entry. */
const wheelTexts: Target = {
  name: 'wheel-texts',
  corpus: [
    [METADATA, WHEEL, '', 'demo_pkg/data.txt', 'text'],
    [
      METADATA,
      WHEEL,
      '"a,b",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n',
      `${DIST_INFO}/entry_points.txt`,
      '[console_scripts]\na = b:c\n',
    ],
    [METADATA, WHEEL, `${DIST_INFO}/RECORD.jws,,\n`, 'demo_pkg-1.0.data/scripts/x', '#!python\n'],
  ].map((texts) => bytesOf(texts.join(MARK))),
  dictionary: [
    MARK,
    ...NAMES,
    'sha256=',
    'md5=',
    ',,',
    '[console_scripts]',
    'Wheel-Version: 2.0',
    'Tag: cp312-abi3-win32',
  ],
  run: (input, random) => {
    const [metadata, wheelText, line, name, content] = text(input).split(MARK)
    const files = name === undefined ? [] : [{ name, content: content ?? '' }]
    const over = { METADATA: { content: metadata ?? '' }, WHEEL: { content: wheelText ?? '' } }
    const entries = wheelEntries(files, over)
    const record = entries.find((entry) => entry.name === `${DIST_INFO}/RECORD`)
    if (record) record.content = `${line ?? ''}${record.content}`
    return archive(WHEEL_NAME, random, zip(entries))
  },
}

const sdist: Target = {
  name: 'sdist',
  corpus: [tarGz([PKG_INFO]), tarGz([PKG_INFO, { name: 'demo_pkg-1.0/a.py', content: 'a = 1\n'.repeat(400) }])],
  dictionary: ['\x1f\x8b\x08', '\x00\x00\x00\x00', '\x78\x9c'],
  run: (input, random) => archive(SDIST_NAME, random, input),
}

/** The tar inside, compressed after it was spoilt; checksums of its headers are put right, or nothing else is reached. */
const tar: Target = {
  name: 'tar',
  corpus: [
    concat(tarMembers([PKG_INFO, { name: 'demo_pkg-1.0/a.py', content: 'a = 1\n' }]), TAR_END),
    concat(tarMembers([{ name: 'x', type: 'x', content: pax('path', 'demo_pkg-1.0/PKG-INFO') }, PKG_INFO]), TAR_END),
    concat(tarMembers([{ name: '././@LongLink', type: 'L', content: 'demo_pkg-1.0/long\0' }, PKG_INFO]), TAR_END),
    concat(tarMembers([PKG_INFO, { name: 'demo_pkg-1.0/l', type: '2', link: 'PKG-INFO' }]), TAR_END),
    ...vectors('packages/', 'flit-1.2.3.tar.gz').map((bytes) => gunzipSync(bytes)),
  ],
  dictionary: [
    'ustar\x0000',
    'ustar  \0',
    '27 path=demo_pkg-1.0/x.py\n',
    '9 size=1\n',
    'GNU.sparse.major=1',
    '\x80\0\0\0\0\0\0\x01',
    ...'012345xgLKS',
  ],
  run: (input, random) => archive(SDIST_NAME, random, gzipSync(withChecksums(input), { level: 1 })),
}

/** A sound tar of hostile members: name, type, link and content of each. */
const members: Target = {
  name: 'tar-members',
  corpus: [
    ['demo_pkg-1.0/', '5', '', '', 'demo_pkg-1.0/a.py', '0', '', 'a = 1\n'],
    ['x', 'x', '', pax('path', 'demo_pkg-1.0/b.py'), 'demo_pkg-1.0/long', '0', '', 'b'],
    ['././@LongLink', 'L', '', 'demo_pkg-1.0/c.py\0', 'demo_pkg-1.0/short', '0', '', 'c'],
    ['demo_pkg-1.0/l', '2', 'PKG-INFO', '', 'demo_pkg-1.0/h', '1', 'demo_pkg-1.0/PKG-INFO', ''],
    ['g', 'g', '', pax('comment', 'x'), 'demo_pkg-1.0/PKG-INFO', '0', '', METADATA],
  ].map((texts) => bytesOf(texts.join(MARK))),
  dictionary: [
    MARK,
    'demo_pkg-1.0/',
    'PKG-INFO',
    '9 size=1\n',
    '12 path=../a\n',
    '20 GNU.sparse.size=1\n',
    ...'0123457xgLKSV',
  ],
  run: (input, random) => {
    const texts = text(input).split(MARK)
    const hostile = Array.from({ length: Math.min(60, Math.ceil(texts.length / 4)) }, (_, i) => {
      const [name = '', type = '', link = '', content = ''] = texts.slice(4 * i, 4 * i + 4)
      return { name: name.slice(0, 33), type: type.slice(0, 1), link: link.slice(0, 33), content }
    })
    return archive(SDIST_NAME, random, tarGz(random() < 0.5 ? [PKG_INFO, ...hostile] : [...hostile, PKG_INFO]))
  },
}

function withChecksums(input: Uint8Array): Uint8Array {
  const tarBytes = Uint8Array.from(input)
  for (let at = 0; at + 512 <= tarBytes.length; at += 512) {
    const header = tarBytes.subarray(at, at + 512)
    if (text(header.subarray(257, 262)) !== 'ustar') continue
    header.set(bytesOf('        '), 148)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.set(bytesOf(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
  }
  return tarBytes
}

export const ARCHIVE_TARGETS: Target[] = [wheel, wheelTexts, sdist, tar, members]
