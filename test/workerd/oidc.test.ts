// Trusted publishing through the whole face: how a JWT that matches becomes a token, and what the token is good for.
import { describe, expect, test } from 'vitest'
import { setClock, sqlOf } from './controls.ts'
import { BOUNDARY, type Distribution, descriptionOf, makeWheel } from './distributions.ts'
import { githubClaims, gitlabClaims, times } from './jwt-issuer.ts'
import {
  add,
  admin,
  api,
  audience,
  expectDenied,
  GITHUB,
  GITLAB,
  github,
  gitlab,
  makeProject,
  mint,
  minted,
  newIssuer,
  OCTO,
  tokenOf,
  upload,
  withIssuers,
} from './oidc-harness.ts'
import { newRepository } from './repository.ts'
import { fetchFace, page, world } from './upload-harness.ts'

withIssuers()

interface Place {
  upload_url: string
  upload_headers: Record<string, string>
}

describe('an uploader finds', () => {
  test('the audience, which is this index’s own', async () => {
    expect(audience).toMatch(/^tuf-edge-[0-9a-f]{16}$/)
    const other = await newRepository()
    expect(await other.public.audience(other.name)).not.toMatchObject({ audience })
  })

  test('the addresses, by PEP 807', async () => {
    const ask = (discover: string, accept = 'application/vnd.pypi.pytp.v1+json') =>
      fetchFace(`/.well-known/pytp?discover=${discover}`, { headers: { accept } })
    const found = await ask('%2Flegacy%2F')
    expect([found.status, found.headers.get('content-type')]).toEqual([200, 'application/vnd.pypi.pytp.v1+json'])
    expect(await found.json()).toEqual({
      'audience-endpoint': 'http://127.0.0.1/_/oidc/audience',
      'token-mint-endpoint': 'http://127.0.0.1/_/oidc/mint-token',
      features: ['multi-use-token'],
      'default-features': ['multi-use-token'],
    })
    expect((await ask('%2Flegacy%2F', '*/*')).status).toBe(200)
    expect((await ask('%2Fsimple%2F')).status).toBe(404)
    expect((await fetchFace('/.well-known/pytp')).status).toBe(404)
    expect((await ask('%2Flegacy%2F', 'text/html')).status).toBe(406)
  })
})

