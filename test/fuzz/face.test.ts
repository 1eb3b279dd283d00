// Hostile requests, at the real face: both scripts in workerd, raw bytes on a socket. On a healthy service no request is
// answered with 5xx, hangs, is logged as a fault of ours, or changes what others are shown.
// Kept seeds and a random run of two seconds (FUZZ_SECONDS: longer); with start and stop below eight seconds on an idle
// machine.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { init } from '../../cli/init.ts'
import { KeyFolder } from '../../cli/offline-keys.ts'
import { type LocalService, startService } from '../../cli/serve.ts'
import { freePort, temporaryFolder } from '../e2e/process.ts'
import { bytesOf, fuzz, SECONDS, simplified, type Target } from './fuzz.ts'
import { exchange } from './wire.ts'

/** Longer than an upload waits for its publication (8 s). */
const ANSWER_MS_MAX = 12_000
const UPLOADS = new URL('../vectors/uploads/', import.meta.url)

const folder = temporaryFolder()
const logged: string[] = []
let service: LocalService
let port: number
/** What seeds say instead of what only this run knows. */
let known: Record<string, string>

const get = (path: string, ...headers: string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: 127.0.0.1:PORT', ...headers, '', ''].join('\r\n')
const send = (method: string, path: string, body: string, ...headers: string[]): string =>
  [
    `${method} ${path} HTTP/1.1`,
    'Host: 127.0.0.1:PORT',
    'Content-Type: application/json',
    ...headers,
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n')
const BEARER = 'Authorization: Bearer TOKEN'
const YANK = '/api/projects/hello-tuf-edge/files/hello_tuf_edge-1.0-py3-none-any.whl/yank'

const CORPUS: string[] = [
  ...[
    '/',
    '/healthz',
    '/metrics',
    '/simple',
    '/simple/',
    '/simple/hello-tuf-edge/',
    '/legacy/+simple/x/',
    '/api/status',
    '/api',
    '/cdn-cgi/x',
  ].map((path) => get(path)),
  get(
    '/simple/Hello_tuf.edge/?format=application/vnd.pypi.simple.v1%2Bjson',
    'Accept: text/html;q=0.5, application/vnd.pypi.simple.v1+json',
  ),
  get('/FILE', 'Range: bytes=0-9', 'If-Range: "x"', 'If-None-Match: W/"x", "y"'),
  get('/FILE.metadata', 'Range: bytes=-5'),
  ...[
    '/tuf/timestamp.json',
    '/tuf/1.root.json',
    '/tuf/2.root.json',
    '/tuf/1.bin-00.json',
    '/tuf/9999999999.snapshot.json',
    '/tuf/targets/FILE',
    '/r/second/simple/',
    '/r/second/tuf/timestamp.json',
    '/r/none/legacy/',
    '/.well-known/pytp?discover=%2Fr%2Fsecond%2Flegacy%2F',
    '/tuf/targets/DIGEST.simple/vnd.pypi.simple.v1.json',
    '/tuf/targets/simple/DIGEST.vnd.pypi.simple.v1.json',
  ].map((path) => get(path)),
  send('POST', '/api/tokens', '{"name":"x","scopes":["upload"],"projects":["a"],"expires":2000000000}', BEARER),
  send('POST', '/api/ceremony/keys', '', BEARER),
  send(
    'POST',
    '/api/ceremony/metadata',
    '{"roots":["e30="],"targets":"e30=","bins":"e30=","freshness":{"timestampSeconds":1,"snapshotSeconds":1,"binSeconds":1,"tickSeconds":1}}',
    BEARER,
  ),
  send('PUT', YANK, '{"reason":"bad"}', BEARER),
  send(
    'DELETE',
    YANK,
    '',
    'Authorization: Basic X190b2tlbl9fOlRPS0VO',
    'Origin: https://evil.example',
    'Sec-Fetch-Site: cross-site',
  ),
]

const DICTIONARY = [
  ...[
    'GET ',
    'HEAD ',
    'POST ',
    'PUT ',
    'OPTIONS ',
    'TRACE ',
    'BREW ',
    'Host: x',
    'Host: 127.0.0.1:PORT\r\n',
    ' HTTP/1.0',
    ' HTTP/2.0',
  ],
  ...[
    'Accept: ',
    'Range: bytes=',
    'If-Range: ',
    'If-None-Match: *',
    'Accept-Encoding: gzip',
    'Expect: 100-continue',
    'Upgrade: websocket\r\nConnection: Upgrade',
  ],
  ...[
    'Authorization: Bearer TOKEN\r\n',
    'Authorization: Basic ',
    'TOKEN',
    'Content-Length: 5\r\n',
    'Content-Length: -1\r\n',
    'Transfer-Encoding: chunked\r\n',
    '5\r\nabcde\r\n0\r\n\r\n',
  ],
  ...[
    '%2F',
    '%5c',
    '%2e%2e/',
    '%00',
    '%c0%af',
    '/./',
    '//',
    '?format=',
    '#',
    '@',
    'FILE',
    'DIGEST',
    '/simple/',
    '/files/',
    '/integrity/hello-tuf-edge/1.0/FILE/provenance',
    '/tuf/targets/',
    '/legacy/',
    '.metadata',
    'hello-tuf-edge',
  ],
]

/** Names in place of what is known: `FILE`, `DIGEST`, `TOKEN`, `PORT`. */
const filled = (input: Uint8Array): Buffer =>
  Buffer.from(
    Buffer.from(input)
      .toString('latin1')
      .replace(/FILE|DIGEST|TOKEN|PORT/g, (name) => known[name]!),
    'latin1',
  )

/** A recorded upload, with our credentials in place of those it was recorded with. */
const recorded = (name: string): Uint8Array =>
  Buffer.from(
    readFileSync(new URL(name, UPLOADS), 'latin1')
      .replace(/^Authorization: .*$/im, BEARER)
      .replace(/^Host: .*$/im, 'Host: 127.0.0.1:PORT'),
    'latin1',
  )

const target: Target = {
  name: 'face',
  corpus: [
    ...CORPUS.map(bytesOf),
    ...readdirSync(UPLOADS)
      .filter((name) => name.endsWith('.http'))
      .map(recorded),
  ],
  dictionary: DICTIONARY,
  bytesMax: 70_000,
  deadlineMs: 3 * ANSWER_MS_MAX,
  run: async (input) => {
    const { status, headers, body } = await exchange(port, filled(input), ANSWER_MS_MAX)
    const faults = logged.splice(0)
    if (faults.length > 0) throw new Error(`logged: ${faults.join(' ')}`)
    // 501 is the runtime's own word for a method that it does not know; nothing of ours ran.
    const isRuntime = status === 501 && !headers.has('x-content-type-options')
    // Another name than `main` and `second`: no repository, and maybe one tomorrow.
    const isNobodys = status === 503 && body.startsWith('This repository is not initialised yet')
    if (status >= 500 && !isRuntime && !isNobodys) throw new Error(`${status}: ${body.slice(0, 300)}`)
    return `${status} ${simplified(body.split('\n')[0]!).slice(0, 40)}`
  },
}

/** Our own lines alone: what is unexpected is logged where it is turned into a 503. */
const onLog = (line: string): void => void (line.startsWith('{') && logged.push(line))

beforeAll(async () => {
  port = await freePort()
  service = await startService(port, folder.path, { onLog })
  await init({
    url: `${service.runtime.url}/r/second`,
    folder: new KeyFolder(join(folder.path, 'second')),
    freshness: 'standard',
    bootstrapSecret: service.folder.secrets().bootstrapSecret,
    passphrase: null,
  })
  const page = await readPage()
  const { url, hashes } = page.files[0]!
  known = { PORT: String(port), TOKEN: service.tokens.upload, FILE: url.replace('../../', ''), DIGEST: hashes.sha256 }
})
afterAll(async () => {
  await service?.runtime.stop()
  service?.folder.release()
  folder.remove()
})

const readPage = async (): Promise<{ files: { url: string; hashes: { sha256: string } }[] }> => {
  const headers = { Accept: 'application/vnd.pypi.simple.v1+json' }
  return (await fetch(`${service.runtime.url}/simple/hello-tuf-edge/`, { headers })).json() as never
}

test('hostile requests: no 5xx, no hang, nothing changed', { timeout: SECONDS * 4_000 + 60_000 }, async () => {
  const before = await readPage()
  const { failures, executions } = await fuzz(target, process.env.FUZZ_SECONDS ? SECONDS : 2)
  expect(failures).toEqual([])
  expect(executions).toBeGreaterThan(50)
  expect((await fetch(`${service.runtime.url}/healthz`)).status).toBe(200)
  const after = await readPage()
  expect(after.files.map(({ hashes }) => hashes)).toEqual(before.files.map(({ hashes }) => hashes))
})
