// `uv publish --direct` through the whole face: a place is reserved, bytes are put, the file is taken in. What may be put,
// by whom and until when; that nothing of it shows before; and that what lies there is worth nothing until it was checked.
// The real uv does the same in test/interop/direct.test.ts.

import { createExecutionContext, runDurableObjectAlarm } from 'cloudflare:test'
import { beforeAll, describe, expect, test } from 'vitest'
import { FILE_BYTES_MAX, LARGE_FILE_BYTES_MAX } from '../../pypi/limits.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { toHex } from '../../tuf/hex.ts'
import type { Env } from '../../workers/env.ts'
import { createUpload } from '../../workers/upload.ts'
import { bucketWith, DAY, HOUR, setClock, sqlOf, withBindings } from './controls.ts'
import {
  BOUNDARY,
  type Distribution,
  descriptionOf,
  fieldsOf,
  formOf,
  makeSdist,
  makeWheel,
  noise,
} from './distributions.ts'
import { bindings } from './repository.ts'
import { expectPublished, fetchFace, makeWorld, page, rowsOf, stored, world } from './upload-harness.ts'

let elsewhere = ''
beforeAll(async () => {
  await makeWorld()
  elsewhere = await world.repository.token(['upload', 'create'], ['another'])
})

const encoder = new TextEncoder()
async function hmac(secret: Uint8Array, text: string): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)))
}

const postForm = (path: string, body: BodyInit, token = world.token, headers: Record<string, string> = {}) =>
  fetchFace(path, {
    method: 'POST',
    headers: {
      ...{ authorization: `Basic ${btoa(`__token__:${token}`)}`, accept: 'text/plain' },
      'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
      ...headers,
    },
    body,
  })

interface Place {
  upload_url: string | null
  upload_headers: Record<string, string>
}
const reserve = (file: Distribution, token?: string) => postForm('/legacy/reserve', descriptionOf(file), token)
const finalize = (file: Distribution, token?: string) => postForm('/legacy/finalize', descriptionOf(file), token)
async function placeFor(file: Distribution, token?: string): Promise<Place> {
  const answer = await reserve(file, token)
  expect(answer.status).toBe(201)
  return answer.json()
}
const put = ({ upload_url, upload_headers }: Place, bytes: BodyInit, headers: Record<string, string> = {}) =>
  fetchFace(new URL(upload_url!).pathname, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream', ...upload_headers, ...headers },
    body: bytes,
  })

const inChunks = (bytes: Uint8Array): ReadableStream =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(bytes)
      controller.close()
    },
  })

const lying = async (): Promise<string[]> =>
  (await bindings.BUCKET.list({ prefix: 'r/main/e1/uploads/' })).objects.map(({ key }) => key)
const reservations = () => sqlOf(world.repository, 'SELECT project FROM reservations')

