// Tokens: who may mint what, what the ledger knows of them, and what a revocation ends. One repository for the face; what
// breaks a bucket or a clock has one of its own.
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, test } from 'vitest'
import type { Publisher } from '../../durable-objects/publisher.ts'
import type { Scope } from '../../durable-objects/rpc.ts'
import type { TokenShown } from '../../durable-objects/rpc-tokens.ts'
import { AUTH, type Call, call, expectProblem, inAnHour } from './calls.ts'
import { DAY, HOUR, setClock, sqlOf, withBucket } from './controls.ts'
import { fieldsOf, formOf, makeWheel } from './distributions.ts'
import { faultyBucket } from './faults.ts'
import { newReader } from './reading.ts'
import { BOOTSTRAP, bindings, newRepository, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'
import { makeWorld, post, world } from './upload-harness.ts'

const NONE = `tue_${'A'.repeat(43)}`
const ALL: Scope[] = ['read', 'upload', 'create', 'yank', 'delete', 'metadata:claims', 'audit', 'admin']

const mint = (body: object, token: string) => call('POST', '/api/tokens', { token, body })

async function minted(body: object, token: string): Promise<{ id: string; token: string }> {
  const answer = await mint({ name: 'test', expires: inAnHour(), ...body }, token)
  const text = await answer.text()
  expect({ status: answer.status, text }).toMatchObject({ status: 200 })
  return JSON.parse(text) as { id: string; token: string }
}

const listed = async (token: string, query = '') =>
  (await (await call('GET', `/api/tokens${query}`, { token })).json<{ tokens: TokenShown[] }>()).tokens

test('until the ceremony every write is answered "not initialised"', async () => {
  const file = await makeWheel('early', '1.0')
  const upload = await post(formOf(fieldsOf(file), file.filename, file.bytes))
  expect([upload.status, await upload.text()]).toEqual([503, expect.stringContaining('not initialised')])
  const writes: [string, string, unknown?][] = [
    ['POST', '/api/tokens', { name: 'a', scopes: ['upload'], allProjects: true, expires: inAnHour() }],
    ['DELETE', '/api/tokens/0123456789ab'],
    ['PUT', '/api/projects/a/files/b/yank', {}],
    ['PUT', '/api/settings/freshness', { freshness: 'tight' }],
    ['PUT', '/api/settings/webhook', { url: 'https://a.test', secret: 's'.repeat(16) }],
  ]
  for (const [method, path, body] of writes)
    await expectProblem(await call(method, path, { token: BOOTSTRAP, body }), 503, /not initialised/)
})

describe('minting', () => {
  const right = { name: 'ci', scopes: ['upload', 'create'], projects: ['My.Project'] }

  test('begins with the bootstrap secret, for names that are normalised first', async () => {
    await makeWorld()
    const answer = await mint({ ...right, expires: inAnHour() }, BOOTSTRAP)
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store'])
    const { token } = await answer.json<{ token: string }>()
    expect(token).toMatch(/^tue_[\w-]{43}[0-9a-f]{6}$/)
    for (const [project, status] of [
      ['my-project', 200],
      ['other', 403],
    ] as const) {
      const file = await makeWheel(project, '1.0')
      const headers = { authorization: `Basic ${btoa(`__token__:${token}`)}` }
      expect((await post(formOf(fieldsOf(file), file.filename, file.bytes), headers)).status).toBe(status)
    }
  })

  test.for([
    ['nothing', '', /./],
    ['no JSON', '{', /./],
    ['a list', '[]', /^The body must be an object/],
    ['a field twice', '{"name":"a","name":"b"}', /./],
    ['an unknown field', { ...right, scope: 'upload' }, /may have: name, scopes, projects, allProjects, expires/],
    ['no expiry', right, /expires/],
    ['an expiry in the past', { ...right, expires: 1 }, /in the future/],
    ['an expiry that is none', { ...right, expires: 9_999_999_999 }, /five years/],
    ['an unknown scope', { ...right, scopes: ['everything'], expires: 1 }, /scopes out of/],
    ['a role that is none', { ...right, scopes: ['metadata:../root'], expires: 1 }, /scopes out of/],
    ['no scope', { ...right, scopes: [], expires: 1 }, /scopes out of/],
    ['a project that is none', { ...right, projects: ['a b'], expires: 1 }, /of projects is no project name/],
    ['no project', { ...right, projects: [], expires: 1 }, /a list of normalised project names/],
    ['projects unsaid', { ...right, projects: undefined, expires: 1 }, /either projects/],
    ['projects and all', { ...right, allProjects: true, expires: 1 }, /either projects/],
    ['the journal of some projects', { ...right, scopes: ['audit'], expires: 1 }, /whole repository/],
    ['a name of two lines', { ...right, name: 'a\nb', expires: 1 }, /one line/],
  ] as const)('is refused for %s', async ([, body, detail]) =>
    expectProblem(await call('POST', '/api/tokens', { token: BOOTSTRAP, body }), 400, detail),
  )

  test('is refused to a page of another origin, and in a body that is none of ours', async () => {
    const send = (more: Call) => call('POST', '/api/tokens', { token: BOOTSTRAP, body: right, ...more })
    await expectProblem(await send({ headers: { origin: 'https://evil.test' } }), 403, /other origins/)
    await expectProblem(await send({ headers: { 'sec-fetch-site': 'cross-site' } }), 403, /other origins/)
    await expectProblem(await send({ headers: { 'content-type': 'text/plain' } }), 415, /application\/json/)
    await expectProblem(await send({ body: `"${'x'.repeat(256 * 1024)}"` }), 413, /at most 262144 bytes/)
  })

  test('only admin mints, never wider than itself, and the bootstrap secret ends with it', async () => {
    const root = await minted({ scopes: ALL, allProjects: true }, BOOTSTRAP)
    world.token = root.token
    const body = { ...right, expires: inAnHour() }
    expect((await call('GET', '/api/tokens', { token: root.token })).status).toBe(200)
    await expectProblem(await mint(body, BOOTSTRAP), 403, /ended with the first use of an admin token/)
    for (const scope of ALL.filter((scope) => scope !== 'admin')) {
      const { token } = await minted({ scopes: [scope], allProjects: true }, root.token)
      await expectProblem(await mint(body, token), 403, /scope admin/)
    }
    const narrow = await minted({ scopes: ['admin', 'upload'], projects: ['one', 'two'] }, root.token)
    await minted({ scopes: ['upload'], projects: ['two'] }, narrow.token)
    for (const [wider, detail] of [
      [{ scopes: ['upload', 'create'], projects: ['one'] }, /scope create/],
      [{ scopes: ['upload'], projects: ['one', 'three'] }, /these projects/],
      [{ scopes: ['upload'], allProjects: true }, /these projects/],
    ] as const)
      await expectProblem(await mint({ name: 'x', expires: inAnHour(), ...wider }, narrow.token), 403, detail)
  })

  test('what is none at one door stays good at the other', async () => {
    const { token } = world
    await expectProblem(await call('POST', '/api/ceremony/keys', { token }), 401, AUTH)
    expect((await call('GET', '/api/tokens', { token })).status).toBe(200)
    await expectProblem(await call('GET', '/api/tokens', { token: BOOTSTRAP }), 401, AUTH)
    await expectProblem(await call('POST', '/api/ceremony/keys', { token: BOOTSTRAP }), 409, /initialised already/)
  })

  test('no token, no secret: 401, and nothing of it in the answer', async () => {
    for (const token of [
      NONE,
      'x'.repeat(43),
      `${world.token.slice(0, -1)}${world.token.endsWith('0') ? '1' : '0'}`,
      world.token.toUpperCase(),
    ]) {
      const answer = await mint({ ...right, expires: inAnHour() }, token)
      expect(await answer.clone().text()).not.toContain(token)
      await expectProblem(answer, 401, AUTH)
    }
  })
})

describe('the list', () => {
  test('shows everything but the secret and its digest', async () => {
    const all = await listed(world.token)
    const own = all.find(({ scopes }) => scopes.length === ALL.length)!
    expect(own).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{12}$/),
      name: 'test',
      scopes: ALL,
      projects: null,
      by: 'bootstrap',
      created: expect.any(Number),
      expires: expect.any(Number),
      lastUsed: expect.any(Number),
    })
    expect(all.filter(({ by }) => by === own.id)).toHaveLength(ALL.length)
    expect(all.find(({ projects }) => projects?.join() === 'two')).not.toHaveProperty('lastUsed')
  })

  test('comes in pages', async () => {
    const all = await listed(world.token)
    const ids: string[] = []
    for (let after: string | undefined; ; ) {
      const query: string = `?limit=4${after === undefined ? '' : `&after=${after}`}`
      const answer = await call('GET', `/api/tokens${query}`, { token: world.token })
      const { tokens, next } = await answer.json<{ tokens: TokenShown[]; next?: string }>()
      ids.push(...tokens.map(({ id }) => id))
      if (next === undefined) break
      after = next
    }
    expect(ids).toEqual(all.map(({ id }) => id))
    for (const query of ['?limit=0', '?limit=1001', '?limit=x', '?after=x', '?ended=maybe'])
      await expectProblem(await call('GET', `/api/tokens${query}`, { token: world.token }), 400, /./)
  })

  test('is for admin and audit alone, and an admin of some projects sees theirs', async () => {
    for (const scope of ['upload', 'read', 'delete']) {
      const { token } = await minted({ scopes: [scope], allProjects: true }, world.token)
      await expectProblem(await call('GET', '/api/tokens', { token }), 403, /admin or audit/)
    }
    const audit = await minted({ scopes: ['audit'], allProjects: true }, world.token)
    expect((await listed(audit.token)).length).toBe((await listed(world.token)).length)
    const { token } = await minted({ scopes: ['admin', 'upload'], projects: ['one'] }, world.token)
    await minted({ scopes: ['upload'], projects: ['one'] }, token)
    expect((await listed(token)).map(({ projects }) => projects)).toEqual([['one'], ['one']])
    // What is about the whole repository is not theirs.
    for (const path of ['/api/garbage', '/api/journal'])
      await expectProblem(await call('GET', path, { token }), 403, /limited to projects/)
  })

  test('the ledger holds no secret', async () => {
    const everything = await runInDurableObject(
      bindings.PUBLISHER.getByName('main'),
      (_: Publisher, { storage: { sql } }) =>
        sql
          .exec<{ name: string }>(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
          )
          .toArray()
          .map(({ name }) => JSON.stringify(sql.exec(`SELECT * FROM ${name}`).toArray()))
          .join('\n'),
    )
    expect(everything).toContain('"minted_by":"bootstrap"')
    expect(everything).not.toContain(world.token.slice(4, 47))
  })

  test('last used is written at most once an hour', async () => {
    const repository = await newRepository()
    const token = await repository.token(['upload', 'create'])
    const used = async () => (await sqlOf<{ used: number }>(repository, 'SELECT used FROM tokens'))[0]!.used
    expect(await used()).toBeNull()
    await stageFile(repository, token, 'alpha', '1.0')
    const first = await used()
    await setClock(repository, HOUR / 2)
    await stageFile(repository, token, 'alpha', '1.1')
    expect(await used()).toBe(first)
    await setClock(repository, HOUR + 1)
    await stageFile(repository, token, 'alpha', '1.2')
    expect(await used()).toBeGreaterThanOrEqual(first + HOUR)
  })
})

