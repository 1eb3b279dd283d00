// `tuf-edge init` against a service that nobody has initialised, through a way that breaks: after each failure the same
// command is typed again, and what comes out is one index with one set of keys.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KeyFolder } from '../../cli/offline-keys.ts'
import { type Runtime, startRuntime } from '../../cli/runtime.ts'
import { uploadFile } from '../../cli/upload.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { shardOf } from '../../tuf/bins.ts'
import { parseRoot } from '../../tuf/metadata.ts'
import { WarmClient } from './client.ts'
import { freePort, temporaryFolder } from './process.ts'

const BOOTSTRAP = 'b'.repeat(43)
const PASSPHRASE = 'correct horse battery staple'

const folder = temporaryFolder()
let runtime: Runtime
let way: Server
let url: string
/** Requests to this path are not passed on, or passed on and not answered. */
let fault: { path: string; lost: 'request' | 'answer' } | undefined

beforeAll(async () => {
  runtime = await startRuntime({
    port: await freePort(),
    folder: join(folder.path, 'service'),
    wrappingSecret: 'w'.repeat(43),
    bootstrapSecret: BOOTSTRAP,
  })
  way = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const lost = fault?.path === request.url ? fault?.lost : undefined
    if (lost === 'request') return void request.socket.destroy()
    const headers = Object.entries(request.headers).filter(([name]) => !['host', 'connection'].includes(name))
    const answer = await fetch(runtime.url + request.url, {
      method: request.method!,
      headers: headers as [string, string][],
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    })
    const body = Buffer.from(await answer.arrayBuffer())
    if (lost === 'answer') return void request.socket.destroy()
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(body)
  })
  way.listen(0, '127.0.0.1')
  await once(way, 'listening')
  url = `http://127.0.0.1:${(way.address() as AddressInfo).port}`
})
afterAll(async () => {
  way.close()
  await runtime.stop()
  folder.remove()
})

const init = (keys: string, env: Record<string, string> = {}, ...more: string[]) =>
  run(['init', url, '--keys', keys, '--json', ...more], env)

const renew = (keys: string, token: string, ...roles: string[]) =>
  run(['renew', ...roles, '--url', url, '--keys', keys, '--json'], { TUF_EDGE_TOKEN: token })

async function run(words: string[], env: Record<string, string>) {
  const args = ['cli/bootstrap.mjs', 'node', 'cli/main.ts', ...words]
  const child = spawn('node', args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, TUF_EDGE_PASSPHRASE: PASSPHRASE, ...env },
  })
  // The bootstrap secret comes through a pipe.
  child.stdin.end(`${env.PIPED ?? BOOTSTRAP}\n`)
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const [code] = await once(child, 'close')
  return { code: code as number, stdout, stderr }
}

