// Private reading: who sees what, what a cache may keep, what an isolate remembers, and who is told to slow down. One
// repository; the tests build on each other in order.
import { createExecutionContext } from 'cloudflare:test'
import { exports } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Scope } from '../../durable-objects/rpc.ts'
import { shardOf } from '../../tuf/bins.ts'
import { timestampKey } from '../../tuf/layout.ts'
import { FAILURES_MAX } from '../../workers/attempts.ts'
import type { Env } from '../../workers/env.ts'
import { createFace } from '../../workers/face.ts'
import { AUTH, call, expectProblem } from './calls.ts'
import { bucketWith, snapshotOf, sqlOf, timestampOf, withBucket } from './controls.ts'
import { makeWheel } from './distributions.ts'
import { bindings } from './repository.ts'
import { makeWorld, post, send, world } from './upload-harness.ts'

const doors = exports as unknown as { Public: Env['PUBLIC']; Member: Env['MEMBER'] }
const MINUTE = 60_000
const NONE = `tue_${'A'.repeat(43)}`
const basic = (token: string, user = '__token__') => ({ authorization: `Basic ${btoa(`${user}:${token}`)}` })
let admin: string
let reader: string

/** A cold isolate. `asked`: how often the publisher was asked about a token; `silent`: it does not answer any more. */
function isolate() {
  const app = createFace('main')
  const door = { asked: 0, silent: false }
  const MEMBER = {
    mayRead: (repository: string, token: string) => {
      door.asked++
      if (door.silent) throw new Error('no connection')
      return doors.Member.mayRead(repository, token)
    },
  }
  const env = { BUCKET: bindings.BUCKET, PUBLIC: doors.Public, MEMBER } as unknown as Env
  const get = async (path: string, headers: Record<string, string> = {}, init: RequestInit = {}): Promise<Response> =>
    app.fetch(
      new Request(`http://127.0.0.1${path}`, { redirect: 'manual', ...init, headers }),
      env,
      createExecutionContext(),
    )
  return { get, door }
}

const setPrivate = (value: boolean, token = admin) =>
  call('PUT', '/api/settings/reading', { token, body: { private: value } })

/** Everything that can be read: path → status for who may read. */
const PATHS = new Map<string, number>()

beforeAll(async () => {
  await makeWorld()
  reader = await world.repository.token(['read'])
  const file = await makeWheel('alpha', '1.0')
  const sent = await send(file)
  expect(sent.status, await sent.text()).toBe(200)
  admin = await world.repository.token(['read', 'upload', 'create', 'audit', 'admin'])
  const base = `${shardOf('alpha')}/alpha`
  const { version } = (await timestampOf(world.repository)).snapshot
  const bin = [...(await snapshotOf(world.repository)).meta].find(([name]) => name.startsWith('bin-'))!
  for (const [path, status] of [
    ['/', 200],
    ['/simple', 301],
    ['/simple/', 200],
    ['/simple/alpha/', 200],
    ['/simple/Alpha', 301],
    ['/simple/no-such-project/', 404],
    ['/legacy/%2Bsimple/alpha/', 200],
    [`/files/${base}/${file.filename}`, 200],
    [`/files/${base}/${file.filename}.metadata`, 200],
    ['/tuf/timestamp.json', 200],
    ['/tuf/1.root.json', 200],
    ['/tuf/2.root.json', 404],
    [`/tuf/${version}.snapshot.json`, 200],
    [`/tuf/${bin[1].version}.${bin[0]}.json`, 200],
    [`/tuf/targets/files/${base}/${file.sha256}.${file.filename}`, 200],
    ['/metrics', 200],
    ['/api/status', 200],
    ['/api/openapi.json', 200],
    ['/api/projects', 200],
    ['/api/projects/alpha', 200],
    ['/api/projects/nothing', 404],
    ['/pypi/alpha/json', 200],
    ['/pypi/nothing/json', 404],
    [`/integrity/alpha/1.0/${file.filename}/provenance`, 404],
    ['/rss/updates.xml', 200],
    ['/rss/packages.xml', 200],
    ['/nothing/here', 404],
    ['/cdn-cgi/explorer/', 404],
  ] as const)
    PATHS.set(path, status)
})
afterEach(() => void vi.restoreAllMocks())

