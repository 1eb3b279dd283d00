// Several repositories behind one host: what is done to one is done to no other, and what one gives out is good at no other.
import { describe, expect, test, vi } from 'vitest'
import type { OnlineKeys } from '../../cli/ceremony.ts'
import { shardOf } from '../../tuf/bins.ts'
import { Client, initStore } from '../../tuf/client.ts'
import { SignatureError } from '../../tuf/errors.ts'
import { webTransport } from '../../tuf/transport.ts'
import { ceremonyBody } from './ceremony-body.ts'
import { BOUNDARY, type Distribution, descriptionOf, makeSdist, makeWheel } from './distributions.ts'
import { githubClaims, JwtIssuer } from './jwt-issuer.ts'
import { memoryStore } from './reading.ts'
import { BOOTSTRAP, type TestRepository } from './repository.ts'
import {
  adopted,
  adopter,
  HOST,
  type Index,
  isolate,
  main,
  makeIndex,
  send,
  staging,
  statusOf,
  upload,
  withSeveral,
} from './several.ts'
import { fetchFace } from './upload-harness.ts'

const JSON_PAGE = { accept: 'application/vnd.pypi.simple.v1+json' }

withSeveral()

async function further({ base, operator }: Index, scopes: string[]): Promise<string> {
  const expires = Math.floor(Date.now() / 1000) + 3_600
  const request = { name: 'further', scopes, allProjects: true, expires }
  return (await (await send(`${base}/api/tokens`, 'POST', operator, request)).json<{ token: string }>()).token
}

async function digestsAt({ base }: Index, project: string): Promise<string[]> {
  const answer = await fetchFace(`${base}/simple/${project}/`, { headers: JSON_PAGE })
  const text = await answer.text()
  if (answer.status === 404) return []
  return (JSON.parse(text) as { files: { hashes: { sha256: string } }[] }).files.map(({ hashes }) => hashes.sha256)
}

const targetAt = ({ base }: Index, { project, filename, sha256 }: Distribution): Promise<number> =>
  statusOf(fetchFace(`${base}/tuf/targets/files/${shardOf(project)}/${project}/${sha256}.${filename}`))

describe('what a repository is', () => {
  test('its first keys settle: an index', async () => {
    const online = await (await send('/r/nightly/api/ceremony/keys', 'POST', BOOTSTRAP)).json<OnlineKeys>()
    const body = await ceremonyBody(online)
    // Until somebody signs, it is nowhere: nothing is read and nothing uploaded.
    expect(await statusOf(fetchFace('/r/nightly/simple/'))).toBe(503)
    const other = await send('/r/nightly/api/ceremony/keys', 'POST', BOOTSTRAP, { adopted: true })
    expect([other.status, await other.text()]).toEqual([409, expect.stringContaining('for the other kind')])
    expect(await statusOf(send('/r/nightly/api/ceremony/metadata', 'POST', BOOTSTRAP, body))).toBe(200)
    expect(await statusOf(fetchFace('/r/nightly/simple/'))).toBe(200)
    expect(await statusOf(fetchFace('/simple/'))).toBe(200)
  })

  test('main is an index, and lies at no second address', async () => {
    const asked = await send('/api/ceremony/keys', 'POST', BOOTSTRAP, { adopted: true })
    expect([asked.status, await asked.text()]).toEqual([400, expect.stringContaining('main is an index')])
    for (const path of ['/r/main/simple/', '/r/main/tuf/timestamp.json', '/r/main/api/status', '/r/Staging/simple/'])
      expect([path, await statusOf(fetchFace(path))]).toEqual([path, 404])
  })

  test('decides what there is under its address', async () => {
    const under = async (base: string, ...paths: string[]) => {
      const found: Record<string, number> = {}
      for (const path of paths) found[path] = await statusOf(fetchFace(base + path))
      return found
    }
    const pages = ['/', '/simple/', '/rss/updates.xml', '/api/projects', '/_/oidc/audience']
    const both = ['/tuf/timestamp.json', '/tuf/1.root.json', '/healthz', '/metrics', '/api/status', '/api/openapi.json']
    expect(new Set(Object.values(await under('/r/staging', ...pages, ...both)))).toEqual(new Set([200]))
    expect(new Set(Object.values(await under(`/r/${adopted.name}`, ...both)))).toEqual(new Set([200]))
    expect(new Set(Object.values(await under(`/r/${adopted.name}`, ...pages)))).toEqual(new Set([404]))
    const wheel = await makeWheel('nowhere', '1.0')
    const there = { base: `/r/${adopted.name}` } as Index
    expect(await upload(there, wheel, adopter)).toBe(404)
    for (const [path, kind] of [
      ['/api/projects/x/purge', 'POST'],
      ['/api/publishers', 'GET'],
      ['/api/uploads', 'POST'],
    ] as const)
      expect(await statusOf(send(`/r/${adopted.name}${path}`, kind, adopter))).toBe(404)
    for (const path of ['/api/adopt', '/api/release'])
      expect(await statusOf(send(`/r/staging${path}`, 'POST', staging.operator, {}))).toBe(404)
    expect(await statusOf(send('/r/staging/api/gate', 'PUT', staging.operator, {}))).toBe(404)
  })
})

