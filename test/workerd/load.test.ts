// Load: more than can be published, a bucket that is slow or takes nothing, entries that cannot be published, and memory.
// Whoever reads notices none of it, whoever uploads is answered in time with something he can act on.
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { STAGED_MAX } from '../../durable-objects/accept.ts'
import { Waiters } from '../../durable-objects/waiters.ts'
import { shardOf } from '../../tuf/bins.ts'
import { blobKey } from '../../tuf/layout.ts'
import { bucketWith, eventually, sqlOf, statusOf, withBucket } from './controls.ts'
import { makeWheel } from './distributions.ts'
import { newFace } from './face-harness.ts'
import { bindings } from './repository.ts'
import { expectPublished, fetchFace, holdPublications, makeWorld, send, world } from './upload-harness.ts'

beforeAll(async () => {
  await makeWorld()
  expect((await send(await makeWheel('kept', '1.0'))).status).toBe(200)
})
afterEach(() => withBucket(world.repository, bindings.BUCKET))

const fill = (count: number) =>
  sqlOf(
    world.repository,
    `WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ?)
     INSERT INTO queue (project, filename) SELECT 'filler', n FROM i`,
    count,
  )
const empty = () => sqlOf(world.repository, "DELETE FROM queue WHERE project = 'filler'")

describe('overload', () => {
  test('is answered 503 with Retry-After before a byte is stored, and is over when the queue is', async () => {
    const file = await makeWheel('crowd', '1.0')
    await fill(STAGED_MAX)
    const refusedAt = Date.now()
    const answer = await send(file)
    expect(Date.now() - refusedAt).toBeLessThan(3_000)
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await answer.text()).toMatch(/2000 files wait for publication: upload this one again in a moment/)
    expect(await sqlOf(world.repository, 'SELECT n FROM blobs WHERE sha256 = ?', file.sha256)).toEqual([])
    expect((await fetchFace('/simple/kept/')).status).toBe(200)
    // What was accepted before is still answered: a repeated upload is no load.
    expect((await send(await makeWheel('kept', '1.0'))).status).toBe(200)
    await empty()
    expect((await send(file)).status).toBe(200)
    await expectPublished(file)
  })

  test('of callers who wait: above the bound nobody is kept waiting, and nobody is forgotten', async () => {
    const waiters = new Waiters()
    const many = Array.from({ length: 4_000 }, (_, i) => waiters.wait(i % 7))
    const start = Date.now()
    expect(await waiters.wait(3)).toBe(false)
    expect(Date.now() - start).toBeLessThan(100)
    waiters.announce([0, 1, 2, 3, 4, 5, 6])
    expect((await Promise.all(many)).every((visible) => visible)).toBe(true)
    const again = waiters.wait(3)
    waiters.announce([3])
    expect(await again).toBe(true)
  })
})

describe('a bucket', () => {
  test('that is slow delays publishing, not reading; uploaders are answered 202 within eight seconds', async () => {
    const held = await holdPublications()
    const files = [await makeWheel('slow-a', '1.0'), await makeWheel('slow-b', '1.0')]
    const start = Date.now()
    let slowest = 0
    let uploading = true
    const reads = (async () => {
      const face = newFace('main')
      while (uploading) {
        const begun = Date.now()
        expect((await face.get('/simple/kept/')).status).toBe(200)
        slowest = Math.max(slowest, Date.now() - begun)
        await scheduler.wait(20)
      }
    })()
    const answers = await Promise.all(files.map(async (file) => send(file)))
    const took = Date.now() - start
    uploading = false
    await reads
    expect(answers.map(({ status }) => status)).toEqual([202, 202])
    expect(await answers[0]!.text()).toMatch(/Uploading again is safe/)
    expect([took > 7_500, took < 9_500]).toEqual([true, true])
    expect(slowest).toBeLessThan(1_000)
    // Sent again it waits again, and is still no second file.
    await held.open()
    expect((await send(files[0]!)).status).toBe(200)
    for (const file of files) await expectPublished(file)
  })

  test('that acknowledges a flip late: nobody is told that his file is visible before', async () => {
    const order: string[] = []
    await withBucket(
      world.repository,
      bucketWith({
        put: async (real, ...args) => {
          if (!String(args[0]).endsWith('timestamp.json')) return real(...args)
          await scheduler.wait(1_000)
          const result = await real(...args)
          order.push('flip')
          return result
        },
      }),
    )
    const answer = await send(await makeWheel('eager', '1.0'))
    order.push(`${answer.status}`)
    expect(order).toEqual(['flip', '200'])
  })

  test('that takes nothing delays publishing, not reading; what was accepted appears when it heals', async () => {
    const nothing = async () => {
      throw new Error('injected: the bucket takes nothing')
    }
    await withBucket(world.repository, bucketWith({ put: nothing }))
    const file = await makeWheel('patient', '1.0')
    const [answer, page] = await Promise.all([send(file), newFace('main').get('/simple/kept/')])
    expect([answer.status, page.status, page.headers.get('x-index-stale')]).toEqual([202, 200, null])
    await withBucket(world.repository, bindings.BUCKET)
    await world.repository.public.refresh('main')
    await expectPublished(file)
  })
})

