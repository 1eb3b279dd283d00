// `tuf-edge adopt`, `sign` and `push` against a running service, typed as their helps show them. The repository is one that
// others sign; its clients are tuf-js with the state that the former signer left them.
import { spawn } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { makeOfflineKey } from '../../cli/ceremony.ts'
import { KeyFolder } from '../../cli/offline-keys.ts'
import { type LocalService, startService } from '../../cli/serve.ts'
import { roleFile } from '../../tuf/client.ts'
import { parseRoot } from '../../tuf/metadata.ts'
import { type StaticServer, serveFolder } from '../interop/static-server.ts'
import { delegationsTo, newSigner, Repository, utf8 } from '../unit/tuf/repository.ts'
import { WarmClient } from './client.ts'
import { freePort, outcomeOf, temporaryFolder } from './process.ts'

const PASSPHRASE = 'four random words here'
const folder = temporaryFolder()
let service: LocalService
let secret = ''
let count = 0

/** Of one test: the former place, what it is called here, a key of root in PEM. */
let name = ''
let theirs: Repository
let place = ''
let server: StaticServer
let pem = ''

beforeAll(async () => {
  service = await startService(await freePort(), join(folder.path, 'index'), { onLog: () => {} })
  secret = service.folder.secrets().bootstrapSecret
})
afterAll(async () => {
  await service?.runtime.stop()
  folder.remove()
})
beforeEach(async () => {
  name = `their-${count++}`
  theirs = await Repository.make(Date.now())
  const { signer, pkcs8 } = await makeOfflineKey()
  const before = theirs.signers.root
  theirs.signers.root = [signer]
  await theirs.publishRoot([...before, signer])
  const alice = await newSigner()
  theirs.role('targets').delegations = delegationsTo(['alpha', [alice], ['alpha/*']], ['ü/x', [alice], ['u/*']])
  for (const role of ['alpha', 'ü/x']) theirs.role(role).signers = [alice]
  theirs.role('alpha').files.set('alpha/file', utf8('a file of alpha'))
  await theirs.publish('targets', 'alpha', 'ü/x')
  place = join(folder.path, name)
  pem = join(folder.path, `${name}.pem`)
  writeFileSync(
    pem,
    `-----BEGIN PRIVATE KEY-----\n${Buffer.from(pkcs8).toString('base64')}\n-----END PRIVATE KEY-----\n`,
  )
  write()
  server = await serveFolder(place)
  return () => server.close()
})

/** Everything the repository has, as its owner's web server serves it: `tuf/`, and the targets below. */
function write(): void {
  for (const [path, bytes] of theirs.files) {
    const file = join(place, 'tuf', path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, bytes)
  }
}

