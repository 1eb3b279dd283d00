// What the collector deletes, when, and what it must never touch.

import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, test } from 'vitest'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey, metadataKey } from '../../tuf/layout.ts'
import { bucketWith, eventually, HOUR, setClock, sqlOf, statusOf, stored, timestampOf, withBucket } from './controls.ts'
import { newReader } from './reading.ts'
import { bindings, newRepository, STANDARD, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'
import { fetchFace, makeWorld, world } from './upload-harness.ts'

/** A grace of two hours, well within the life of a token. */
const HOURLY = { ...STANDARD, timestampSeconds: 3_600, tickSeconds: 600 }

describe('a delete that lands late', () => {
  test('hits no page, although the page says again what the deleted one said', async () => {
    const repository = await newRepository({ freshness: HOURLY })
    const token = await repository.token()
    const staged = await stageFile(repository, token, 'alpha', '1.0')
    const yank = (yanked: boolean) =>
      repository.member.yank({ repository: repository.name, token, project: 'alpha', filename, yanked })
    const filename = staged.path.split('/').pop()!
    const before = await sqlOf<{ sha256: string }>(repository, 'SELECT sha256 FROM pages WHERE path = ?', staged.page)
    await yank(true)

    // The grace is over. The delete hangs: its caller is told that it failed, and it lands when everything is done.
    const late: (() => Promise<unknown>)[] = []
    await withBucket(
      repository,
      bucketWith({
        delete: async (real, keys) => {
          late.push(() => real(keys))
          throw new Error('injected: no answer to the delete')
        },
      }),
    )
    await setClock(repository, 5 * HOUR)
    await repository.public.refresh(repository.name)
    expect(late.length).toBeGreaterThan(0)
    await yank(false)
    for (const land of late) await land()

    const reader = await newReader(repository, { now: () => Date.now() + 5 * HOUR })
    const page = JSON.parse((await reader.text(staged.page))!)
    expect(page.files).toMatchObject([{ filename, yanked: false }])
    expect(await reader.text(staged.page.replace('.json', '.html'))).toContain(filename)
    const after = await sqlOf<{ sha256: string }>(repository, 'SELECT sha256 FROM pages WHERE path = ?', staged.page)
    expect(after).not.toEqual(before)
  })

  test('hits no file, although the bytes of an upload that was given up are uploaded again', async () => {
    const repository = await newRepository({ freshness: HOURLY })
    const token = await repository.token()
    const bytes = new TextEncoder().encode('alpha 1.0')
    const sha256 = await sha256Hex(bytes)
    const request = {
      repository: repository.name,
      token,
      project: 'alpha',
      filename: 'alpha-1.0-py3-none-any.whl',
      sha256,
    }
    expect(await repository.member.begin(request)).toMatchObject({ ok: true, kind: 'store', n: 1 })
    await bindings.BUCKET.put(blobKey(repository.place, sha256, 1), bytes)
    // Nothing follows for two days: an orphan. Its delete hangs, and lands when the upload was repeated.
    await sqlOf(repository, 'UPDATE blobs SET created = created - ?', 48 * HOUR)
    await repository.public.refresh(repository.name)
    const late: (() => Promise<unknown>)[] = []
    await withBucket(
      repository,
      bucketWith({
        delete: async (real, keys) => {
          late.push(() => real(keys))
          throw new Error('injected: no answer to the delete')
        },
      }),
    )
    await setClock(repository, 5 * HOUR)
    await repository.public.refresh(repository.name)
    const staged = await stageFile(repository, token, 'alpha', '1.0')
    expect(staged.answer).toEqual({ ok: true, visible: true })
    expect(late.length).toBeGreaterThan(0)
    for (const land of late) await land()
    expect(await bindings.BUCKET.head(blobKey(repository.place, sha256, 1))).toBeNull()

    const reader = await newReader(repository, { now: () => Date.now() + 5 * HOUR })
    expect(await reader.read(staged.path)).toEqual(bytes)
  })
})

const later = async (repository: TestRepository, hours: number) => {
  await setClock(repository, hours * HOUR)
  await repository.public.refresh(repository.name)
}
const garbage = (repository: TestRepository) =>
  sqlOf<{ key: string; kind: string; reason: string }>(repository, 'SELECT key, kind, reason FROM garbage ORDER BY key')
/** Page, bin, snapshot and blob: one of each that nobody needs any more. */
const makeGarbage = async (repository: TestRepository, token: string) => {
  const kept = await stageFile(repository, token, 'alpha', '1.0')
  const { version } = (await timestampOf(repository)).snapshot
  await stageFile(repository, token, 'alpha', '1.1')
  // The same file begun twice: the second store is not needed.
  const filename = 'alpha-1.1-py3-none-any.whl'
  const sha256 = (
    await sqlOf<{ sha256: string }>(repository, 'SELECT sha256 FROM files WHERE filename = ?', filename)
  )[0]!.sha256
  await sqlOf(repository, "INSERT INTO blobs (sha256, n, state, created) VALUES (?, 2, 'begun', ?)", sha256, Date.now())
  for (const key of [blobKey(repository.place, sha256, 2), `${blobKey(repository.place, sha256, 2)}.metadata`])
    await bindings.BUCKET.put(key, 'a second store')
  const request = { repository: repository.name, token, project: 'alpha', filename, sha256 }
  await repository.member.stage({ ...request, n: 2, size: 9, version: '1.1', release: '1.1', filetype: 'bdist_wheel' })
  return { kept, old: metadataKey(repository.place, version, 'snapshot') }
}

describe('the collector', () => {
  test('says what it will delete, when and why, and deletes nothing by being asked', async () => {
    await makeWorld()
    const { repository, token } = world
    await makeGarbage(repository, token)
    const ask = (bearer: string) => fetchFace('/api/garbage', { headers: { authorization: `Bearer ${bearer}` } })
    expect((await ask('nonsense')).status).toBe(401)
    expect((await ask(token)).status).toBe(403)
    const audit = await repository.token(['audit'])
    const before = await stored(repository)
    const list = await (await ask(audit)).json<{
      now: number
      graceSeconds: number
      counts: object
      due: number
      entries: { key: string; kind: string; reason: string; notBefore: number }[]
    }>()
    expect([list.graceSeconds, list.due]).toEqual([25 * 3_600, 0])
    expect(list.entries.map(({ kind, reason }) => `${kind}: ${reason}`)).toEqual(
      expect.arrayContaining(['metadata: replaced', 'page: replaced', 'blob: a second upload of the same file']),
    )
    for (const { notBefore } of list.entries) expect(notBefore).toBeGreaterThan(list.now + 24 * HOUR)
    expect(Object.values(list.counts).reduce((sum: number, n: number) => sum + n, 0)).toBe(list.entries.length)
    expect(await stored(repository)).toEqual(before)
  })

  test('dies in the middle of a delete: the next event repeats it, and only garbage is gone', async () => {
    const repository = await newRepository({ freshness: HOURLY })
    const token = await repository.token()
    const { kept, old } = await makeGarbage(repository, token)
    const warm = await newReader(repository)
    await warm.read(kept.path)
    const doomed = (await garbage(repository)).map(({ key }) => key)
    const die = await runInDurableObject(
      bindings.PUBLISHER.getByName(repository.name),
      (_: Publisher, state) => () => state.abort('injected crash'),
    )
    await withBucket(
      repository,
      bucketWith({
        delete: async (real, keys) => {
          await real((keys as string[]).slice(0, 3))
          die()
          throw new Error('injected: half of it is deleted')
        },
      }),
    )
    await later(repository, 5).catch(() => undefined)
    const half = await Promise.all(doomed.map((key) => bindings.BUCKET.head(key)))
    expect(half.filter((head) => head === null).length).toBeLessThan(doomed.length)
    const again = { ...repository, stub: bindings.PUBLISHER.getByName(repository.name) }
    await later(again, 5)
    for (const key of doomed) expect([key, await bindings.BUCKET.head(key)]).toEqual([key, null])
    expect(doomed).toContain(old)
    expect((await garbage(again)).map(({ key }) => key).filter((key) => doomed.includes(key))).toEqual([])
    const states = await sqlOf(again, 'SELECT n, state FROM blobs WHERE n = 2')
    expect(states).toEqual([{ n: 2, state: 'gone' }])
    const reader = await newReader(again, { store: warm.store, now: () => Date.now() + 5 * HOUR })
    expect(await reader.read(kept.path)).toEqual(kept.bytes)
    expect(await bindings.BUCKET.head(metadataKey(repository.place, 1, 'root'))).not.toBeNull()
  })

  test('meets a bucket that deletes nothing: publishing goes on, and it tries again', async () => {
    const repository = await newRepository({ freshness: HOURLY })
    const token = await repository.token()
    const { old } = await makeGarbage(repository, token)
    const refuse = async () => {
      throw new Error('injected: no deletes today')
    }
    await withBucket(repository, bucketWith({ delete: refuse }))
    await later(repository, 5)
    expect((await statusOf(repository)).lastError).toBeUndefined()
    expect((await stageFile(repository, token, 'beta', '1.0')).answer).toEqual({ ok: true, visible: true })
    await withBucket(repository, bindings.BUCKET)
    await repository.public.refresh(repository.name)
    expect(await bindings.BUCKET.head(old)).not.toBeNull()
    await later(repository, 5.1)
    expect(await bindings.BUCKET.head(old)).toBeNull()
  })

  test('never deletes what is live, whatever its list says', async () => {
    const repository = await newRepository({ freshness: HOURLY })
    const token = await repository.token()
    const { kept } = await makeGarbage(repository, token)
    const keys = [...(await stored(repository)).keys()].filter((key) => key !== 'tuf/timestamp.json')
    const listed = new Set((await garbage(repository)).map(({ key }) => key))
    const live = keys.map((key) => `r/${repository.name}/e1/${key}`).filter((key) => !listed.has(key))
    for (const key of [...live, 'r/other/e1/tuf/1.snapshot.json']) {
      const kind = key.includes('/blobs/') ? 'blob' : key.includes('/pages/') ? 'page' : 'metadata'
      await sqlOf(
        repository,
        "INSERT INTO garbage (key, not_before, kind, reason) VALUES (?, 1, ?, 'planted')",
        key,
        kind,
      )
    }
    await repository.public.refresh(repository.name)
    expect((await garbage(repository)).filter(({ reason }) => reason === 'planted')).toEqual([])
    for (const key of live) expect([key, (await bindings.BUCKET.head(key)) !== null]).toEqual([key, true])
    expect(await (await newReader(repository)).read(kept.path)).toEqual(kept.bytes)
  })

  test('lets uploads go first: what is staged while it deletes is published before the next batch', async () => {
    const repository = await newRepository({ freshness: HOURLY })
    const token = await repository.token()
    await sqlOf(
      repository,
      `WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 3000)
       INSERT INTO garbage (key, not_before, kind, reason) SELECT ? || n || '.bin-00.json', 1, 'metadata', 'many' FROM i`,
      `r/${repository.name}/e1/tuf/9`,
    )
    const order: string[] = []
    const held = { go: false }
    await withBucket(
      repository,
      bucketWith({
        delete: async (real, keys) => {
          order.push('delete')
          while (!held.go) await scheduler.wait(5)
          return real(keys)
        },
        put: async (real, ...args) => {
          if (String(args[0]).endsWith('timestamp.json')) order.push('flip')
          return real(...args)
        },
      }),
    )
    const pass = repository.public.refresh(repository.name)
    await eventually(() => order.length === 1)
    const upload = stageFile(repository, token, 'alpha', '1.0')
    await eventually(async () => (await statusOf(repository)).staged > 0)
    held.go = true
    expect((await upload).answer).toEqual({ ok: true, visible: true })
    await pass
    await eventually(async () => (await garbage(repository)).filter(({ reason }) => reason === 'many').length === 0)
    expect(order.slice(0, 2)).toEqual(['delete', 'flip'])
    expect(order.filter((step) => step === 'delete')).toHaveLength(3)
  })

  test('gives a date that a clock ran ahead with its grace from now', async () => {
    const repository = await newRepository({ freshness: HOURLY })
    const token = await repository.token()
    const { old } = await makeGarbage(repository, token)
    await sqlOf(repository, 'UPDATE garbage SET not_before = ?', Date.now() + 4 * 365 * 24 * HOUR)
    await repository.public.refresh(repository.name)
    await later(repository, 2.1)
    expect(await bindings.BUCKET.head(old)).toBeNull()
  })
})

test('a bucket under constant publishing stays bounded', async () => {
  const repository = await newRepository({ freshness: HOURLY })
  const token = await repository.token()
  const staged = await stageFile(repository, token, 'alpha', '1.0')
  const filename = staged.path.split('/').pop()!
  // One flip every five minutes; the grace is two hours, so 24 flips lie within it.
  const GRACE_FLIPS = 24
  const rows: { publications: number; objects: number; bytes: number }[] = []
  const note = async (publications: number) => {
    const sizes = [...(await stored(repository)).values()]
    rows.push({ publications, objects: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) })
  }
  await note(0)
  for (let i = 1; i <= 4 * GRACE_FLIPS; i++) {
    await setClock(repository, i * (HOUR / 12))
    await repository.member.yank({
      repository: repository.name,
      token,
      project: 'alpha',
      filename,
      yanked: `reason ${i}`,
    })
    await repository.public.refresh(repository.name)
    if (i % 12 === 0) await note(i)
  }
  console.log(
    [
      'publications   objects        bytes',
      ...rows.map(
        ({ publications, objects, bytes }) =>
          `${String(publications).padStart(12)} ${String(objects).padStart(9)} ${String(bytes).padStart(12)}`,
      ),
    ].join('\n'),
  )
  const first = rows[0]!.objects
  // A flip replaces a snapshot, a bin and two pages; a re-sign of all bins within the grace adds 258.
  for (const { objects } of rows) expect(objects).toBeLessThanOrEqual(first + 4 * (GRACE_FLIPS + 2) + 260)
  const full = rows.slice(3).map(({ objects }) => objects)
  expect(Math.max(...full) - Math.min(...full)).toBeLessThanOrEqual(262)
  const reader = await newReader(repository, { now: () => Date.now() + 8 * HOUR })
  expect(await reader.read(staged.path)).toEqual(staged.bytes)
}, 120_000)
