// `npm run deploy` with the real wrangler, against a program that answers as Cloudflare's API does as far as this needs:
// what arrives there, and that nothing secret is left on the machine or shows in its list of processes.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { temporaryFolder } from './process.ts'

const WRAPPING = `wrapping-${'W'.repeat(40)}`
const BOOTSTRAP = `bootstrap-${'B'.repeat(40)}`

const buckets = new Set<string>()
const scripts = new Map<string, Set<string>>()
/** Method, path and body of everything that changes something. */
const changes: { method: string; path: string; body: string; jurisdiction: string | undefined }[] = []
const commandLines = new Set<string>()
let api: Server
let home: ReturnType<typeof temporaryFolder>

beforeAll(async () => {
  home = temporaryFolder()
  api = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString('latin1')
    const { pathname } = new URL(request.url!, 'http://api')
    const path = pathname.replace('/client/v4', '')
    const method = request.method!
    const jurisdiction = request.headers['cf-r2-jurisdiction'] as string | undefined
    if (method !== 'GET') changes.push({ method, path, body, jurisdiction })
    if (path.endsWith('/secrets-bulk') || path.includes('/secrets')) commandLinesNow()
    const { status, result, error } = answer(method, path, body)
    response.writeHead(status, { 'content-type': 'application/json' })
    const errors = error ? [error] : []
    response.end(JSON.stringify({ success: !error, errors, messages: [], result: result ?? null }))
  })
  api.listen(0, '127.0.0.1')
  await once(api, 'listening')
})
afterAll(() => {
  api.close()
  home.remove()
})

interface Answer {
  status: number
  result?: unknown
  error?: { code: number; message: string }
}

function answer(method: string, path: string, body: string): Answer {
  const ok = (result: unknown): Answer => ({ status: 200, result })
  const absent = (code: number, message: string): Answer => ({ status: 404, error: { code, message } })
  if (path === '/accounts') return ok([{ id: 'acc1', name: 'One' }])
  if (path === '/memberships') return ok([{ id: 'm1', account: { id: 'acc1', name: 'One' } }])
  if (path === '/user') return ok({ id: 'u1', email: 'a@example.org' })
  if (path.endsWith('/tokens/verify')) return ok({ id: 't1', status: 'active' })
  const bucket = /\/r2\/buckets(?:\/([^/]+))?$/.exec(path)
  if (bucket && method === 'POST') {
    buckets.add(JSON.parse(body).name)
    return ok({})
  }
  if (bucket)
    return buckets.has(bucket[1]!) ? ok({ name: bucket[1] }) : absent(10006, 'The specified bucket does not exist.')
  const script = /\/workers\/(?:scripts|services|workers)\/([^/]+)(.*)$/.exec(path)
  if (!script) return ok([])
  const [, name, rest] = script as unknown as [string, string, string]
  if ((method === 'PUT' && rest === '') || (method === 'POST' && rest === '/versions'))
    scripts.set(name, scripts.get(name) ?? new Set())
  const secrets = scripts.get(name)
  if (!secrets) return absent(10007, 'This Worker does not exist on your account.')
  if (rest === '/secrets') return ok([...secrets].map((secret) => ({ name: secret, type: 'secret_text' })))
  if (method === 'PATCH')
    for (const secret of body.match(/WRAPPING_SECRET|BOOTSTRAP_SECRET/g) ?? []) secrets.add(secret)
  if (rest === '/domains/changeset') return ok({ added: [], removed: [], updated: [], conflicting: [] })
  return ok({
    id: 'v1',
    startup_time_ms: 1,
    subdomain: { enabled: false },
    bindings: [],
    resources: { script: {} },
    default_environment: { script: {} },
    items: [],
    versions: [],
    deployments: [],
  })
}

/** What every process of this machine was started with and as far as it may be read: what `ps` shows. */
function commandLinesNow(): void {
  for (const file of globSync('/proc/[0-9]*/cmdline'))
    try {
      commandLines.add(readFileSync(file, 'utf8'))
    } catch {
      // it has ended
    }
}

