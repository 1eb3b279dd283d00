// Freshness signing: a repository that others sign, handed over, served from here, and kept fresh. Its clients come warm,
// with the state the former signer left them.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey, metadataKey, timestampKey } from '../../tuf/layout.ts'
import { parseSnapshot, parseTimestamp } from '../../tuf/metadata.ts'
import { type MemoryStore, newSigner, type Repository, utf8 } from '../unit/tuf/repository.ts'
import { Adoption, doors, type Face, handOver } from './adoption.ts'
import { HOUR, setClock, sqlOf } from './controls.ts'
import { BOOTSTRAP, bindings } from './repository.ts'

/** Names that would be somebody else's object if a name were a path. */
const FISHY = ['a/x', '../x', '?', '#x', 'ü', '5.targets']

let adoption: Adoption
let theirs: Repository
let warm: MemoryStore
const newFace = () => adoption.newFace()
const clientOver = (store: MemoryStore, face?: Face, now?: number) => adoption.clientOver(store, face, now)
const json = (method: string, path: string, body: unknown, secret: string) => adoption.json(method, path, body, secret)
const token = (...scopes: string[]) => adoption.token(...scopes)
const put = (bytes: Uint8Array) => adoption.put(bytes)
const rootOf = (version: number) => adoption.rootOf(version)
const fileOf = (role: string) => adoption.fileOf(role)
const place = () => adoption.place

beforeEach(async () => {
  adoption = await Adoption.make(['alpha', ...FISHY])
  theirs = adoption.theirs
  warm = adoption.warm
})

