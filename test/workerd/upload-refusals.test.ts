// Uploads that must not be taken. After each: the answer is a 4xx in the form uploaders show, nothing is visible, nothing
// is staged, nothing is in the bucket, no buffer is held, and no message repeats a token.
import { beforeAll, describe, expect, test } from 'vitest'
import { FILE_BYTES_MAX, FORM_TOTAL_BYTES_MAX } from '../../pypi/limits.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { lateSlots, slots } from '../../workers/upload-intake.ts'
import {
  concat,
  type Distribution,
  type Field,
  fieldsOf,
  formOf,
  makeSdist,
  makeWheel,
  type Wish,
} from './distributions.ts'
import {
  download,
  fetchFace,
  makeWorld,
  page,
  post,
  postDirectly,
  publicationOf,
  rowsOf,
  send,
  stored,
  world,
} from './upload-harness.ts'

beforeAll(makeWorld)

let count = 0
/** A project no other test has. */
const fresh = () => `refused-${count++}`

interface Case {
  title: string
  status?: number
  message: RegExp
  make?: (project: string) => Promise<Distribution>
  /** Changes the form's fields. */
  fields?: (fields: Field[], file: Distribution) => Field[]
  filename?: (right: string) => string
  after?: (file: Distribution) => Field[]
  headers?: Record<string, string>
  body?: (form: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>
}

const set = (name: string, value: string) => (fields: Field[]) =>
  fields.map(([key, old]): Field => [key, key === name ? value : old])
const without = (name: string) => (fields: Field[]) => fields.filter(([key]) => key !== name)
/** SHA-256 of 2,000 zero bytes. */
const ZEROS = await sha256Hex(new Uint8Array(2_000))
const wheelWith = (wish: Wish) => (project: string) => makeWheel(project, '1.0', wish)

const CASES: Case[] = [
  // the file
  {
    title: 'metadata that is no metadata',
    make: wheelWith({ metadata: 'Requires-Python: about three\n' }),
    message: /invalid Requires-Python 'about three'/,
  },
  { title: 'an archive about another project', make: wheelWith({ named: 'somebody' }), message: /project 'somebody'/ },
  {
    title: 'a zip bomb',
    make: wheelWith({ files: [{ name: 'zeros.bin', content: 'x'.repeat(1000), size: 70 * 1024 * 1024 }] }),
    message: /takes it for a bomb/,
  },
  {
    title: 'no archive at all',
    make: async (project) => ({ ...(await makeWheel(project, '1.0')), bytes: new Uint8Array(2_000), sha256: ZEROS }),
    message: /wheel/,
  },
  { title: 'other bytes than declared', fields: set('sha256_digest', 'd'.repeat(64)), message: /digest supplied/ },
  {
    title: 'other bytes than declared after them',
    fields: without('sha256_digest'),
    after: () => [['sha256_digest', 'd'.repeat(64)]],
    message: /digest supplied/,
  },
  // the fields
  { title: 'no digest', fields: without('sha256_digest'), message: /no 'sha256_digest'/ },
  {
    title: 'a BLAKE2 digest alone',
    fields: (fields) => [...without('sha256_digest')(fields), ['blake2_256_digest', 'b'.repeat(64)]],
    message: /never computes/,
  },
  { title: 'a digest that is none', fields: set('sha256_digest', 'abc'), message: /64 hexadecimal digits/ },
  { title: 'no name', fields: without('name'), message: /no 'name'/ },
  { title: 'a name that is none', fields: set('name', 'a b'), message: /project name 'a b' is invalid/ },
  {
    title: "another project's name",
    fields: set('name', 'numpy'),
    message: /its metadata says 'numpy': it was renamed/,
  },
  {
    title: 'another version',
    fields: set('version', '2.0'),
    message: /named as version '1.0', but its metadata says '2.0': it was renamed/,
  },
  { title: 'another file type', fields: set('filetype', 'sdist'), message: /'pyversion' of an sdist|is a bdist_wheel/ },
  { title: 'an egg', fields: set('filetype', 'bdist_egg'), message: /'bdist_egg' is not taken/ },
  { title: 'another action', status: 410, fields: set(':action', 'submit'), message: /'submit' is gone/ },
  { title: 'another protocol', fields: set('protocol_version', '2'), message: /^Unknown protocol version\.$/ },
  {
    title: 'an oversized field',
    fields: (fields) => [['attestations', 'x'.repeat(300_000)], ...fields],
    message: /'attestations' is over 262144 bytes/,
  },
  {
    title: 'oversized fields together',
    fields: (fields) => [...fields, ['description', 'x'.repeat(FORM_TOTAL_BYTES_MAX)]],
    message: /together over/,
  },
  { title: 'a field twice', fields: (fields) => [...fields, ['name', 'twice']], message: /'name' twice/ },
  // the file name
  {
    title: 'an unnormalised name',
    filename: (name) => name.replace('refused', 'Refused'),
    message: /should be 'refused_/,
  },
  { title: 'a path up', filename: (name) => `../${name}`, message: /must not contain '\/'/ },
  { title: 'an absolute path', filename: (name) => `/etc/${name}`, message: /must not contain '\/'/ },
  { title: 'a path for Windows', filename: (name) => `..\\\\${name}`, message: /must not contain '\/' or/ },
  { title: 'a hidden file', filename: (name) => `.${name}`, message: /start with a dot/ },
  { title: 'a control character', filename: (name) => `\u0001${name}`, message: /control characters|malformed/ },
  { title: 'a reserved ending', filename: (name) => `${name}.metadata`, message: /must not end in|extension/ },
  { title: 'an extension that is not taken', filename: () => 'refused-1.0.zip', message: /extension|taken/ },
  {
    title: 'a platform nobody else has',
    filename: (name) => name.replace('any', 'linux_x86_64'),
    message: /not portable/,
  },
  // the form
  { title: 'a cut form', body: (form) => form.slice(0, -20), message: /ended before its form did/ },
  { title: 'a form cut in the file', body: (form) => form.slice(0, -400), message: /ended before its form did/ },
  {
    title: 'a forged boundary',
    headers: { 'content-type': 'multipart/form-data; boundary=other' },
    message: /malformed|ended before/,
  },
  { title: 'no boundary', headers: { 'content-type': 'multipart/form-data' }, message: /not multipart\/form-data/ },
  { title: 'JSON', headers: { 'content-type': 'application/json' }, message: /not multipart\/form-data/ },
  { title: 'an empty body', body: () => new Uint8Array(), message: /ended before its form did/ },
  // the caller
  { title: 'no credentials', status: 401, headers: { authorization: '' }, message: /^Invalid or non-existent/ },
  {
    title: 'unreadable ones',
    status: 401,
    headers: { authorization: 'Basic !!!' },
    message: /^Invalid or non-existent/,
  },
  { title: 'a password without a user', status: 401, headers: { authorization: 'Basic YWJj' }, message: /^Invalid or/ },
  {
    title: 'an unknown token',
    status: 401,
    headers: { authorization: `Bearer tue_${'x'.repeat(49)}` },
    message: /^Invalid or non-existent authentication information\. It takes a token of this index: .*token create/,
  },
  {
    title: 'a page of another origin',
    status: 403,
    headers: { origin: 'https://evil.test' },
    message: /other origins/,
  },
  { title: 'a sandboxed page', status: 403, headers: { origin: 'null' }, message: /other origins/ },
  {
    title: 'a page of another site',
    status: 403,
    headers: { 'sec-fetch-site': 'cross-site' },
    message: /other origins/,
  },
]

async function expectNothing(project: string, filename: string, before: string[]): Promise<void> {
  expect(await page(project)).toEqual([])
  expect(await download(project, encodeURIComponent(filename))).toBe(404)
  expect(await rowsOf(project)).toEqual([])
  expect(await stored()).toEqual(before)
  expect([slots.held, lateSlots.held]).toEqual([0, 0])
}

async function expectRefusal(answer: Response, status: number, message: RegExp): Promise<void> {
  const text = await answer.text()
  expect({ status: answer.status, text }).toMatchObject({ status, text: expect.not.stringContaining(world.token) })
  expect(answer.headers.get('content-type')).toBe('application/json')
  const body = JSON.parse(text) as Record<string, string>
  expect(Object.keys(body)).toEqual(['message', 'code', 'title'])
  expect(body.message).toMatch(message)
  expect(body.code).toBe(`${status} ${body.message}`)
  expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Basic realm="tuf-edge"' : null)
}

describe('refused', () => {
  test.for(CASES)('$title', async (wrong) => {
    const project = fresh()
    const file = await (wrong.make ?? wheelWith({}))(project)
    const fields = wrong.fields?.(fieldsOf(file), file) ?? fieldsOf(file)
    const filename = wrong.filename?.(file.filename) ?? file.filename
    const form = formOf(fields, filename, file.bytes, wrong.after?.(file))
    const [before, publication] = [await stored(), await publicationOf()]
    const answer = await post(wrong.body?.(form) ?? form, wrong.headers)
    await expectRefusal(answer, wrong.status ?? 400, wrong.message)
    await expectNothing(project, filename, before)
    expect(await publicationOf()).toBe(publication)
  })

  test('a token without the right: 403', async () => {
    const project = fresh()
    const file = await makeWheel(project, '1.0')
    const before = await stored()
    for (const token of [
      await world.repository.token(['yank']),
      await world.repository.token(['upload']), // the project is new, and that takes `create`
      await world.repository.token(['upload', 'create'], ['another']),
    ]) {
      const answer = await send(file, [], { authorization: `Bearer ${token}` })
      await expectRefusal(answer, 403, /isn't allowed to/)
      await expectNothing(project, file.filename, before)
    }
  })

  test('a second sdist of a release, also in another spelling of its version', async () => {
    const project = fresh()
    expect((await send(await makeSdist(project, '1.0'))).status).toBe(200)
    const second = await makeSdist(project, '1.0.0')
    await expectRefusal(await send(second), 400, /^Only one sdist may be uploaded per release/)
    expect(await download(project, second.filename)).toBe(404)
    expect(await page(project)).toHaveLength(1)
    expect(await rowsOf(project)).toHaveLength(1)
  })

  test.for([
    ['longer', -1],
    ['shorter', 1],
  ] as const)('a body that is %s than it declares', async ([, difference]) => {
    const project = fresh()
    const file = await makeWheel(project, '1.0')
    const form = formOf(fieldsOf(file), file.filename, file.bytes)
    const before = await stored()
    const answer = await postDirectly(form, { 'content-length': String(form.length + difference) })
    await expectRefusal(answer, 400, /Content-Length says \d+ bytes/)
    await expectNothing(project, file.filename, before)
  })

  test('a body that declares more than any file has: 413 with the limit, before the form is looked at', async () => {
    const tooLong = String(FILE_BYTES_MAX + FORM_TOTAL_BYTES_MAX + 1)
    const answer = await postDirectly(new Uint8Array(10), { 'content-length': tooLong })
    await expectRefusal(answer, 413, /^File too large\. Limit for a file is 95 MiB\.$/)
  })

  test('a chunked body that is longer than any file', { timeout: 60_000 }, async () => {
    const project = fresh()
    const file = await makeWheel(project, '1.0')
    const form = formOf(fieldsOf(file), file.filename, file.bytes)
    const before = await stored()
    const head = form.slice(0, form.length - 200)
    const zeros = new Uint8Array(1024 * 1024)
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(head),
      pull(controller) {
        if (sent > FILE_BYTES_MAX) return controller.close()
        sent += zeros.length
        controller.enqueue(zeros)
      },
    })
    await expectRefusal(await post(body), 413, /^File too large\. Limit for project 'refused-\d+' is 95 MiB\.$/)
    await expectNothing(project, file.filename, before)
  })

  test.for([
    ['credentials', 401, { authorization: '' }],
    ['form', 400, { 'content-type': 'text/plain' }],
    ['archive', 400, {}],
  ] as const)('for its %s, and the rest of the body is read first, so that the client sees it', async (row) => {
    const [, status, headers] = row
    const file = await makeWheel(fresh(), '1.0')
    const form = formOf(fieldsOf(file), file.filename, concat('no zip', new Uint8Array(6 * 1024 * 1024)))
    let at = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= form.length) return controller.close()
        controller.enqueue(form.slice(at, at + 65_536))
        at += 65_536
      },
    })
    const answer = await post(body, headers)
    expect(at).toBeGreaterThanOrEqual(form.length)
    await expectRefusal(answer, status, /./)
  })

  test('every other method: 405', async () => {
    for (const path of ['/legacy/', '/legacy'])
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const answer = await fetchFace(path, { method })
        expect(answer.headers.get('allow')).toBe('POST')
        await expectRefusal(answer, 405, /POST/)
      }
  })
})

test.for([
  ['application/json', 'application/json'],
  ['text/html, */*;q=0.5', 'application/json'],
  ['application/json;q=0.9, text/plain;q=0.8', 'application/json'],
  ['text/plain', 'text/plain; charset=utf-8'],
  ['application/json;q=0, */*', 'text/plain; charset=utf-8'],
])('whoever accepts %s is refused in %s', async ([accept, type]) => {
  const answer = await post(new Uint8Array(), { accept: accept!, authorization: '' })
  expect([answer.status, answer.headers.get('content-type')]).toEqual([401, type])
  expect(await answer.text()).toContain('Invalid or non-existent authentication information.')
})

test('a token is taken as a password of any user and as a bearer', async () => {
  for (const authorization of [`Bearer ${world.token}`, `basic ${btoa(`somebody:${world.token}`)}`]) {
    const file = await makeWheel(fresh(), '1.0')
    expect((await send(file, [], { authorization })).status).toBe(200)
  }
})