async function deploy(...more: string[]): Promise<{ code: number; output: string }> {
  const words = ['--domain', 'pypi.example.org', '--no-input', ...more]
  const child: ChildProcess = spawn('node', ['cli/bootstrap.mjs', 'node', 'cli/deploy.ts', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      HOME: home.path,
      XDG_CONFIG_HOME: home.path,
      TMPDIR: home.path,
      CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}/client/v4`,
      CLOUDFLARE_API_TOKEN: 'a-token',
      TUF_EDGE_WRAPPING_SECRET: WRAPPING,
      TUF_EDGE_BOOTSTRAP_SECRET: BOOTSTRAP,
    },
  })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += chunk))
  const [code] = await once(child, 'close')
  return { code: code as number, output }
}

const summary = () => changes.map(({ method, path }) => `${method} ${path.replace('/accounts/acc1/', '')}`)
const uploadOf = (script: string) => changes.findLast(({ path }) => path.endsWith(`/workers/scripts/${script}`))!

test('the lines of wrangler in the guides, which only an account can run, say words that it knows', {
  timeout: 120_000,
}, () => {
  const text = globSync('docs/*.md')
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n')
  const lines = new Map(
    [...text.matchAll(/npx wrangler ((?:[a-z]+ ?)+)([^`\n]*)/g)].map(([, words, rest]) => [words!.trim(), rest!]),
  )
  expect([...lines.keys()].sort()).toEqual(['login', 'rollback', 'secret put', 'versions list'])
  for (const [words, rest] of lines) {
    const args = ['cli/bootstrap.mjs', 'wrangler', ...words.split(' '), '--help']
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect([words, status]).toEqual([words, 0])
    expect(stdout).toContain(`wrangler ${words}`)
    for (const [option] of rest.matchAll(/--[a-z-]+/g)) expect(stdout, words).toContain(option)
  }
})

// Fourteen starts of wrangler, one to ten seconds each.
test('the real wrangler makes the bucket, uploads the publisher, sets its secrets and uploads the face', async () => {
  const first = await deploy('--jurisdiction', 'eu')
  expect(first.code, first.output).toBe(0)
  expect(summary()).toEqual([
    'POST r2/buckets',
    'PUT workers/scripts/tuf-edge-publisher',
    'POST workers/scripts/tuf-edge-publisher/subdomain',
    'PUT workers/scripts/tuf-edge-publisher/schedules',
    'PATCH workers/scripts/tuf-edge-publisher/secrets-bulk',
    'PUT workers/scripts/tuf-edge',
    'POST workers/scripts/tuf-edge/subdomain',
    'POST workers/scripts/tuf-edge/domains/changeset',
    'PUT workers/scripts/tuf-edge/domains/records',
  ])
  expect(changes[0]!.jurisdiction).toBe('eu')
  for (const { body } of changes.filter(({ path }) => path.endsWith('/subdomain')))
    expect(JSON.parse(body)).toEqual({ enabled: false, previews_enabled: false })
  for (const script of ['tuf-edge-publisher', 'tuf-edge'])
    expect(uploadOf(script).body).toContain('"bucket_name":"tuf-edge","jurisdiction":"eu"')
  const sent = JSON.parse(changes.find(({ path }) => path.endsWith('/secrets-bulk'))!.body).secrets
  expect([sent.WRAPPING_SECRET.text, sent.BOOTSTRAP_SECRET.text]).toEqual([WRAPPING, BOOTSTRAP])

  // Nowhere else: not shown, not in a list of processes, not in a file of the person or of the project.
  if (commandLines.size > 0) expect([...commandLines].some((line) => line.includes('\0secret\0bulk\0'))).toBe(true)
  const files = globSync(['**/*', '**/.*'], { cwd: home.path }).map((file) => join(home.path, file))
  const written = [...files, ...globSync('dist/deploy/**/*')].filter((file) => statSync(file).isFile())
  expect(written.length).toBeGreaterThan(0)
  for (const secret of [WRAPPING, BOOTSTRAP]) {
    expect(first.output).not.toContain(secret)
    for (const line of commandLines) expect(line).not.toContain(secret)
    for (const file of written) expect(readFileSync(file, 'latin1'), file).not.toContain(secret)
  }

  // Again: both scripts, their secrets kept, and nothing else that was there.
  changes.length = 0
  const second = await deploy('--jurisdiction', 'eu')
  expect(second.code, second.output).toBe(0)
  expect(summary().filter((change) => /bucket|secret/.test(change))).toEqual([])
  expect(uploadOf('tuf-edge-publisher').body).toMatch(/"keep_bindings":\[[^\]]*"secret_text"/)
}, 480_000)