test('a ceremony that breaks off four times ends with one index, one set of keys and one admin token', async () => {
  const keys = join(folder.path, 'keys')
  const wrong = await init(keys, { PIPED: 'x'.repeat(43) })
  expect(wrong).toMatchObject({ code: 1, stdout: '' })
  expect(wrong.stderr).toContain('The index does not know this bootstrap secret')
  expect((await init(keys, { TUF_EDGE_PASSPHRASE: 'short' })).stderr).toContain('at least 12 characters')
  expect(existsSync(keys)).toBe(false)

  fault = { path: '/api/ceremony/metadata', lost: 'request' }
  const broken = await init(keys)
  expect(broken.code).toBe(1)
  expect(broken.stderr).toMatch(
    /^tuf-edge: http:\/\/127\.0\.0\.1:\d+ did not answer: .*\. Does the index run .*, and is that its address\?\n$/m,
  )
  const made = readdirSync(keys).filter((name) => name.endsWith('.key.json'))
  expect(made.map((name) => name.split('-')[0]).sort()).toEqual(['bins', 'root', 'targets'])
  // The keys are made: from now on only their passphrase goes on.
  const other = await init(keys, { TUF_EDGE_PASSPHRASE: 'another passphrase' })
  expect(other.stderr).toMatch(/The passphrase does not open \w+-\w{8}\.key\.json/)

  fault = { path: '/api/ceremony/metadata', lost: 'answer' }
  expect((await init(keys)).code).toBe(1)
  // Also where the token was minted, and nobody has it: the next run makes another one and ends this.
  for (const lost of ['request', 'answer'] as const) {
    fault = { path: '/api/tokens', lost }
    expect((await init(keys)).code).toBe(1)
  }

  fault = undefined
  // A folder that is not of this ceremony is told so, and the admin token stays to be minted.
  const stranger = await init(join(folder.path, 'elsewhere'))
  expect(stranger.stderr).toContain('name the folder of its ceremony with --keys')
  const last = await init(keys)
  expect(last.code, last.stderr).toBe(0)
  const { token, sha256, root } = JSON.parse(last.stdout)
  expect(readdirSync(keys).filter((name) => name.endsWith('.key.json'))).toEqual(made)
  for (const name of made) {
    expect(statSync(join(keys, name)).mode & 0o777).toBe(0o600)
    const { private: sealed } = JSON.parse(readFileSync(join(keys, name), 'utf8'))
    // PKCS#8 begins with the algorithm: an unencrypted key is recognised by it.
    expect(Buffer.from(sealed, 'base64').toString('hex')).not.toContain('06032b6570')
  }
  expect(root).toBe(join(keys, 'root.json'))
  const trusted = parseRoot(new Uint8Array(readFileSync(root)))
  expect(trusted.signed.raw.get('x-tuf-edge-development')).toBeUndefined()
  expect(
    Buffer.from(await crypto.subtle.digest('SHA-256', trusted.bytes as Uint8Array<ArrayBuffer>)).toString('hex'),
  ).toBe(sha256)

  // The token administers and uploads, and a client that trusts root.json alone reads what it uploaded.
  const wheel = buildWheel({ name: 'alpha', version: '1.0', summary: 'a test', files: { 'alpha.py': '' } })
  await uploadFile({ base: url, token, name: 'alpha', version: '1.0', ...wheel })
  const client = new WarmClient(folder.path, runtime.url, root)
  expect(await client.read(`files/${shardOf('alpha')}/alpha/${wheel.filename}`)).toEqual(wheel.bytes)

  const again = await init(keys)
  expect(again.code, again.stderr).toBe(0)
  expect(JSON.parse(again.stdout)).toEqual({ root, sha256, token: null })

  // A year later people sign again: the same client goes on, and one that begins with the first root comes as well.
  const renewal = await renew(keys, token)
  expect(renewal.code, renewal.stderr).toBe(0)
  const { renewed } = JSON.parse(renewal.stdout) as { renewed: { role: string; version: number }[] }
  expect(renewed).toMatchObject([
    { role: 'root', version: 2 },
    { role: 'targets', version: 2 },
    { role: 'bins', version: 2 },
  ])
  expect(await client.read(`files/${shardOf('alpha')}/alpha/${wheel.filename}`)).toEqual(wheel.bytes)
  const fresh = new WarmClient(folder.path, runtime.url, root)
  expect(await fresh.read(`files/${shardOf('alpha')}/alpha/${wheel.filename}`)).toEqual(wheel.bytes)
  const status = (await (await fetch(`${runtime.url}/api/status`)).json()) as { roles: typeof renewed }
  expect(status.roles.filter(({ role }) => ['root', 'targets', 'bins'].includes(role)).map((r) => r.version)).toEqual([
    2, 2, 2,
  ])
  expect(JSON.parse((await renew(keys, token, 'bins')).stdout).renewed).toMatchObject([{ role: 'bins', version: 3 }])
})

test('a key that was changed, exchanged or removed does not sign', async () => {
  const keys = new KeyFolder(join(folder.path, 'damaged'))
  await keys.keys('https://a.example', 'me', null)
  const opened = () => keys.keys('https://a.example', 'me', null)
  expect((await opened()).made).toBe(false)
  await expect(keys.keys('https://b.example', 'me', null)).rejects.toThrow(/are for https:\/\/a\.example/)
  const fileOf = (role: string) => join(keys.path, readdirSync(keys.path).find((name) => name.startsWith(`${role}-`))!)
  const [good, foreign] = [fileOf('bins'), fileOf('root')]
  const before = readFileSync(good, 'utf8')
  writeFileSync(good, readFileSync(foreign))
  await expect(opened()).rejects.toThrow(/is not the key that ceremony\.json names/)
  writeFileSync(
    good,
    JSON.stringify({ ...JSON.parse(before), private: JSON.parse(readFileSync(foreign, 'utf8')).private }),
  )
  await expect(opened()).rejects.toThrow(/holds another private key than the one it names/)
  writeFileSync(good, before)
  expect((await opened()).keys.bins).toHaveLength(1)
})
