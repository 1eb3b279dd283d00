// Two indexes of one deployment, begun and run from the command line: each command reaches the one that is named, with its
// keys and its tokens, and leaves the other as it was. The first is begun before there is a `main`.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callApi } from '../../cli/api.ts'
import { type Runtime, startRuntime } from '../../cli/runtime.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { shardOf } from '../../tuf/bins.ts'
import { WarmClient } from './client.ts'
import { freePort, outcomeOf, temporaryFolder } from './process.ts'

const BOOTSTRAP = 'b'.repeat(43)

const folder = temporaryFolder()
let runtime: Runtime

beforeAll(async () => {
  runtime = await startRuntime({
    port: await freePort(),
    folder: join(folder.path, 'service'),
    wrappingSecret: 'w'.repeat(43),
    bootstrapSecret: BOOTSTRAP,
  })
})
afterAll(async () => {
  await runtime?.stop()
  folder.remove()
})

async function run(words: string[], token = '') {
  const child = spawn(process.execPath, [resolve('cli/main.ts'), ...words], {
    cwd: folder.path,
    env: { ...process.env, NO_COLOR: '1', TUF_EDGE_TOKEN: token, TUF_EDGE_BOOTSTRAP_SECRET: BOOTSTRAP },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return outcomeOf(child)
}

async function does(words: string[], token?: string): Promise<string> {
  const { code, said, told } = await run(words, token)
  expect(code, `${words.join(' ')}\n${said}${told}`).toBe(0)
  return said
}

interface Index {
  url: string
  keys: string
  token: string
}

async function begin(path: string, keys: string): Promise<Index> {
  const url = runtime.url + path
  const begun = JSON.parse(await does(['init', url, '--keys', keys, '--no-passphrase', '--json']))
  return { url, keys: join(folder.path, keys), token: begun.token }
}

const wheelOf = (text: string) =>
  buildWheel({ name: 'alpha', version: '1.0', summary: 'a test', files: { 'alpha.py': `text = '${text}'\n` } })

function put(name: string, { filename, bytes }: { filename: string; bytes: Uint8Array }): string {
  mkdirSync(join(folder.path, name), { recursive: true })
  writeFileSync(join(folder.path, name, filename), bytes)
  return join(folder.path, name, filename)
}

test('two indexes from the command line', { timeout: 300_000 }, async () => {
  const staging = await begin('/r/staging', 'staging-keys')
  expect((await fetch(`${runtime.url}/simple/`)).status).toBe(503)
  // A name that was asked for to adopt something is no index's any more.
  const taken = `${runtime.url}/r/taken`
  await callApi(taken, 'POST', '/api/ceremony/keys', { token: BOOTSTRAP, body: { adopted: true } })
  const [refused, borrowed, main] = await Promise.all([
    run(['init', taken, '--keys', 'taken-keys', '--no-passphrase']),
    run(['init', `${runtime.url}/r/other`, '--keys', 'staging-keys', '--no-passphrase']),
    begin('', 'main-keys'),
  ])
  expect([refused.code, refused.told]).toEqual([1, expect.stringContaining('for the other kind: use another name')])
  expect(existsSync(join(folder.path, 'taken-keys'))).toBe(false)
  expect([borrowed.code, borrowed.told]).toEqual([1, expect.stringContaining(`are for ${staging.url}:`)])

  // What brings and changes: each at the index that is named, with a token of that one.
  const [here, there] = [wheelOf('main'), wheelOf('staging')]
  const at = ({ url }: Index) => ['--url', url]
  await Promise.all([
    does(['upload', put('of-staging', there), ...at(staging)], staging.token),
    does(['import', join(put('of-main', here), '..'), ...at(main)], main.token),
  ])
  const create = ['token', 'create', 'ci', '--scope', 'yank', '--all-projects', ...at(staging)]
  const yanker = (await does(create, staging.token)).trim()
  const [yank, stray, foreign] = await Promise.all([
    run(['yank', 'alpha', '--version', '1.0', ...at(staging)], yanker),
    run(['yank', 'alpha', '--version', '1.0', ...at(main)], yanker),
    run(['token', 'list', ...at(staging)], main.token),
  ])
  expect([yank.code, stray.code, foreign.code], yank.told).toEqual([0, 1, 1])
  const yanked = async ({ url }: Index) => {
    const headers = { accept: 'application/vnd.pypi.simple.v1+json' }
    const { files } = await (await fetch(`${url}/simple/alpha/`, { headers })).json()
    return (files as { yanked: boolean }[]).map((file) => file.yanked)
  }
  expect([await yanked(main), await yanked(staging)]).toEqual([[false], [true]])
  const renew = ['renew', 'bins', ...at(staging), '--keys', staging.keys, '--no-passphrase', '--json']
  expect(JSON.parse(await does(renew, staging.token)).renewed).toMatchObject([{ role: 'bins', version: 2 }])

  // What reads: each from the root of the index that it reads.
  const root = ({ keys }: Index) => ['--root', join(keys, 'root.json')]
  const fetched = async (index: Index, into: string, wheel: { filename: string; bytes: Uint8Array }) => {
    const words = ['--index', `${index.url}/`, ...root(index), '--into', into, '--state', `${into}-state`]
    await does(['fetch', 'alpha', '--version', '1.0', ...words])
    return Buffer.compare(readFileSync(join(folder.path, into, wheel.filename)), wheel.bytes) === 0
  }
  const [own, other, audit, wrong, , doctor, ofMain, ofStaging, status] = await Promise.all([
    fetched(main, 'fetched', here),
    fetched(staging, 'fetched-staging', there),
    does(['audit', ...at(staging), ...root(staging), '--deep'], staging.token),
    run(['audit', ...at(staging), ...root(main)]),
    does(['export', 'copy', '--index', staging.url, ...root(staging)]),
    does(['doctor', staging.url, ...root(staging)]),
    does(['publisher', 'audience', ...at(main)]),
    does(['publisher', 'audience', ...at(staging)]),
    does(['status', ...at(staging), '--json']),
  ])
  expect([own, other, wrong.code]).toEqual([true, true, 1])
  expect([audit, doctor]).toEqual([
    expect.stringContaining('no difference'),
    expect.stringContaining('nothing is in the way'),
  ])
  expect(existsSync(join(folder.path, 'copy', 'simple', 'alpha'))).toBe(true)
  expect(ofMain).not.toBe(ofStaging)
  expect(JSON.parse(status)).toMatchObject({ files: 1 })
  const client = new WarmClient(folder.path, staging.url, join(staging.keys, 'root.json'))
  const path = `files/${shardOf('alpha')}/alpha/${there.filename}`
  expect(new Uint8Array((await client.read(path))!)).toEqual(new Uint8Array(there.bytes))

  // What is lost of one, or taken away, is of that one: its folder of the bucket is filled again from its own ledger.
  for (const key of await runtime.bucket.list('r/staging/e1/tuf/')) await runtime.bucket.delete(key)
  await does(['rebuild', ...at(staging)], BOOTSTRAP)
  expect(await yanked(staging)).toEqual([true])
  await does(['delete', 'alpha', '--yes', ...at(staging)], staging.token)
  expect((await fetch(`${staging.url}/simple/alpha/`)).status).toBe(404)
  expect(await yanked(main)).toEqual([false])
})
