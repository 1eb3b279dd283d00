// Uploads through the whole face, as uploaders see them: what is answered, what is visible afterwards, what is stored.
// One repository `main` for the file, a project of its own for each test.
import { abortAllDurableObjects } from 'cloudflare:test'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { PART_BYTES, PartSlots } from '../../workers/part-slots.ts'
import { Stalled, UploadBody } from '../../workers/upload-body.ts'
import { lateSlots, slots } from '../../workers/upload-intake.ts'
import { fieldsOf, formOf, makeWheel, noise } from './distributions.ts'
import { faultyBucket } from './faults.ts'
import {
  counting,
  download,
  eventually,
  expectPublished,
  fetchFace,
  halfSent,
  holdPublications,
  makeWorld,
  page,
  parseRequest,
  post,
  postDirectly,
  rowsOf,
  send,
  stored,
  takeApart,
  world,
} from './upload-harness.ts'

declare global {
  interface ImportMeta {
    /** Vite: the matching files as modules, here as data URLs, because text would not keep their bytes. */
    glob(pattern: string, options: { query: string; import: 'default'; eager: true }): Record<string, string>
  }
}

test('before the ceremony an upload is 503 and says why', async () => {
  world.token = `tue_${'x'.repeat(49)}`
  const answer = await send(await makeWheel('too-early', '1.0'))
  expect(answer.status).toBe(503)
  expect(answer.headers.get('retry-after')).toBe('5')
  expect(await answer.json()).toMatchObject({ message: expect.stringContaining('not initialised') })
})

