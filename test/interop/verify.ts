// TUF clients against our running service, each given nothing but the first root.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { makeOfflineKey, PROFILE } from '../../cli/ceremony.ts'
import { binOfPath, INDEX_PATHS, shardOf } from '../../tuf/bins.ts'
import { timestampSigned } from '../../tuf/build.ts'
import { blobKey, bucketPrefix, metadataKey, type Place, pageKey, timestampKey } from '../../tuf/layout.ts'
import { parseSnapshot, parseTimestamp } from '../../tuf/metadata.ts'
import { signRole } from '../../tuf/sign.ts'
import { makeSdist } from '../workerd/distributions.ts'
import { type Driver, driver, type Line, type TufClient } from './clients.ts'
import { Service } from './service.ts'

/** Where the service keeps its objects. */
const PLACE: Place = { repository: 'main', epoch: 1 }
const FORMS = ['json', 'html'] as const

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const filePath = (project: string, filename: string): string => `files/${shardOf(project)}/${project}/${filename}`
const pagePath = (project: string, form: (typeof FORMS)[number]): string =>
  `simple/${shardOf(project)}/${project}/vnd.pypi.simple.v1.${form}`

/** Defines the tests of these clients. */
export function verifyTests(clients: readonly TufClient[]): void {
  let service: Service
  let mirror: Mirror
  beforeAll(async () => {
    service = await Service.start()
    mirror = await startMirror((key) => service.bucket.get(key))
  })
  afterAll(async () => {
    await mirror?.stop()
    await service?.stop()
  })
  beforeEach((context) => service.explain(context))

  let folders = 0
  /** A client that knows nothing but the root, or the one that lives in `folder`. */
  const fresh = (context: TestContext, name: TufClient, url = service.url, folder = newFolder()): Promise<Driver> =>
    driver(context, name, { root: service.root, metadataUrl: `${url}/tuf/`, targetsUrl: `${url}/tuf/targets/` }, folder)
  const newFolder = (): string => join(service.folder, `client-${folders++}`)

  /** A wheel and an sdist, published; gives every target of the project with its bytes. */
  const publish = async (project: string, version: string): Promise<Map<string, Uint8Array>> => {
    const wheel = await service.publish(project, version)
    const sdist = await makeSdist(project, version)
    await service.upload(project, version, sdist)
    return new Map([
      [filePath(project, wheel.filename), wheel.bytes],
      [filePath(project, sdist.filename), sdist.bytes],
      ...(await pages(project)),
    ])
  }

  /** What plain pip is given: the signed bytes must be the same. */
  const pages = async (project?: string): Promise<[string, Uint8Array][]> =>
    Promise.all(
      FORMS.map(async (form) => {
        const url = project === undefined ? service.simple : `${service.simple}${project}/`
        const answer = await fetch(url, { headers: { accept: `application/vnd.pypi.simple.v1+${form}` } })
        const path = project === undefined ? INDEX_PATHS.find((p) => p.endsWith(form))! : pagePath(project, form)
        return [path, new Uint8Array(await answer.arrayBuffer())] as [string, Uint8Array]
      }),
    )

  const expectAll = async (client: Driver, targets: ReadonlyMap<string, Uint8Array>): Promise<void> => {
    const { lines } = await client.download([...targets.keys()])
    const good = [...targets].map(([target, bytes]) => ({
      ok: true,
      target,
      path: expect.any(String),
      sha256: sha256(bytes),
    }))
    expect(lines).toEqual(good)
  }

  describe.for([...clients])('%s', (name) => {
    test('cold: the list, both forms of a page, a wheel and an sdist', async (context) => {
      const targets = await publish(`cold-${name}`, '1.0')
      for (const [path, bytes] of await pages()) targets.set(path, bytes)
      const client = await fresh(context, name)
      const [line] = (await client.refresh()).lines
      expect(line).toEqual({ ok: true, version: expect.objectContaining({ root: 1, targets: 1 }) })
      await expectAll(client, targets)
      // Names with characters that a URL must escape.
      await expectAll(await fresh(context, name), await publish(`odd-${name}`, '1!2.0+local.7'))
    })

    test('warm: follows an upload, over a restart of the service', async (context) => {
      const project = `warm-${name}`
      const first = await publish(project, '1.0')
      const client = await fresh(context, name)
      await expectAll(client, first)
      const before = (await client.refresh()).lines[0]!.version!
      await service.restart()
      await expectAll(client, first)
      const second = await publish(project, '1.1')
      await expectAll(client, second)
      const after = (await client.refresh()).lines[0]!.version!
      expect(after).toMatchObject({ root: 1, targets: 1 })
      expect(after.timestamp).toBeGreaterThan(before.timestamp)
      expect(after.snapshot).toBeGreaterThan(before.snapshot)
    })

    test('does not find what was never published', async (context) => {
      const names = [filePath('hello-tuf-edge', 'hello_tuf_edge-9.9.tar.gz'), pagePath('never-heard-of', 'json')]
      const { lines } = await (await fresh(context, name)).download(names)
      expect(lines).toEqual(names.map((target) => ({ ok: false, target, error: 'not found' })))
    })

    // Each with a project that nobody has asked for: what the service has in memory it would answer rightly.
    test.for(['a byte of a file', 'an older page', 'an older list of files'] as const)(
      'refuses %s, from the index and from a mirror that checks nothing',
      async (kind, context) => {
        const project = `${kind.replace(/^an? /, '').replaceAll(' ', '-')}-${name}`
        await service.publish(project, '1.0')
        const [oldPage, bin] = [await pageKeys(service, project), binOfPath(PROFILE, filePath(project, 'x'))]
        const oldBin = await binKey(service, bin)
        const wheel = await service.publish(project, '1.1')
        const file = filePath(project, wheel.filename)
        const spoiled = new Map<string, Uint8Array>()
        let asked = file
        if (kind === 'a byte of a file') {
          const bytes = wheel.bytes.slice()
          bytes[bytes.length >> 1]! ^= 1
          spoiled.set(blobKey(PLACE, sha256(wheel.bytes), 1), bytes)
        } else if (kind === 'an older page') {
          asked = pagePath(project, 'json')
          const now = (await pageKeys(service, project)).find((key) => key.endsWith('.json') && !oldPage.includes(key))!
          spoiled.set(now, (await service.bucket.get(oldPage.find((key) => key.endsWith('.json'))!))!)
        } else spoiled.set(await binKey(service, bin), (await service.bucket.get(oldBin))!)

        const kept = new Map<string, Uint8Array>()
        for (const [key, bytes] of spoiled) {
          kept.set(key, (await service.bucket.get(key))!)
          expect(Buffer.compare(kept.get(key)!, bytes)).not.toBe(0)
          await service.bucket.put(key, bytes)
        }
        try {
          expectRefused(await (await fresh(context, name, mirror.url)).download([asked]), CLIENT_REFUSES)
          expectRefused(await (await fresh(context, name)).download([asked]), /./)
          expect((await fetch(`${service.url}/tuf/targets/${asked}`)).status).toBe(503)
        } finally {
          for (const [key, bytes] of kept) await service.bucket.put(key, bytes)
        }
        await expectAll(await fresh(context, name, mirror.url), new Map([[file, wheel.bytes]]))
        await expect
          .poll(async () => (await (await fresh(context, name)).download([asked])).status, { timeout: 20_000 })
          .toBe(0)
      },
    )
  })

  // The only object that is ever overwritten. Three foreign writes within an hour are the most that the publisher takes.
  test.for(['an older timestamp', 'a forged timestamp'] as const)(
    'everybody refuses %s, and the publisher replaces it',
    async (kind, context) => {
      const old = (await service.bucket.get(timestampKey(PLACE)))!
      const wheel = await service.publish(`after-${kind.split(' ')[1]}`, '1.0')
      const target = new Map([[filePath(`after-${kind.split(' ')[1]}`, wheel.filename), wheel.bytes]])
      const present = (await service.bucket.get(timestampKey(PLACE)))!
      const warm: [TufClient, string][] = []
      for (const name of clients) {
        const folder = newFolder()
        await expectAll(await fresh(context, name, service.url, folder), target)
        warm.push([name, folder])
      }
      const foreign = kind === 'an older timestamp' ? old : await forge(present)
      await service.bucket.put(timestampKey(PLACE), foreign)
      for (const [name, folder] of warm) {
        const behindMirror = await (await fresh(context, name, mirror.url, folder)).refresh()
        expectRefused(behindMirror, kind === 'an older timestamp' ? /version|older/i : /sign|key|threshold|verif/i)
      }
      await expect
        .poll(async () => (await fetch(`${service.url}/tuf/timestamp.json`)).status, { timeout: 20_000 })
        .toBe(200)
      for (const [name, folder] of warm) await expectAll(await fresh(context, name, service.url, folder), target)
    },
  )

  test('every spelling of a target, and 404 for the next root', async () => {
    const wheel = await service.publish('spelled', '1.0')
    const digest = sha256(wheel.bytes)
    const [files, ...rest] = filePath('spelled', wheel.filename).split('/')
    const last = rest.pop()!
    const get = async (path: string) => {
      const answer = await fetch(`${service.url}/tuf/${path}`)
      return { status: answer.status, bytes: new Uint8Array(await answer.arrayBuffer()) }
    }
    for (const path of [
      [files, ...rest, last],
      [files, ...rest, `${digest}.${last}`],
      [`${digest}.${files}`, ...rest, last],
    ]) {
      const { status, bytes } = await get(`targets/${path.join('/')}`)
      expect([path, status]).toEqual([path, 200])
      expect(sha256(bytes)).toBe(digest)
    }
    const wrong = '0'.repeat(64)
    for (const path of [
      `targets/${files}/${rest.join('/')}/${wrong}.${last}`,
      `targets/${wrong}.${files}/${rest.join('/')}/${last}`,
      '2.root.json',
      '1.timestamp.json',
    ])
      expect([path, (await get(path)).status]).toEqual([path, 404])
    expect(Buffer.compare((await get('1.root.json')).bytes, service.root)).toBe(0)
  })
}