describe('the switch', () => {
  test('is an admin’s, and no page’s of another origin', async () => {
    const all = isolate()
    for (const [path, status] of PATHS) expect([path, (await all.get(path)).status]).toEqual([path, status])
    await expectProblem(await setPrivate(true, NONE), 401, AUTH)
    await expectProblem(await setPrivate(true, world.token), 403, /scope admin/)
    const body = { private: true }
    const foreign = { token: admin, body, headers: { origin: 'https://evil.test' } }
    await expectProblem(await call('PUT', '/api/settings/reading', foreign), 403, /other origins/)
    for (const bad of [{}, { private: 'yes' }, { private: true, more: 1 }])
      await expectProblem(await call('PUT', '/api/settings/reading', { token: admin, body: bad }), 400, /./)
    expect((await timestampOf(world.repository)).private).toBe(false)
  })

  test('holds when it is answered, for an isolate too that knew the index as public', async () => {
    const warm = isolate()
    expect((await warm.get('/simple/alpha/')).status).toBe(200)
    const answer = await setPrivate(true)
    expect([answer.status, await answer.json()]).toEqual([200, {}])
    expect((await timestampOf(world.repository)).private).toBe(true)
    const late = await warm.get('/simple/alpha/')
    expect([late.status, await late.text()]).toEqual([401, expect.not.stringContaining('alpha')])
    expect((await call('GET', '/api/status')).status).toBe(401)
    expect(await (await call('GET', '/api/status', { token: admin })).json()).toMatchObject({ private: true })
    const rows = await sqlOf<{ event: string }>(
      world.repository,
      `SELECT event FROM journal WHERE event LIKE '%"reading"%'`,
    )
    expect(rows.map(({ event }) => JSON.parse(event))).toMatchObject([{ event: 'reading', private: true }])
  })
})

describe('a private index', () => {
  test('shows nothing to anybody without a token, whatever is asked and how', async () => {
    const cold = isolate()
    for (const path of PATHS.keys())
      for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST']) {
        if (method !== 'GET' && method !== 'HEAD' && path.startsWith('/api')) continue
        const answer = await cold.get(path, { 'if-none-match': '*', range: 'bytes=0-1' }, { method })
        if (path === '/metrics' && answer.status === 405) continue
        expect([path, method, answer.status]).toEqual([path, method, 401])
        expect(answer.headers.get('cache-control')).toBe('no-store')
        if (!path.startsWith('/api'))
          expect(answer.headers.get('www-authenticate')).toBe('Basic realm="tuf-edge", Bearer realm="tuf-edge"')
        expect(await answer.text()).not.toMatch(/alpha/)
      }
    expect(cold.door.asked).toBe(0)
  })

  test('is read with a token, by Basic under any name and by Bearer', async () => {
    const { get } = isolate()
    for (const headers of [basic(reader), basic(reader, 'anna'), { authorization: `Bearer ${reader}` }])
      for (const [path, status] of PATHS) expect([path, (await get(path, headers)).status]).toEqual([path, status])
  })

  test('no answer of it may be kept by a shared cache', async () => {
    const { get } = isolate()
    for (const path of PATHS.keys())
      for (const more of [{}, { range: 'bytes=0-3' }, { method: 'HEAD' }]) {
        const { method, ...headers } = more as { method?: string }
        const answer = await get(path, { ...basic(reader), ...headers }, { method: method ?? 'GET' })
        const cache = answer.headers.get('cache-control') ?? ''
        expect([path, cache]).toEqual([path, expect.stringMatching(/\b(?:private|no-store)\b/)])
        expect([path, cache]).toEqual([path, expect.not.stringMatching(/public/)])
        if (!cache.includes('no-store')) expect(answer.headers.get('vary')).toContain('Authorization')
      }
    const first = await get('/simple/alpha/', basic(reader))
    const again = await get('/simple/alpha/', { ...basic(reader), 'if-none-match': first.headers.get('etag')! })
    expect([again.status, again.headers.get('cache-control')]).toEqual([304, 'private, no-cache'])
    expect(first.headers.get('vary')).toBe('Accept, Authorization')
  })

  test('an unknown project is 404 to a reader, never 401 or 403: uv goes on to its next index', async () => {
    const answer = await isolate().get('/simple/somebody-else/', basic(reader))
    expect([answer.status, await answer.text()]).toEqual([
      404,
      'There is no project of that name: /simple/ lists what is here.\n',
    ])
  })

  test('read is a scope of its own, and all or nothing', async () => {
    const { get } = isolate()
    const mint = async (scopes: Scope[], projects?: string[]) => {
      const request = { repository: 'main', name: 'x', scopes, expires: Math.floor(Date.now() / 1000) + 3_600 }
      const minted = await doors.Member.mint({ ...request, ...(projects ? { projects } : {}) }, admin)
      if (!minted.ok) throw new Error(minted.message)
      return minted.token
    }
    const writer = await get('/simple/', basic(await mint(['upload', 'create'])))
    expect([writer.status, await writer.text()]).toEqual([403, expect.stringContaining('takes the scope read')])
    const narrow = basic(await mint(['read', 'upload'], ['other']))
    for (const path of ['/simple/alpha/', '/tuf/timestamp.json', '/metrics'])
      expect((await get(path, narrow)).status).toBe(200)
  })

  test('/healthz says to everybody whether it is well, and the rest to readers', async () => {
    const { get } = isolate()
    const bare = await get('/healthz')
    expect([bare.status, await bare.json()]).toEqual([200, { status: 'ok' }])
    expect(await (await get('/healthz', basic(NONE))).json()).toEqual({ status: 'ok' })
    expect(await (await get('/healthz', basic(reader))).json()).toMatchObject({
      status: 'ok',
      timestamp: expect.any(Number),
    })
  })

  test('uploads and the journal go by their own scopes', async () => {
    expect((await send(await makeWheel('alpha', '1.1'))).status).toBe(200)
    // How CI comes to a token takes none.
    expect((await call('GET', '/_/oidc/audience')).status).not.toBe(401)
    await expectProblem(await call('GET', '/api/journal'), 401, AUTH)
    expect((await call('GET', '/api/journal', { token: admin })).status).toBe(200)
    await expectProblem(await call('GET', '/api/journal', { token: reader }), 403, /audit or admin/)
  })
})