describe('a repository', () => {
  beforeAll(makeWorld)

  describe('takes what uploaders send', () => {
    const vectors = import.meta.glob('../vectors/uploads/*.http', {
      query: '?url&inline',
      import: 'default',
      eager: true,
    })
    const requests = Object.entries(vectors)
      .map(([path, url]) => ({ name: path.replace(/^.*\/|\.http$/g, ''), ...parseRequest(url) }))
      .filter(({ line }) => line.startsWith('POST '))

    test('all six, wheel and sdist', () => expect(requests.length).toBe(14))

    test.for(requests)('$name, byte for byte', async (request) => {
      const { headers, body } = request
      expect(headers.get('authorization')).toBe(`Basic ${btoa('__token__:dummy-token')}`)
      headers.set('authorization', `Basic ${btoa(`__token__:${world.token}`)}`)
      const answer = await fetchFace('/legacy/', { method: 'POST', headers, body })
      expect({ status: answer.status, text: await answer.text() }).toEqual({ status: 200, text: '' })
      const { project, filename, sha256, content } = await takeApart(request)
      const listed = (await page(project)).find((file) => file.filename === filename)
      expect(listed).toMatchObject({ hashes: { sha256 } })
      expect(await download(project, filename)).toEqual(content)
      const again = await fetchFace('/legacy', { method: 'POST', headers, body })
      expect(again.status).toBe(200)
    })
  })

  test('a wheel is on its page, downloadable and with its METADATA beside it when the 200 arrives', async () => {
    const wheel = await makeWheel('visible', '1.0', { metadata: 'Requires-Python: >=3.9\n' })
    const answer = await send(wheel)
    expect({ status: answer.status, text: await answer.text() }).toEqual({ status: 200, text: '' })
    await expectPublished(wheel)
    expect((await page('visible'))[0]).toMatchObject({ 'requires-python': '>=3.9' })
    expect(await stored(wheel.sha256)).toHaveLength(2)
  })

  test('the same file again is 200 and changes nothing; other bytes under its name are 400', async () => {
    const wheel = await makeWheel('again', '1.0')
    expect((await send(wheel)).status).toBe(200)
    const before = await stored()
    expect((await send(wheel)).status).toBe(200)
    expect(await stored()).toEqual(before)
    const answer = await send(await makeWheel('again', '1.0', { metadata: 'Summary: other\n' }))
    expect(answer.status).toBe(400)
    expect((await answer.json<{ message: string }>()).message).toMatch(
      new RegExp(`^File already exists \\('${wheel.filename}', with sha256 hash '${wheel.sha256}'\\)`),
    )
    expect(await stored()).toEqual(before)
    await expectPublished(wheel)
  })

  test('two uploads of one file at once are both 200, and one file', async () => {
    const wheel = await makeWheel('at-once', '1.0')
    const answers = await Promise.all([send(wheel), send(wheel)])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(await rowsOf('at-once')).toEqual([{ filename: wheel.filename, state: 'live' }])
    await expectPublished(wheel)
  })

  test('attestations are dropped and the answer says so, also when they come after the file', async () => {
    const wheel = await makeWheel('attested', '1.0')
    const answer = await send(wheel, [['attestations', '[{}]']])
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(await answer.text()).toMatch(/attestations .* were not stored/)
    await expectPublished(wheel)
  })

  test('a small file may declare itself after its content', async () => {
    const wheel = await makeWheel('late', '1.0')
    const fields = fieldsOf(wheel)
    expect((await post(formOf(fields.slice(0, 1), wheel.filename, wheel.bytes, fields.slice(1)))).status).toBe(200)
    await expectPublished(wheel)
    expect(lateSlots.held).toBe(0)
  })

  describe('a file over one buffer', () => {
    const bigWheel = (project: string) =>
      makeWheel(project, '1.0', { files: [{ name: 'data.bin', content: noise(12_000_000) }] })

    test('is stored in parts and served whole', async () => {
      const wheel = await bigWheel('large')
      expect((await send(wheel)).status).toBe(200)
      await expectPublished(wheel)
      expect(slots.held).toBe(0)
    })

    test.for([
      ['edge-a', 0, ['put', 'put']],
      ['edge-b', 1, ['createMultipartUpload', 'uploadPart', 'uploadPart', 'put', 'complete']],
    ] as const)('begins one byte after a buffer: %s', async ([project, extra, kinds]) => {
      const sized = (bytes: number) =>
        makeWheel(project, '1.0', { files: [{ name: 'data.bin', content: noise(bytes) }] })
      const around = (await sized(1_000_000)).bytes.length - 1_000_000
      const wheel = await sized(PART_BYTES - around + extra)
      expect(wheel.bytes.length).toBe(PART_BYTES + extra)
      const content = formOf(fieldsOf(wheel), wheel.filename, wheel.bytes)
      const { bucket, calls } = counting()
      expect((await postDirectly(content, { 'content-length': String(content.length) }, bucket)).status).toBe(200)
      expect(calls).toEqual(kinds)
      await expectPublished(wheel)
    })

    test.for([
      ['another digest', /digest supplied does not match/, { sha256: 'd'.repeat(64) }],
      ['a damaged archive', /digest supplied does not match/, { damage: 6_000_000 }],
      ['a wrong archive', /about the project 'other'/, { named: 'other' }],
    ] as const)('with %s is aborted, and nothing is in the bucket', async ([, message, wrong]) => {
      const before = await stored()
      const wheel = await makeWheel('aborted', '1.0', {
        files: [{ name: 'data.bin', content: noise(12_000_000) }],
        ...('named' in wrong ? { named: wrong.named } : {}),
      })
      if ('sha256' in wrong) wheel.sha256 = wrong.sha256
      if ('damage' in wrong) wheel.bytes.fill(0, wrong.damage, wrong.damage + 100)
      const content = formOf(fieldsOf(wheel), wheel.filename, wheel.bytes)
      const { bucket, calls } = counting()
      const answer = await postDirectly(content, { 'content-length': String(content.length) }, bucket)
      expect(answer.status).toBe(400)
      expect((await answer.json<{ message: string }>()).message).toMatch(message)
      expect(calls).toEqual(['createMultipartUpload', 'uploadPart', 'uploadPart', 'uploadPart', 'abort'])
      expect(await stored()).toEqual(before)
      expect(await rowsOf('aborted')).toEqual([])
      expect(slots.held).toBe(0)
    })

    test('must declare its digest before its content', async () => {
      const wheel = await bigWheel('large-late')
      const fields = fieldsOf(wheel)
      const answer = await post(formOf(fields.slice(0, -1), wheel.filename, wheel.bytes, fields.slice(-1)))
      expect(answer.status).toBe(400)
      expect((await answer.json<{ message: string }>()).message).toMatch(
        /over 5 MiB .*'sha256_digest'.* before 'content'/,
      )
      expect(await rowsOf('large-late')).toEqual([])
      expect(lateSlots.held).toBe(0)
    })
  })

  describe('while the publisher is slow', () => {
    test('an upload and its duplicate are 202 after 8 s, and 200 once it is visible', { timeout: 20_000 }, async () => {
      const wheel = await makeWheel('slow', '1.0')
      const { open } = await holdPublications()
      const started = Date.now()
      const first = send(wheel)
      await eventually(async () => (await rowsOf('slow')).length === 1)
      const second = send(wheel)
      for (const answer of await Promise.all([first, second])) {
        expect(answer.status).toBe(202)
        expect(await answer.text()).toBe('Stored; it will appear shortly. Uploading again is safe.\n')
      }
      expect(Date.now() - started).toBeGreaterThan(7_900)
      expect(await page('slow')).toEqual([])
      await open()
      const third = await send(wheel)
      expect({ status: third.status, text: await third.text() }).toEqual({ status: 200, text: '' })
      await expectPublished(wheel)
    })

    test('a duplicate of a staged file waits with it: its 200 means visible too', async () => {
      const wheel = await makeWheel('waits', '1.0')
      const { open } = await holdPublications()
      const first = send(wheel)
      await eventually(async () => (await rowsOf('waits')).length === 1)
      let isAnswered = false
      const second = send(wheel).then((answer) => {
        isAnswered = true
        return answer
      })
      await scheduler.wait(300)
      expect(isAnswered).toBe(false)
      await open()
      expect((await Promise.all([first, second])).map(({ status }) => status)).toEqual([200, 200])
      await expectPublished(wheel)
    })

    test('the same bytes again while the first wait, and the object is reset twice under both: 200 for both', async () => {
      const wheel = await makeWheel('reset-twice', '1.0')
      await holdPublications()
      const first = send(wheel)
      await eventually(async () => (await rowsOf('reset-twice')).length === 1)
      const again = send(wheel)
      await scheduler.wait(100)
      await abortAllDurableObjects()
      await holdPublications()
      await scheduler.wait(100)
      await abortAllDurableObjects()
      expect((await Promise.all([first, again])).map(({ status }) => status)).toEqual([200, 200])
      await expectPublished(wheel)
    })

    test('an object that is reset in the middle is asked once more, and the upload is 200', async () => {
      const wheel = await makeWheel('reset', '1.0')
      await holdPublications()
      const answer = send(wheel)
      await eventually(async () => (await rowsOf('reset')).length === 1)
      await abortAllDurableObjects()
      expect((await answer).status).toBe(200)
      await expectPublished(wheel)
    })
  })

  describe('when a part of the service fails', () => {
    test('a bucket that takes nothing: 503, and nothing is staged', async () => {
      const wheel = await makeWheel('no-bucket', '1.0')
      const faults = faultyBucket()
      faults.onPut = () => 'fail-before'
      const answer = await postDirectly(formOf(fieldsOf(wheel), wheel.filename, wheel.bytes), {}, faults.bucket)
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
      expect((await answer.json<{ code: string }>()).code).toMatch(/^503 .*Uploading again is safe\.$/)
      expect(await rowsOf('no-bucket')).toEqual([])
      expect(slots.held).toBe(0)
      expect((await send(wheel)).status).toBe(200)
      await expectPublished(wheel)
    })

    test('a put whose answer is lost is found by its digest', async () => {
      const wheel = await makeWheel('lost-answer', '1.0')
      const faults = faultyBucket()
      faults.onPut = (_, index) => (index < 2 ? 'fail-after' : undefined)
      const answer = await postDirectly(formOf(fieldsOf(wheel), wheel.filename, wheel.bytes), {}, faults.bucket)
      expect(answer.status).toBe(200)
      expect(faults.puts).toHaveLength(4)
      await expectPublished(wheel)
    })

    test('a publisher that is overloaded is left alone: one call, 503', async () => {
      const wheel = await makeWheel('overloaded', '1.0')
      let calls = 0
      const begin = async () => {
        calls++
        throw Object.assign(new Error('Durable Object is overloaded.'), { overloaded: true, retryable: true })
      }
      const form = formOf(fieldsOf(wheel), wheel.filename, wheel.bytes)
      const answer = await postDirectly(form, {}, undefined, { begin })
      expect([answer.status, answer.headers.get('retry-after'), calls]).toEqual([503, '5', 1])
      expect(await answer.text()).not.toContain('overloaded')
    })
  })

  test('a page of this origin may upload', async () => {
    const wheel = await makeWheel('own-page', '1.0')
    const headers = { origin: 'http://127.0.0.1', 'sec-fetch-site': 'same-origin' }
    expect((await send(wheel, [], headers)).status).toBe(200)
  })

  describe('many uploads at once', () => {
    test('hold ten buffers; the others wait their turn and are taken too', async () => {
      const wheels = await Promise.all(Array.from({ length: 13 }, (_, i) => makeWheel(`crowd-${i}`, '1.0')))
      const streams = wheels.map((wheel) => halfSent(formOf(fieldsOf(wheel), wheel.filename, wheel.bytes)))
      const answers = streams.map(({ body }) => post(body))
      await eventually(() => slots.held + slots.waiting === 13)
      expect([slots.held, slots.waiting]).toEqual([6, 7])
      for (const { finish } of streams) finish()
      expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(wheels.map(() => 200))
      expect([slots.held, slots.waiting]).toEqual([0, 0])
      for (const wheel of wheels) await expectPublished(wheel)
    })

    test('one whose client goes away gives its buffer back', async () => {
      const wheel = await makeWheel('gone', '1.0')
      const { body, fail } = halfSent(formOf(fieldsOf(wheel), wheel.filename, wheel.bytes))
      const answer = post(body).catch(() => undefined)
      await eventually(() => slots.held === 1)
      fail()
      await answer
      await eventually(() => slots.held === 0)
      expect(await rowsOf('gone')).toEqual([])
    })
  })
})

