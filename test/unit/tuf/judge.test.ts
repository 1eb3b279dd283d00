// An independent judge: tuf-js, over HTTP on loopback, must find and download what the builders publish.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Updater } from 'tuf-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Profile, shardOf } from '../../../tuf/bins.ts'
import { Client, initStore } from '../../../tuf/client.ts'
import { webTransport } from '../../../tuf/transport.ts'
import { MemoryStore, newSigner, Repository, text } from './repository.ts'

let server: Server
let base = ''
let folder = ''
let repository: Repository

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tuf-edge-judge-'))
  // As plain file servers do: the name is the path of the URL, byte for byte.
  server = createServer((request, response) => {
    const bytes = repository.files.get(request.url!.slice('/tuf/'.length))
    response.writeHead(bytes ? 200 : 404).end(bytes ?? 'not here')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tuf/`
})

afterAll(async () => {
  await new Promise((resolve) => server.close(resolve))
  await rm(folder, { recursive: true, force: true })
})

const profiles: Profile[] = [
  { kind: 'sharded', bins: 16, prefix: 'bin' },
  { kind: 'succinct', bitLength: 4, prefix: 'bin' },
  { kind: 'hashed', bins: 32, prefix: 'bin' },
]

describe.each(profiles)('an index of %o', (profile) => {
  const page = `simple/${shardOf('foo')}/foo/vnd.pypi.simple.v1.json`
  const file = `files/${shardOf('foo')}/foo/foo-1!2.0+x.tar.gz`
  const list = 'simple/vnd.pypi.simple.v1.json'

  test('tuf-js finds pages, files and the project list, also after rotation and new versions', async () => {
    repository = await Repository.index(profile, Date.now())
    const metadataDir = await mkdtemp(join(folder, 'metadata-'))
    const targetDir = await mkdtemp(join(folder, 'targets-'))
    await writeFile(join(metadataDir, 'root.json'), repository.files.get('1.root.json')!)
    const updater = () =>
      new Updater({
        metadataDir,
        metadataBaseUrl: base,
        targetDir,
        targetBaseUrl: `${base}targets/`,
        config: { fetchRetry: 0 },
      })
    const check = async () => {
      const tufjs = updater()
      await tufjs.refresh()
      for (const [path, content] of [
        [page, 'a page'],
        [file, 'a file'],
        [list, 'the list'],
      ] as const) {
        const info = await tufjs.getTargetInfo(path)
        expect(info, path).toBeDefined()
        expect(await readFile(await tufjs.downloadTarget(info!), 'utf8')).toBe(content)
      }
      expect(await tufjs.getTargetInfo(`files/${shardOf('bar')}/bar/none.whl`)).toBeUndefined()
    }
    await check()
    repository.signers.timestamp = [await newSigner()]
    repository.signers.root.push(await newSigner())
    repository.thresholds.root = 2
    await repository.publishRoot()
    await repository.publish(...repository.roles.keys())
    await check()
  })

  test('our client finds the same over HTTP', async () => {
    repository = await Repository.index(profile, Date.now())
    const store = new MemoryStore()
    await initStore(store, repository.files.get('1.root.json')!)
    const client = new Client({ store, transport: webTransport(), metadataUrl: base, targetsUrl: `${base}targets/` })
    for (const [path, content] of [
      [page, 'a page'],
      [file, 'a file'],
      [list, 'the list'],
    ] as const)
      expect(text(await client.download((await client.targetInfo(path))!))).toBe(content)
    expect(await client.targetInfo(`files/${shardOf('bar')}/bar/none.whl`)).toBeUndefined()
  })
})