/** Words by which a client says that what it got is not what was signed, or not by whom. */
const CLIENT_REFUSES = /hash|length|digest|mismatch|version|integrity|RepositoryError|RuntimeError/i

function expectRefused({ status, lines }: { status: number; lines: Line[] }, words: RegExp): void {
  expect(status, JSON.stringify(lines)).toBe(1)
  for (const { ok, error } of lines) {
    expect(ok).toBe(false)
    expect(error).toMatch(words)
    expect(error).not.toBe('not found')
  }
}

const pageKeys = (service: Service, project: string): Promise<string[]> =>
  service.bucket.list(`${bucketPrefix(PLACE)}pages/simple/${shardOf(project)}/${project}/`)

/** Key of the present version of a role. */
async function binKey({ bucket }: Service, role: string): Promise<string> {
  const { snapshot } = parseTimestamp((await bucket.get(timestampKey(PLACE)))!).signed
  const { meta } = parseSnapshot((await bucket.get(metadataKey(PLACE, snapshot.version, 'snapshot')))!).signed
  return metadataKey(PLACE, meta.get(role)!.version, role)
}

/** A version on, under a key that nobody delegated to. */
async function forge(present: Uint8Array): Promise<Uint8Array> {
  const { version, snapshot } = parseTimestamp(present).signed
  const { signer } = await makeOfflineKey()
  const named = { version: snapshot.version, length: snapshot.length!, sha256: snapshot.hashes!.get('sha256')! }
  const expiresMs = Date.now() + 86_400_000
  return signRole(timestampSigned({ version: version + 1, expiresMs, snapshot: named }), [signer])
}