describe('revoking', () => {
  const end = (id: string, token: string, query = '') => call('DELETE', `/api/tokens/${id}${query}`, { token })

  test('ends a token at once, and the list shows it as ended', async () => {
    const { id, token } = await minted({ scopes: ['upload', 'create'], projects: ['gone'] }, world.token)
    const answer = await end(id, world.token)
    expect([answer.status, await answer.json()]).toEqual([200, { dropped: [], withdrawing: [] }])
    const file = await makeWheel('gone', '1.0')
    const headers = { authorization: `Bearer ${token}` }
    expect((await post(formOf(fieldsOf(file), file.filename, file.bytes), headers)).status).toBe(401)
    expect((await listed(world.token)).map((shown) => shown.id)).not.toContain(id)
    const ended = await listed(world.token, '?ended=true')
    expect(ended.find((shown) => shown.id === id)).toMatchObject({ revoked: expect.any(Number) })
  })

  test('is for admins, of what they cover', async () => {
    const { id } = await minted({ scopes: ['upload'], projects: ['two'] }, world.token)
    for (const scope of ['upload', 'delete', 'audit']) {
      const { token } = await minted({ scopes: [scope], allProjects: true }, world.token)
      await expectProblem(await end(id, token), 403, /scope admin/)
    }
    const other = await minted({ scopes: ['admin'], projects: ['one'] }, world.token)
    await expectProblem(await end(id, other.token), 404, /no token of that id/)
    await expectProblem(await end('0'.repeat(12), world.token), 404, /no token of that id/)
    await expectProblem(await end('nonsense', world.token), 400, /12 hex digits/)
    await expectProblem(await end(id, world.token, '?drop-staged=1'), 400, /true or false/)
    await expectProblem(await end(id, NONE), 401, AUTH)
    expect((await end(id, world.token)).status).toBe(200)
    expect((await end(id, world.token)).status).toBe(200)
  })

  test('the last token that may administer everything stays', async () => {
    const admin = (await listed(world.token)).find(({ scopes }) => scopes.length === ALL.length)!
    await expectProblem(await end(admin.id, world.token), 409, /create another one first/)
    const next = await minted({ scopes: ALL, allProjects: true }, world.token)
    expect((await end(admin.id, next.token)).status).toBe(200)
    await expectProblem(await end(next.id, world.token), 401, AUTH)
    world.token = next.token
  })

  test('an expired token is none', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    await setClock(repository, DAY + 1)
    await expect(stageFile(repository, token, 'alpha', '1.0')).rejects.toThrow('Invalid or non-existent')
  })
})