test.for([
  ['a wheel', (project: string) => makeWheel(project, '1.0')],
  ['an sdist', (project: string) => makeSdist(project, '1.0')],
  [
    'a wheel of several buffers',
    (project: string) => makeWheel(project, '1.0', { files: [{ name: 'data.bin', content: noise(12_000_000) }] }),
  ],
] as const)('%s: reserved, put, taken, and visible when the 200 arrives', async ([what, make]) => {
  const file = await make(`direct-${what.length}`)
  const place = await placeFor(file)
  expect(place.upload_url).toMatch(/^http:\/\/127\.0\.0\.1\/legacy\/uploads\//)
  // The secret is in no address.
  const [ticket] = Object.values(place.upload_headers)
  expect(place.upload_url).not.toContain(ticket!.split('.')[1])
  expect((await put(place, file.bytes)).status).toBe(200)
  // Nothing of it shows.
  expect(await rowsOf(file.project)).toEqual([])
  expect(await stored(file.sha256)).toEqual([])
  expect((await fetchFace(`/${(await lying()).at(-1)}`)).status).toBe(404)
  // uv that starts again puts nothing twice.
  expect(await placeFor(file)).toEqual({ upload_url: null, upload_headers: {} })
  expect((await finalize(file)).status).toBe(200)
  await expectPublished(file)
  // Again, all of it.
  expect((await reserve(file)).status).toBe(200)
  expect((await finalize(file)).status).toBe(200)
  const late = await put(place, file.bytes)
  expect([late.status, await late.text()]).toEqual([409, expect.stringContaining('was taken already')])
})

test('both spellings of the address are taken', async () => {
  const file = await makeWheel('slashes', '1.0')
  const answer = await postForm('/legacy//reserve', descriptionOf(file))
  expect(answer.status).toBe(201)
  expect((await put(await answer.json(), file.bytes)).status).toBe(200)
  expect((await postForm('/legacy//finalize', descriptionOf(file))).status).toBe(200)
  expect((await fetchFace('/legacy/reserve')).status).toBe(405)
  expect((await fetchFace(`/legacy/uploads/${file.sha256}/${file.filename}`)).status).toBe(405)
})

describe('refused, with nothing reserved and nothing stored', () => {
  const mine = makeWheel('reserving', '1.0')
  test.for<[string, (file: Distribution) => Promise<Response>, number, RegExp]>([
    [
      'no token',
      (file) => postForm('/legacy/reserve', descriptionOf(file), '', { authorization: '' }),
      401,
      /authentication/,
    ],
    ['a token of nobody', (file) => reserve(file, `tue_${'x'.repeat(49)}`), 401, /authentication/],
    ['a token of another project', async (file) => reserve(file, elsewhere), 403, /isn't allowed/],
    [
      'a page of another origin',
      (file) => postForm('/legacy/reserve', descriptionOf(file), world.token, { origin: 'https://evil.example' }),
      403,
      /origins/,
    ],
    [
      'no file name',
      (file) => postForm('/legacy/reserve', descriptionOf(file, { filename: undefined })),
      400,
      /no 'filename'/,
    ],
    [
      'a path for a file name',
      (file) => postForm('/legacy/reserve', descriptionOf(file, { filename: '../x.whl' })),
      400,
      /x\.whl/,
    ],
    [
      'the name of another project',
      (file) => postForm('/legacy/reserve', descriptionOf(file, { filename: 'other-1.0-py3-none-any.whl' })),
      400,
      /metadata says/,
    ],
    [
      'no digest',
      (file) => postForm('/legacy/reserve', descriptionOf(file, { sha256_digest: undefined })),
      400,
      /sha256_digest/,
    ],
    [
      'the file itself',
      (file) => postForm('/legacy/reserve', formOf(fieldsOf(file), file.filename, file.bytes)),
      400,
      /holds the file|too large/i,
    ],
    [
      'no form',
      () => postForm('/legacy/reserve', 'x', world.token, { 'content-type': 'text/plain' }),
      400,
      /multipart/,
    ],
  ])('%s', async ([, ask, status, message]) => {
    const before = (await lying()).length
    const answer = await ask(await mine)
    expect([answer.status, await answer.text()]).toEqual([status, expect.stringMatching(message)])
    expect(await sqlOf(world.repository, "SELECT 1 FROM reservations WHERE project = 'reserving'")).toEqual([])
    expect((await lying()).length).toBe(before)
  })
})

describe('a place is for one file, one hour and who has its ticket', () => {
  test.for<[string, (own: Place, file: Distribution) => Promise<Response> | Response, number, RegExp]>([
    ['no ticket', ({ upload_url }, { bytes }) => put({ upload_url, upload_headers: {} }, bytes), 401, /authentication/],
    [
      'a ticket with another end',
      (own, { bytes }) => {
        const [[name, ticket]] = Object.entries(own.upload_headers) as [[string, string]]
        return put(own, bytes, { [name]: `${Number(ticket.split('.')[0]) + 1}.${ticket.split('.')[1]}` })
      },
      401,
      /authentication/,
    ],
    [
      'the ticket of another project',
      async (own, { bytes }) => {
        const other = await placeFor(await makeWheel('ticket-of', '1.0'))
        return put({ ...own, upload_headers: other.upload_headers }, bytes)
      },
      401,
      /authentication/,
    ],
    [
      'the address of another project',
      async (own, { bytes }) => {
        const other = await placeFor(await makeWheel('address-of', '1.0'))
        return put({ ...other, upload_headers: own.upload_headers }, bytes)
      },
      401,
      /authentication/,
    ],
    ['fewer bytes', (own, { bytes }) => put(own, bytes.slice(0, -1)), 400, /digest/],
    [
      'other bytes',
      (own, { bytes }) =>
        put(
          own,
          bytes.map((byte) => byte ^ 1),
        ),
      400,
      /digest/,
    ],
    ['no bytes', (own) => put(own, new Uint8Array()), 400, /Content-Length/],
    ['bytes without a length', (own, { bytes }) => put(own, inChunks(bytes)), 400, /Content-Length/],
    [
      'a page of another origin',
      (own, { bytes }) => put(own, bytes, { 'sec-fetch-site': 'cross-site' }),
      403,
      /origins/,
    ],
  ])('%s', async ([what, ask, status, message]) => {
    const file = await makeWheel(`place-${what.replaceAll(' ', '-')}`, '1.0')
    const own = await placeFor(file)
    const before = (await lying()).length
    const answer = await ask(own, file)
    expect([answer.status, await answer.text()]).toEqual([status, expect.stringMatching(message)])
    expect((await lying()).length).toBe(before)
    const missing = await finalize(file)
    expect([missing.status, await missing.text()]).toEqual([400, expect.stringContaining('have not come')])
    // And the right bytes still may come.
    expect((await put(own, file.bytes)).status).toBe(200)
    expect((await finalize(file)).status).toBe(200)
  })

  test('more than a request may hold: the sentence says what takes it', async () => {
    const place = await placeFor(await makeWheel('too-long', '1.0'))
    const answer = await put(place, new Uint8Array(FILE_BYTES_MAX + 1))
    expect([answer.status, await answer.text()]).toEqual([
      413,
      expect.stringMatching(/tuf-edge upload.*R2_S3_ENDPOINT/s),
    ])
  })

  test('more than the quota of the project', async () => {
    const file = await makeWheel('quota-of', '1.0', { files: [{ name: 'data.bin', content: noise(40_000) }] })
    const place = await placeFor(file)
    const admin = await world.repository.token(['admin'])
    const limit = (fileBytes: number | null) =>
      fetchFace('/api/settings/quota', {
        method: 'PUT',
        headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
        body: JSON.stringify({ bytes: null, files: null, fileBytes }),
      })
    expect((await limit(30_000)).status).toBe(200)
    const answer = await put(place, file.bytes)
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('at most 30000 bytes')])
    expect((await limit(null)).status).toBe(200)
    expect((await put(place, file.bytes)).status).toBe(200)
    // It counts where the file is taken as well.
    expect((await limit(30_000)).status).toBe(200)
    expect((await finalize(file)).status).toBe(400)
    expect(await page('quota-of')).toEqual([])
    expect((await limit(null)).status).toBe(200)
    expect((await finalize(file)).status).toBe(200)
  })

  test('an hour later', async () => {
    const file = await makeWheel('an-hour', '1.0')
    const place = await placeFor(file)
    await setClock(world.repository, HOUR + 1_000)
    const answer = await put(place, file.bytes)
    expect([answer.status, await answer.text()]).toEqual([403, expect.stringContaining('is over')])
    // Reserved again, the old ticket is no better and the new one good.
    const again = await placeFor(file)
    expect((await put(place, file.bytes)).status).toBe(403)
    expect((await put(again, file.bytes)).status).toBe(200)
    await setClock(world.repository, 0)
  })
})