interface Mirror {
  url: string
  stop(): Promise<void>
}

/** Gives out what lies in the bucket and checks nothing. */
async function startMirror(get: (key: string) => Promise<Uint8Array | null>): Promise<Mirror> {
  const server = createServer(async (request, response) => {
    const key = keyOf(decodeURIComponent(request.url ?? '/'))
    const bytes = key === undefined ? null : await get(key).catch(() => null)
    response.writeHead(bytes ? 200 : 404, { 'content-length': bytes?.length ?? 0 })
    response.end(bytes ?? undefined)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

/** The object behind a URL of the TUF tree: `N.role.json`, `dir/HASH.name`, `HASH.dir/name`. */
function keyOf(path: string): string | undefined {
  const metadata = /^\/tuf\/([^/]+\.json)$/.exec(path)
  if (metadata) return `${bucketPrefix(PLACE)}tuf/${metadata[1]}`
  const target = /^\/tuf\/targets\/(.*?)\b([0-9a-f]{64})\.(.+)$/.exec(path)
  if (!target) return undefined
  const [, before, digest, after] = target as unknown as [string, string, string, string]
  const name = before + after
  // What is uploaded here is stored once, so the counter of its blob is 1.
  return name.startsWith('files/') ? blobKey(PLACE, digest, 1) : pageKey(PLACE, name, digest)
}
