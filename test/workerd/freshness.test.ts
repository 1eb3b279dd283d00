// Freshness: whatever happens to alarm, cron, clock and bucket, nobody is served a timestamp past its date while the
// publisher runs, and everybody is told when it cannot run. One test for each way in which it could fail.
import {
  createExecutionContext,
  createScheduledController,
  runDurableObjectAlarm,
  runInDurableObject,
  waitOnExecutionContext,
} from 'cloudflare:test'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import watchdog from '../../durable-objects/index.ts'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { timestampKey } from '../../tuf/layout.ts'
import {
  alarmOf,
  bucketWith,
  DAY,
  dropAlarm,
  eventually,
  HOUR,
  setClock,
  snapshotOf,
  sqlOf,
  statusOf,
  timestampOf,
  withBucket,
} from './controls.ts'
import { makeWheel } from './distributions.ts'
import { newFace } from './face-harness.ts'
import { newReader } from './reading.ts'
import { bindings, newRepository, STANDARD, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'
import { expectPublished, fetchFace, makeWorld, send, world } from './upload-harness.ts'

const stubOf = ({ name }: TestRepository) => bindings.PUBLISHER.getByName(name)
const ring = (repository: TestRepository) => runDurableObjectAlarm(stubOf(repository))

async function cron(): Promise<void> {
  const ctx = createExecutionContext()
  await watchdog.scheduled(createScheduledController({ cron: '*/5 * * * *' }), bindings, ctx)
  await waitOnExecutionContext(ctx)
}

beforeAll(async () => {
  await makeWorld()
  await send(await makeWheel('kept', '1.0'))
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the alarm', () => {
  test('is dropped: the cron alone keeps the index fresh, and sets it again', async () => {
    const { repository } = world
    const before = await timestampOf(repository)
    await dropAlarm(repository)
    await setClock(repository, 2 * HOUR)
    await cron()
    const after = await timestampOf(repository)
    expect([after.version, after.snapshot.version]).toEqual([before.version + 1, before.snapshot.version])
    expect(after.expiresMs).toBeGreaterThan(Date.now() + 25 * HOUR)
    expect(await alarmOf(repository)).toBeGreaterThan(Date.now() + 2 * HOUR)
    await cron()
    expect((await timestampOf(repository)).version).toBe(before.version + 1)
    await setClock(repository, 0)
    await cron()
  })

  test('rings twice, and the cron with it: one tick', async () => {
    const repository = await newRepository()
    const before = await timestampOf(repository)
    await setClock(repository, 2 * HOUR)
    await Promise.all([ring(repository), ring(repository), repository.public.refresh(repository.name)])
    await repository.public.refresh(repository.name)
    expect((await timestampOf(repository)).version).toBe(before.version + 1)
  })

  test('is late by ten hours: one tick makes up for it', async () => {
    const repository = await newRepository()
    const before = await timestampOf(repository)
    await setClock(repository, 11 * HOUR)
    expect(await ring(repository)).toBe(true)
    const after = await timestampOf(repository)
    expect(after.version).toBe(before.version + 1)
    expect(after.expiresMs).toBeGreaterThan(Date.now() + 34 * HOUR)
  })

  test('of a file staged while another publication finishes is kept: the object dies, and nobody has to call', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    // Polled inside the object: what another request resolves would not wake it.
    const seen = { flipped: false, goOn: false, second: false }
    const until = async (flag: 'goOn') => {
      while (!seen[flag]) await scheduler.wait(5)
    }
    await withBucket(
      repository,
      bucketWith({
        put: async (real, ...args) => {
          if (seen.goOn) {
            seen.second = true
            await scheduler.wait(60_000)
          }
          const result = await real(...args)
          if (!String(args[0]).endsWith('timestamp.json')) return result
          seen.flipped = true
          await until('goOn')
          return result
        },
      }),
    )
    const first = stageFile(repository, token, 'alpha', '1.0')
    await eventually(() => seen.flipped)
    const second = stageFile(repository, token, 'beta', '1.0').catch(() => undefined)
    await eventually(async () => (await statusOf(repository)).staged > 0)
    seen.goOn = true
    expect((await first).answer).toEqual({ ok: true, visible: true })
    // The second publication hangs in its first put. All that will bring it out is the alarm that finish left.
    await eventually(() => seen.second)
    expect(await alarmOf(repository)).toBeLessThan(Date.now() + 2_000)
    await runInDurableObject(stubOf(repository), (_: Publisher, state) => state.abort('injected')).catch(
      () => undefined,
    )
    await second
    const reader = await newReader(repository)
    await eventually(async () => ((await reader.text('simple/vnd.pypi.simple.v1.json')) ?? '').includes('beta'), 10_000)
  })
})

