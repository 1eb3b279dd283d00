// The readers of the upload form, of core metadata and of file names. Properties as in `judging.ts`; a sink never gets more
// bytes than came, and a parsed name is the name that was parsed.
import { parseCoreMetadata } from '../../pypi/core-metadata.ts'
import { parseFilename } from '../../pypi/filenames.ts'
import { checkFieldsAgainstFilename, checkUploadFields, readUploadForm } from '../../pypi/upload-form.ts'
import { METADATA, SDIST_NAME, WHEEL_NAME } from '../unit/pypi/build.ts'
import { bytesOf, simplified, type Target } from './fuzz.ts'
import { judged, text, twice, vectors } from './judging.ts'
import { ARCHIVE_TARGETS } from './targets-archives.ts'

function streamOf(bytes: Uint8Array, sizes: number[]): ReadableStream<Uint8Array> {
  let [at, i] = [0, 0]
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      const size = sizes[i++ % sizes.length]!
      controller.enqueue(bytes.slice(at, at + size))
      at += size
    },
  })
}

/** A recorded request: its head says where the form's parts end. */
const form: Target = {
  name: 'form',
  corpus: vectors('uploads/', '.http'),
  dictionary: [
    ...['\r\n--', '--\r\n', '\r\n\r\n', 'Content-Disposition: form-data; name="', 'filename="', "filename*=utf-8''%e2"],
    ...[':action', 'file_upload', 'content', 'sha256_digest', 'name', 'version', 'filetype', 'attestations'],
    ...[
      'boundary=',
      'boundary=""',
      'multipart/form-data',
      'Content-Type: image/png',
      'Content-Type:',
      '\r\n ',
      'UNKNOWN',
    ],
  ],
  run: (input, random) =>
    twice(random, async (sizes) => {
      const head = Buffer.from(input).indexOf('\r\n\r\n')
      const type = /^content-type:[ \t]*([^\r\n]*)/im.exec(text(input.subarray(0, Math.max(0, head))))
      const body = input.subarray(head < 0 ? 0 : head + 4)
      const chunks: Uint8Array[] = []
      const read = await readUploadForm(streamOf(body, sizes), type?.[1] ?? null, () => ({
        write: (chunk) => void chunks.push(chunk),
      }))
      const content = Buffer.concat(chunks)
      if (content.length !== read.size || content.length > body.length) throw new Error('Bytes were made up or lost.')
      const fields = checkUploadFields(read.fields)
      checkFieldsAgainstFilename(fields, parseFilename(read.filename))
      return [fields, content.toString('hex').length]
    }),
}

const FIELDS = [
  'Metadata-Version: 2.4',
  'Name: ',
  'Version: ',
  'Requires-Dist: a[b,c]>=1,!=2.*; python_version < "3.9" and (os_name == "nt" or extra == "x")',
  'Requires-Python: >=3.9,<4',
  'Project-URL: Home, https://example.org/',
  'License-File: LICENSE',
  'License-Expression: MIT OR (Apache-2.0 AND BSD-3-Clause)',
  'Dynamic: classifier',
  'Provides-Extra: x',
  'Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM',
  'Summary: s',
  "Requires-Dist: a @ https://example.org/a.whl ; extra == 'y'",
]
const coreMetadata: Target = {
  name: 'core-metadata',
  corpus: [
    METADATA,
    ...FIELDS.map(
      (field) => `Metadata-Version: 2.4\nName: demo\nVersion: 1.0rc1.post2.dev3+local.4\n${field}\n\nBody\n`,
    ),
  ].map(bytesOf),
  dictionary: [
    ...FIELDS,
    '\n',
    '\n ',
    '\n\n',
    '\r',
    ';',
    '===',
    '~=1.0',
    '1!2',
    '.*',
    'and',
    'or',
    'not in',
    '@',
    '(',
    ')',
    '[',
    ']',
  ],
  run: async (input) => simplified(await judged(() => Object.keys(parseCoreMetadata(input)).length)),
}

const filename: Target = {
  name: 'filename',
  corpus: [
    WHEEL_NAME,
    SDIST_NAME,
    'a-1.0-1b-cp39.cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl',
    'A.b-1.0.tar.gz',
  ].map(bytesOf),
  dictionary: [
    '-',
    '.whl',
    '.tar.gz',
    '.zip',
    'py3',
    'none',
    'any',
    'macosx_11_0_arm64',
    'manylinux_2_17_x86_64',
    '1!1.0',
    'post1',
    'c\u0327',
  ],
  bytesMax: 600,
  run: async (input) => {
    const name = text(input)
    return simplified(
      await judged(() => {
        const parsed = parseFilename(name)
        if (parsed.filename !== name) throw new Error('Another name came out of it.')
        if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(parsed.project)) throw new Error(`${parsed.project} is not normalised.`)
        return parsed.kind
      }),
    )
  },
}

export const PYPI_TARGETS: Target[] = [form, ...ARCHIVE_TARGETS, coreMetadata, filename]
