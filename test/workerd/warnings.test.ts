// Warnings: what breaks and when, wherever an operator may look, and the webhook that tells it.
import { runDurableObjectAlarm } from 'cloudflare:test'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { timestampKey } from '../../tuf/layout.ts'
import { bucketWith, DAY, eventually, HOUR, setClock, sqlOf, statusOf, withBucket } from './controls.ts'
import { newFace } from './face-harness.ts'
import { bindings, newRepository, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'
import { fetchFace, makeWorld, world } from './upload-harness.ts'

const SECRET = 'a-secret-of-thirty-two-characters'
const OFFLINE = ['root', 'targets', 'bins']

/** The ceremony of a test signs for 365 days; this many are left. */
const leave = async (repository: TestRepository, days: number) => {
  await setClock(repository, 365 * DAY - days * DAY + 60_000)
  await repository.public.refresh(repository.name)
}
const told = async (repository: TestRepository) =>
  (await statusOf(repository)).warnings.map(({ role, days }) => [role, days])

describe('warnings', () => {
  test('of what people sign begin 30, 14, 7 and 1 days before clients break', async () => {
    const repository = await newRepository()
    // The clock alone is moved: what the publisher would sign is late then, and not the matter here.
    const offline = async (left: number) => {
      await setClock(repository, (365 - left) * DAY + 60_000)
      return (await told(repository)).filter(([role]) => OFFLINE.includes(String(role))).sort()
    }
    expect(await told(repository)).toEqual([])
    expect(await offline(31)).toEqual([])
    for (const [left, days] of [
      [30, 30],
      [15, 30],
      [14, 14],
      [7, 7],
      [1, 1],
      [-1, 0],
    ] as const)
      expect(await offline(left)).toEqual(OFFLINE.map((role) => [role, days]).sort())
    await leave(repository, 1)
    const { warnings, roles } = await statusOf(repository)
    expect(warnings[0]!.message).toMatch(
      /^(root|targets|bins) expires at \d{4}-.*Z: clients refuse the index from then on/,
    )
    expect(warnings[0]!.expires).toBe(roles.find(({ role }) => role === 'root')!.expires)
  })

  test('of what the publisher signs say that it is late', async () => {
    const repository = await newRepository()
    await setClock(repository, 17 * HOUR)
    expect(await told(repository)).toEqual([])
    await setClock(repository, 19 * HOUR)
    expect((await told(repository)).map(([role]) => role).sort()).toEqual(['bin', 'index', 'snapshot', 'timestamp'])
    await repository.public.refresh(repository.name)
    expect(await told(repository)).toEqual([])
  })

  test('stand in /healthz, which stays 200, and in /metrics with every date', async () => {
    const repository = await newRepository()
    await leave(repository, 10)
    const face = newFace(repository.name)
    const health = await face.get('/healthz')
    expect(health.status).toBe(200)
    const { status, warnings } = await health.json<{ status: string; warnings: { role: string; days: number }[] }>()
    expect(status).toBe('ok')
    expect(warnings.map(({ role, days }) => [role, days]).sort()).toEqual(OFFLINE.map((role) => [role, 14]).sort())
    const lines = (await face.text('/metrics')).split('\n')
    const seconds = Date.parse((await statusOf(repository)).roles.find(({ role }) => role === 'root')!.expires) / 1000
    expect(lines).toContain(`tuf_edge_role_expiry_seconds{role="root"} ${seconds}`)
    expect(lines).toContain('tuf_edge_role_warning_days{role="bins"} 14')
    for (const role of ['timestamp', 'snapshot', 'index', 'bin'])
      expect(lines.some((line) => line.startsWith(`tuf_edge_role_expiry_seconds{role="${role}"} `))).toBe(true)
    expect(lines.filter((line) => line.startsWith('# TYPE tuf_edge_role_expiry_seconds'))).toHaveLength(1)
  })

  test('of an offline role that expired: /healthz is 503', async () => {
    const repository = await newRepository()
    await sqlOf(repository, "UPDATE roles SET expires = ? WHERE name = 'targets'", Date.now() - 1_000)
    const health = await newFace(repository.name).get('/healthz')
    expect([health.status, await health.text()]).toEqual([503, expect.stringContaining('targets expired')])
  })
})

describe('the webhook', () => {
  interface Received {
    url: string
    headers: Headers
    body: string
    event: Record<string, unknown>
  }
  /** Answers every notice with `answer`, and keeps it. */
  const receive = (answer: (signal: AbortSignal) => Response | Promise<Response> = () => new Response('kept')) => {
    const received: Received[] = []
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      const body = String(init.body)
      received.push({ url, headers: new Headers(init.headers), body, event: JSON.parse(body) })
      return answer(init.signal!)
    })
    return received
  }
  const set = async (repository: TestRepository, url = 'https://ops.test/hook') => {
    const token = await repository.token(['admin'])
    return repository.member.setWebhook({ repository: repository.name, token, webhook: { url, secret: SECRET } })
  }
  afterEach(() => {
    vi.unstubAllGlobals()
  })

  test('is told each warning once, signed', async () => {
    const repository = await newRepository()
    const received = receive()
    expect(await set(repository)).toEqual({ ok: true })
    for (const days of [40, 29, 20, 13]) {
      await leave(repository, days)
      await repository.public.refresh(repository.name)
    }
    await eventually(() => received.length >= 6)
    await repository.public.refresh(repository.name)
    expect(received.map(({ event }) => `${event.role} ${event.days}`).sort()).toEqual(
      OFFLINE.flatMap((role) => [`${role} 14`, `${role} 30`]).sort(),
    )
    const { url, headers, body, event } = received[0]!
    expect([url, event.event, event.repository]).toEqual(['https://ops.test/hook', 'warning', repository.name])
    const [, seconds, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers.get('x-tuf-edge-signature')!)!
    const bytes = (text: string) => new TextEncoder().encode(text)
    const key = await crypto.subtle.importKey('raw', bytes(SECRET), { name: 'HMAC', hash: 'SHA-256' }, false, [
      'verify',
    ])
    const signature = Uint8Array.from(mac!.match(/../g)!, (hex) => Number.parseInt(hex, 16))
    expect(await crypto.subtle.verify('HMAC', key, signature, bytes(`${seconds}.${body}`))).toBe(true)
  })

  test('is told of a quarantine, of foreign writes and of the halt that ends them, also when halted', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    const received = receive()
    await set(repository)
    await stageFile(repository, token, 'alpha', '1.0', 'never put', { put: false })
    for (let i = 0; i < 4; i++) {
      await bindings.BUCKET.put(timestampKey(repository.place), `foreign ${i}`)
      await repository.public.refresh(repository.name)
    }
    await eventually(() => received.some(({ event }) => event.event === 'halted'))
    expect(received.map(({ event }) => event.event)).toEqual([
      'quarantined',
      'foreign-write',
      'foreign-write',
      'foreign-write',
      'foreign-write',
      'halted',
    ])
    expect(received[0]!.event).toMatchObject({ project: 'alpha', reason: expect.stringContaining('not in the bucket') })
    expect(received.at(-1)!.event.reason).toMatch(/tuf-edge resume/)
  })

  test('that hangs keeps nothing waiting, and is given up after five seconds', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    const received = receive(
      (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    )
    await set(repository)
    await bindings.BUCKET.put(timestampKey(repository.place), 'foreign')
    await repository.public.refresh(repository.name)
    await eventually(() => received.length === 1)
    const start = Date.now()
    expect((await stageFile(repository, token, 'alpha', '1.0')).answer).toEqual({ ok: true, visible: true })
    expect(Date.now() - start).toBeLessThan(4_000)
    await scheduler.wait(5_500 - (Date.now() - start))
    await setClock(repository, 61_000)
    await runDurableObjectAlarm(bindings.PUBLISHER.getByName(repository.name))
    await eventually(() => received.length === 2)
  })

  test('gets a notice again after a failure, with back-off, until it takes it', async () => {
    const repository = await newRepository()
    let status = 500
    const received = receive(() => new Response(null, { status }))
    await set(repository)
    await bindings.BUCKET.put(timestampKey(repository.place), 'foreign')
    await repository.public.refresh(repository.name)
    const attempts = () =>
      sqlOf<{ attempts: number; wait: number | null }>(
        repository,
        'SELECT attempts, next_at - ? AS wait FROM notices',
        Date.now(),
      )
    await eventually(() => received.length === 1)
    expect((await attempts())[0]).toMatchObject({ attempts: 1 })
    await setClock(repository, 61_000)
    await runDurableObjectAlarm(bindings.PUBLISHER.getByName(repository.name))
    await eventually(() => received.length === 2)
    expect((await attempts())[0]!.wait).toBeGreaterThan(61_000 + 100_000)
    status = 204
    await setClock(repository, 200_000)
    await runDurableObjectAlarm(bindings.PUBLISHER.getByName(repository.name))
    await eventually(async () => (await attempts())[0]!.wait === null)
    expect(received.map(({ body }) => body)).toEqual(Array(3).fill(received[0]!.body))
  })

  test('is set over HTTP with an admin token; its secret never comes back and does not lie in the clear', async () => {
    await makeWorld()
    const admin = await world.repository.token(['admin'])
    const call = (method: string, token: string, body?: object) =>
      fetchFace('/api/settings/webhook', {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
    const good = { url: 'https://ops.test/hook', secret: SECRET }
    expect((await call('PUT', world.token, good)).status).toBe(403)
    for (const wrong of [
      { ...good, url: 'http://ops.test/hook' },
      { ...good, url: 'https://user:password@ops.test/' },
      { ...good, url: 'file:///etc/passwd' },
      { ...good, secret: 'short' },
    ])
      expect((await call('PUT', admin, wrong)).status).toBe(400)
    expect((await call('PUT', admin, { ...good, url: 'http://127.0.0.1:9/hook' })).status).toBe(200)
    expect((await call('PUT', admin, good)).status).toBe(200)
    const rows = await sqlOf<{ value: string }>(world.repository, "SELECT value FROM facts WHERE name = 'webhook'")
    expect(rows[0]!.value).toContain('ops.test')
    expect(rows[0]!.value).not.toContain(SECRET)
    expect(await (await fetchFace('/api/status')).text()).not.toContain('ops.test')
    expect((await call('DELETE', admin)).status).toBe(200)
    expect(await sqlOf(world.repository, "SELECT value FROM facts WHERE name = 'webhook'")).toEqual([])
  })

  test('outlives a bucket that takes nothing: lateness is told', async () => {
    const repository = await newRepository()
    const received = receive()
    await set(repository)
    const nothing = async () => {
      throw new Error('injected: the bucket takes nothing')
    }
    await withBucket(repository, bucketWith({ put: nothing }))
    await setClock(repository, 19 * HOUR)
    await repository.public.refresh(repository.name)
    await eventually(() => received.length >= 4)
    expect(received.map(({ event }) => event.role).sort()).toEqual(['bin', 'index', 'snapshot', 'timestamp'])
    await withBucket(repository, bindings.BUCKET)
  })
})
