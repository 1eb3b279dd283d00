// `tuf-edge adopt` and `tuf-edge release`, killed while a call that changes something is under way, before the service has
// heard of it and after it has done it; then the same words are typed again. Between the two of them the service itself is
// killed and comes back an hour later. A client that was warm before all this follows at every step.
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeOfflineKey } from '../../cli/ceremony.ts'
import { StateFolder } from '../../cli/state-folder.ts'
import { parseRoot } from '../../tuf/metadata.ts'
import { Service } from '../interop/service.ts'
import { type StaticServer, serveFolder } from '../interop/static-server.ts'
import { delegationsTo, newSigner, Repository, utf8 } from '../unit/tuf/repository.ts'
import { WarmClient } from './client.ts'
import { outcomeOf } from './process.ts'

const HOUR = 3_600_000
const NAME = 'theirs'

/** Passes everything on to the service; kills who asks at the call and the moment that were set. */
class Gateway {
  readonly #server: Server
  victim: ChildProcess | undefined
  trap: { path: string; moment: 'before' | 'after' } | undefined

  private constructor(service: Service) {
    this.#server = createServer(async (request, response) => {
      const { method = 'GET', url = '/' } = request
      const trap = this.trap && url.endsWith(this.trap.path) ? this.trap.moment : undefined
      const body = await whole(request)
      if (trap === 'before') return this.#kill()
      const headers = new Headers(request.headers as Record<string, string>)
      for (const hop of ['host', 'connection', 'content-length', 'transfer-encoding']) headers.delete(hop)
      const answer = await fetch(service.url + url, { method, headers, ...(body.length > 0 ? { body } : {}) })
      const bytes = new Uint8Array(await answer.arrayBuffer())
      if (trap === 'after') return this.#kill()
      const type = answer.headers.get('content-type') ?? 'application/octet-stream'
      response.writeHead(answer.status, { 'content-type': type, 'content-length': bytes.length }).end(bytes)
    })
  }

  static async before(service: Service): Promise<Gateway> {
    const gateway = new Gateway(service)
    await new Promise<void>((done) => gateway.#server.listen(0, '127.0.0.1', done))
    return gateway
  }

  #kill(): void {
    this.trap = undefined
    this.victim?.kill('SIGKILL')
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

async function whole(request: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

let service: Service
let gateway: Gateway
let server: StaticServer
let theirs: Repository
let secret = ''

beforeAll(async () => {
  service = await Service.start()
  secret = new StateFolder(join(service.folder, '.tuf-edge')).secrets().bootstrapSecret
  gateway = await Gateway.before(service)
  mkdirSync(join(service.folder, 'place'))
  server = await serveFolder(join(service.folder, 'place'))
})
afterAll(async () => {
  gateway?.close()
  await server?.close()
  await service?.stop()
})

async function run(words: string[], env: NodeJS.ProcessEnv) {
  const { TUF_EDGE_TOKEN: _, ...rest } = process.env
  const child = spawn(process.execPath, [join(process.cwd(), 'cli/main.ts'), ...words], {
    cwd: service.folder,
    env: { ...rest, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  gateway.victim = child
  return outcomeOf(child)
}

async function done(words: string[], env: NodeJS.ProcessEnv): Promise<string> {
  const { code, said, told } = await run(words, env)
  expect(code, `${words.join(' ')}: ${told}`).toBe(0)
  return said
}

async function killed(words: string[], env: NodeJS.ProcessEnv, path: string, moment: 'before' | 'after') {
  gateway.trap = { path, moment }
  expect((await run(words, env)).code, `killed at ${path}`).toBeNull()
}

/** Everything the repository has, as its owner's web server serves it. */
function write(): void {
  for (const [path, bytes] of theirs.files) {
    const file = join(service.folder, 'place', 'tuf', path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, bytes)
  }
}

const rootHere = async (version: number) => {
  const answer = await fetch(`${service.url}/r/${NAME}/tuf/${version}.root.json`)
  return answer.status === 200 ? Buffer.from(await answer.arrayBuffer()) : answer.status
}

test('killed at every call that changes something, and typed again', async () => {
  const { signer, pkcs8 } = await makeOfflineKey()
  theirs = await Repository.make(Date.now())
  const before = theirs.signers.root
  theirs.signers.root = [signer]
  await theirs.publishRoot([...before, signer])
  const alice = await newSigner()
  theirs.role('targets').delegations = delegationsTo(['alpha', [alice], ['alpha/*']])
  theirs.role('alpha').signers = [alice]
  theirs.role('alpha').files.set('alpha/file', utf8('a file of alpha'))
  await theirs.publish('targets', 'alpha')
  write()
  const pem = join(service.folder, 'root.pem')
  const text = Buffer.from(pkcs8).toString('base64')
  writeFileSync(pem, `-----BEGIN PRIVATE KEY-----\n${text}\n-----END PRIVATE KEY-----\n`)
  const trusted = join(service.folder, 'place', 'tuf', '1.root.json')
  const warm = new WarmClient(service.folder, server.url.slice(0, -1), trusted)
  expect(await warm.read('alpha/file')).toEqual(utf8('a file of alpha'))
  const moved = new WarmClient(service.folder, `${service.url}/r/${NAME}`, trusted)
  for (const file of ['root.json', 'timestamp.json', 'snapshot.json', 'targets.json', 'alpha.json'])
    copyFileSync(join(warm.folder, file), join(moved.folder, file))

  const bootstrap = { TUF_EDGE_BOOTSTRAP_SECRET: secret }
  const begin = ['adopt', `${server.url}tuf/`, '--root', trusted, '--name', NAME, '--service', gateway.url]
  await killed(begin, bootstrap, '/api/ceremony/keys', 'before')
  await killed(begin, bootstrap, '/api/ceremony/keys', 'after')
  await done(begin, bootstrap)
  const next = (folder: string, version: number) => join(service.folder, `${folder}-${NAME}`, `${version}.root.json`)
  await done(['sign', next('adopt', 3), next('adopt', 4), '--key', pem], {})
  const finish = ['adopt', '--finish', '--name', NAME, '--targets', `${server.url}tuf/targets/`, '--json']
  await killed(finish, bootstrap, '/api/adopt', 'before')
  expect(await rootHere(1)).toBe(503)
  await killed(finish, bootstrap, '/api/adopt', 'after')
  // A token that nobody saw is another one the next time.
  await killed(finish, bootstrap, '/api/tokens', 'after')
  const { token, held } = JSON.parse(await done(finish, bootstrap))
  expect(held.length).toBeLessThanOrEqual(1)
  expect(await rootHere(3)).toEqual(readFileSync(next('adopt', 3)))
  expect(await rootHere(4)).toBe(404)
  expect(await moved.read('alpha/file')).toEqual(utf8('a file of alpha'))

  await service.restartLater(2 * HOUR)
  await expect.poll(() => rootHere(4), { timeout: 20_000 }).toEqual(readFileSync(next('adopt', 4)))
  expect(await moved.read('alpha/file')).toEqual(utf8('a file of alpha'))

  const admin = { TUF_EDGE_TOKEN: token }
  const key = join(service.folder, 'later.json')
  const { keytype, scheme, public: hex } = theirs.signers.timestamp[0]!.key
  writeFileSync(key, JSON.stringify({ keytype, scheme, keyval: { public: hex } }))
  const release = ['release', '--name', NAME, '--url', gateway.url]
  await done([...release, '--root', trusted, '--snapshot-key', key, '--timestamp-key', key], admin)
  await done(['sign', next('release', 5), next('release', 6), '--key', pem], {})
  await killed([...release, '--finish'], admin, '/api/release', 'before')
  expect(await rootHere(5)).toBe(404)
  await killed([...release, '--finish'], admin, '/api/release', 'after')
  const answer = JSON.parse(await done([...release, '--finish', '--json'], admin))
  expect(answer).toMatchObject({ accepted: [], held: [{ root: 6 }] })
  expect(await rootHere(5)).toEqual(readFileSync(next('release', 5)))
  expect(await rootHere(6)).toBe(404)
  expect(await moved.read('alpha/file')).toEqual(utf8('a file of alpha'))
  expect(parseRoot(new Uint8Array(readFileSync(join(moved.folder, 'root.json')))).signed.version).toBe(5)
}, 240_000)