describe('adoption', () => {
  test('clients warm under the former keys follow; fishy role names reach only their own object', async () => {
    const { keys, body } = await adoption.request()
    // Nothing but what is signed here: no key of bins.
    expect(keys.map(({ role }) => role).sort()).toEqual(['snapshot', 'timestamp'])
    const before = parseTimestamp(theirs.files.get('timestamp.json')!).signed
    const adopted = await json('POST', '/api/adopt', body, BOOTSTRAP)
    expect(adopted).toMatchObject({ status: 200, held: [{ root: 3 }], visible: true })
    for (const role of theirs.roles.values()) for (const bytes of role.files.values()) await put(bytes)

    for (const role of ['alpha', ...FISHY]) {
      const path = `${encodeURIComponent(role)}/file`
      const client = clientOver(warm)
      await client.refresh()
      const info = await client.targetInfo(path)
      expect(info).toMatchObject({ role })
      expect(await client.download(info!)).toEqual(utf8(`a file of ${role}`))
      const served = await newFace()(`/tuf/${theirs.role(role).version}.${encodeURIComponent(role)}.json`)
      expect(new Uint8Array(await served.arrayBuffer())).toEqual(fileOf(role))
    }
    const [timestamp, snapshot] = ['timestamp.json', 'snapshot.json'].map((file) => warm.files.get(file)!)
    expect(parseTimestamp(timestamp!).signed.version).toBe(1_002)
    expect(parseTimestamp(timestamp!).signed.version).toBeGreaterThanOrEqual(before.version + 1_000)
    expect(parseSnapshot(snapshot!).signed.version).toBe(1_002)
    // A client that knows nothing but the first root.
    await clientOver(await theirs.newStore()).refresh()
  })

  test('its API is described under its own address, and no call of an index is in it', async () => {
    await json('POST', '/api/adopt', (await adoption.request()).body, BOOTSTRAP)
    const answer = await newFace()('/api/openapi.json')
    const { servers, paths } = await answer.json<{ servers: unknown; paths: Record<string, object> }>()
    expect([answer.status, servers]).toEqual([200, [{ url: `/r/${adoption.name}` }]])
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining([
        '/api/adopt',
        '/api/metadata',
        '/api/metadata/{role}',
        '/api/origin',
        '/api/release',
        '/api/tokens',
      ]),
    )
    expect(Object.keys(paths).filter((path) => /projects|publishers|uploads/.test(path))).toEqual([])
    for (const path of Object.keys(paths))
      expect([path, (await newFace()(path.replace(/\{\w+\}/, 'x'), { method: 'PATCH' })).status]).toEqual([path, 405])
  })

  test('keys that were rotated before are history: only the root that drops them beside ours waits', async () => {
    for (const role of ['timestamp', 'snapshot'] as const) {
      adoption.own[role] = [await newSigner()]
      theirs.signers[role] = adoption.own[role]
    }
    await theirs.publishRoot()
    await theirs.publish('targets')
    await adoption.ownersClient().refresh()
    const { body } = await adoption.request()
    expect(await json('POST', '/api/adopt', body, BOOTSTRAP)).toMatchObject({ status: 200, held: [{ root: 4 }] })
    await clientOver(warm).refresh()
    expect(warm.files.get('root.json')).toEqual(rootOf(3))
    await clientOver(await theirs.newStore()).refresh()
  })

  test('the root without the former keys goes out an hour later, and nobody falls over it', async () => {
    const { body } = await adoption.request()
    await json('POST', '/api/adopt', body, BOOTSTRAP)
    const face = newFace()
    expect((await face('/tuf/2.root.json')).status).toBe(200)
    expect((await face('/tuf/3.root.json')).status).toBe(404)
    await clientOver(warm, face).refresh()
    await setClock(adoption.known, HOUR + 1_000)
    expect(await doors.Public.refresh(adoption.name)).toMatchObject({ ok: true })
    await clientOver(warm, face).refresh()
    expect(warm.files.get('root.json')).toEqual(rootOf(3))
    expect((await newFace()('/tuf/3.root.json')).status).toBe(200)
  })

  test('refused: by whom may not, before its keys are named, and a second time', async () => {
    const { keys, body } = await adoption.request()
    expect(await json('POST', '/api/adopt', body, 'x'.repeat(43))).toMatchObject({ status: 401 })
    const { files } = body as { files: { role: string }[] }
    const unnamed = { ...(body as object), files: [files[0], ...files.slice(3)] }
    expect(await json('POST', '/api/adopt', unnamed, BOOTSTRAP)).toMatchObject({
      status: 400,
      detail: expect.stringContaining(`online-keys: root 1 must name the key ${keys[1]!.keyid}`),
    })
    const without = { ...(body as object), files: files.filter(({ role }) => role !== 'alpha') }
    expect(await json('POST', '/api/adopt', without, BOOTSTRAP)).toMatchObject({
      status: 400,
      detail: expect.stringContaining('incomplete: "targets" delegates to "alpha"'),
    })
    expect((await newFace()('/tuf/timestamp.json')).status).toBe(503)
    expect(await json('POST', '/api/adopt', body, BOOTSTRAP)).toMatchObject({ status: 200 })
    // The same again, as after a lost answer, changes nothing; anything else is a push.
    const again = await json('POST', '/api/adopt', body, BOOTSTRAP)
    expect(again).toMatchObject({ status: 200, accepted: [], held: [{ root: 3 }], visible: true })
    await theirs.publishRole('alpha')
    const other = { ...(body as object), files: [...files, ...handOver({ alpha: fileOf('alpha') })] }
    expect(await json('POST', '/api/adopt', other, BOOTSTRAP)).toMatchObject({ status: 409 })
  })
})

