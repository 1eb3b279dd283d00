// docs/operations.md, run: every halt it names is brought about, and its command resolves it. Whole processes and a real
// folder; a ledger restored to an earlier moment is the files of that moment put back.
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { callApi, toBase64 } from '../../cli/api.ts'
import { holdCeremony, makeOfflineKey, type OnlineKeys } from '../../cli/ceremony.ts'
import { developmentCeremony, mintTokens, STANDARD } from '../../cli/development.ts'
import { type Runtime, startRuntime } from '../../cli/runtime.ts'
import { StateFolder } from '../../cli/state-folder.ts'
import { uploadFile } from '../../cli/upload.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { shardOf } from '../../tuf/bins.ts'
import { rootSigned, timestampSigned } from '../../tuf/build.ts'
import { ed25519Key } from '../../tuf/keys.ts'
import { parseTimestamp } from '../../tuf/metadata.ts'
import { signRole } from '../../tuf/sign.ts'
import { WarmClient } from './client.ts'
import { freePort, temporaryFolder } from './process.ts'

const DOCUMENT = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
const PREFIX = 'r/main/e1/'
const TIMESTAMP = `${PREFIX}tuf/timestamp.json`

/** Commands of the section whose heading begins with `heading`, in order. */
function commandsOf(heading: string): string[][] {
  const section = DOCUMENT.split(/^#{2,3} /m).find((text) => text.startsWith(heading))
  if (section === undefined) throw new Error(`docs/operations.md has no section '${heading}'.`)
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) =>
    block!
      .trim()
      .split('\n')
      .map((line) => line.split(' ').slice(1)),
  )
}

interface Ran {
  code: number
  stdout: string
  stderr: string
}

/** Runs `tuf-edge` as a person does, with the token in the environment. */
function run(args: string[], url: string, token?: string): Promise<Ran> {
  const { TUF_EDGE_TOKEN: _, ...env } = process.env
  const child = spawn('node', ['cli/bootstrap.mjs', 'node', 'cli/main.ts', ...args, '--url', url], {
    env: token === undefined ? env : { ...env, TUF_EDGE_TOKEN: token },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ran = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (ran.stdout += chunk))
  child.stderr.on('data', (chunk) => (ran.stderr += chunk))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code: code ?? -1, ...ran })))
}

/** An index in a folder of its own, stopped and started by the test. */
class Index {
  readonly folder: StateFolder
  readonly #temporary = temporaryFolder()
  readonly #port: number
  runtime!: Runtime
  admin = ''