describe('what an isolate remembers', () => {
  const later = (ms: number) => {
    const now = Date.now()
    vi.spyOn(Date, 'now').mockReturnValue(now + ms)
  }

  test('a token is asked about once a minute, and a revoked one reads no longer than that', async () => {
    const minted = await doors.Member.mint(
      { repository: 'main', name: 'x', scopes: ['read'], expires: Math.floor(Date.now() / 1000) + 3_600 },
      admin,
    )
    if (!minted.ok) throw new Error(minted.message)
    const { get, door } = isolate()
    for (let i = 0; i < 5; i++) expect((await get('/simple/', basic(minted.token))).status).toBe(200)
    expect(door.asked).toBe(1)
    const ended = await call('DELETE', `/api/tokens/${minted.id}`, { token: admin })
    expect(ended.status).toBe(200)
    later(MINUTE)
    expect((await get('/simple/', basic(minted.token))).status).toBe(401)
    expect(door.asked).toBe(2)
  })

  test('never past the end of a token', async () => {
    const expires = Math.floor(Date.now() / 1000) + 5
    const minted = await doors.Member.mint({ repository: 'main', name: 'x', scopes: ['read'], expires }, admin)
    if (!minted.ok) throw new Error(minted.message)
    const { get, door } = isolate()
    expect((await get('/simple/', basic(minted.token))).status).toBe(200)
    vi.spyOn(Date, 'now').mockReturnValue(expires * 1000)
    await get('/simple/', basic(minted.token))
    expect(door.asked).toBe(2)
  })

  test('a publisher that is silent: known readers for the minute, then 503, never content for nothing', async () => {
    const { get, door } = isolate()
    later(2 * MINUTE)
    expect((await get('/simple/alpha/', basic(admin))).status).toBe(200)
    door.silent = true
    expect((await get('/simple/alpha/', basic(admin))).status).toBe(200)
    vi.restoreAllMocks()
    later(4 * MINUTE)
    const answer = await get('/simple/alpha/', basic(admin))
    expect([answer.status, await answer.text()]).toEqual([503, 'The publisher does not answer.\n'])
    expect((await get('/simple/alpha/')).status).toBe(401)
  })
})