describe('buffers', () => {
  test('are given out in the order of asking, and never more than there are', async () => {
    const few = new PartSlots(2)
    const held = [await few.acquire(1_000), await few.acquire(1_000)]
    const order: number[] = []
    const waiting = [0, 1, 2].map(async (i) => {
      const lease = await few.acquire(1_000)
      order.push(i)
      return lease
    })
    await scheduler.wait(5)
    expect([order, few.held, few.waiting]).toEqual([[], 2, 3])
    held[0]!.release()
    held[0]!.release() // a second time gives nothing
    ;(await waiting[0])!.release()
    await waiting[1]
    expect([order, few.held, few.waiting]).toEqual([[0, 1], 2, 1])
  })

  test('are waited for only so long', async () => {
    const one = new PartSlots(1)
    await one.acquire(1_000)
    await expect(one.acquire(20)).rejects.toMatchObject({ status: 503, headers: { 'Retry-After': '5' } })
    expect(one.waiting).toBe(0)
  })

  test('of a holder that is silent for two minutes are taken back', async () => {
    const one = new PartSlots(1)
    const lost = await one.acquire(1_000)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 121_000 })
    try {
      const next = await one.acquire(20)
      lost.release()
      expect(one.held).toBe(1)
      next.release()
      expect(one.held).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('are given up by a body that stands still: 408', async () => {
    const { readable } = new IdentityTransformStream()
    const body = new UploadBody(new Request('http://127.0.0.1/legacy/', { method: 'POST', body: readable }), 50)
    const stalled = body.stream().getReader().read()
    await expect(stalled).rejects.toBeInstanceOf(Stalled)
    await expect(stalled).rejects.toMatchObject({ status: 408 })
    await body.drain()
  })
})