test('a put that never answers holds nothing for ever: it counts as failed, and is repeated', async () => {
  const hung = new Set<string>()
  await withBucket(
    world.repository,
    bucketWith({
      put: async (real, ...args) => {
        const kind = String(args[0]).endsWith('timestamp.json') ? 'timestamp' : 'immutable'
        if (hung.has(kind)) return real(...args)
        hung.add(kind)
        return new Promise(() => {})
      },
    }),
  )
  const file = await makeWheel('hanging', '1.0')
  expect((await send(file)).status).toBe(202)
  await eventually(async () => (await queued()) === 0, 50_000)
  expect(hung).toEqual(new Set(['immutable', 'timestamp']))
  await expectPublished(file)
}, 70_000)

test('an entry that cannot be published is quarantined with its reason; the others go on', async () => {
  const held = await holdPublications()
  const first = send(await makeWheel('before', '1.0'))
  await eventually(async () => (await statusOf(world.repository)).staged === 0 && (await queued()) === 1)
  const [poison, good] = [await makeWheel('poison', '1.0'), await makeWheel('good', '1.0')]
  const answers = Promise.all([send(poison), send(good)])
  await eventually(async () => (await statusOf(world.repository)).staged === 2)
  await bindings.BUCKET.delete(blobKey(world.repository.place, poison.sha256, 1))
  await held.open()
  expect((await first).status).toBe(200)
  const [refused, taken] = await answers
  expect([refused!.status, taken!.status]).toEqual([503, 200])
  expect(await refused!.text()).toMatch(/poison-1\.0.* was not published: .*not in the bucket/)
  await expectPublished(good)
  expect((await fetchFace('/simple/poison/')).status).not.toBe(503)
  const status = await statusOf(world.repository)
  expect([status.quarantined, status.lastError, status.staged]).toEqual([1, undefined, 0])
  expect((await fetchFace('/healthz')).status).toBe(200)
  expect(await (await fetchFace('/metrics')).text()).toContain('\ntuf_edge_quarantined_files 1\n')
})

test('what one publication renders is bounded in bytes: large bins are published a few at a time', async () => {
  const { repository } = world
  const held = await holdPublications()
  const before = send(await makeWheel('first-of-many', '1.0'))
  await eventually(async () => (await queued()) === 1)
  const bins = new Set<string>()
  const files = []
  for (let i = 0; files.length < 8; i++) {
    const project = `wide-${i}`
    const bin = `bin-${shardOf(project).slice(0, 2)}`
    if (bins.has(bin)) continue
    bins.add(bin)
    files.push(await makeWheel(project, '1.0'))
  }
  const answers = Promise.all(files.map((file) => send(file)))
  await eventually(async () => (await statusOf(repository)).staged === files.length, 7_000)
  for (const bin of bins) await sqlOf(repository, 'UPDATE roles SET length = 1400000 WHERE name = ?', bin)
  const [{ id } = { id: 0 }] = await sqlOf<{ id: number }>(repository, 'SELECT max(id) AS id FROM publications')
  await held.open()
  await Promise.all([before, answers])
  for (const file of files) await expectPublished(file)
  // 6 MB hold four bins of 1.4 MB.
  const publications = await sqlOf<{ bins: number }>(
    repository,
    "SELECT count(*) AS bins FROM objects WHERE publication > ? AND name LIKE 'bin-%' GROUP BY publication",
    id,
  )
  expect(publications.map(({ bins: count }) => count)).toEqual([4, 4])
})

async function queued(): Promise<number> {
  const [row] = await sqlOf<{ n: number }>(world.repository, 'SELECT count(*) AS n FROM queue')
  return row!.n
}