test('no alarm and no cron: a read past the date is answered with a fresh timestamp, within two seconds', async () => {
  const repository = await newRepository({ freshness: { ...STANDARD, timestampSeconds: 2, tickSeconds: 1 } })
  const face = newFace(repository.name)
  expect((await face.get('/simple/')).status).toBe(200)
  await dropAlarm(repository)
  const { expiresMs } = await timestampOf(repository)
  await scheduler.wait(Math.max(0, expiresMs - Date.now()) + 50)
  const start = Date.now()
  // An isolate of its own: the one before may have reminded the publisher within the minute.
  const late = newFace(repository.name)
  const page = await late.get('/simple/')
  expect(Date.now() - start).toBeLessThan(2_000)
  expect([page.status, page.headers.get('x-index-stale'), late.refreshed]).toEqual([200, null, 1])
  const timestamp = await late.get('/tuf/timestamp.json')
  const { signed } = await timestamp.json<{ signed: { expires: string } }>()
  expect(Date.parse(signed.expires)).toBeGreaterThan(start)
  expect(timestamp.headers.get('cache-control')).toContain('no-cache')
})

test('all bins are signed again over a slow bucket: ticks flip over the live snapshot in between', async () => {
  const repository = await newRepository()
  const token = await repository.token()
  const staged = await stageFile(repository, token, 'alpha', '1.0')
  const before = await timestampOf(repository)
  // Every put takes a minute of the publisher's time: 258 of them are four hours, and a tick is due every hour.
  const time = { offset: 13 * HOUR }
  const now = () => Date.now() + time.offset
  await runInDurableObject(stubOf(repository), (publisher: Publisher) => {
    publisher.clock = now
  })
  const flips: { snapshot: number; expires: number; at: number }[] = []
  let puts = 0
  await withBucket(
    repository,
    bucketWith({
      put: async (real, ...args) => {
        time.offset += 60_000
        puts++
        const result = await real(...args)
        if (args[0] !== timestampKey(repository.place)) return result
        const { snapshot, expiresMs } = await timestampOf(repository)
        flips.push({ snapshot: snapshot.version, expires: expiresMs, at: now() })
        return result
      },
    }),
  )
  expect(await repository.public.refresh(repository.name)).toEqual({ ok: true })
  expect(puts).toBeGreaterThan(257)
  const between = flips.filter(({ snapshot }) => snapshot === before.snapshot.version)
  expect(between.length).toBeGreaterThanOrEqual(4)
  expect(flips.at(-1)!.snapshot).toBe(before.snapshot.version + 1)
  // From the first flip on nobody was ever shown one older than a tick and the puts that were under way.
  for (const [i, { at }] of flips.entries()) if (i > 0) expect(at - flips[i - 1]!.at).toBeLessThan(HOUR + 10 * 60_000)
  for (const { expires } of await sqlOf<{ expires: number }>(
    repository,
    "SELECT expires FROM roles WHERE name LIKE 'bin-%'",
  ))
    expect(expires).toBeGreaterThan(now() + 18 * HOUR)
  const reader = await newReader(repository, { now })
  expect(await reader.read(staged.path)).toEqual(staged.bytes)
})