describe('one touches no other', () => {
  test('uploads: the same file name has other bytes in each, and each index shows its own', async () => {
    const [here, there] = [
      await makeWheel('twin', '1.0', { metadata: 'Summary: here\n' }),
      await makeWheel('twin', '1.0', { metadata: 'Summary: there\n' }),
    ]
    expect(here.sha256).not.toBe(there.sha256)
    expect(await upload(main, here, main.operator)).toBe(200)
    expect(await digestsAt(staging, 'twin')).toEqual([])
    expect(await upload(staging, there, staging.operator)).toBe(200)
    expect([await digestsAt(main, 'twin'), await digestsAt(staging, 'twin')]).toEqual([[here.sha256], [there.sha256]])
    // By its digest a file is asked for where it was published, and nowhere else.
    expect([await targetAt(main, here), await targetAt(staging, here)]).toEqual([200, 404])
    expect([await targetAt(main, there), await targetAt(staging, there)]).toEqual([404, 200])
    const path = `files/${shardOf('twin')}/twin/${here.sha256}.${here.filename}`
    expect(await statusOf(fetchFace(`/r/${adopted.name}/tuf/targets/${path}`))).toBe(404)
  })

  test('tokens: those of one are none at the other, and stay good at their own', async () => {
    const file = await makeSdist('guarded', '1.0')
    expect(await upload(main, file, main.operator)).toBe(200)
    for (const [at, other] of [
      [main, staging],
      [staging, main],
    ] as const) {
      const fresh = await further(other, ['upload', 'create', 'read', 'admin', 'audit', 'delete'])
      expect(await upload(at, await makeSdist('intruder', '1.0'), fresh)).toBe(401)
      expect(await digestsAt(at, 'intruder')).toEqual([])
      for (const [path, method] of [
        ['/api/tokens', 'GET'],
        ['/api/journal?after=0', 'GET'],
        ['/api/publishers', 'GET'],
        ['/api/projects/guarded', 'DELETE'],
        ['/api/projects/guarded/files/guarded-1.0.tar.gz/yank', 'PUT'],
      ] as const)
        expect([path, await statusOf(send(at.base + path, method, fresh, method === 'PUT' ? {} : undefined))]).toEqual([
          path,
          401,
        ])
      // The isolate that remembers them as bad for one must not do so for the other.
      expect(await upload(other, await makeSdist('welcome', '1.0'), fresh)).toBe(200)
      expect(await statusOf(send(`${other.base}/api/tokens`, 'GET', fresh))).toBe(200)
    }
    const pusher = adopter
    expect(await statusOf(send('/r/staging/api/tokens', 'GET', pusher))).toBe(401)
    expect(await statusOf(send(`/r/${adopted.name}/api/tokens`, 'GET', staging.operator))).toBe(401)
    expect(await statusOf(send(`/r/${adopted.name}/api/tokens`, 'GET', pusher))).toBe(200)
  })

  test('direct uploads: reserved under its own address, and a ticket is none at the other', async () => {
    const file = await makeSdist('straight', '1.0')
    const step = ({ base }: Index, name: string, token: string) => {
      const type = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }
      const headers = { authorization: `Bearer ${token}`, ...type }
      return fetchFace(`${base}/legacy/${name}`, { method: 'POST', headers, body: descriptionOf(file) })
    }
    const place = async (index: Index) => {
      const reserved = await step(index, 'reserve', index.operator)
      return reserved.json<{ upload_url: string; upload_headers: Record<string, string> }>()
    }
    const [here, there] = [await place(main), await place(staging)]
    const address = `/legacy/uploads/${file.sha256}/${file.filename}`
    expect([here.upload_url, there.upload_url]).toEqual([HOST + address, `${HOST}/r/staging${address}`])
    const put = (path: string, headers: Record<string, string>) =>
      statusOf(fetchFace(path, { method: 'PUT', headers, body: file.bytes }))
    expect(await put(`/r/staging${address}`, here.upload_headers)).toBe(401)
    expect(await put(address, here.upload_headers)).toBe(200)
    // What lies at one is not what the other was promised.
    expect(await statusOf(step(staging, 'finalize', staging.operator))).toBe(400)
    expect(await statusOf(step(main, 'finalize', main.operator))).toBe(200)
    expect([await digestsAt(main, 'straight'), await digestsAt(staging, 'straight')]).toEqual([[file.sha256], []])
    expect(await put(`/r/staging${address}`, there.upload_headers)).toBe(200)
    expect(await statusOf(step(staging, 'finalize', staging.operator))).toBe(200)
  })

  test('a purge takes the same bytes away in one place alone', async () => {
    const file = await makeWheel('shared', '1.0')
    expect([await upload(main, file, main.operator), await upload(staging, file, staging.operator)]).toEqual([200, 200])
    const purge = send('/r/staging/api/projects/shared/purge', 'POST', staging.operator, { reason: 'a test' })
    expect(await (await purge).json()).toMatchObject({ visible: true, files: 1, erased: 1 })
    const path = `files/${shardOf('shared')}/shared/${file.filename}`
    const target = `tuf/targets/files/${shardOf('shared')}/shared/${file.sha256}.${file.filename}`
    // An isolate that has not asked within a minute what was purged.
    const { get } = isolate()
    expect([await get(`/r/staging/${path}`), await get(`/r/staging/${target}`)]).toEqual([404, 410])
    expect([await get(`/${path}`), await get(`/${target}`)]).toEqual([200, 200])
    expect(await digestsAt(main, 'shared')).toEqual([file.sha256])
  })

  test('journals, quotas, statuses and reading are each its own', async () => {
    const file = await makeWheel('counted', '1.0')
    expect(await upload(main, file, main.operator)).toBe(200)
    const journal = async ({ base, operator }: Index) =>
      (await send(`${base}/api/journal?after=0&limit=1000`, 'GET', operator)).text()
    expect(await journal(main)).toContain('counted-1.0-py3-none-any.whl')
    expect(await journal(staging)).not.toContain('counted')
    const quota = { bytes: 1, files: null, fileBytes: null }
    expect(await statusOf(send('/r/staging/api/settings/quota', 'PUT', staging.operator, quota))).toBe(200)
    expect(await upload(staging, file, staging.operator)).toBe(400)
    expect(await upload(main, await makeWheel('counted', '2.0'), main.operator)).toBe(200)
    const free = { bytes: null, files: null, fileBytes: null }
    expect(await statusOf(send('/r/staging/api/settings/quota', 'PUT', staging.operator, free))).toBe(200)
  })

  test('a private one lets its own readers in, and closes nothing else', async () => {
    const { operator } = await makeIndex('vault')
    const setting = send('/r/vault/api/settings/reading', 'PUT', operator, { private: true })
    expect(await statusOf(setting)).toBe(200)
    for (const path of ['/', '/simple/', '/tuf/timestamp.json', '/rss/updates.xml'])
      expect([path, await statusOf(fetchFace(`/r/vault${path}`))]).toEqual([path, 401])
    expect(await statusOf(send('/r/vault/simple/', 'GET', main.operator))).toBe(401)
    expect(await statusOf(send('/r/vault/simple/', 'GET', operator))).toBe(200)
    for (const base of ['', '/r/staging', `/r/${adopted.name}`])
      expect(await statusOf(fetchFace(`${base}/tuf/timestamp.json`))).toBe(200)
  })

  test('trusted publishing: another audience, other publishers, another memory of what was used', async () => {
    const issuer = await JwtIssuer.make('https://token.actions.githubusercontent.com')
    vi.stubGlobal('fetch', async (input: string) => {
      const found = issuer.answer(new URL(input).pathname)
      return found ? Response.json(found) : new Response(null, { status: 404 })
    })
    try {
      const audience = async ({ base }: Index) =>
        (await (await fetchFace(`${base}/_/oidc/audience`)).json<{ audience: string }>()).audience
      const [ofMain, ofStaging] = [await audience(main), await audience(staging)]
      expect(ofMain).not.toBe(ofStaging)
      const publisher = { kind: 'github', repository: 'Octo-Org/octo-repo', ownerId: '65', workflow: 'release.yml' }
      const add = ({ base, operator }: Index) =>
        statusOf(send(`${base}/api/publishers`, 'POST', operator, { project: 'built', pending: true, ...publisher }))
      const mint = async ({ base }: Index, jwt: string) => {
        const answer = await fetchFace(`${base}/_/oidc/mint-token`, {
          method: 'POST',
          body: JSON.stringify({ token: jwt }),
        })
        return (await answer.json()) as { token?: string; errors?: { code: string }[] }
      }
      expect(await add(main)).toBe(200)
      const jti = 'one-run'
      // Main's publisher is none of the other's, and its audience is none there.
      const early = await issuer.sign(githubClaims(ofStaging, { jti: 'early' }))
      expect((await mint(staging, early)).errors).toMatchObject([{ code: 'invalid-token' }])
      const forMain = await issuer.sign(githubClaims(ofMain, { jti }))
      expect(await add(staging)).toBe(200)
      expect((await mint(staging, forMain)).errors).toMatchObject([{ code: 'invalid-token' }])
      const token = (await mint(main, forMain)).token!
      expect((await mint(main, forMain)).errors).toMatchObject([{ code: 'invalid-reuse-token' }])
      // What main has seen used, the other has not: ids are an issuer's, and each remembers its own.
      const there = (await mint(staging, await issuer.sign(githubClaims(ofStaging, { jti })))).token!
      const file = await makeWheel('built', '1.0')
      expect([await upload(staging, file, token), await upload(main, file, there)]).toEqual([401, 401])
      expect([await upload(staging, file, there), await upload(main, file, token)]).toEqual([200, 200])
    } finally {
      vi.unstubAllGlobals()
    }
  })

  test('TUF: other keys and roots; a client that trusts one accepts nothing of the other', async () => {
    const keys = ({ online }: TestRepository) => online.keys.map(({ public: key }) => key)
    expect(keys(main.repository).filter((key) => keys(staging.repository).includes(key))).toEqual([])
    const file = await makeWheel('signed', '1.0')
    expect(await upload(staging, file, staging.operator)).toBe(200)
    const client = async ({ root }: TestRepository, { base }: Index) => {
      const store = memoryStore()
      await initStore(store, root)
      return new Client({
        store,
        transport: webTransport({ fetch: (url, init) => fetchFace(new URL(url).pathname, init) }),
        metadataUrl: `${HOST}${base}/tuf/`,
        targetsUrl: `${HOST}${base}/tuf/targets/`,
      })
    }
    const path = `files/${shardOf('signed')}/signed/${file.filename}`
    const good = await client(staging.repository, staging)
    await good.refresh()
    const bytes = await new Response(await good.stream((await good.targetInfo(path))!)).arrayBuffer()
    expect(new Uint8Array(bytes)).toEqual(new Uint8Array(file.bytes))
    const elsewhere = await client(main.repository, main)
    await elsewhere.refresh()
    expect(await elsewhere.targetInfo(path)).toBeUndefined()
    await expect((await client(main.repository, staging)).refresh()).rejects.toThrow(SignatureError)
  })
})