describe('who fails too often', () => {
  let count = 0
  /** Another token that is none, each time. */
  const wrong = () => basic(`tue_${String(count++).padStart(43, 'x')}`)
  const from = (address: string, headers: Record<string, string>) => ({ ...headers, 'cf-connecting-ip': address })

  test('is told to come back, and costs the publisher nothing meanwhile; who is known goes on reading', async () => {
    const { get, door } = isolate()
    const address = '203.0.113.7'
    expect((await get('/simple/', from(address, basic(reader)))).status).toBe(200)
    for (let i = 0; i < FAILURES_MAX; i++) expect((await get('/simple/', from(address, wrong()))).status).toBe(401)
    const { asked } = door
    const refused = await get('/simple/', from(address, wrong()))
    expect([refused.status, refused.headers.get('cache-control')]).toEqual([429, 'no-store'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    expect(door.asked).toBe(asked)
    expect((await get('/simple/', from(address, basic(reader)))).status).toBe(200)
    expect((await get('/simple/', from('203.0.113.8', wrong()))).status).toBe(401)
    const now = Date.now()
    vi.spyOn(Date, 'now').mockReturnValue(now + MINUTE)
    expect((await get('/simple/', from(address, wrong()))).status).toBe(401)
  })

  test('the same bad token again and again is one failure', async () => {
    const { get, door } = isolate()
    const [address, stale] = ['203.0.113.9', wrong()]
    for (let i = 0; i < 3 * FAILURES_MAX; i++) expect((await get('/simple/', from(address, stale))).status).toBe(401)
    expect(door.asked).toBe(1)
    expect((await get('/simple/', from(address, wrong()))).status).toBe(401)
  })

  test('an IPv6 customer is one address', async () => {
    const { get } = isolate()
    for (let i = 0; i < FAILURES_MAX; i++) await get('/simple/', from(`2001:db8:1:2::${i.toString(16)}`, wrong()))
    expect((await get('/simple/', from('2001:db8:1:2:ffff:1:2:3', wrong()))).status).toBe(429)
    expect((await get('/simple/', from('2001:db8:1:3::1', wrong()))).status).toBe(401)
  })

  test('uploads and the API count, and answer in their own form', async () => {
    const file = await makeWheel('alpha', '2.0')
    const form = { 'content-type': 'multipart/form-data; boundary=x' }
    const address = '203.0.113.10'
    for (let i = 0; i < FAILURES_MAX / 2; i++) {
      const headers = from(address, wrong())
      expect((await send(file, [], headers)).status).toBe(401)
      expect((await call('GET', '/api/journal', { headers: from(address, wrong()) })).status).toBe(401)
    }
    const upload = await post('', { ...form, ...from(address, wrong()) })
    expect([upload.status, await upload.json()]).toEqual([429, expect.objectContaining({ title: 'Too Many Requests' })])
    const api = await call('GET', '/api/journal', { headers: from(address, wrong()) })
    expect(api.headers.get('retry-after')).toMatch(/^\d+$/)
    await expectProblem(api, 429, /try again in a minute/)
  })

  test('on a public index a token that is none keeps nobody from reading', async () => {
    expect((await setPrivate(false)).status).toBe(200)
    const { get } = isolate()
    for (let i = 0; i < 2 * FAILURES_MAX; i++)
      expect((await get('/simple/', from('203.0.113.11', wrong()))).status).toBe(200)
  })
})

describe('a switch that cannot be put', () => {
  test('is said to be written down, and holds as soon as the bucket takes it', async () => {
    const failing = bucketWith({
      put: (real, key, ...rest) =>
        String(key).endsWith('timestamp.json') ? Promise.reject(new Error('busy')) : real(key, ...rest),
    })
    await withBucket(world.repository, failing)
    await expectProblem(await setPrivate(true), 503, /written down.*repeat/)
    expect((await isolate().get('/simple/')).status).toBe(200)
    await withBucket(world.repository, bindings.BUCKET)
    expect((await setPrivate(true)).status).toBe(200)
    expect((await isolate().get('/simple/')).status).toBe(401)
  })
})

test('while the index is halted it can be closed, not opened: the first timestamp after the halt is private', async () => {
  const { repository } = world
  expect((await setPrivate(false)).status).toBe(200)
  await sqlOf(repository, "INSERT INTO facts (name, value) VALUES ('halted', 'a test')")
  const before = await bindings.BUCKET.get(timestampKey(repository.place))
  await expectProblem(await setPrivate(true), 503, /holds with the first timestamp after the halt/)
  const after = await bindings.BUCKET.get(timestampKey(repository.place))
  expect(after!.etag).toBe(before!.etag)
  await expectProblem(await setPrivate(false), 503, /^halted: a test/)
  await expectProblem(await setPrivate(true, reader), 403, /scope admin/)

  await sqlOf(repository, "DELETE FROM facts WHERE name = 'halted'")
  const { version } = await timestampOf(repository)
  expect((await call('PUT', '/api/settings/freshness', { token: admin, body: { freshness: 'tight' } })).status).toBe(
    200,
  )
  await expect.poll(async () => (await timestampOf(repository)).version, { timeout: 10_000 }).toBeGreaterThan(version)
  expect((await timestampOf(repository)).private).toBe(true)
})