describe('revoking with what was staged', () => {
  /** Two tokens; the bucket takes no timestamp, so that what is staged stays staged. */
  async function stuck(onPut: (key: string) => boolean) {
    const repository = await newRepository()
    const [thief, author] = [await repository.token(), await repository.token()]
    await stageFile(repository, author, 'shared', '1.0')
    const admin = await repository.token(['admin'])
    const faults = faultyBucket()
    faults.onPut = (key) => (onPut(key) ? 'fail-before' : undefined)
    await withBucket(repository, faults.bucket)
    const oldest = 'SELECT id FROM tokens ORDER BY created LIMIT 1'
    const { id } = (await sqlOf<{ id: string }>(repository, oldest))[0]!
    const request = { repository: repository.name, token: admin, id, dropStaged: true }
    const revoke = () => repository.member.revoke(request)
    return { repository, thief, author, request, revoke }
  }

  async function expectGone(repository: TestRepository, author: string) {
    const reader = await newReader(repository)
    const names = async (path: string) => await reader.text(path)
    expect(await names('simple/vnd.pypi.simple.v1.json')).toContain('"projects":[{"name":"shared"}]')
    expect(await sqlOf(repository, "SELECT 1 FROM files WHERE state <> 'live'")).toEqual([])
    expect(await sqlOf(repository, 'SELECT 1 FROM queue')).toEqual([])
    // The name was never shown, so it is free: for other bytes too.
    const again = await stageFile(repository, author, 'stolen', '1.0', 'other bytes')
    expect(again.answer).toEqual({ ok: true, visible: true })
    expect(await (await newReader(repository)).read(again.path)).toEqual(again.bytes)
  }

  test('takes back what waits and what is in a publication under way; what others staged is published', async () => {
    const { repository, thief, author, revoke } = await stuck((key) => key.endsWith('timestamp.json'))
    const first = stageFile(repository, thief, 'stolen', '1.0')
    await expect
      .poll(() => sqlOf(repository, 'SELECT 1 FROM queue WHERE publication IS NOT NULL'), { timeout: 5_000 })
      .toHaveLength(1)
    const more = [stageFile(repository, thief, 'shared', '6.6'), stageFile(repository, author, 'shared', '2.0')]
    await expect.poll(() => sqlOf(repository, 'SELECT 1 FROM queue'), { timeout: 5_000 }).toHaveLength(3)
    const answer = await revoke()
    expect(answer).toEqual({
      ok: true,
      dropped: ['shared/shared-6.6-py3-none-any.whl'],
      withdrawing: ['stolen/stolen-1.0-py3-none-any.whl'],
    })
    // The waiting thief is told; that it would appear shortly would be a lie.
    expect((await more[0]!).answer).toMatchObject({ ok: false, message: expect.stringContaining('taken back') })
    await withBucket(repository, bindings.BUCKET)
    await Promise.all([first, ...more])
    await repository.public.refresh(repository.name)
    const reader = await newReader(repository)
    const { page: shared } = await more[1]!
    const files = (JSON.parse((await reader.text(shared))!) as { files: { filename: string }[] }).files
    expect(files.map(({ filename }) => filename)).toEqual(
      expect.arrayContaining(['shared-1.0-py3-none-any.whl', 'shared-2.0-py3-none-any.whl']),
    )
    expect(files).toHaveLength(2)
    await expectGone(repository, author)
    const dropped = await sqlOf(repository, `SELECT 1 FROM journal WHERE event LIKE '{"event":"dropped"%'`)
    expect(dropped).toHaveLength(2)
  })

  test('also after it was planned and before its publication is committed', async () => {
    const { repository, thief, author, request } = await stuck(() => false)
    let answer: unknown
    await runInDurableObject(repository.stub, (publisher: Publisher) => {
      publisher.clock = () => {
        // Signing asks for the time when the plan is made: the revocation comes in right there.
        if (answer === undefined && new Error().stack?.includes('signPublication')) {
          answer = 'asking'
          answer = publisher.revoke(request)
        }
        return Date.now()
      }
    })
    const { answer: staged } = await stageFile(repository, thief, 'stolen', '1.0')
    expect(answer).toEqual({ ok: true, dropped: ['stolen/stolen-1.0-py3-none-any.whl'], withdrawing: [] })
    expect(staged).toMatchObject({ ok: false, message: expect.stringContaining('taken back') })
    await expectGone(repository, author)
  })

  test('works while the publisher has halted', async () => {
    const { repository, thief, author, revoke } = await stuck((key) => key.endsWith('timestamp.json'))
    const staging = stageFile(repository, thief, 'stolen', '1.0')
    await expect.poll(() => sqlOf(repository, 'SELECT 1 FROM queue'), { timeout: 5_000 }).toHaveLength(1)
    await sqlOf(repository, "INSERT INTO facts (name, value) VALUES ('halted', 'a test')")
    expect(await revoke()).toMatchObject({ ok: true })
    await sqlOf(repository, "DELETE FROM facts WHERE name = 'halted'")
    await staging.catch(() => undefined)
    await withBucket(repository, bindings.BUCKET)
    await expect.poll(async () => (await repository.public.refresh(repository.name)).ok, { timeout: 10_000 }).toBe(true)
    await expectGone(repository, author)
  })
  test('takes the standing of a project with it, so that whoever takes the free name does not find it archived', async () => {
    const { repository, thief, author, request, revoke } = await stuck((key) => key.endsWith('timestamp.json'))
    const staging = stageFile(repository, thief, 'stolen', '1.0')
    await expect.poll(() => sqlOf(repository, 'SELECT 1 FROM queue'), { timeout: 5_000 }).toHaveLength(1)
    const archiving = repository.member.setStatus({ ...request, project: 'stolen', status: 'archived' })
    await expect.poll(() => sqlOf(repository, 'SELECT 1 FROM statuses'), { timeout: 5_000 }).toHaveLength(1)
    await revoke()
    await withBucket(repository, bindings.BUCKET)
    await Promise.all([staging, archiving])
    await expect.poll(async () => (await repository.public.refresh(repository.name)).ok, { timeout: 10_000 }).toBe(true)
    expect(await sqlOf(repository, 'SELECT 1 FROM statuses')).toEqual([])
    await expectGone(repository, author)
  })
})