describe('a JWT that matches', () => {
  test('is good for fifteen minutes of uploads to its project and nothing else', async () => {
    await makeProject('sample')
    await makeProject('other')
    await add({ project: 'sample', ...OCTO })
    const before = Math.floor(Date.now() / 1000)
    const { token, expires } = await minted(await github.sign(githubClaims(audience)))
    expect(expires - before).toBeGreaterThanOrEqual(899)
    expect(expires - before).toBeLessThanOrEqual(930)
    expect(await upload(token, 'sample', '2.0')).toBe(200)
    expect(await upload(token, 'other', '2.0')).toBe(403)
    expect(await upload(token, 'brand-new')).toBe(403)
    expect((await api('GET', '/api/publishers', undefined, token)).status).toBe(403)
    const yank = '/api/projects/sample/files/sample-2.0-py3-none-any.whl/yank'
    expect((await api('PUT', yank, { reason: 'x' }, token)).status).toBe(403)
    // Directly as well, where the token is asked for at both ends.
    const step = (name: string, file: Distribution) =>
      fetchFace(`/legacy/${name}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
        body: descriptionOf(file),
      })
    const [file, late] = [await makeWheel('sample', '2.1'), await makeWheel('sample', '2.2')]
    for (const each of [file, late]) {
      const place = await (await step('reserve', each)).json<Place>()
      const put = { method: 'PUT', headers: place.upload_headers, body: each.bytes }
      expect((await fetchFace(new URL(place.upload_url).pathname, put)).status).toBe(200)
    }
    expect((await step('finalize', file)).status).toBe(200)
    expect((await step('reserve', await makeWheel('other', '2.1'))).status).toBe(403)
    await setClock(world.repository, 901_000)
    expect((await step('finalize', late)).status).toBe(401)
    expect(await upload(token, 'sample', '3.0')).toBe(401)
  })

  test('of GitLab, signed with ES256, and of an issuer that is known by its claims alone', async () => {
    await makeProject('from-gitlab')
    await makeProject('from-ci')
    const source = { kind: 'gitlab', issuer: GITLAB, repository: 'my-group/my-project', projectId: '20' }
    await add({ project: 'from-gitlab', ...source, workflow: '.gitlab-ci.yml', environment: 'release' })
    const claims = { environment: 'release', aud: [audience] }
    const jwt = await gitlab.sign(gitlabClaims(audience, 'gitlab.example.org/git', claims))
    expect(await upload((await minted(jwt)).token, 'from-gitlab', '2.0')).toBe(200)

    const ci = await newIssuer('k', 'ES256')
    await add({ project: 'from-ci', kind: 'oidc', issuer: ci.url, claims: { sub: 'pipeline:7', stage: 'release' } })
    // No jti, and claims that nobody asks for.
    const run = { ...times(), jti: undefined, aud: audience, sub: 'pipeline:7', stage: 'release', build: 12 }
    const once = await ci.sign(run)
    expect(await upload((await minted(once)).token, 'from-ci', '2.0')).toBe(200)
    await expectDenied(await mint(once), 'invalid-reuse-token', /used before/)
    // The other signature that ECDSA has over the same bytes is made by another run of it; what is signed is the same.
    await expectDenied(await mint(await ci.sign(run)), 'invalid-reuse-token', /used before/)
    await expectDenied(await mint(await ci.sign({ ...run, ...times(), stage: 'test' })), 'invalid-publisher', /sub/)
  })

  test('of several projects’ publisher is good for all of them', async () => {
    for (const project of ['mono-a', 'mono-b']) {
      await makeProject(project)
      await add({ project, ...OCTO, repository: 'octo-org/mono' })
    }
    const jwt = await github.sign(
      githubClaims(audience, {
        repository: 'octo-org/mono',
        job_workflow_ref: 'octo-org/mono/.github/workflows/release.yml@01234567890123456789012345678901234567ab',
        ref: '',
      }),
    )
    const { token } = await minted(jwt)
    expect([await upload(token, 'mono-a', '2.0'), await upload(token, 'mono-b', '2.0')]).toEqual([200, 200])
  })

  test('is a row of the journal that leads to the run', async () => {
    const journal = await (await api('GET', '/api/journal?after=0&limit=1000')).json<{ rows: { event: string }[] }>()
    const events = journal.rows.map(({ event }) => JSON.parse(event))
    expect(events.filter(({ event, project }) => event === 'publisher-added' && project === 'sample')).toHaveLength(1)
    expect(events).toContainEqual(
      expect.objectContaining({
        event: 'minted',
        projects: ['sample'],
        scopes: ['upload'],
        by: expect.objectContaining({ issuer: GITHUB, run_id: '6725' }),
      }),
    )
  })
})

describe('a pending publisher', () => {
  const of = (repository: string) =>
    githubClaims(audience, {
      repository,
      job_workflow_ref: `${repository}/.github/workflows/release.yml@refs/tags/v1.0`,
    })

  test('creates its project, and is bound to it from the first upload on', async () => {
    await add({ project: 'first-born', pending: true, ...OCTO, repository: 'octo-org/first' })
    const listed = async () =>
      (await (await api('GET', '/api/publishers?project=First_Born')).json<{ publishers: object[] }>()).publishers
    expect(await listed()).toMatchObject([{ project: 'first-born', pending: true, source: { ownerId: '65' } }])
    const { token } = await minted(await github.sign(of('octo-org/first')))
    expect(await upload(token, 'second-born')).toBe(403)
    expect(await upload(token, 'first-born')).toBe(200)
    expect((await page('first-born')).map(({ filename }) => filename)).toHaveLength(1)
    expect(await listed()).toMatchObject([{ project: 'first-born', pending: false }])
    const next = await minted(await github.sign(of('octo-org/first')))
    expect(await upload(next.token, 'first-born', '2.0')).toBe(200)
  })

  test('loses the name, and its tokens, to whoever uploads first', async () => {
    await add({ project: 'contested', pending: true, ...OCTO, repository: 'octo-org/slow' })
    const { token } = await minted(await github.sign(of('octo-org/slow')))
    await makeProject('contested')
    expect(await upload(token, 'contested', '2.0')).toBe(401)
    await expectDenied(await mint(await github.sign(of('octo-org/slow'))), 'invalid-publisher', /octo-org\/slow/)
  })

  test('is for a project that does not exist, a bound one for one that does', async () => {
    const pending = await api('POST', '/api/publishers', {
      project: 'sample',
      pending: true,
      ...OCTO,
      workflow: 'x.yml',
    })
    expect([pending.status, await pending.text()]).toEqual([409, expect.stringContaining('exists already')])
    const bound = await api('POST', '/api/publishers', { project: 'nowhere', ...OCTO })
    expect([bound.status, await bound.text()]).toEqual([404, expect.stringContaining('pending')])
  })
})

test('a token is burned by whoever holds it, and no other one is', async () => {
  const { token } = await minted(await github.sign(githubClaims(audience)))
  const burn = async (body: string) => {
    const answer = await fetchFace('/_/oidc/burn-token', { method: 'POST', body })
    await answer.text()
    return answer.status
  }
  for (const other of [admin, world.token, 'nonsense']) expect(await burn(JSON.stringify({ token: other }))).toBe(202)
  expect(await upload(world.token, 'sample', '5.0')).toBe(200)
  expect((await api('GET', '/api/publishers')).status).toBe(200)
  expect(await burn(JSON.stringify({ token }))).toBe(202)
  expect(await burn(JSON.stringify({ token }))).toBe(202)
  expect(await upload(token, 'sample', '6.0')).toBe(401)
  // Still to be seen, and to be revoked with what it staged, until it is forgotten.
  const listed = await (await api('GET', '/api/tokens?ended=true')).json<{
    tokens: { by: string; revoked?: number }[]
  }>()
  const given = listed.tokens.filter(({ by }) => by.startsWith('publisher '))
  expect(given.filter(({ revoked }) => revoked !== undefined).length).toBeGreaterThan(0)
})

test('the audience may be another one, and the old one is then no good', async () => {
  const put = (audience: string, token = admin) => api('PUT', '/api/settings/audience', { audience }, token)
  expect((await put('has spaces')).status).toBe(400)
  expect((await put('pypi.example.org', await tokenOf(['upload', 'audit']))).status).toBe(403)
  expect((await put('pypi.example.org')).status).toBe(200)
  expect(await (await fetchFace('/_/oidc/audience')).json()).toEqual({ audience: 'pypi.example.org' })
  await expectDenied(await mint(await github.sign(githubClaims(audience))), 'invalid-token', /pypi\.example\.org/)
  await minted(await github.sign(githubClaims('pypi.example.org')))
  expect((await put(audience)).status).toBe(200)
})

test('what has ended is forgotten: JWTs with their date, tokens a day later', async () => {
  const count = async (table: string) =>
    (await sqlOf<{ n: number }>(world.repository, `SELECT count(*) AS n FROM ${table}`))[0]!.n
  expect(await count('exchanges')).toBeGreaterThan(5)
  const [before] = [await count('tokens')]
  const days = 2 * 86_400
  await setClock(world.repository, days * 1000)
  const later = Math.floor(Date.now() / 1000) + days
  // Twenty rows go with each exchange.
  for (let i = 0; i < 3; i++) await minted(await github.sign({ ...githubClaims(audience), ...times(later) }))
  expect(await count('exchanges')).toBe(3)
  expect(await count('publisher_tokens')).toBe(3)
  expect(await count('tokens')).toBeLessThan(before)
})
