// `tuf-edge export`: the folder it writes, under Python's own web server, read by pip, uv and the TUF clients; and what a
// reader sees of a run that was cut short, or refused.
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { callApi } from '../../cli/api.ts'
import { exportIndex } from '../../cli/export.ts'
import { Progress } from '../../cli/progress.ts'
import { shardOf } from '../../tuf/bins.ts'
import { freePort } from '../e2e/process.ts'
import { makeSdist } from '../workerd/distributions.ts'
import { type Driver, driver, TUF_CLIENTS, type TufClient } from './clients.ts'
import { interpreter, prepare, python } from './environments.ts'
import { Service } from './service.ts'
import { install, makeVenv, run, textOf } from './tools.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const filePath = (project: string, filename: string): string => `files/${shardOf(project)}/${project}/${filename}`

let service: Service
beforeAll(async () => {
  await prepare(['pip', 'uv', 'tuf', 'gotuf'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

let folders = 0
const newFolder = (): string => join(service.folder, `folder-${folders++}`)
const copy = (folder: string, from = service.url) => exportIndex(from, service.root, folder, undefined, new Progress())
const timestampOf = (folder: string): number =>
  (JSON.parse(readFileSync(join(folder, 'tuf', 'timestamp.json'), 'utf8')) as { signed: { version: number } }).signed
    .version

/** `python -m http.server` over a folder, until the test ends. */
async function pythonServer(context: TestContext, folder: string): Promise<string> {
  const port = await freePort()
  const args = ['-m', 'http.server', String(port), '--bind', '127.0.0.1', '--directory', folder]
  const child: ChildProcess = spawn(python(), args, { stdio: 'ignore' })
  context.onTestFinished(() => void child.kill())
  const url = `http://127.0.0.1:${port}/`
  for (let i = 0; i < 100; i++) {
    if (
      await fetch(url).then(
        (answer) => answer.ok,
        () => false,
      )
    )
      return url
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('python -m http.server does not answer')
}

const clientOf = (context: TestContext, name: TufClient, url: string, state: string): Promise<Driver> =>
  driver(context, name, { root: service.root, metadataUrl: `${url}tuf/`, targetsUrl: `${url}tuf/targets/` }, state)

/** The index through somebody in between, who may answer otherwise or hold an answer back. */
async function between(
  context: TestContext,
  meddle: (path: string, bytes: Buffer) => Buffer | Promise<Buffer>,
): Promise<string> {
  const server: Server = createServer(async (request, response) => {
    const answer = await fetch(new URL(request.url!, service.url))
    const bytes = await meddle(request.url!, Buffer.from(await answer.arrayBuffer()))
    response.writeHead(answer.status).end(bytes)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  context.onTestFinished(
    () =>
      new Promise<void>((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('the folder under python -m http.server', () => {
  const project = 'exported-sample'
  let folder: string
  let files: { filename: string; bytes: Uint8Array }[]

  beforeAll(async () => {
    folder = newFolder()
    const wheel = await service.publish(project, '1.0', { text: 'from the mirror' })
    const odd = await service.publish(project, '1!0.1+local.7')
    const sdist = await makeSdist(project, '1.0')
    await service.upload(project, '1.0', sdist)
    files = [wheel, odd, sdist]
    const report = await copy(folder)
    expect(report).toMatchObject({ root: 1, projects: 2, files: 4, removed: 0 })
  })

  test.for(['pip-23.0', 'pip', 'uv'] as const)('%s installs from it', async (tool, context) => {
    const url = await pythonServer(context, folder)
    const target = await makeVenv(newFolder())
    const outcome = await install(context, tool, { indexUrl: `${url}simple/`, name: `${project}==1.0`, target })
    expect(outcome.status, outcome.output).toBe(0)
    expect(await textOf(interpreter(target), project)).toBe('from the mirror')
  })

  test.for([...TUF_CLIENTS])('%s refreshes and downloads everything from it, and follows it', async (name, context) => {
    const url = await pythonServer(context, folder)
    const client = await clientOf(context, name, url, newFolder())
    const wanted = new Map(files.map(({ filename, bytes }) => [filePath(project, filename), sha256(bytes)]))
    const { lines } = await client.download([
      ...wanted.keys(),
      `simple/${shardOf(project)}/${project}/vnd.pypi.simple.v1.json`,
    ])
    expect(lines.map(({ ok }) => ok)).toEqual([true, true, true, true])
    for (const line of lines.slice(0, 3)) expect(line.sha256).toBe(wanted.get(line.target!))

    const later = await service.publish(`later-${name}`, '1.0')
    const report = await copy(folder)
    expect(report.fetched).toBeLessThan(10)
    const followed = await client.download([filePath(`later-${name}`, later.filename)])
    expect(followed.lines).toMatchObject([{ ok: true, sha256: sha256(later.bytes) }])
  })

  test('page, metadata and file are the bytes the index serves', async () => {
    await copy(folder)
    for (const [path, name, accept] of [
      ['/simple/', 'simple/index.html', 'text/html'],
      ['/simple/', 'simple/index.v1_json', 'application/vnd.pypi.simple.v1+json'],
      [`/simple/${project}/`, `simple/${project}/index.html`, 'text/html'],
      [`/simple/${project}/`, `simple/${project}/index.v1_json`, 'application/vnd.pypi.simple.v1+json'],
      [
        `/${filePath(project, `${files[0]!.filename}.metadata`)}`,
        filePath(project, `${files[0]!.filename}.metadata`),
        '*/*',
      ],
    ] as const) {
      const served = await fetch(service.url + path, { headers: { accept } })
      expect(readFileSync(join(folder, name)), name).toEqual(Buffer.from(await served.arrayBuffer()))
    }
  })
})

test('a run that is cut short changes nothing a reader sees, and the next one fetches only the rest', async (context) => {
  const folder = newFolder()
  await copy(folder)
  const before = timestampOf(folder)
  const client = await clientOf(context, 'tuf-js', await pythonServer(context, folder), newFolder())
  for (let i = 0; i < 6; i++) await service.publish(`cut-${i}`, '1.0')

  // Holds the ninth target back for ever.
  let targets = 0
  let held: () => void = () => {}
  const reached = new Promise<void>((resolve) => {
    held = resolve
  })
  const url = await between(context, async (path, bytes) => {
    if (path.startsWith('/tuf/targets/') && ++targets > 8) {
      held()
      await new Promise(() => {})
    }
    return bytes
  })
  const rootFile = join(service.folder, '.tuf-edge', 'root.json')
  const words = ['cli/main.ts', 'export', folder, '--index', url, '--root', rootFile]
  const child = spawn(process.execPath, words, { stdio: 'ignore' })
  await reached
  child.kill('SIGKILL')
  await new Promise((ended) => child.once('exit', ended))

  expect(timestampOf(folder)).toBe(before)
  const read = await client.download(['simple/vnd.pypi.simple.v1.json'])
  expect(read.lines).toMatchObject([{ ok: true }])
  // A file that rotted on the disk is fetched again too.
  const rotten = join(folder, 'tuf', 'targets', filePath('hello-tuf-edge', ''))
  const [name] = readdirSync(rotten)
  writeFileSync(join(rotten, name!), readFileSync(join(rotten, name!)).fill(0, 40, 80))

  const report = await copy(folder)
  expect(report.timestamp).toBeGreaterThan(before)
  // Six projects of a wheel, its metadata and two pages, two lists, the rotten one; without those that came before the cut.
  expect(report.fetched).toBeGreaterThan(0)
  expect(report.fetched).toBeLessThanOrEqual(6 * 4 + 2 + 1 - 3)
  expect(readdirSync(folder, { recursive: true }).filter((file) => String(file).endsWith('.new'))).toEqual([])
  const { lines } = await client.download([filePath('cut-5', 'cut_5-1.0-py3-none-any.whl')])
  expect(lines).toMatchObject([{ ok: true }])
})

test.for(['a file', 'a page', 'a list of files', 'the metadata of a wheel'])(
  'refuses an index that serves %s with another byte, and keeps what was there',
  async (what, context) => {
    const folder = newFolder()
    await copy(folder)
    const before = timestampOf(folder)
    const name = `meddled-${what.replaceAll(' ', '-')}`
    const wheel = await service.publish(name, '1.0')
    const path = new RegExp(
      {
        'a file': `/tuf/targets/files/.*${wheel.filename}$`,
        'a page': `/tuf/targets/simple/.*/${name}/.*json$`,
        'a list of files': `/tuf/\\d+\\.bin-${shardOf(name).slice(0, 2)}\\.json$`,
        'the metadata of a wheel': `${wheel.filename}\\.metadata$`,
      }[what]!,
    )
    let met = 0
    const url = await between(context, (asked, bytes) => {
      if (!path.test(asked)) return bytes
      met++
      const other = Buffer.from(bytes)
      other[bytes.length - 5]! ^= 1
      return other
    })
    await expect(copy(folder, url)).rejects.toThrow()
    expect(met).toBeGreaterThan(0)
    expect(timestampOf(folder)).toBe(before)
    expect(existsSync(join(folder, 'simple', name, 'index.html'))).toBe(false)
    expect((await copy(folder)).timestamp).toBeGreaterThan(before)
  },
)

test('what the index no longer names goes: pages at once, what a client may be reading with the next state', async () => {
  const folder = newFolder()
  await service.publish('replaced-page', '1.0')
  await copy(folder)
  const pages = join(folder, 'tuf', 'targets', 'simple', shardOf('replaced-page'), 'replaced-page')
  const [old] = readdirSync(pages)
  await service.publish('replaced-page', '1.1')
  writeFileSync(join(folder, 'simple', 'stray.html'), 'stray')
  expect((await copy(folder)).removed).toBe(1)
  expect(readdirSync(pages)).toContain(old)
  await service.publish('replaced-page', '1.2')
  await copy(folder)
  expect(readdirSync(pages)).not.toContain(old)
})

test('the command says what it did and refuses a folder of somebody else', async () => {
  const folder = newFolder()
  const rootFile = join(service.folder, '.tuf-edge', 'root.json')
  const cli = (...words: string[]) =>
    run(process.execPath, [
      join(process.cwd(), 'cli/main.ts'),
      'export',
      ...words,
      '--index',
      service.url,
      '--root',
      rootFile,
    ])
  const done = await cli(folder, '--json')
  expect(done.status, done.output).toBe(0)
  const { live } = await callApi<{ live: { snapshot: number } }>(service.url, 'GET', '/api/status')
  expect(JSON.parse(done.output)).toMatchObject({ root: 1, snapshot: live.snapshot })

  rmSync(join(folder, '.tuf-edge-export'), { recursive: true })
  const refused = await cli(folder)
  expect(refused.status).toBe(1)
  expect(refused.output).toContain('holds something else')
})