describe('once adopted', () => {
  beforeEach(async () => {
    const { body } = await adoption.request()
    expect(await json('POST', '/api/adopt', body, BOOTSTRAP)).toMatchObject({ status: 200 })
  })

  test('a token for one role hands over this role; clients see it at once, and what it replaced until the grace is over', async () => {
    await clientOver(warm).refresh()
    const admin = await token('admin')
    const expires = Math.floor(Date.now() / 1000) + 3_600
    const request = { name: 'ci', scopes: ['metadata:alpha'], allProjects: true, expires }
    const { token: ofAlpha } = (await json('POST', '/api/tokens', request, admin)) as unknown as { token: string }
    theirs.role('alpha').files.set('alpha/new', utf8('new'))
    await theirs.publishRole('alpha')
    await put(utf8('new'))
    const raw = (role: string, bytes: Uint8Array, secret: string) =>
      newFace()(`/api/metadata/${encodeURIComponent(role)}`, {
        method: 'PUT',
        headers: { Authorization: `Bearer ${secret}` },
        body: bytes,
      })
    expect((await raw('targets', fileOf('targets'), ofAlpha)).status).toBe(403)
    const face = newFace()
    const answer = await raw('alpha', fileOf('alpha'), ofAlpha)
    expect([answer.status, await answer.json()]).toMatchObject([200, { accepted: ['2.alpha'], visible: true }])
    const client = clientOver(warm, face)
    await client.refresh()
    expect(await client.download((await client.targetInfo('alpha/new'))!)).toEqual(utf8('new'))
    expect((await newFace()('/tuf/1.alpha.json')).status).toBe(200)
    // Handed over again: nothing new, no publication.
    const again = await raw('alpha', fileOf('alpha'), ofAlpha)
    expect(await again.json()).toMatchObject({ accepted: [], visible: true })

    await setClock(adoption.known, 26 * HOUR)
    await doors.Public.refresh(adoption.name)
    expect(await bindings.BUCKET.head(metadataKey(place(), 1, 'alpha'))).toBeNull()
    expect(await bindings.BUCKET.head(metadataKey(place(), 1, 'root'))).not.toBeNull()
    expect(await sqlOf(adoption.known, "SELECT version FROM offline WHERE role = 'alpha'")).toEqual([{ version: 2 }])
  })

  test('a batch is all or nothing: one bad file, and nothing moved', async () => {
    const admin = await token('admin')
    theirs.role('alpha').files.set('alpha/new', utf8('new'))
    await theirs.publishRole('alpha')
    const good = fileOf('alpha')
    const timestamp = async () => (await bindings.BUCKET.head(timestampKey(place())))!.etag
    const before = await timestamp()
    theirs.role('ü').signers = [await newSigner()]
    await theirs.publishRole('ü')
    const batch = { files: handOver({ alpha: good, ü: fileOf('ü') }) }
    expect(await json('PUT', '/api/metadata', batch, admin)).toMatchObject({
      status: 400,
      detail: 'threshold: "ü", as "targets" asks, is signed by 0 of the 1 keys it needs.',
    })
    expect(await timestamp()).toBe(before)
    expect(await json('PUT', '/api/metadata', { files: handOver({ alpha: good }) }, admin)).toMatchObject({
      status: 200,
      accepted: ['2.alpha'],
    })
  })

  test('freshness goes on by itself: timestamp and snapshot are signed again, nothing else is', async () => {
    await setClock(adoption.known, 20 * HOUR)
    expect(await doors.Public.refresh(adoption.name)).toMatchObject({ ok: true })
    const now = Date.now() + 20 * HOUR
    const client = clientOver(warm, newFace(), now)
    await client.refresh()
    expect(parseTimestamp(warm.files.get('timestamp.json')!).signed.expiresMs).toBeGreaterThan(now + 20 * HOUR)
    expect(warm.files.get('targets.json')).toEqual(fileOf('targets'))
    const signed = await sqlOf<{ event: string }>(
      adoption.known,
      'SELECT event FROM journal WHERE event LIKE \'%"signed"%\'',
    )
    const roles = new Set(signed.map(({ event }) => (JSON.parse(event) as { role: string }).role))
    expect([...roles].sort()).toEqual(['snapshot', 'timestamp'])
  })
})