test('16,384 bins fall due at once: they are signed in parts, and the timestamp never waits for all', async () => {
  const repository = await newRepository()
  const token = await repository.token()
  const staged = await stageFile(repository, token, 'alpha', '1.0')
  const [{ id } = { id: 0 }] = await sqlOf<{ id: number }>(repository, 'SELECT max(id) AS id FROM publications')
  // Behind the 256 that clients read, 16,128 of another generation; all of them are due.
  const MORE = 16_128
  await sqlOf(
    repository,
    `WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < ?)
     INSERT INTO roles (name, highest, version, sha256, length, expires, publication)
     SELECT printf('b2-%04x', n), 1, 1, (SELECT sha256 FROM roles WHERE name = 'bin-00'), 300,
       (SELECT max(expires) + 1000 FROM roles WHERE name LIKE 'bin-%'), 0 FROM i`,
    MORE - 1,
  )
  // Every put takes ten seconds of the publisher's time: all of them are almost two days, more than any role lives. What
  // is to be seen is seen after eight flips, six hours on; then the rest is not due any more.
  const FLIPS = 8
  const time = { offset: 13 * HOUR }
  const now = () => Date.now() + time.offset
  const sql = await runInDurableObject(stubOf(repository), (publisher: Publisher, state) => {
    publisher.clock = now
    return state.storage.sql
  })
  const flips: number[] = []
  let left = 0
  await withBucket(
    repository,
    bucketWith({
      put: async (real, ...args) => {
        time.offset += 10_000
        const result = await real(...args)
        if (args[0] !== timestampKey(repository.place) || flips.push(now()) !== FLIPS) return result
        const rest = "name LIKE 'b2-%' AND version = 1"
        left = Number(sql.exec(`SELECT count(*) AS n FROM roles WHERE ${rest}`).one().n)
        sql.exec(`UPDATE roles SET expires = ? WHERE ${rest}`, now() + DAY)
        return result
      },
    }),
  )
  expect(await repository.public.refresh(repository.name)).toEqual({ ok: true })
  const parts = await sqlOf<{ bins: number }>(
    repository,
    "SELECT count(*) AS bins FROM objects WHERE publication > ? AND name LIKE 'b%-%' GROUP BY publication",
    id,
  )
  expect(parts.length).toBeGreaterThan(FLIPS / 2)
  for (const { bins } of parts) expect(bins).toBe(256)
  expect(left).toBeGreaterThan(MORE - FLIPS * 256)
  for (const [i, at] of flips.entries()) if (i > 0) expect(at - flips[i - 1]!).toBeLessThan(HOUR + 10 * 60_000)
  const reader = await newReader(repository, { now })
  expect(await reader.read(staged.path)).toEqual(staged.bytes)
}, 120_000)

test('bins that fall due one by one are signed together', async () => {
  const repository = await newRepository()
  const [{ id } = { id: 0 }] = await sqlOf<{ id: number }>(repository, 'SELECT max(id) AS id FROM publications')
  await sqlOf(
    repository,
    "UPDATE roles SET expires = ? + 30000 * (rowid_of - 1) FROM (SELECT name AS n, row_number() OVER (ORDER BY name) AS rowid_of FROM roles WHERE name LIKE 'bin-%') WHERE name = n",
    Date.now() + 12 * HOUR,
  )
  await setClock(repository, 60_000)
  await repository.public.refresh(repository.name)
  expect(await sqlOf(repository, 'SELECT id FROM publications WHERE id > ?', id)).toHaveLength(1)
  const early = await sqlOf(
    repository,
    "SELECT name FROM roles WHERE name LIKE 'bin-%' AND expires < ?",
    Date.now() + 23 * HOUR,
  )
  expect(early).toEqual([])
})

test('nothing can be put for a day: everybody is told, the publisher keeps trying, and nothing is lost', async () => {
  const { repository } = world
  vi.useFakeTimers({ toFake: ['Date'] })
  await setClock(repository, 0)
  await withBucket(
    repository,
    bucketWith({
      put: async () => {
        throw new Error('injected: the bucket takes nothing')
      },
    }),
  )
  const during = await makeWheel('during', '1.0')
  expect((await send(during)).status).toBe(202)
  const start = Date.now()
  for (const hours of [1, 7, 13, 19, 25, 29]) {
    vi.setSystemTime(start + hours * HOUR)
    expect(await ring(repository)).toBe(true)
    const alarm = (await alarmOf(repository))! - Date.now()
    expect([alarm > 0, alarm <= 60_000]).toEqual([true, true])
  }
  const health = await fetchFace('/healthz')
  expect(health.status).toBe(503)
  const { reasons, warnings } = await health.json<{ reasons: string[]; warnings: { role: string; days: number }[] }>()
  expect(reasons.join()).toMatch(/timestamp expired/)
  expect(warnings.map(({ role, days }) => [role, days])).toEqual(
    expect.arrayContaining([
      ['timestamp', 0],
      ['snapshot', 0],
    ]),
  )
  const page = await fetchFace('/simple/kept/')
  expect([page.status, page.headers.get('x-index-stale')]).toEqual([200, expect.stringMatching(/Z$/)])
  expect((await fetchFace('/tuf/timestamp.json')).headers.get('cache-control')).toBe('no-store')
  expect((await statusOf(repository)).lastError).toMatch(/bucket takes nothing/)

  await withBucket(repository, bindings.BUCKET)
  expect(await ring(repository)).toBe(true)
  const fresh = await fetchFace('/simple/kept/')
  expect([fresh.status, fresh.headers.get('x-index-stale')]).toEqual([200, null])
  await expectPublished(during)
  expect((await timestampOf(repository)).expiresMs).toBeGreaterThan(Date.now() + 22 * HOUR)
  expect((await snapshotOf(repository)).expiresMs).toBeGreaterThan(Date.now() + 22 * HOUR)
  const status = await statusOf(repository)
  expect([status.lastError, status.staged, status.warnings]).toEqual([undefined, 0, []])
  vi.setSystemTime(Date.now() + 10_000)
  expect((await fetchFace('/healthz')).status).toBe(200)
  vi.useRealTimers()
  await repository.public.refresh(repository.name)
}, 90_000)

