// The operators' API through the whole face, from the first ceremony to a yank. One repository for the file; the tests
// build on each other in order.
import { exports } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import { holdCeremony, makeOfflineKey, type OnlineKeys } from '../../cli/ceremony.ts'
import { fieldsOf, formOf, makeWheel } from './distributions.ts'
import { BOOTSTRAP, STANDARD } from './repository.ts'
import { page, post, world } from './upload-harness.ts'

const face = exports as unknown as { default: Fetcher }

interface Call {
  token?: string
  body?: unknown
  headers?: Record<string, string>
}

function call(method: string, path: string, { token, body, headers = {} }: Call = {}): Promise<Response> {
  return face.default.fetch(`http://127.0.0.1${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
}

async function expectProblem(answer: Response, status: number, detail: RegExp): Promise<void> {
  const text = await answer.text()
  expect({ status: answer.status, text }).toMatchObject({ status })
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer realm="tuf-edge"' : null)
  const problem = JSON.parse(text) as Record<string, unknown>
  expect(problem).toMatchObject({ type: 'about:blank', status })
  expect(problem.detail).toMatch(detail)
}

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes))
const inAnHour = () => Math.floor(Date.now() / 1000) + 3_600
const AUTH = /^Invalid or non-existent authentication information\.$/

describe('the ceremony', () => {
  test('wants the bootstrap secret', async () => {
    for (const path of ['/api/ceremony/keys', '/api/ceremony/metadata']) {
      await expectProblem(await call('POST', path), 401, AUTH)
      const body = { roots: [], targets: '', bins: '', freshness: STANDARD }
      await expectProblem(await call('POST', path, { token: 'x'.repeat(43), body }), 401, AUTH)
    }
    await expectProblem(await call('GET', '/api/status'), 503, /not initialised/)
  })

  test('makes a repository', async () => {
    const asked = await call('POST', '/api/ceremony/keys', { token: BOOTSTRAP })
    expect([asked.status, asked.headers.get('content-type')]).toEqual([200, 'application/json'])
    const online = await asked.json<OnlineKeys>()
    expect(Object.keys(online)).toEqual(['repositoryId', 'keys'])
    const [root, targets, bins] = [await makeOfflineKey(), await makeOfflineKey(), await makeOfflineKey()]
    const signed = await holdCeremony({
      online,
      offline: { root: [root], targets: [targets], bins: [bins] },
      thresholds: { root: 1, targets: 1, bins: 1 },
      expiresMs: Date.now() + 30 * 86_400_000,
      development: true,
    })
    const body = {
      roots: [toBase64(signed.root)],
      targets: toBase64(signed.targets),
      bins: toBase64(signed.bins),
      freshness: STANDARD,
    }
    const send = (changed: object) =>
      call('POST', '/api/ceremony/metadata', { token: BOOTSTRAP, body: { ...body, ...changed } })
    await expectProblem(await send({ bins: 'not base64!' }), 400, /^bins must be in base64/)
    await expectProblem(await send({ bins: body.targets }), 400, /./)
    await expectProblem(await send({ freshness: { ...STANDARD, tickSeconds: 0 } }), 400, /tickSeconds/)
    await expectProblem(await send({ freshness: { ...STANDARD, typoSeconds: 1 } }), 400, /unknown/)
    const done = await send({})
    expect([done.status, await done.json()]).toEqual([200, {}])
    await expectProblem(await send({}), 409, /initialised already/)
    const status = await call('GET', '/api/status')
    expect(await status.json()).toMatchObject({ state: 'live', epoch: 1, files: 0, live: { timestamp: 1 } })
  })
})

describe('tokens', () => {
  const mint = (body: unknown, more: Call = {}) => call('POST', '/api/tokens', { token: BOOTSTRAP, body, ...more })
  const right = { name: 'ci', scopes: ['upload', 'create', 'yank'], expires: 0 }

  test('are minted for names that are normalised first', async () => {
    const body = { ...right, projects: ['My.Project', 'yanked'], expires: inAnHour() }
    const answer = await mint(body)
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store'])
    const { token } = await answer.json<{ token: string }>()
    expect(token).toMatch(/^tue_/)
    world.token = token
    const file = await makeWheel('my-project', '1.0')
    expect((await post(formOf(fieldsOf(file), file.filename, file.bytes))).status).toBe(200)
  })

  test.for([
    ['nothing', '', /./],
    ['no JSON', '{', /./],
    ['a list', '[]', /^The body must be an object/],
    ['a field twice', '{"name":"a","name":"b"}', /./],
    ['an unknown field', { ...right, scope: 'upload' }, /may have: name, scopes, projects, expires/],
    ['no expiry', { name: 'ci', scopes: ['upload'] }, /expires/],
    ['an expiry in the past', { ...right, expires: 1 }, /in the future/],
    ['an unknown scope', { ...right, scopes: ['everything'], expires: 9_999_999_999 }, /scopes out of/],
    ['a project that is none', { ...right, projects: ['a b'], expires: 9_999_999_999 }, /'projects'/],
  ] as const)('are not minted for %s', async ([, body, detail]) => expectProblem(await mint(body), 400, detail))

  test('are not minted for who may not', async () => {
    await expectProblem(await mint({ ...right, expires: inAnHour() }, { token: world.token }), 403, /scope admin/)
    await expectProblem(await mint(right, { headers: { 'content-type': 'text/plain' } }), 415, /application\/json/)
    await expectProblem(await mint(right, { headers: { origin: 'https://evil.test' } }), 403, /other origins/)
    await expectProblem(await mint(`"${'x'.repeat(1024 * 1024)}"`), 413, /at most 1048576 bytes/)
  })
})

describe('yank', () => {
  const path = '/api/projects/My_Project/files/my_project-1.0-py3-none-any.whl/yank'

  test('shows its reason on the page, and is taken back', async () => {
    for (const [method, body, shown] of [
      ['PUT', { reason: 'broken on Windows' }, 'broken on Windows'],
      ['PUT', {}, true],
      ['DELETE', undefined, false],
    ] as const) {
      const answer = await call(method, path, { token: world.token, body })
      expect([answer.status, await answer.json()]).toEqual([200, { visible: true }])
      expect(await page('my-project')).toMatchObject([{ yanked: shown }])
    }
  })

  test('is refused', async () => {
    const token = world.token
    await expectProblem(await call('DELETE', path), 401, AUTH)
    await expectProblem(await call('PUT', path, { token, body: { reason: 'two\nlines' } }), 400, /one line/)
    await expectProblem(await call('DELETE', path.replace('My_Project', 'other'), { token }), 403, /isn't allowed/)
    await expectProblem(await call('DELETE', path.replace('1.0', '2.0'), { token }), 404, /has no file/)
  })
})

test('what is not there is a problem too', async () => {
  await expectProblem(await call('GET', '/api/nothing'), 404, /nothing here/)
  await expectProblem(await call('POST', '/api'), 404, /nothing here/)
  const answer = await call('GET', '/api/tokens')
  expect(answer.headers.get('allow')).toBe('POST')
  await expectProblem(answer, 405, /other methods/)
})