describe('what the bucket lacks comes from the origin', () => {
  const fetched: string[] = []
  let answer: (path: string) => Response = () => new Response('', { status: 404 })
  const real = globalThis.fetch
  beforeEach(async () => {
    const { body } = await adoption.request()
    await json('POST', '/api/adopt', body, BOOTSTRAP)
    fetched.length = 0
    globalThis.fetch = async (url) => {
      fetched.push(String(url))
      return answer(new URL(String(url)).pathname)
    }
  })
  afterEach(() => {
    globalThis.fetch = real
  })

  test('fetched once, checked, and served from here; bytes that were not signed get no name', async () => {
    const admin = await token('admin')
    expect(await json('PUT', '/api/origin', { url: 'http://10.0.0.1/x/' }, admin)).toMatchObject({ status: 400 })
    expect(await json('PUT', '/api/origin', { url: 'https://origin.example/t/' }, admin)).toMatchObject({ status: 200 })
    const good = utf8('a file of alpha')
    answer = () => new Response(utf8('a file of other'), { status: 200 })
    expect((await newFace()('/tuf/targets/alpha/file')).status).toBe(503)
    expect(await bindings.BUCKET.head(blobKey(place(), await sha256Hex(good), 1))).toBeNull()
    answer = (path) => (path === '/t/alpha/file' ? new Response(good) : new Response('', { status: 404 }))
    const client = clientOver(warm)
    await client.refresh()
    expect(await client.download((await client.targetInfo('alpha/file'))!)).toEqual(good)
    expect(fetched.at(-1)).toBe('https://origin.example/t/alpha/file')
    fetched.length = 0
    answer = () => new Response('down', { status: 500 })
    const part = await newFace()('/tuf/targets/alpha/file', { headers: { Range: 'bytes=2-5' } })
    expect([part.status, await part.text()]).toEqual([206, 'file'])
    expect(fetched).toEqual([])
    expect((await newFace()('/tuf/targets/alpha/none')).status).toBe(404)
    expect(fetched).toEqual([])
  })

  test('a name with other bytes, shorter or longer too, ends nothing: the next is asked for, and each wrong one is told', async () => {
    await json('PUT', '/api/origin', { url: 'https://origin.example/t/' }, await token('admin'))
    const good = utf8('a file of alpha')
    const prefixed = `/t/alpha/${await sha256Hex(good)}.file`
    for (const other of ['a file of other', 'short', 'longer than what was signed']) {
      answer = () => new Response(utf8(other))
      const refused = await newFace()('/tuf/targets/alpha/file')
      expect([refused.status, await refused.text()]).toEqual([
        503,
        expect.stringContaining(`under alpha/${await sha256Hex(good)}.file, alpha/file is not the file`),
      ])
    }
    expect(await bindings.BUCKET.head(blobKey(place(), await sha256Hex(good), 1))).toBeNull()
    answer = (path) => new Response(path === prefixed ? utf8('a file of other') : good)
    const taken = await newFace()('/tuf/targets/alpha/file')
    expect([taken.status, await taken.text()]).toEqual([200, 'a file of alpha'])
    expect(fetched.slice(-2).map((url) => new URL(url).pathname)).toEqual([prefixed, '/t/alpha/file'])
  })
})

test('two repositories know nothing of each other', async () => {
  const { body } = await adoption.request()
  await json('POST', '/api/adopt', body, BOOTSTRAP)
  const first = await token('admin')
  adoption = await Adoption.make([])
  const other = await adoption.request()
  await json('POST', '/api/adopt', other.body, BOOTSTRAP)
  const files = handOver({ targets: fileOf('targets') })
  expect(await json('PUT', '/api/metadata', { files }, first)).toMatchObject({ status: 401 })
  expect((await newFace()('/tuf/1.alpha.json')).status).toBe(404)
  adoption = await Adoption.make([])
  expect((await newFace()('/tuf/timestamp.json')).status).toBe(503)
  expect(
    await json('POST', '/api/tokens', { name: 'x', scopes: ['admin'], allProjects: true, expires: 4e9 }, BOOTSTRAP),
  ).toMatchObject({
    status: 503,
  })
})
