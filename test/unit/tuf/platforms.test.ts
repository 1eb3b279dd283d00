// One bundle of the client, made for browsers, runs in Node, in workerd without Node's modules, and in a browser: the one
// that CHROMIUM names, or a Chromium or Chrome on the PATH; a machine without one skips that by name.
import { spawn } from 'node:child_process'
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { signerOf } from './conformance.ts'
import { Repository, utf8 } from './repository.ts'

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const BROWSER_MS = 60_000
const SEEN = { good: 'good', bad: 'The target "bad" does not have the sha256 digest it should.', root: 2 }

let code: string
let base: string
let inputs: string[]
let repository: Repository
let told: (result: string) => void
const answer = new Promise<string>((resolve) => (told = resolve))

const PAGE = `<!doctype html><script type="module">
import { journey } from '/bundle.js'
const tell = (what) => fetch('/result', { method: 'POST', body: JSON.stringify(what) })
journey(location.origin + '/tuf/').then(tell, (error) => tell(String(error)))
</script>`

const server = createServer(async (request, response) => {
  if (request.url === '/result') {
    let body = ''
    for await (const bytes of request) body += bytes
    told(body)
    return response.end()
  }
  if (request.url === '/') return response.setHeader('content-type', 'text/html').end(PAGE)
  if (request.url === '/bundle.js') return response.setHeader('content-type', 'text/javascript').end(code)
  const bytes = repository.files.get(request.url!.slice('/tuf/'.length))
  return response.writeHead(bytes ? 200 : 404).end(bytes)
})

beforeAll(async () => {
  // Platform "browser" knows no node:*: a bundle that wanted one would not be made.
  const made = await build({
    entryPoints: [fileURLToPath(new URL('platforms-page.ts', import.meta.url))],
    absWorkingDir: fileURLToPath(new URL('../../..', import.meta.url)),
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2024',
  })
  code = made.outputFiles[0]!.text
  inputs = Object.keys(made.metafile.inputs)

  // Every kind of key that WebCrypto has to verify.
  repository = await Repository.make(Date.now())
  repository.signers.snapshot = [await signerOf('ecdsa-sha2-nistp256')]
  repository.signers.targets = [await signerOf('rsassa-pss-sha256')]
  for (const path of ['good', 'bad']) repository.role('targets').files.set(path, utf8(path))
  await repository.publishRoot()
  await repository.publish('targets')
  for (const name of repository.files.keys()) if (name.endsWith('.bad')) repository.files.set(name, utf8('BAD'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

test('the bundle holds tuf/, @noble and the page, and nothing else', () => {
  const foreign = inputs.filter((input) => !/^(tuf|node_modules\/@noble|test\/unit\/tuf)\//.test(input))
  expect(foreign).toEqual([])
})

test('Node', async () => {
  const { journey } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
  expect(await journey(`${base}tuf/`)).toEqual(SEEN)
})

test('workerd', async () => {
  const worker = `import { journey } from './bundle.js'
export default { fetch: async () => Response.json(await journey(${JSON.stringify(`${base}tuf/`)})) }`
  const flare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      log: new Log(LogLevel.ERROR),
      modules: [
        { type: 'ESModule', path: 'worker.js', contents: worker },
        { type: 'ESModule', path: 'bundle.js', contents: code },
      ],
      compatibilityDate: '2026-10-15',
      compatibilityFlags: ['no_nodejs_compat'],
    }),
  )
  try {
    const answered = await flare.dispatchFetch('http://worker.test/')
    expect(await answered.json()).toEqual(SEEN)
  } finally {
    await flare.dispose()
  }
})

test('a browser', async (context) => {
  const program = browser()
  if (!program) return context.skip('no Chromium on this machine (CHROMIUM names one)')
  const profile = mkdtempSync(join(tmpdir(), 'tuf-edge-browser-'))
  // No sandbox: the page is ours, and a container has none to give.
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--user-data-dir=${profile}`]
  const child = spawn(program, [...flags, base], { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const timer = setTimeout(() => told('"the browser said nothing"'), BROWSER_MS)
  try {
    expect(JSON.parse(await answer)).toEqual(SEEN)
  } finally {
    clearTimeout(timer)
    child.kill('SIGKILL')
    await ended
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
})

function browser(): string | undefined {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.flatMap((folder) => BROWSERS.map((name) => join(folder, name))).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
