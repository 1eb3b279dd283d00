// Wheels, sdists and upload forms for tests inside workerd: right by default, wrong in one place on request.
import { crc32 } from '../../pypi/crc32.ts'
import { sha256, sha256Hex } from '../../tuf/digest.ts'

export interface Entry {
  name: string
  content: string | Uint8Array
  /** Makes the headers declare a deflated entry of this unpacked size. */
  size?: number
}

export interface Distribution {
  project: string
  version: string
  filename: string
  bytes: Uint8Array<ArrayBuffer>
  sha256: string
  /** METADATA or PKG-INFO. */
  metadata: string
}

const encoder = new TextEncoder()
const bytesOf = (content: string | Uint8Array): Uint8Array =>
  typeof content === 'string' ? encoder.encode(content) : content

export function concat(...parts: (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const pieces = parts.map(bytesOf)
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

const le16 = (value: number): Uint8Array => new Uint8Array([value & 0xff, value >>> 8])
const le32 = (value: number): Uint8Array => concat(le16(value & 0xffff), le16(value >>> 16))

/** A zip of stored entries, but for those that lie. */
function zip(entries: Entry[]): Uint8Array<ArrayBuffer> {
  const local: Uint8Array[] = []
  const central: Uint8Array[] = []
  let offset = 0
  for (const { name, content, size } of entries) {
    const [path, data] = [bytesOf(name), bytesOf(content)]
    const sizes = [le32(crc32(data)), le32(data.length), le32(size ?? data.length), le16(path.length), le16(0)]
    const method = size === undefined ? 0 : 8
    const shared = concat(le16(20), le16(0), le16(method), le32(0x00210000), ...sizes)
    local.push(concat('PK\x03\x04', shared, path, data))
    central.push(concat('PK\x01\x02', le16(0x0314), shared, le16(0), le16(0), le16(0), le32(0), le32(offset), path))
    offset += local.at(-1)!.length
  }
  const directory = concat(...central)
  const counts = concat(le16(0), le16(0), le16(entries.length), le16(entries.length))
  return concat(...local, directory, 'PK\x05\x06', counts, le32(directory.length), le32(offset), le16(0))
}

/** Bytes that no compressor shrinks and every run makes alike. */
export function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = seed
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer, 0, length)
}

const headers = (project: string, version: string, more: string): string =>
  `Metadata-Version: 2.1\nName: ${project}\nVersion: ${version}\n${more}\nA test.\n`

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')

export interface Wish {
  /** Extra lines of METADATA, each with its line break. */
  metadata?: string
  /** What METADATA says instead of the file name's. */
  named?: string
  files?: Entry[]
}

export async function makeWheel(project: string, version: string, wish: Wish = {}): Promise<Distribution> {
  const stem = `${project.replaceAll('-', '_')}-${version}`
  const metadata = headers(wish.named ?? project, version, wish.metadata ?? '')
  const entries: Entry[] = [
    { name: `${stem.split('-')[0]}.py`, content: 'VALUE = 1\n' },
    ...(wish.files ?? []),
    { name: `${stem}.dist-info/METADATA`, content: metadata },
    { name: `${stem}.dist-info/WHEEL`, content: 'Wheel-Version: 1.0\nGenerator: test\nTag: py3-none-any\n' },
  ]
  const lines = await Promise.all(
    entries.map(async ({ name, content }) => {
      const data = bytesOf(content)
      return `${name},sha256=${base64url(await sha256(data))},${data.length}\n`
    }),
  )
  const record = `${stem}.dist-info/RECORD`
  const bytes = zip([...entries, { name: record, content: `${lines.join('')}${record},,\n` }])
  return { project, version, filename: `${stem}-py3-none-any.whl`, bytes, sha256: await sha256Hex(bytes), metadata }
}

function tarMember(name: string, content: string): Uint8Array {
  const header = new Uint8Array(512)
  const put = (at: number, text: string): void => header.set(bytesOf(text), at)
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`
  for (const [at, text] of [
    [0, name],
    [100, octal(0o644, 7)],
    [108, octal(0, 7)],
    [116, octal(0, 7)],
    [124, octal(content.length, 11)],
    [136, octal(0, 11)],
    [148, '        '],
    [156, '0'],
    [257, 'ustar\x0000'],
  ] as const)
    put(at, text)
  put(
    148,
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
  )
  return concat(header, content, new Uint8Array((512 - (content.length % 512)) % 512))
}

export async function makeSdist(project: string, version: string, wish: Wish = {}): Promise<Distribution> {
  const stem = `${project.replaceAll('-', '_')}-${version}`
  const metadata = headers(wish.named ?? project, version, wish.metadata ?? '')
  const tar = concat(tarMember(`${stem}/PKG-INFO`, metadata), new Uint8Array(1024))
  const gzip = new Response(tar).body!.pipeThrough(new CompressionStream('gzip'))
  const bytes = new Uint8Array(await new Response(gzip).arrayBuffer())
  return { project, version, filename: `${stem}.tar.gz`, bytes, sha256: await sha256Hex(bytes), metadata }
}

export type Field = [name: string, value: string]

/** The fields twine sends before the file. */
export function fieldsOf(file: Distribution): Field[] {
  const isWheel = file.filename.endsWith('.whl')
  return [
    [':action', 'file_upload'],
    ['protocol_version', '1'],
    ['name', file.project],
    ['version', file.version],
    ['filetype', isWheel ? 'bdist_wheel' : 'sdist'],
    ['pyversion', isWheel ? 'py3' : 'source'],
    ['metadata_version', '2.1'],
    ['sha256_digest', file.sha256],
  ]
}

export const BOUNDARY = 'a0ad46ab9ee3a1ab5e1b1a1d3f2f3b5e'

const part = ([name, value]: Field): string =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`

/** A form without the file, as uv sends it before and after the bytes; `change` replaces fields, or leaves them out. */
export function descriptionOf(file: Distribution, change: Record<string, string | undefined> = {}): string {
  const fields: Field[] = [...fieldsOf(file), ['filename', file.filename]]
  const changed = fields.flatMap(([name, value]): Field[] => {
    const said = name in change ? change[name] : value
    return said === undefined ? [] : [[name, said]]
  })
  return `${changed.map(part).join('')}--${BOUNDARY}--\r\n`
}

export function formOf(
  fields: Field[],
  filename: string,
  content: Uint8Array,
  after: Field[] = [],
): Uint8Array<ArrayBuffer> {
  return concat(
    ...fields.map(part),
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="${filename}"\r\n`,
    'Content-Type: application/octet-stream\r\n\r\n',
    content,
    '\r\n',
    ...after.map(part),
    `--${BOUNDARY}--\r\n`,
  )
}
