// `tuf-edge import` from real indexes: devpi (its JSON pages, its dates), pypiserver (HTML with digests), and a folder
// under `python -m http.server` (HTML that names nothing but links).
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest'
import type { ImportReport } from '../../cli/import.ts'
import { type BuiltFile, buildWheel } from '../../cli/wheel.ts'
import { freePort } from '../e2e/process.ts'
import { makeSdist } from '../workerd/distributions.ts'
import { need, prepare, python } from './environments.ts'
import { Service } from './service.ts'
import { run } from './tools.ts'

type Sent = Pick<BuiltFile, 'filename' | 'bytes'>

/** Two files a second have two dates: what a `Last-Modified` can say. */
const SECOND_MS = 1000
const UPLOADED_MS = Date.parse('2019-05-06T07:08:09Z')

let service: Service
beforeAll(async () => {
  await prepare(['devpi', 'pypiserver'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

const wheelOf = (name: string, version: string, text = ''): Sent =>
  buildWheel({ name, version, summary: 'x', files: { [`${name.replaceAll('-', '_')}.py`]: `text = '${text}'\n` } })
const sha256 = ({ bytes }: Sent): string => createHash('sha256').update(bytes).digest('hex')

/** A server until the test ends, once it answers. */
async function served(context: TestContext, program: string, args: string[], url: string): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (bytes) => (output += bytes))
  context.onTestFinished(() => void child.kill())
  for (let i = 0; i < 600 && child.exitCode === null; i++) {
    const answer = await fetch(url).catch(() => undefined)
    if (answer?.ok) return url
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`${program} does not answer: ${output}`)
}

async function importFrom(source: string, ...words: string[]): Promise<ImportReport> {
  const cli = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))
  const { output } = await run(process.execPath, [cli, 'import', source, '--url', service.url, '--json', ...words], {
    env: { TUF_EDGE_TOKEN: service.tokens.admin },
  })
  return JSON.parse(output) as ImportReport
}

/** Name of a file → its digest and date on our page. */
async function pageOf(project: string): Promise<Record<string, { sha256: string; time: string }>> {
  const files = ((await service.page(project))?.files ?? []) as { filename: string; hashes: { sha256: string } }[]
  return Object.fromEntries(
    files.map((file) => [
      file.filename,
      { sha256: file.hashes.sha256, time: (file as unknown as { 'upload-time': string })['upload-time'] },
    ]),
  )
}

test('devpi', async (context) => {
  const tool = await need(context, 'devpi')
  const folder = join(service.folder, 'devpi')
  const initialised = await run(tool.command('devpi-init'), ['--serverdir', folder, '--no-root-pypi'])
  expect(initialised.status, initialised.output).toBe(0)
  const port = await freePort()
  const base = `http://127.0.0.1:${port}/`
  // Its secret is derived by Argon2 over half a gigabyte, which takes half a minute and proves nothing here.
  const cheap = ['--argon2-memory-cost', '1024', '--argon2-time-cost', '1', '--argon2-parallelism', '1']
  const words = ['--serverdir', folder, '--host', '127.0.0.1', '--port', String(port), '--offline-mode', ...cheap]
  await served(context, tool.command('devpi-server'), words, `${base}+api`)

  const call = async (method: string, path: string, body: BodyInit, headers: Record<string, string> = {}) => {
    const answer = await fetch(base + path, { method, body, headers })
    const text = await answer.text()
    expect(answer.status, `${method} ${path}: ${text}`).toBe(200)
    return text
  }
  const login = await call('POST', '+login', JSON.stringify({ user: 'root', password: '' }))
  const { password } = (JSON.parse(login) as { result: { password: string } }).result
  const asRoot = { 'x-devpi-auth': Buffer.from(`root:${password}`).toString('base64') }
  // Volatile: a file may be replaced by other bytes, which is what an index of ours never does.
  await call('PUT', 'root/team', JSON.stringify({ type: 'stage', volatile: true, bases: [] }), asRoot)
  const send = async ({ filename, bytes }: Sent, name: string, version: string) => {
    const form = new FormData()
    for (const [key, value] of Object.entries({ ':action': 'file_upload', name, version })) form.set(key, value)
    form.set('content', new Blob([bytes as Uint8Array<ArrayBuffer>]), filename)
    await call('POST', 'root/team/', form, asRoot)
  }
  const [wheel, sdist, other] = [
    wheelOf('from-devpi', '1.0'),
    await makeSdist('from-devpi', '1.0'),
    wheelOf('too', '3'),
  ]
  await send(wheel, 'from-devpi', '1.0')
  await new Promise((later) => setTimeout(later, SECOND_MS))
  await send(sdist, 'from-devpi', '1.0')
  await send(other, 'too', '3')

  const source = `${base}root/team/+simple/`
  const first = await importFrom(source)
  expect(first).toMatchObject({ found: 3, there: 0, imported: 3, unchecked: 0, refused: [] })
  const page = await pageOf('from-devpi')
  const times = new Set<string>()
  for (const file of [wheel, sdist]) {
    const there = page[file.filename]!
    expect(there.sha256).toBe(sha256(file))
    // The date devpi has: of the file's own answer, for its page says none.
    const listed = await fetch(`${source}from-devpi/`, { headers: { accept: 'application/vnd.pypi.simple.v1+json' } })
    const { files } = (await listed.json()) as { files: { filename: string; url: string }[] }
    const { url } = files.find(({ filename }) => filename === file.filename)!
    const { headers } = await fetch(new URL(url, `${source}from-devpi/`), { method: 'HEAD' })
    expect(Date.parse(there.time)).toBe(Date.parse(headers.get('last-modified')!))
    times.add(there.time)
  }
  expect(times.size).toBe(2)

  // Later: one file more, and one with other bytes under its name.
  const replaced = wheelOf('from-devpi', '1.0', 'replaced')
  await send(replaced, 'from-devpi', '1.0')
  await send(wheelOf('from-devpi', '2.0'), 'from-devpi', '2.0')
  const second = await importFrom(source)
  expect(second).toMatchObject({ found: 4, there: 2, imported: 1 })
  expect(second.refused).toEqual([{ file: wheel.filename, why: expect.stringContaining('other bytes') }])
  expect((await pageOf('from-devpi'))[wheel.filename]!.sha256).toBe(sha256(wheel))
})