describe('profiles', () => {
  const put = (token: string, freshness: unknown) =>
    fetchFace('/api/settings/freshness', {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ freshness }),
    })
  const left = async (role: string) => {
    const { roles } = await statusOf(world.repository)
    return Date.parse(roles.find((entry) => entry.role === role)!.expires) - Date.now()
  }

  test('are named at the ceremony', async () => {
    const repository = await newRepository({ freshness: 'lean' })
    const { freshness } = await statusOf(repository)
    expect(freshness).toMatchObject({ profile: 'lean', binSeconds: 7 * 86_400, timestampSeconds: 86_400 })
    await expect(newRepository({ freshness: 'slow' as 'lean' })).rejects.toThrow(/profile \(standard, tight, lean\)/)
  })

  test('can be changed: what the new times call for is signed at once', async () => {
    const admin = await world.repository.token(['admin'])
    expect((await put(admin, 'tight')).status).toBe(200)
    expect(await left('timestamp')).toBeLessThan(HOUR + 1_000)
    expect(await left('bin')).toBeGreaterThan(12 * HOUR)
    expect((await put(admin, 'lean')).status).toBe(200)
    expect(await left('bin')).toBeGreaterThan(6.9 * DAY)
    expect(await left('timestamp')).toBeGreaterThan(23 * HOUR)
    expect((await put(admin, STANDARD)).status).toBe(200)
    expect(await left('bin')).toBeLessThan(DAY + 1_000)
    const status = await (await fetchFace('/api/status')).json<{ freshness: object }>()
    expect(status.freshness).toEqual({ profile: 'standard', ...STANDARD })
    const rows = await sqlOf<{ event: string }>(
      world.repository,
      `SELECT event FROM journal WHERE event LIKE '{"event":"freshness"%' ORDER BY seq`,
    )
    expect(rows.map(({ event }) => JSON.parse(event).timestampSeconds)).toEqual([3_600, 86_400, 86_400])
    expect(JSON.parse(rows[0]!.event).token).toMatch(/^[0-9a-f]{12}$/)
  })

  test('keep the grace of what longer times signed until it is over', async () => {
    const repository = await newRepository()
    const admin = await repository.token(['admin'])
    const grace = async () => {
      const garbage = await repository.member.garbage(repository.name, admin)
      return garbage.ok && garbage.graceSeconds
    }
    expect(await grace()).toBe(25 * 3_600)
    await repository.member.setFreshness({ repository: repository.name, token: admin, freshness: 'tight' })
    expect(await grace()).toBe(25 * 3_600)
    await setClock(repository, 23 * HOUR)
    await repository.public.refresh(repository.name)
    expect(await grace()).toBe(25 * 3_600)
    await setClock(repository, 24 * HOUR + 1_000)
    await repository.public.refresh(repository.name)
    await setClock(repository, 0)
    expect(await grace()).toBe(2 * 3_600)
  })

  test('are refused without the scope and without sense', async () => {
    const admin = await (await newRepository()).token(['admin'])
    expect((await put('nonsense', 'tight')).status).toBe(401)
    expect((await put(admin, 'tight')).status).toBe(401)
    expect((await put(world.token, 'tight')).status).toBe(403)
  })
})
