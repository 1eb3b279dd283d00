// `npm start`, from the first start to a kill in the middle of a publication.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { developmentCeremony, mintTokens } from '../../cli/development.ts'
import { startRuntime } from '../../cli/runtime.ts'
import { startService } from '../../cli/serve.ts'
import { StateFolder } from '../../cli/state-folder.ts'
import { uploadFile } from '../../cli/upload.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { shardOf } from '../../tuf/bins.ts'
import { WarmClient } from './client.ts'
import { freePort, launch, type Process, startProcess, temporaryFolder } from './process.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const newFolder = () => {
  const folder = temporaryFolder()
  cleanups.push(folder.remove)
  return folder.path
}
const started = (process: Process) => {
  cleanups.push(process.kill)
  return process
}

const uploadToken = (folder: string): string => JSON.parse(readFileSync(join(folder, 'tokens.json'), 'utf8')).upload
const timestampOf = async (url: string) => (await (await fetch(`${url}/tuf/timestamp.json`)).json()).signed
const wheelOf = (name: string, version: string) =>
  buildWheel({ name, version, summary: 'a test', files: { [`${name}.py`]: `VERSION = "${version}"\n` } })
const pathOf = (name: string, filename: string) => `files/${shardOf(name)}/${name}/${filename}`

async function upload(url: string, token: string, name: string, version: string) {
  const { filename, bytes } = wheelOf(name, version)
  const status = await uploadFile({ base: url, token, name, version, filename, bytes })
  return { status, bytes, path: pathOf(name, filename) }
}

describe('npm start', () => {
  test('first start, Ctrl-C, start again: same root, same token, versions that only rise', async () => {
    const [folder, port] = [newFolder(), await freePort()]
    const first = started(await startProcess(folder, port))
    expect(first.output()).toContain(`pip install --index-url ${first.url}/simple/ hello-tuf-edge`)
    expect(first.output()).toContain(uploadToken(folder))
    const root = readFileSync(join(folder, 'root.json'))
    expect(first.output()).toContain(createHash('sha256').update(root).digest('hex'))
    const warm = new WarmClient(newFolder(), first.url, join(folder, 'root.json'))
    const hello = pathOf('hello-tuf-edge', 'hello_tuf_edge-1.0-py3-none-any.whl')
    expect(await warm.read(hello)).toBeDefined()
    const before = await timestampOf(first.url)
    const token = uploadToken(folder)
    expect(await first.interrupt()).toBe(0)

    const second = started(await startProcess(folder, port))
    expect(uploadToken(folder)).toBe(token)
    expect(readFileSync(join(folder, 'root.json'))).toEqual(root)
    expect((await timestampOf(second.url)).version).toBeGreaterThanOrEqual(before.version)
    const more = await upload(second.url, token, 'alpha', '1.0')
    expect(more.status).toBe(200)
    expect(await warm.read(more.path)).toEqual(more.bytes)
    expect(await warm.read(hello)).toBeDefined()

    // A taken folder and a taken port are one clear sentence each.
    const otherPort = launch(folder, await freePort())
    expect(await otherPort.ended).toBe(1)
    expect(otherPort.output()).toMatch(
      /The folder .* is in use by process \d+: stop it, or choose another --folder\.\n$/,
    )
    const otherFolder = launch(newFolder(), port)
    expect(await otherFolder.ended).toBe(1)
    expect(otherFolder.output()).toMatch(/Port \d+ on 127\.0\.0\.1 is taken: stop the program that uses it, or choose/)
  })

  test('nothing but the index is on its port', async () => {
    const service = started(await startProcess(newFolder(), await freePort()))
    for (const path of [
      '/cdn-cgi/explorer/api/',
      '/cdn-cgi/handler/scheduled',
      '/cdn-cgi/mf/scheduled',
      '/cdn-cgi/local/scheduled',
    ])
      expect((await fetch(service.url + path)).status, path).toBe(404)
    const home = await fetch(`${service.url}/`)
    expect(home.headers.get('content-type')).toContain('text/html')
    expect(await home.text()).toContain('hello-tuf-edge')
    // To the process that was started and no other: the service stops, and its folder is free again.
    expect(await service.interruptAlone()).toBe(0)
    expect(service.output()).toContain('stopping')
  })
})

test('after everything expired, a start signs again before it says ready', async () => {
  const [path, port] = [newFolder(), await freePort()]
  const folder = new StateFolder(path)
  await folder.take()
  const runtime = await startRuntime({ port, folder: folder.runtime, ...folder.secrets() })
  const lives = { timestampSeconds: 4, snapshotSeconds: 4, binSeconds: 4, tickSeconds: 1 }
  await developmentCeremony(runtime.url, folder, lives)
  const { upload: token } = await mintTokens(runtime.url, folder)
  const staged = await upload(runtime.url, token, 'alpha', '1.0')
  const warm = new WarmClient(newFolder(), runtime.url, folder.rootFile)
  expect(await warm.read(staged.path)).toEqual(staged.bytes)
  await runtime.stop()
  folder.release()
  await new Promise((resolve) => setTimeout(resolve, 5_000))

  const service = await startService(port, path)
  cleanups.push(service.runtime.stop)
  expect(service.first).toBe(false)
  const timestamp = await timestampOf(service.runtime.url)
  expect(Date.parse(timestamp.expires)).toBeGreaterThan(Date.now())
  expect(await warm.read(staged.path)).toEqual(staged.bytes)
})

test('SIGKILL in the middle of publications: nothing acknowledged is lost, a warm client follows, repeating is safe', async () => {
  const [folder, port] = [newFolder(), await freePort()]
  let service = started(await startProcess(folder, port))
  const token = uploadToken(folder)
  const warm = new WarmClient(newFolder(), service.url, join(folder, 'root.json'))
  const acknowledged: { path: string; bytes: Uint8Array }[] = []
  let unanswered: string[] = []
  for (let round = 0; round < 4; round++) {
    const { url } = service
    let stop = false
    unanswered = []
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; !stop; i++) {
        const name = `w${writer}`
        const version = `${round}.${i}`
        try {
          const done = await upload(url, token, name, version)
          if (done.status === 200) acknowledged.push(done)
        } catch {
          unanswered.push(`${name} ${version}`)
          return
        }
      }
    })
    await new Promise((resolve) => setTimeout(resolve, 300 + 190 * round))
    await service.kill()
    stop = true
    await Promise.all(writers)
    service = started(await startProcess(folder, port))
    expect(await warm.read('simple/vnd.pypi.simple.v1.json')).toBeDefined()
    for (const { path, bytes } of acknowledged.slice(-12)) expect(await warm.read(path)).toEqual(bytes)
    for (const again of unanswered) {
      const [name, version] = again.split(' ') as [string, string]
      const done = await upload(service.url, token, name, version)
      expect(done.status).toBe(200)
      expect(await warm.read(done.path)).toEqual(done.bytes)
    }
  }
  expect(acknowledged.length).toBeGreaterThan(8)
  for (const { path, bytes } of acknowledged) {
    const answer = await fetch(`${service.url}/${path}`)
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes)
  }
})
