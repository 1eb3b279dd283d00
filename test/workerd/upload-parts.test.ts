// Uploads in parts through the whole face: they go on after an interruption, are checked whole, and nothing is reachable
// before. Parts are 16 MiB, so the smallest upload of two has 17 million bytes.
import { runDurableObjectAlarm } from 'cloudflare:test'
import { beforeAll, expect, test } from 'vitest'
import { shardOf } from '../../tuf/bins.ts'
import { LARGE_PART_BYTES } from '../../workers/api-uploads.ts'
import { DAY, setClock, sqlOf } from './controls.ts'
import { type Distribution, makeWheel, noise, type Wish } from './distributions.ts'
import { bindings } from './repository.ts'
import { expectPublished, fetchFace, makeWorld, page, rowsOf, stored, world } from './upload-harness.ts'

beforeAll(makeWorld)

const large = (project: string, wish: Wish = {}) =>
  makeWheel(project, '1.0', { files: [{ name: 'data.bin', content: noise(17_000_000) }], ...wish })

interface Answer {
  status: number
  body: { state?: string; parts?: number[]; partBytes?: number; visible?: boolean; detail?: string }
}

async function call(method: string, path: string, body?: BodyInit | object, token = world.token): Promise<Answer> {
  const json = body !== undefined && !(body instanceof Uint8Array)
  const answer = await fetchFace(path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(json ? { 'content-type': 'application/json' } : {}) },
    ...(body === undefined ? {} : { body: json ? JSON.stringify(body) : (body as BodyInit) }),
  })
  return { status: answer.status, body: (await answer.json()) as Answer['body'] }
}

const begin = ({ filename, sha256, bytes }: Distribution, token?: string) =>
  call('POST', '/api/uploads', { filename, sha256, size: bytes.length }, token)
const address = ({ filename, sha256 }: Distribution) => `/api/uploads/${sha256}/${filename}`
const put = (file: Distribution, number: number, token?: string) => {
  const start = (number - 1) * LARGE_PART_BYTES
  return call('PUT', `${address(file)}/parts/${number}`, file.bytes.slice(start, start + LARGE_PART_BYTES), token)
}
const finish = (file: Distribution) => call('POST', `${address(file)}/finish`)

test('goes on with what is missing, whoever asks, and is visible when the 200 arrives', async () => {
  const file = await large('in-parts')
  expect(await begin(file)).toEqual({ status: 200, body: { state: 'open', partBytes: LARGE_PART_BYTES, parts: [] } })
  expect((await put(file, 2)).body.parts).toEqual([2])
  expect(await finish(file)).toMatchObject({ status: 409, body: { detail: expect.stringContaining('missing: 1') } })
  // Nothing of it can be asked for.
  expect(await rowsOf('in-parts')).toEqual([])
  expect(await stored(file.sha256)).toEqual([])
  expect(
    (await fetchFace(`/tuf/targets/files/${shardOf('in-parts')}/in-parts/${file.sha256}.${file.filename}`)).status,
  ).toBe(404)

  // From another machine, with another token.
  const another = await world.repository.token()
  expect((await begin(file, another)).body.parts).toEqual([2])
  expect((await put(file, 1, another)).body.parts).toEqual([1, 2])
  // A part that is sent twice is one part.
  expect((await put(file, 1)).body.parts).toEqual([1, 2])
  expect(await finish(file)).toEqual({ status: 200, body: { visible: true } })
  await expectPublished(file)
  expect(await finish(file)).toMatchObject({ status: 200, body: { visible: true } })
  expect((await begin(file)).body.state).toBe('visible')
})

test.for<[string, Wish & { wrong?: (file: Distribution) => void }, RegExp]>([
  ['another digest', { wrong: (file) => file.bytes.fill(0, 5_000_000, 5_000_100) }, /digest supplied does not match/],
  ['an archive of another project', { named: 'other' }, /about the project 'other'/],
])('%s: 400, nothing is visible, and the right file may come under a key of its own', async ([what, wish, message]) => {
  const project = `wrong-${what.length}`
  const { wrong, ...rest } = wish
  const file = await large(project, rest)
  const right = file.bytes.slice()
  wrong?.(file)
  await begin(file)
  for (const number of [1, 2]) await put(file, number)
  const answer = await finish(file)
  expect(answer.status).toBe(400)
  expect(answer.body.detail).toMatch(message)
  expect(await rowsOf(project)).toEqual([])
  expect(await page(project)).toEqual([])
  expect((await begin(file)).body.parts).toEqual([])
  if (!wrong) return
  file.bytes = right as typeof file.bytes
  for (const number of [1, 2]) await put(file, number)
  expect((await finish(file)).status).toBe(200)
  await expectPublished(file)
})

test('what may not be uploaded is refused at every step', async () => {
  const file = await large('not-mine')
  const other = await world.repository.token(['upload', 'create'], ['another'])
  expect((await begin(file, other)).status).toBe(403)
  expect((await put(file, 1)).status).toBe(404)
  expect((await finish(file)).status).toBe(404)
  await begin(file)
  expect((await put(file, 1, other)).status).toBe(403)
  expect((await put(file, 1, `tue_${'x'.repeat(49)}`)).status).toBe(401)
  expect((await put(file, 3)).status).toBe(400)
  expect((await call('PUT', `${address(file)}/parts/2`, new Uint8Array(10))).status).toBe(400)
  const { filename, sha256 } = file
  expect((await call('POST', '/api/uploads', { filename, sha256, size: 5 })).status).toBe(409)
  expect((await call('POST', '/api/uploads', { filename, sha256: 'e'.repeat(64), size: 2 ** 40 })).status).toBe(413)
  expect((await call('POST', '/api/uploads', { filename: '../x', sha256, size: 5 })).status).toBe(400)
})

test('the size limit is a setting, and known before a byte is sent', async () => {
  const file = await large('limited')
  const admin = await world.repository.token(['admin'])
  const limit = (fileBytes: number | null) =>
    call('PUT', '/api/settings/quota', { bytes: null, files: null, fileBytes }, admin)
  expect((await limit(16_000_000)).status).toBe(200)
  expect(await begin(file)).toMatchObject({
    status: 400,
    body: { detail: expect.stringContaining('at most 16000000') },
  })
  expect((await limit(null)).status).toBe(200)
  expect((await begin(file)).status).toBe(200)
})

test('one that nobody ends is given up after a day, its parts with it', async () => {
  const file = await large('left-behind')
  await begin(file)
  await put(file, 1)
  const open = () => sqlOf(world.repository, 'SELECT upload_id FROM multiparts WHERE project = ?', 'left-behind')
  const [row] = (await open()) as { upload_id: string }[]
  await setClock(world.repository, DAY + 60_000)
  await world.repository.public.refresh('main')
  await runDurableObjectAlarm(bindings.PUBLISHER.getByName('main'))
  expect(await open()).toEqual([])
  const key = `r/main/e1/blobs/${file.sha256}/1`
  await expect(bindings.BUCKET.resumeMultipartUpload(key, row!.upload_id).uploadPart(1, 'x')).rejects.toThrow()
  await setClock(world.repository, 0)
})
