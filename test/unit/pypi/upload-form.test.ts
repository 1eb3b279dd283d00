// The legacy upload form: requests recorded from real uploaders, forms built by hand, and broken ones.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { archiveChecker } from '../../../pypi/archives.ts'
import { parseFilename } from '../../../pypi/filenames.ts'
import { Refusal } from '../../../pypi/refusal.ts'
import {
  checkFieldsAgainstFilename,
  checkUploadFields,
  declaredSha256,
  type FormFields,
  readUploadForm,
  type UploadForm,
} from '../../../pypi/upload-form.ts'
import { bytesOf, concat } from './build.ts'

const BOUNDARY = 'b0undary'
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`
const HEX = 'ab'.repeat(32)

interface Part {
  headers: string
  body: Uint8Array | string
}

const field = (name: string, value: string): Part => ({
  headers: `Content-Disposition: form-data; name="${name}"`,
  body: value,
})
const content = (
  body: Uint8Array | string = 'file bytes',
  more = '\r\nContent-Type: application/octet-stream',
): Part => ({
  headers: `Content-Disposition: form-data; name="content"; filename="demo-1.0.tar.gz"${more}`,
  body,
})
const form = (...parts: Part[]): Uint8Array<ArrayBuffer> =>
  concat(
    ...parts.flatMap(({ headers, body }) => [`--${BOUNDARY}\r\n${headers}\r\n\r\n`, body, '\r\n']),
    `--${BOUNDARY}--\r\n`,
  )

const ACTION = field(':action', 'file_upload')
const START = [ACTION, field('name', 'demo'), field('version', '1.0'), field('filetype', 'sdist')]
const DIGEST = field('sha256_digest', HEX)

function stream(bytes: Uint8Array, sizes: readonly number[] = [65_536]): ReadableStream<Uint8Array> {
  let at = 0
  let i = 0
  return new ReadableStream(
    {
      pull(controller) {
        if (at >= bytes.length) return controller.close()
        const size = sizes[i++ % sizes.length]!
        controller.enqueue(bytes.subarray(at, at + size))
        at += size
      },
    },
    { highWaterMark: 0 },
  )
}

interface Read {
  form: UploadForm
  file: Uint8Array
  /** Fields there when the file began. */
  early: FormFields
}

async function read(
  bytes: Uint8Array,
  sizes?: readonly number[],
  type: string | null = TYPE,
  max?: number,
): Promise<Read> {
  const chunks: Uint8Array[] = []
  let early: FormFields = new Map()
  const result = await readUploadForm(
    stream(bytes, sizes),
    type,
    ({ fields }) => {
      early = fields
      return {
        async write(chunk) {
          await Promise.resolve()
          chunks.push(chunk.slice())
        },
      }
    },
    max,
  )
  return { form: result, file: concat(...chunks), early }
}

describe('recorded uploads', () => {
  const folder = new URL('../../vectors/uploads/', import.meta.url)
  const names = readdirSync(folder).filter((name) => /\.(wheel|sdist)\.http$/.test(name))

  it('of six tools are there', () => {
    expect(new Set(names.map((name) => name.split('-')[0]))).toEqual(
      new Set(['flit', 'hatch', 'pdm', 'poetry', 'twine', 'uv']),
    )
  })

  for (const name of names)
    it(`${name} is read, matches its digest, and holds a right archive`, async () => {
      const request = new Uint8Array(readFileSync(new URL(name, folder)))
      const end = Buffer.from(request).indexOf('\r\n\r\n')
      const headers = new TextDecoder().decode(request.subarray(0, end))
      const type = /^content-type: (.*)$/im.exec(headers)![1]!.trim()
      const body = request.subarray(end + 4)
      const whole = await read(body, [65_536], type)
      expect(await read(body, [1], type)).toEqual(whole)
      expect(declaredSha256(whole.early)).toBe(createHash('sha256').update(whole.file).digest('hex'))
      const fields = checkUploadFields(whole.form.fields)
      expect(fields.sha256).toBe(declaredSha256(whole.early))
      const parsed = parseFilename(whole.form.filename)
      checkFieldsAgainstFilename(fields, parsed)
      expect(parsed.kind).toBe(name.includes('.wheel.') ? 'bdist_wheel' : 'sdist')
      const checker = archiveChecker(parsed)
      await checker.write(whole.file)
      expect((await checker.end()).warnings).toEqual([])
    })
})

describe('a form', () => {
  it('gives the file with the fields before it, and all fields at the end', async () => {
    const attestations = field('attestations', '[{"version":1}]')
    const result = await read(form(...START, DIGEST, content('file\r\n--b0undar bytes\r\n'), attestations))
    expect(new TextDecoder().decode(result.file)).toBe('file\r\n--b0undar bytes\r\n')
    expect(result.form).toMatchObject({
      filename: 'demo-1.0.tar.gz',
      contentType: 'application/octet-stream',
      size: result.file.length,
    })
    expect(result.early.get('sha256_digest')).toBe(HEX)
    expect(result.early.has('attestations')).toBe(false)
    expect(checkUploadFields(result.form.fields)).toEqual({
      name: 'demo',
      version: '1.0',
      filetype: 'sdist',
      pyversion: 'source',
      sha256: HEX,
      attestations: '[{"version":1}]',
    })
  })

  it('may have its digest after the file, no type on the file, and an empty file', async () => {
    const result = await read(form(...START, content('', ''), DIGEST))
    expect(result.form).not.toHaveProperty('contentType')
    expect(result.form.size).toBe(0)
    expect(declaredSha256(result.early)).toBeUndefined()
    expect(checkUploadFields(result.form.fields).sha256).toBe(HEX)
  })

  it('is read the same however it is cut', async () => {
    const body = form(
      ...START,
      field('description', 'größe '.repeat(50)),
      DIGEST,
      content('x\r\n--b0'.repeat(40)),
      field('comment', ''),
    )
    const whole = await read(body)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 }), async (sizes) => {
        expect(await read(body, sizes)).toEqual(whole)
      }),
      { numRuns: 200 },
    )
  })

  it('gives any file back byte for byte', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom('\r\n', '\r\n--', `\r\n--${BOUNDARY.slice(0, -1)}`, `--${BOUNDARY}`, '\r', '-').map(bytesOf),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        async (pieces, sizes) => {
          const bytes = concat(...pieces)
          if (Buffer.from(concat('\r\n', bytes)).includes(`\r\n--${BOUNDARY}`)) return
          expect((await read(form(ACTION, content(bytes)), sizes)).file).toEqual(bytes)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('drops fields that are not read, however long, and keeps none that says UNKNOWN or nothing', async () => {
    const result = await read(
      form(
        ...START,
        field('description', 'x'.repeat(1 << 20)),
        field('pyversion', 'UNKNOWN'),
        field('attestations', ''),
        DIGEST,
        content(),
      ),
    )
    expect([...result.form.fields.keys()]).toEqual([':action', 'name', 'version', 'filetype', 'sha256_digest'])
  })

  it('waits for the sink before it reads on', async () => {
    const log: string[] = []
    const bytes = form(ACTION, content('x'.repeat(300_000)))
    let at = 0
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          log.push('read')
          if (at >= bytes.length) return controller.close()
          controller.enqueue(bytes.subarray(at, at + 100_000))
          at += 100_000
        },
      },
      { highWaterMark: 0 },
    )
    await readUploadForm(body, TYPE, async () => ({
      async write() {
        log.push('write')
        await new Promise((resolve) => setTimeout(resolve, 5))
        log.push('written')
      },
    }))
    expect(log.join(' ')).toMatch(/^read( write written( write written)*? read)+$/)
  })

  it('passes on what the sink throws, and leaves the rest of the body to be drained', async () => {
    const body = stream(form(ACTION, content('x'.repeat(1_000))), [100])
    const broken = new Error('bucket is away')
    const sink = {
      write() {
        throw broken
      },
    }
    await expect(readUploadForm(body, TYPE, () => sink)).rejects.toBe(broken)
    expect(body.locked).toBe(false)
    let drained = 0
    for await (const chunk of body) drained += chunk.length
    expect(drained).toBeGreaterThan(800)
  })

  it('passes on the failure of its connection', async () => {
    const gone = new Error('connection lost')
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(gone)
      },
    })
    await expect(readUploadForm(body, TYPE, () => ({ write() {} }))).rejects.toBe(gone)
  })

  const refused: [string, Uint8Array, RegExp, number?][] = [
    ['nothing', new Uint8Array(), /ended before its form did/],
    ['no file', form(...START, DIGEST), /has no 'content'/],
    ['two files', form(ACTION, content(), content()), /two files in 'content'/],
    ['content that is no file', form(ACTION, field('content', 'x')), /has no file name/],
    ['an image', form(ACTION, content('x', '\r\nContent-Type: image/png')), /is sent as 'image\/png'/],
    ['another action', form(field(':action', 'submit'), content()), /'submit' is gone/, 410],
    ['another action after the file', form(ACTION, content(), field(':action', 'doc_upload')), /':action' twice/],
    ['no action', form(field('name', 'a'), content()), /has no ':action'/],
    ['another protocol', form(ACTION, field('protocol_version', '2'), content()), /Unknown protocol version/],
    ['a field twice', form(ACTION, field('name', 'a'), field('name', 'b'), content()), /field 'name' twice/],
    ['a long field', form(ACTION, field('name', 'x'.repeat(300_000)), content()), /'name' is over 262144 bytes/],
    ['long dropped fields', form(ACTION, field('x', 'x'.repeat(9 << 20)), content()), /together over 8388608 bytes/],
    [
      'many fields',
      form(ACTION, ...Array.from({ length: 4_100 }, () => field('classifiers', 'x'))),
      /more than 4096 fields/,
    ],
    [
      'a field that is not UTF-8',
      form(ACTION, { ...field('name', ''), body: new Uint8Array([0xff]) }),
      /not valid UTF-8/,
    ],
    [
      'a large file',
      form(ACTION, field('name', 'demo'), content('x'.repeat(2 << 20))),
      /Limit for project 'demo' is 1 MiB/,
      413,
    ],
    ['a preamble', concat('hello\r\n', form(ACTION, content())), /is malformed/],
    [
      'line feeds alone',
      bytesOf(`--${BOUNDARY}\nContent-Disposition: form-data; name=":action"\n\nx\n--${BOUNDARY}--\n`),
      /malformed/,
    ],
    ['a part without headers', bytesOf(`--${BOUNDARY}\r\n--${BOUNDARY}--`), /malformed/],
    ['a delimiter that goes on', bytesOf(`--${BOUNDARY}x\r\n\r\n`), /malformed/],
    ['a part without a name', form({ headers: 'Content-Disposition: form-data', body: '' }), /malformed/],
    ['another disposition', form({ headers: 'Content-Disposition: attachment; name="a"', body: '' }), /malformed/],
    ['two names', form({ headers: 'Content-Disposition: form-data; name="a"; name="b"', body: '' }), /malformed/],
    ['two dispositions', form({ headers: `${ACTION.headers}\r\n${ACTION.headers}`, body: '' }), /malformed/],
    ['a bad header', form({ headers: 'no colon', body: '' }), /malformed/],
    ['endless headers', form({ headers: `X: ${'x'.repeat(100_000)}`, body: '' }), /malformed/],
    [
      'a bad file name',
      form(ACTION, { ...content(), headers: `Content-Disposition: form-data; name="content"; filename*=UTF-8''%ff` }),
      /malformed file name/,
    ],
  ]
  for (const [what, bytes, sentence, status = 400] of refused)
    it(`is refused for ${what}`, async () => {
      const told = await read(bytes, [65_536], TYPE, 1 << 20).catch((error: unknown) => error)
      expect(told).toBeInstanceOf(Refusal)
      expect((told as Refusal).message).toMatch(sentence)
      expect((told as Refusal).status).toBe(status)
    })

  it('that ends anywhere is refused', async () => {
    const bytes = form(...START, content(), DIGEST)
    // The last line break is not part of the form.
    for (let length = 0; length < bytes.length - 2; length++)
      await expect(read(bytes.subarray(0, length), [50]), `${length}`).rejects.toThrow(Refusal)
    await read(bytes.subarray(0, -2))
  })

  it('with its names in other spellings is understood', async () => {
    const spelled = await read(
      form(
        { headers: 'content-disposition:form-data;name=:action', body: 'file_upload' },
        {
          headers: `CONTENT-DISPOSITION: FORM-DATA; NAME="content"; FILENAME="a\\"b.whl"; filename*=utf-8''d%C3%A9.whl`,
          body: 'x',
        },
      ),
    )
    expect(spelled.form.filename).toBe('dé.whl')
  })

  for (const type of [
    null,
    '',
    'application/json',
    'multipart/form-data',
    'multipart/form-data; boundary=""',
    'multipart/mixed; boundary=x',
    `multipart/form-data; boundary=${'x'.repeat(71)}`,
    'multipart/form-data; boundary="a\r\nb"',
  ])
    it(`is refused as ${JSON.stringify(type)}`, async () => {
      await expect(read(form(ACTION), undefined, type)).rejects.toThrow(Refusal)
    })

  it('of random bytes only ever refuses', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .constantFrom(
          `--${BOUNDARY}`,
          `\r\n--${BOUNDARY}`,
          '\r\n',
          '\r\n\r\n',
          '--',
          ACTION.headers,
          content().headers,
          'file_upload',
        )
        .map(bytesOf),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece), async (pieces) => {
        const told = await read(concat(...pieces), [3, 40]).catch((error: unknown) => error)
        if (told instanceof Error) expect(told, told.stack).toBeInstanceOf(Refusal)
      }),
      { numRuns: 1_000 },
    )
  })
})