test('pypiserver', async (context) => {
  const tool = await need(context, 'pypiserver')
  const folder = join(service.folder, 'packages')
  mkdirSync(folder)
  const sent = [wheelOf('from-pypiserver', '1.0'), wheelOf('from-pypiserver', '1.1'), wheelOf('also-there', '2.0')]
  for (const { filename, bytes } of sent) {
    writeFileSync(join(folder, filename), bytes)
    utimesSync(join(folder, filename), UPLOADED_MS / SECOND_MS, UPLOADED_MS / SECOND_MS)
  }
  const port = await freePort()
  const words = ['run', '--interface', '127.0.0.1', '--port', String(port), '--disable-fallback', folder]
  const source = await served(context, tool.command('pypi-server'), words, `http://127.0.0.1:${port}/simple/`)

  const one = await importFrom(source, '--project', 'from-pypiserver')
  expect(one).toMatchObject({ found: 2, imported: 2, refused: [] })
  const rest = await importFrom(source)
  expect(rest).toMatchObject({ found: 3, there: 2, imported: 1, unchecked: 0, refused: [] })
  expect(await pageOf('from-pypiserver')).toEqual(
    Object.fromEntries(
      sent
        .slice(0, 2)
        .map((file) => [file.filename, { sha256: sha256(file), time: new Date(UPLOADED_MS).toISOString() }]),
    ),
  )
})

test('a folder under a plain web server: nothing to compare with, and said so', async (context) => {
  const folder = join(service.folder, 'plain')
  const wheel = wheelOf('from-folder', '1.0')
  mkdirSync(join(folder, 'simple', 'from-folder'), { recursive: true })
  writeFileSync(join(folder, 'simple', 'from-folder', wheel.filename), wheel.bytes)
  utimesSync(join(folder, 'simple', 'from-folder', wheel.filename), UPLOADED_MS / SECOND_MS, UPLOADED_MS / SECOND_MS)
  const port = await freePort()
  const words = ['-m', 'http.server', String(port), '--bind', '127.0.0.1', '--directory', folder]
  const source = await served(context, python(), words, `http://127.0.0.1:${port}/simple/`)

  expect(await importFrom(source)).toMatchObject({ found: 1, imported: 1, unchecked: 1, refused: [] })
  expect(await pageOf('from-folder')).toEqual({
    [wheel.filename]: { sha256: sha256(wheel), time: new Date(UPLOADED_MS).toISOString() },
  })
  // Known by its digest here, although the source says none.
  expect(await importFrom(source)).toMatchObject({ found: 1, there: 1, imported: 0, refused: [] })
})