test('the right is asked for again when the file is taken', async () => {
  const file = await makeWheel('twice-asked', '1.0')
  await put(await placeFor(file), file.bytes)
  expect((await finalize(file, elsewhere)).status).toBe(403)
  const never = await makeWheel('never-reserved', '1.0')
  const answer = await finalize(never)
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('reserve one')])
})

test('more than an index takes, and more places than it keeps', async () => {
  const file = await makeWheel('too-much', '1.0')
  await placeFor(file)
  // What a presigned address let in: the bucket takes 5 GiB in one put.
  const bucket = bucketWith({ get: async () => ({ size: LARGE_FILE_BYTES_MAX + 1 }) })
  const env = { BUCKET: bucket, MEMBER: world.repository.member, PUBLIC: world.repository.public } as unknown as Env
  const request = new Request('http://127.0.0.1/legacy/finalize', {
    method: 'POST',
    headers: { authorization: `Bearer ${world.token}`, 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: descriptionOf(file),
  })
  const answer = await createUpload('main').fetch(request, env, createExecutionContext())
  expect([answer.status, await answer.text()]).toEqual([413, expect.stringContaining('1024 MiB')])

  const fill = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO reservations SELECT 'filled', i || '.whl', i, 'filled' || i, 9000000000000 FROM n`
  await sqlOf(world.repository, fill)
  const full = await reserve(await makeWheel('one-more', '1.0'))
  expect([full.status, await full.text()]).toEqual([503, expect.stringContaining('without --direct')])
  // Who has a place keeps it.
  expect((await put(await placeFor(file), file.bytes)).status).toBe(200)
  await sqlOf(world.repository, "DELETE FROM reservations WHERE project = 'filled'")
})

test('an archive that is none is refused as every upload is', async () => {
  const file = await makeWheel('wrong-inside', '1.0', { named: 'other' })
  await put(await placeFor(file), file.bytes)
  const answer = await finalize(file)
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining("about the project 'other'")])
  expect(await rowsOf('wrong-inside')).toEqual([])
  expect(await stored(file.sha256)).toEqual([])
})

test('other bytes under a name that is taken', async () => {
  const first = await makeWheel('taken', '1.0')
  await put(await placeFor(first), first.bytes)
  await finalize(first)
  const answer = await reserve(await makeWheel('taken', '1.0', { files: [{ name: 'x', content: 'y' }] }))
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('File already exists')])
})

describe('with the bucket’s own address', () => {
  const S3 = {
    R2_S3_ENDPOINT: 'https://account.r2.cloudflarestorage.com',
    R2_BUCKET_NAME: 'tuf-edge',
    R2_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    R2_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  }
  const NONE = Object.fromEntries(Object.keys(S3).map((name) => [name, undefined]))

  /** An S3 that knows one key: what it takes lies in our bucket. Its own reading of the signature, with WebCrypto. */
  async function s3Put({ upload_url, upload_headers }: Place, bytes: Uint8Array, now = Date.now()): Promise<number> {
    const url = new URL(upload_url!)
    const said = Object.fromEntries(url.searchParams)
    expect(said).toMatchObject({ 'X-Amz-Algorithm': 'AWS4-HMAC-SHA256', 'X-Amz-SignedHeaders': 'host' })
    expect(upload_headers).toEqual({})
    const signature = said['X-Amz-Signature']!
    const rest = url.search
      .slice(1)
      .split('&')
      .filter((each) => !each.startsWith('X-Amz-Signature='))
      .sort()
    const canonical = `PUT\n${url.pathname}\n${rest.join('&')}\nhost:${url.host}\n\nhost\nUNSIGNED-PAYLOAD`
    const [id, day, region, service, end] = said['X-Amz-Credential']!.split('/')
    const toSign = `AWS4-HMAC-SHA256\n${said['X-Amz-Date']}\n${day}/${region}/${service}/${end}\n${await sha256Hex(encoder.encode(canonical))}`
    let key: Uint8Array = encoder.encode(`AWS4${S3.R2_SECRET_ACCESS_KEY}`)
    for (const text of [day!, region!, service!, end!]) key = await hmac(key, text)
    const expected = toHex(await hmac(key, toSign))
    if (id !== S3.R2_ACCESS_KEY_ID || region !== 'auto' || signature !== expected) return 403
    const [, year, month, date, hours, minutes, seconds] = /^(....)(..)(..)T(..)(..)(..)Z$/.exec(said['X-Amz-Date']!)!
    const begun = Date.parse(`${year}-${month}-${date}T${hours}:${minutes}:${seconds}Z`)
    if (now > begun + Number(said['X-Amz-Expires']) * 1_000) return 403
    const [, bucket, ...path] = url.pathname.split('/')
    if (bucket !== S3.R2_BUCKET_NAME) return 404
    await bindings.BUCKET.put(path.join('/'), bytes)
    return 200
  }

  test('bytes go there, and are hashed and checked when the file is taken', async () => {
    await withBindings(world.repository, S3)
    const file = await makeWheel('by-itself', '1.0', { files: [{ name: 'data.bin', content: noise(6_000_000) }] })
    const place = await placeFor(file)
    expect(place.upload_url).toMatch(
      /^https:\/\/account\.r2\.cloudflarestorage\.com\/tuf-edge\/r\/main\/e1\/uploads\/[0-9a-f]{32}\?/,
    )
    expect(JSON.stringify(place)).not.toContain(S3.R2_SECRET_ACCESS_KEY)
    // The signature is for this key, and for an hour.
    const otherKey = place.upload_url!.replace(/uploads\/./, 'uploads/g')
    expect(await s3Put({ ...place, upload_url: otherKey }, file.bytes)).toBe(403)
    expect(await s3Put(place, file.bytes, Date.now() + HOUR + 5_000)).toBe(403)

    // Nobody but us looks at these bytes.
    expect(
      await s3Put(
        place,
        file.bytes.map((byte) => byte ^ 1),
      ),
    ).toBe(200)
    const wrong = await finalize(file)
    expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining('digest supplied does not match')])
    expect(await rowsOf('by-itself')).toEqual([])
    expect(await stored(file.sha256)).toEqual([])

    expect(await s3Put(await placeFor(file), file.bytes)).toBe(200)
    expect((await finalize(file)).status).toBe(200)
    await expectPublished(file)
    // Put again while the address is good, other bytes change nothing of what was taken.
    expect(await s3Put(place, new Uint8Array(10))).toBe(200)
    await expectPublished(file)
    expect((await finalize(file)).status).toBe(200)
    await withBindings(world.repository, NONE)
  })

  test.for([
    ['no secret', { ...S3, R2_SECRET_ACCESS_KEY: undefined }, /must set R2_SECRET_ACCESS_KEY/],
    ['no https', { ...S3, R2_S3_ENDPOINT: 'http://example.org' }, /R2_S3_ENDPOINT must be like/],
    [
      'a bucket in the endpoint',
      { ...S3, R2_S3_ENDPOINT: 'https://example.org/bucket' },
      /R2_S3_ENDPOINT must be like/,
    ],
  ] as const)('half set up (%s): 503 that says so, and uploads go on', async ([what, settings, message]) => {
    await withBindings(world.repository, settings)
    const file = await makeWheel(`half-${what.length}`, '1.0')
    const answer = await reserve(file)
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringMatching(message)])
    expect((await postForm('/legacy/', formOf(fieldsOf(file), file.filename, file.bytes))).status).toBe(200)
    await withBindings(world.repository, NONE)
  })
})

test('what is over is collected, taken or not', async () => {
  const file = await makeWheel('left-lying', '1.0')
  await put(await placeFor(file), file.bytes)
  const before = (await lying()).length
  expect(before).toBeGreaterThan(2)
  await setClock(world.repository, DAY)
  await world.repository.public.refresh('main')
  await runDurableObjectAlarm(bindings.PUBLISHER.getByName('main'))
  expect((await lying()).length).toBe(before)
  await setClock(world.repository, DAY + 3 * HOUR)
  await world.repository.public.refresh('main')
  await runDurableObjectAlarm(bindings.PUBLISHER.getByName('main'))
  expect(await reservations()).toEqual([])
  expect(await lying()).toEqual([])
  expect((await page('taken')).length).toBe(1)
  await setClock(world.repository, 0)
})