async function run(words: string[], env: NodeJS.ProcessEnv = { TUF_EDGE_BOOTSTRAP_SECRET: secret }) {
  const { TUF_EDGE_TOKEN: _, ...rest } = process.env
  const child = spawn(process.execPath, [join(process.cwd(), 'cli/main.ts'), ...words], {
    cwd: folder.path,
    env: { ...rest, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return outcomeOf(child)
}
const root1 = () => join(place, 'tuf', '1.root.json')
const begin = (source = `${server.url}tuf/`, more: string[] = []) =>
  run(['adopt', source, '--root', root1(), '--name', name, '--service', service.runtime.url, ...more])
const next = (version: number) => join(folder.path, `adopt-${name}`, `${version}.root.json`)
const signBoth = () => run(['sign', next(3), next(4), '--key', pem])
const finish = (more: string[] = []) =>
  run(['adopt', '--finish', '--name', name, '--targets', `${server.url}tuf/targets/`, ...more])
const base = () => `${service.runtime.url}/r/${name}`
const served = async (path: string) => {
  const answer = await fetch(`${base()}${path}`)
  return { status: answer.status, bytes: new Uint8Array(await answer.arrayBuffer()) }
}

test('verified, signed, handed over: a client with its state follows, and new files are pushed', async () => {
  const begun = await begin()
  expect(begun.code, begun.told).toBe(0)
  expect(begun.said).toContain('Verified   root 2, timestamp 2, snapshot 2, 3 signed roles\n')
  expect(begun.said).toContain('To be signed by 1 of the 1 root keys, both files\n')
  expect(parseRoot(new Uint8Array(readFileSync(next(3)))).signatures).toEqual([])

  const early = await finish()
  expect([early.code, early.told]).toEqual([1, expect.stringContaining('is signed by 0 of the 1 keys it needs.')])
  expect((await served('/tuf/timestamp.json')).status).toBe(503)

  expect((await signBoth()).code).toBe(0)
  // A second look leaves what was signed alone.
  const signedRoot = readFileSync(next(3))
  expect((await begin()).code).toBe(0)
  expect(readFileSync(next(3))).toEqual(signedRoot)

  // The cron job goes on meanwhile.
  await theirs.publishSnapshot()
  await theirs.publishTimestamp()
  write()
  const former = new WarmClient(folder.path, server.url.slice(0, -1), root1())
  expect(await former.read('alpha/file')).toEqual(utf8('a file of alpha'))

  const done = await finish(['--json'])
  expect(done.code, done.told).toBe(0)
  const result = JSON.parse(done.said)
  expect(result).toMatchObject({
    root: 3,
    timestamp: 1_004,
    snapshot: 1_004,
    downloaded: 'alpha/file',
    held: [{ root: 4 }],
  })
  const moved = new WarmClient(folder.path, base(), root1())
  for (const file of ['root.json', 'timestamp.json', 'snapshot.json', 'targets.json'])
    writeFileSync(join(moved.folder, file), readFileSync(join(former.folder, file)))
  expect(await moved.read('alpha/file')).toEqual(utf8('a file of alpha'))
  expect((await served('/tuf/1.root.json')).bytes).toEqual(theirs.files.get('1.root.json'))
  expect((await served(`/tuf/1.${roleFile('ü/x')}`)).bytes).toEqual(theirs.role('ü/x').bytes)

  // Again, as after a lost answer: found done, nothing changes.
  const again = await finish(['--json'])
  expect([again.code, again.told]).toEqual([1, expect.stringContaining('Set TUF_EDGE_TOKEN')])
  expect(JSON.parse(again.said)).toMatchObject({ root: 3, token: null, downloaded: null })
  const env = { TUF_EDGE_BOOTSTRAP_SECRET: secret, TUF_EDGE_TOKEN: result.token }
  const repeated = await run(['adopt', '--finish', '--name', name, '--targets', `${server.url}tuf/targets/`], env)
  expect(repeated.code, repeated.told).toBe(0)
  expect(repeated.said).toContain('Its first admin token was shown before')

  theirs.role('alpha').files.set('alpha/new', utf8('new'))
  await theirs.publishRole('alpha')
  await theirs.publishRole('ü/x')
  write()
  const tokenOf = (scope: string) =>
    run(['token', 'create', 'ci', '--scope', scope, '--all-projects', '--url', base()], env)
  const ofAlpha = (await tokenOf('metadata:alpha')).said.trim()
  const files = ['alpha', 'ü/x'].map((role) => join(place, 'tuf', `2.${roleFile(role)}`))
  const push = (paths: string[], token: string) =>
    run(['push', ...paths, '--name', name, '--url', service.runtime.url], { TUF_EDGE_TOKEN: token })
  const refused = await push(files, ofAlpha)
  expect(refused.code).toBe(1)
  expect((await served(`/tuf/2.${roleFile('alpha')}`)).status).toBe(404)
  expect(await push([files[0]!], ofAlpha)).toMatchObject({ code: 0, said: '2.alpha: published\n' })
  expect(await push(files, result.token)).toMatchObject({ code: 0, said: '2.ü/x: published\n' })
  expect(await push(files, result.token)).toMatchObject({ said: expect.stringContaining('nothing new') })
  expect(await moved.read('alpha/new')).toEqual(utf8('new'))
})

test('from a folder, with what its signer left expired; signed with a key of `tuf-edge init`', async () => {
  const keys = join(folder.path, `${name}-keys`)
  const { root } = (await new KeyFolder(keys).keys('https://pypi.example.org', 'alice', PASSPHRASE)).keys
  const before = theirs.signers.root
  theirs.signers.root = [root[0]!.signer]
  await theirs.publishRoot([...before, root[0]!.signer])
  theirs.expires.timestamp = theirs.expires.snapshot = Date.now() - 60_000
  await theirs.publishSnapshot()
  await theirs.publishTimestamp()
  write()
  const source = join(place, 'tuf')
  const expired = await begin(source)
  expect([expired.code, expired.told]).toEqual([1, expect.stringContaining('--stale takes it as it was left.')])
  expect((await begin(source, ['--stale', '--days', '400'])).code).toBe(0)
  const { expiresMs } = parseRoot(new Uint8Array(readFileSync(next(5)))).signed
  expect(Math.round((expiresMs - Date.now()) / 86_400_000)).toBe(400)
  const wrong = await run(['sign', next(4), next(5), '--keys', keys], { TUF_EDGE_PASSPHRASE: 'another one' })
  expect([wrong.code, wrong.told]).toEqual([1, expect.stringContaining('The passphrase does not open')])
  const signed = await run(['sign', next(4), next(5), '--keys', keys], { TUF_EDGE_PASSPHRASE: PASSPHRASE })
  expect(signed.code, signed.told).toBe(0)
  // Targets that are not there take nothing else away.
  const elsewhere = await run([
    'adopt',
    '--finish',
    '--name',
    name,
    '--stale',
    '--json',
    '--targets',
    `${server.url}no/`,
  ])
  expect([elsewhere.code, elsewhere.told]).toEqual([1, expect.stringContaining('Targets do not come from')])
  const { token } = JSON.parse(elsewhere.said)
  const env = { TUF_EDGE_BOOTSTRAP_SECRET: secret, TUF_EDGE_TOKEN: token }
  expect(
    await run(['adopt', '--finish', '--name', name, '--targets', `${server.url}tuf/targets/`, '--stale'], env),
  ).toMatchObject({
    code: 0,
    said: expect.stringContaining('and downloaded alpha/file\n'),
  })
  expect(await new WarmClient(folder.path, base(), root1()).read('alpha/file')).toEqual(utf8('a file of alpha'))
})

test('what no client would take is refused before anything is made', async () => {
  const alpha = join(place, 'tuf', '1.alpha.json')
  writeFileSync(alpha, readFileSync(alpha, 'utf8').replace('alpha/file', 'alpha/evil'))
  const { code, told } = await begin()
  expect([code, told]).toEqual([1, expect.stringContaining('No client would take this repository: "alpha" ')])
  expect(existsSync(next(3))).toBe(false)
  const created = await fetch(`${base()}/tuf/timestamp.json`)
  expect(created.status).toBe(503)
  const foreign = join(place, 'foreign.json')
  writeFileSync(foreign, (await Repository.make(Date.now())).files.get('1.root.json')!)
  const words = ['adopt', `${server.url}tuf/`, '--root', foreign, '--name', `${name}-x`]
  expect(await run([...words, '--service', service.runtime.url])).toMatchObject({
    code: 1,
    told: expect.stringContaining('root is signed by 0 of the 1 keys it needs.'),
  })
})

test('a root that moved on, an old place that went back, and a key that root does not name', async () => {
  expect((await begin()).code).toBe(0)
  const stranger = join(folder.path, 'stranger.pem')
  const { pkcs8 } = await makeOfflineKey()
  writeFileSync(
    stranger,
    `-----BEGIN PRIVATE KEY-----\n${Buffer.from(pkcs8).toString('base64')}\n-----END PRIVATE KEY-----\n`,
  )
  const before = readFileSync(next(3))
  expect(await run(['sign', next(3), '--key', stranger])).toMatchObject({
    code: 1,
    told: expect.stringContaining(`does not name ${stranger} as a key of root`),
  })
  expect(readFileSync(next(3))).toEqual(before)
  // As tuftool keeps keys.
  const der = join(folder.path, `${name}.der`)
  writeFileSync(der, '0 is how any file in DER begins')
  expect(await run(['sign', next(3), '--key', der])).toMatchObject({ code: 1, told: expect.stringContaining('in DER') })
  writeFileSync(der, createPrivateKey(readFileSync(pem)).export({ type: 'pkcs8', format: 'der' }))
  expect(await run(['sign', next(3), next(4), '--key', der])).toMatchObject({ code: 0 })
  await theirs.publishRoot()
  write()
  const moved = await finish()
  expect([moved.code, moved.told]).toEqual([1, expect.stringContaining('has published another root 3 than')])
  expect(readdirSync(join(folder.path, `adopt-${name}`))).toContain('3.root.json')
  expect((await served('/tuf/timestamp.json')).status).toBe(503)
})