  constructor(port: number) {
    this.folder = new StateFolder(this.#temporary.path)
    this.#port = port
  }

  async start(secrets: { wrappingSecret?: string; bootstrapSecret?: string } = {}): Promise<void> {
    this.folder.take()
    const options = { ...this.folder.secrets(), ...secrets }
    this.runtime = await startRuntime({ port: this.#port, folder: this.folder.runtime, onLog: () => {}, ...options })
  }

  async init(): Promise<void> {
    await this.start()
    await developmentCeremony(this.url, this.folder)
    this.admin = (await mintTokens(this.url, this.folder)).admin
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async upload(name: string, version: string): Promise<{ path: string; bytes: Uint8Array }> {
    const { filename, bytes } = buildWheel({ name, version, summary: 'a test', files: { [`${name}.py`]: '' } })
    const status = await uploadFile({ base: this.url, token: this.admin, name, version, filename, bytes })
    expect(status).toBe(200)
    return { path: `files/${shardOf(name)}/${name}/${filename}`, bytes }
  }

  client(): WarmClient {
    return new WarmClient(this.#temporary.path, this.url, this.folder.rootFile)
  }

  /** Stops, saves or puts back the ledger's files (everything but the bucket's), starts. */
  async saveLedger(): Promise<void> {
    await this.runtime.stop()
    for (const name of this.#ledgerFolders()) {
      rmSync(join(this.#temporary.path, `saved-${name}`), { recursive: true, force: true })
      cpSync(join(this.folder.runtime, name), join(this.#temporary.path, `saved-${name}`), { recursive: true })
    }
    await this.start()
  }

  async restoreLedger(): Promise<void> {
    await this.runtime.stop()
    for (const name of this.#ledgerFolders()) {
      rmSync(join(this.folder.runtime, name), { recursive: true })
      cpSync(join(this.#temporary.path, `saved-${name}`), join(this.folder.runtime, name), { recursive: true })
    }
    await this.start()
  }

  #ledgerFolders(): string[] {
    return readdirSync(this.folder.runtime).filter((name) => !name.startsWith('r2'))
  }

  async halted(): Promise<string> {
    const ran = await run(['status'], this.url)
    expect(ran.code).toBe(1)
    expect(ran.stdout).toMatch(/^halted: /)
    expect((await (await fetch(`${this.url}/api/status`)).json()).state).toBe('halted')
    return ran.stdout
  }

  async live(): Promise<void> {
    const ran = await run(['status'], this.url)
    expect(ran.stdout).toMatch(/^live\n/)
    expect(ran.code).toBe(0)
  }

  remove(): void {
    this.folder.release()
    this.#temporary.remove()
  }
}

let index: Index
beforeEach(async () => {
  index = new Index(await freePort())
})
afterEach(async () => {
  await index.runtime?.stop()
  index.remove()
})

test('every command of the document is run here', () => {
  const mine = readFileSync(new URL(import.meta.url), 'utf8')
  for (const [, heading] of DOCUMENT.matchAll(/^#{2,3} (.*)$/gm)) {
    if (!commandsOf(heading!).length) continue
    const known = [...mine.matchAll(/commandsOf\(\s*'([^']+)'/g)].map(([, name]) => name!)
    expect(
      known.some((name) => heading!.startsWith(name)),
      heading,
    ).toBe(true)
  }
})

test('Looking: status and audit of an index that is well', async () => {
  await index.init()
  await index.upload('alpha', '1.0')
  const [status, audit] = commandsOf('Looking')
  const shown = await run(status!, index.url)
  expect(shown).toMatchObject({ code: 0, stderr: '' })
  for (const role of ['root', 'targets', 'bins', 'snapshot', 'timestamp'])
    expect(shown.stdout).toMatch(new RegExp(`${role} +\\d+  \\d{4}-`))
  expect(JSON.parse((await run([...status!, '--json'], index.url)).stdout)).toMatchObject({ state: 'live', files: 1 })

  const words = audit!.map((word) => (word === 'root.json' ? index.folder.rootFile : word))
  const audited = await run(words, index.url, index.admin)
  expect(audited.stdout).toMatch(/no difference\n$/)
  expect(audited.stdout).toMatch(/journal of \d+ rows compared/)
  expect(audited.code).toBe(0)
  const outside = await run(words, index.url)
  expect(outside.stdout).toContain('the journal was not compared')
  expect(outside.code).toBe(0)

  // What is wrong is named: a file that is gone, a page that was changed, and a file whose bytes were.
  const beta = await index.upload('beta', '1.0')
  const keys = await index.runtime.bucket.list(PREFIX)
  const blob = keys.find((key) => key.includes('/blobs/') && key.endsWith('/1'))!
  const page = keys.find((key) => key.includes('/pages/') && key.includes('beta') && key.endsWith('.json'))!
  await index.runtime.bucket.delete(blob)
  await index.runtime.bucket.put(page, new TextEncoder().encode('{}'))
  await index.runtime.stop()
  await index.start()
  const found = await run(words, index.url, index.admin)
  expect(found.code).toBe(1)
  expect(found.stdout).toContain('files/')
  expect(found.stdout).toMatch(/simple\/\S+beta\/vnd\.pypi\.simple\.v1\.json: is answered 503/)
  expect(found.stdout).toMatch(/\d+ differences\n$/)
  expect(beta.path).toContain('beta')
})

describe('halts', () => {
  test('overwritten four times', async () => {
    const [command] = commandsOf('`timestamp.json was overwritten')
    await index.init()
    const first = await index.upload('alpha', '1.0')
    const warm = index.client()
    await warm.read(first.path)
    for (let i = 0; i < 4; i++) {
      await index.runtime.bucket.put(TIMESTAMP, new TextEncoder().encode('{}'))
      await index.runtime.watchdog()
    }
    expect(await index.halted()).toContain('tuf-edge resume')
    // The face asks the publisher every five seconds at most.
    const health = async () => (await fetch(`${index.url}/healthz`)).text()
    await expect.poll(health, { timeout: 20_000, interval: 500 }).toContain('Revoke the bucket token that leaked')
    expect((await fetch(`${index.url}/healthz`)).status).toBe(503)
    expect((await run(command!, index.url)).stderr).toContain('This takes a token')
    expect(await run(command!, index.url, index.admin)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('resumed'),
    })
    await index.live()
    expect(await warm.read(first.path)).toEqual(first.bytes)
  })

  test('a restored older ledger', async () => {
    const [command, withdraw] = commandsOf('`timestamp.json in the bucket is version N')
    await index.init()
    const first = await index.upload('alpha', '1.0')
    await index.saveLedger()
    const lost = [await index.upload('alpha', '1.1'), await index.upload('beta', '1.0')]
    const warm = index.client()
    for (const file of lost) await warm.read(file.path)
    await index.restoreLedger()
    await index.runtime.watchdog()
    expect(await index.halted()).toContain('resume --from-public')
    const asked = await run(command!, index.url, index.admin)
    expect(asked).toMatchObject({ code: 1 })
    expect(asked.stderr).toContain('Nothing was changed')
    expect(asked.stderr).toMatch(/to be restored \(2\)\n {2}alpha\/alpha-1\.1/)
    await index.halted()
    const done = await run([...command!, '--yes'], index.url, index.admin)
    expect(done).toMatchObject({ code: 0, stdout: expect.stringContaining('resumed') })
    await index.live()
    for (const file of [first, ...lost]) expect(await warm.read(file.path)).toEqual(file.bytes)
    const more = await index.upload('gamma', '1.0')
    expect(await warm.read(more.path)).toEqual(more.bytes)
    const words = ['audit', '--root', index.folder.rootFile, '--deep']
    expect((await run(words, index.url, index.admin)).stdout).toMatch(/no difference\n$/)
    // Nothing is missing in public: the other form of the command takes nothing away.
    expect(await run([...withdraw!, '--yes'], index.url, index.admin)).toMatchObject({ code: 0 })
    expect(await warm.read(first.path)).toEqual(first.bytes)
  })

  test('our signature on bytes this ledger never stored', async () => {
    const [command] = commandsOf('`N.role.json carries our signature')
    await index.init()
    await index.upload('alpha', '1.0')
    const old = (await index.runtime.bucket.get(TIMESTAMP))!
    await index.saveLedger()
    await index.upload('beta', '1.0')
    await index.restoreLedger()
    // The timestamp, too, is of the earlier moment; what is written once is not.
    await index.runtime.bucket.put(TIMESTAMP, old)
    await expect(index.upload('alpha', '1.1')).rejects.toThrow()
    expect(await index.halted()).toContain('carries our signature')
    expect(await run([...command!, '--yes'], index.url, index.admin)).toMatchObject({ code: 0 })
    await index.live()
    const again = await index.upload('alpha', '1.1')
    expect(await index.client().read(again.path)).toEqual(again.bytes)
  })

  test('handed over', async () => {
    const [command] = commandsOf('`timestamp.json in the bucket is signed by another key')
    await index.start()
    const token = index.folder.secrets().bootstrapSecret
    const online = await callApi<OnlineKeys>(index.url, 'POST', '/api/ceremony/keys', { token })
    const offline = {
      root: [await makeOfflineKey()],
      targets: [await makeOfflineKey()],
      bins: [await makeOfflineKey()],
    }
    const expiresMs = Date.now() + 86_400_000
    const thresholds = { root: 1, targets: 1, bins: 1 }
    const { targets, bins } = await holdCeremony({ online, offline, thresholds, expiresMs, development: true })
    const other = await makeOfflineKey()
    const key = (role: string) => ed25519Key(online.keys.find((each) => each.role === role)!.public)
    const role = (...keyids: string[]) => ({ keyids, threshold: 1 })
    const [ownRoot, ownTargets] = [offline.root[0]!.key, offline.targets[0]!.key]
    const signedRoot = rootSigned({
      version: 1,
      expiresMs,
      keys: [ownRoot, ownTargets, key('timestamp'), key('snapshot'), other.key],
      roles: {
        root: role(ownRoot.keyid),
        targets: role(ownTargets.keyid),
        timestamp: role(key('timestamp').keyid, other.key.keyid),
        snapshot: role(key('snapshot').keyid),
      },
    })
    const root = await signRole(signedRoot, [offline.root[0]!.signer])
    index.folder.saveRoot(root)
    const body = { roots: [toBase64(root)], targets: toBase64(targets), bins: toBase64(bins), freshness: STANDARD }
    await callApi(index.url, 'POST', '/api/ceremony/metadata', { token, body })
    index.admin = (await mintTokens(index.url, index.folder)).admin
    const first = await index.upload('alpha', '1.0')

    const { version, snapshot } = parseTimestamp((await index.runtime.bucket.get(TIMESTAMP))!).signed
    const meta = { version: snapshot.version, length: snapshot.length!, sha256: snapshot.hashes!.get('sha256')! }
    const taken = timestampSigned({ version: version + 1, expiresMs, snapshot: meta })
    await index.runtime.bucket.put(TIMESTAMP, await signRole(taken, [other.signer]))
    await index.runtime.watchdog()
    expect(await index.halted()).toContain('handed over')
    expect(await run([...command!, '--yes'], index.url, index.admin)).toMatchObject({ code: 0 })
    await index.live()
    const more = await index.upload('beta', '1.0')
    for (const file of [first, more]) expect(await index.client().read(file.path)).toEqual(file.bytes)
  })

  test('another file where the ceremony’s belongs', async () => {
    const [command] = commandsOf('`N.role.json in the bucket is not the file')
    await index.start()
    await index.runtime.bucket.put(`${PREFIX}tuf/1.targets.json`, new TextEncoder().encode('{}'))
    await expect(developmentCeremony(index.url, index.folder)).rejects.toThrow('is not the file the ceremony signed')
    const { bootstrapSecret } = index.folder.secrets()
    expect(await run(command!, index.url, bootstrapSecret)).toMatchObject({ code: 1 })
    await index.runtime.bucket.delete(`${PREFIX}tuf/1.targets.json`)
    expect(await run(command!, index.url, bootstrapSecret)).toMatchObject({ code: 0 })
    await index.live()
    index.admin = (await mintTokens(index.url, index.folder)).admin
    const first = await index.upload('alpha', '1.0')
    expect(await index.client().read(first.path)).toEqual(first.bytes)
  })

  test('another wrapping secret', async () => {
    const [command] = commandsOf('`WRAPPING_SECRET is not the one')
    await index.init()
    const first = await index.upload('alpha', '1.0')
    await index.runtime.stop()
    await index.start({ wrappingSecret: 'x'.repeat(43) })
    await index.runtime.watchdog()
    expect(await index.halted()).toContain('WRAPPING_SECRET')
    expect(await run(command!, index.url, index.admin)).toMatchObject({ code: 1 })
    await index.runtime.stop()
    await index.start()
    expect(await run(command!, index.url, index.admin)).toMatchObject({ code: 0 })
    await index.live()
    expect(await index.client().read(first.path)).toEqual(first.bytes)
  })
})

test('no admin token is left: another bootstrap secret, typed as written, makes one and no second', async () => {
  const [command] = commandsOf('No admin token is left')
  const [make, put] = DOCUMENT.split('## No admin token is left\n')[1]!
    .match(/^ {4}.*$/gm)!
    .map((line) => line.trim())
  // Cloudflare's half. The test does what it does: the publisher starts again with the secret from the file.
  expect(put).toBe('npx wrangler secret put BOOTSTRAP_SECRET --name tuf-edge-publisher < bootstrap-secret')
  await index.start()
  await developmentCeremony(index.url, index.folder)
  const first = index.folder.secrets().bootstrapSecret
  const body = { name: 'short', scopes: ['admin'], allProjects: true, expires: Math.floor(Date.now() / 1000) + 10 }
  const { token } = await callApi<{ token: string }>(index.url, 'POST', '/api/tokens', { token: first, body })
  // Its first use, which ends the first secret.
  await callApi(index.url, 'GET', '/api/tokens', { token })

  const made = temporaryFolder()
  try {
    execFileSync('sh', ['-ec', make!], { cwd: made.path })
    const secret = readFileSync(join(made.path, 'bootstrap-secret'), 'utf8').trim()
    await index.runtime.stop()
    await index.start({ bootstrapSecret: secret })
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, body.expires * 1000 - Date.now())))
    const ended = callApi(index.url, 'GET', '/api/tokens', { token })
    await expect(ended).rejects.toMatchObject({ status: 401 })
    const expires = Math.floor(Date.now() / 1000) + 3_600
    const dead = callApi(index.url, 'POST', '/api/tokens', { token: first, body: { ...body, expires } })
    await expect(dead).rejects.toMatchObject({ status: 401 })

    const ran = await run(command!, index.url, secret)
    expect(ran.code, ran.stderr).toBe(0)
    expect(ran.stdout).toMatch(/^tue_[\w-]{49}\n$/)
    expect(await run(command!, index.url, secret)).toMatchObject({ code: 1, stdout: '' })
    const list = await callApi(index.url, 'GET', '/api/tokens', { token: ran.stdout.trim() })
    expect(list).toMatchObject({ tokens: [{ name: 'anna', by: 'bootstrap' }] })
    expect(ran.stderr).not.toContain(secret)
  } finally {
    made.remove()
  }
})

test('a lost bucket: rebuild with the bootstrap secret, then with the token', async () => {
  const [command] = commandsOf('A lost or damaged bucket')
  await index.init()
  const first = await index.upload('alpha', '1.0')
  const warm = index.client()
  await warm.read(first.path)
  const { bucket } = index.runtime
  const blobs = new Map<string, Uint8Array>()
  for (const key of await bucket.list(PREFIX)) {
    if (key.includes('/blobs/')) blobs.set(key, (await bucket.get(key))!)
    await bucket.delete(key)
  }
  await index.runtime.stop()
  await index.start()
  expect((await run(command!, index.url, index.admin)).stderr).toContain('takes the bootstrap secret')
  const rebuilt = await run(command!, index.url, index.folder.secrets().bootstrapSecret)
  expect(rebuilt.code).toBe(1)
  expect(rebuilt.stderr).toMatch(/checked \d+ of \d+/)
  for (const key of blobs.keys()) expect(rebuilt.stdout).toContain(`missing ${key}`)
  for (const [key, bytes] of blobs) await index.runtime.bucket.put(key, bytes)
  const whole = await run(command!, index.url, index.admin)
  expect(whole).toMatchObject({ code: 0, stdout: '0 restored, 0 replaced, 0 missing\n' })
  await index.live()
  expect(await warm.read(first.path)).toEqual(first.bytes)
  const words = ['audit', '--root', index.folder.rootFile, '--deep', '--json']
  writeFileSync(join(index.folder.path, 'admin.token'), `${index.admin}\n`)
  const audited = await run([...words, '--token-file', join(index.folder.path, 'admin.token')], index.url)
  expect(JSON.parse(audited.stdout)).toMatchObject({ differences: [], files: 1 })
})
