// `tuf-edge doctor` in front of an index that is well, with each fault played by what stands between them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callApi, toBase64 } from '../../cli/api.ts'
import { holdCeremony, makeOfflineKey, type OnlineKeys } from '../../cli/ceremony.ts'
import { STANDARD } from '../../cli/development.ts'
import { diagnose } from '../../cli/doctor.ts'
import { startRuntime } from '../../cli/runtime.ts'
import { type LocalService, startService } from '../../cli/serve.ts'
import { StateFolder } from '../../cli/state-folder.ts'
import { freePort, temporaryFolder } from './process.ts'

interface Passing {
  status: number
  headers: Record<string, string>
  body: Buffer
}
/** Changes what passes; `cut` breaks the connection. */
type Fault = (request: IncomingMessage, answer: Passing) => Passing | 'cut' | undefined

const folder = temporaryFolder()
let service: LocalService
let between: Server
let url: string
let fault: Fault | undefined

beforeAll(async () => {
  service = await startService(await freePort(), folder.path)
  between = createServer(async (request, response) => {
    const headers: Record<string, string> = { 'accept-encoding': 'identity' }
    for (const name of ['accept', 'authorization'])
      if (request.headers[name]) headers[name] = String(request.headers[name])
    const answer = await fetch(service.runtime.url + request.url, { headers, redirect: 'manual' })
    const passing: Passing = {
      status: answer.status,
      headers: Object.fromEntries([...answer.headers].filter(([name]) => name !== 'transfer-encoding')),
      body: Buffer.from(await answer.arrayBuffer()),
    }
    const changed = fault?.(request, passing) ?? passing
    if (changed === 'cut') return void request.socket.destroy()
    const { 'content-length': _, ...rest } = changed.headers
    response.writeHead(changed.status, rest).end(changed.body)
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  url = `http://127.0.0.1:${(between.address() as AddressInfo).port}`
})
afterAll(async () => {
  between.close()
  await service.runtime.stop()
  folder.remove()
})

async function findings(played: Fault | undefined): Promise<string[]> {
  fault = played
  return (await diagnose({ url })).map(({ code, path, as }) => `${code} ${path} ${as}`)
}

const on =
  (path: RegExp, change: (answer: Passing) => void): Fault =>
  (request, answer) => {
    if (path.test(request.url!)) change(answer)
    return answer
  }
const header = (path: RegExp, name: string, value: string): Fault =>
  on(path, (answer) => {
    answer.headers[name] = value
  })
const challenge: Passing = {
  status: 403,
  headers: { 'content-type': 'text/html; charset=UTF-8', 'cf-mitigated': 'challenge' },
  body: Buffer.from('<!DOCTYPE html><title>Just a moment...</title>'),
}
const FILE = 'hello_tuf_edge-1.0-py3-none-any.whl'

test('an index that is well has no finding, and every kind of address was asked', async () => {
  const asked = new Set<string>()
  expect(
    await findings((request) => {
      asked.add(`${request.url!} ${request.headers['user-agent']?.split('/')[0]}`)
      return undefined
    }),
  ).toEqual([])
  for (const wanted of [
    '/tuf/timestamp.json undefined',
    '/tuf/timestamp.json Python-urllib',
    '/tuf/2.root.json python-tuf',
    '/simple/ pip',
    '/simple/hello-tuf-edge/ pip',
  ])
    expect([...asked]).toContain(wanted)
  expect([...asked].some((line) => line.includes(FILE))).toBe(true)
})

describe('each fault is found where it is, and nothing else is blamed', () => {
  test.each<[string, Fault, string[]]>([
    [
      'a challenge for clients without User-Agent',
      (request) => (request.headers['user-agent'] ? undefined : challenge),
      ['bot-protection /tuf/timestamp.json a client without User-Agent'],
    ],
    [
      'a challenge on the next root, which clients would take for "no newer root"',
      (request) =>
        request.url === '/tuf/2.root.json' && /^python-tuf/.test(request.headers['user-agent']!)
          ? challenge
          : undefined,
      ['bot-protection /tuf/2.root.json a TUF client'],
    ],
    [
      'a page rule that redirects',
      on(/^\/simple\/$/, (answer) => {
        answer.status = 302
        answer.headers.location = 'https://login.example.org/'
      }),
      ['redirect /simple/ an old pip', 'redirect /simple/ pip'],
    ],
    [
      'a cache that keeps the project list',
      (request, answer) => {
        if (request.url === '/simple/') Object.assign(answer.headers, { age: '3600', 'cf-cache-status': 'HIT' })
        return answer
      },
      ['cache /simple/ an old pip', 'cache /simple/ pip'],
    ],
    [
      'an edge TTL on project pages',
      header(/hello-tuf-edge\/$/, 'cache-control', 'public, max-age=14400'),
      ['cache /simple/hello-tuf-edge/ an old pip', 'cache /simple/hello-tuf-edge/ pip'],
    ],
    [
      'a 404 of the next root that may be kept',
      header(/\/2\.root\.json$/, 'cache-control', 'public, max-age=300'),
      ['cache /tuf/2.root.json a TUF client'],
    ],
    [
      'a browser TTL on files',
      header(/\.whl$/, 'cache-control', 'public, max-age=14400'),
      [expect.stringMatching(/^cache \/files\/.*whl pip$/) as unknown as string],
    ],
    [
      'compression that nobody asked for',
      on(/^\/simple\/$/, (answer) => {
        answer.headers['content-encoding'] = 'gzip'
        answer.body = gzipSync(answer.body)
      }),
      ['compressed /simple/ an old pip', 'compressed /simple/ pip'],
    ],
    [
      'a script injected into pages',
      (request, answer) => {
        if (/^\/simple\//.test(request.url!) && /html/.test(answer.headers['content-type']!))
          answer.body = Buffer.concat([answer.body, Buffer.from('<script src="/cdn-cgi/rum"></script>')])
        return answer
      },
      ['rewritten /simple/ an old pip', 'rewritten /simple/hello-tuf-edge/ an old pip'],
    ],
    [
      'a transform rule on types',
      header(/hello-tuf-edge\/$/, 'content-type', 'text/plain'),
      ['content-type /simple/hello-tuf-edge/ an old pip', 'content-type /simple/hello-tuf-edge/ pip'],
    ],
    [
      'a server whose clock is ahead',
      header(/^\/simple\/$/, 'date', new Date(Date.now() + 7_200_000).toUTCString()),
      ['clock /simple/ an old pip', 'clock /simple/ pip'],
    ],
    [
      'a warning of the index',
      on(/^\/healthz$/, (answer) => {
        const body = JSON.parse(answer.body.toString())
        answer.body = Buffer.from(JSON.stringify({ ...body, warnings: [{ message: 'root expires in 7 days' }] }))
      }),
      ['date /healthz urllib'],
    ],
    [
      'a connection that breaks on files',
      (request) => (request.url!.endsWith('.whl') ? 'cut' : undefined),
      [expect.stringMatching(/^unreachable \/files\/.*whl pip$/) as unknown as string],
    ],
  ])('%s', async (_name, played, expected) => {
    expect((await findings(played)).sort()).toEqual([...expected].sort())
  })

  const timestamps = ['urllib', 'a client without User-Agent', 'a TUF client']

  test('a timestamp past its date, and one that comes near it', async () => {
    const dated = (ms: number) =>
      on(/timestamp\.json$/, (answer) => {
        const expires = `${new Date(Date.now() + ms).toISOString().slice(0, 19)}Z`
        answer.body = Buffer.from(answer.body.toString().replace(/"expires":"[^"]+"/, `"expires":"${expires}"`))
      })
    // The date is signed, so the chain does not verify either: a real one that is late would not be forged.
    expect(await findings(dated(-60_000))).toEqual([
      'expired /tuf/timestamp.json a TUF client',
      'does-not-verify /tuf/ a TUF client',
    ])
    expect(await findings(dated(120_000))).toEqual([
      'date /tuf/timestamp.json a TUF client',
      'does-not-verify /tuf/ a TUF client',
    ])
  })

  test('a root that comes near its date', async () => {
    const near = temporaryFolder()
    const state = new StateFolder(near.path)
    const options = { port: await freePort(), folder: state.runtime, onLog: () => {}, ...state.secrets() }
    const runtime = await startRuntime(options)
    try {
      const { bootstrapSecret: token } = state.secrets()
      const online = await callApi<OnlineKeys>(runtime.url, 'POST', '/api/ceremony/keys', { token })
      const offline = {
        root: [await makeOfflineKey()],
        targets: [await makeOfflineKey()],
        bins: [await makeOfflineKey()],
      }
      const thresholds = { root: 1, targets: 1, bins: 1 }
      const expiresMs = Date.now() + 20 * 86_400_000
      const signed = await holdCeremony({ online, offline, thresholds, expiresMs, development: true })
      const body = {
        roots: [toBase64(signed.root)],
        targets: toBase64(signed.targets),
        bins: toBase64(signed.bins),
        freshness: STANDARD,
      }
      await callApi(runtime.url, 'POST', '/api/ceremony/metadata', { token, body })
      const found = await diagnose({ url: runtime.url })
      expect(found).toContainEqual({
        code: 'date',
        path: '/tuf/',
        as: 'a TUF client',
        wrong: `the root expires at ${new Date(expiresMs).toISOString().slice(0, 19)}Z`,
        todo: expect.stringContaining('must sign a new root'),
      })
    } finally {
      await runtime.stop()
      near.remove()
    }
  })

  test('metadata that is a web page', async () => {
    const parked = on(/timestamp\.json$/, (answer) => {
      answer.body = Buffer.from('<html>parked</html>')
      answer.headers['content-type'] = 'text/html'
    })
    const found = await findings(parked)
    for (const as of timestamps) expect(found).toContain(`content-type /tuf/timestamp.json ${as}`)
    expect(found).toContain('rewritten /tuf/timestamp.json a TUF client')
  })

  test('an index whose ceremony was not held, and one that wants a token', async () => {
    const answering = (status: number) =>
      on(/^\/tuf\//, (answer) => Object.assign(answer, { status, headers: { 'content-type': 'text/plain' } }))
    const codes = async (status: number) =>
      new Set((await findings(answering(status))).map((line) => line.split(' ')[0]))
    expect(await codes(503)).toContain('unavailable')
    expect(await codes(401)).toContain('private')
  })

  test('plain HTTP that is answered, and plain HTTP that leads to HTTPS', async () => {
    const secure = url.replace('http:', 'https:')
    const codes = async () => (await diagnose({ url: secure })).map(({ code }) => code)
    fault = undefined
    expect(await codes()).toContain('plain-http')
    fault = on(/./, (answer) => Object.assign(answer, { status: 301, headers: { location: `${secure}/simple/` } }))
    expect(await codes()).not.toContain('plain-http')
  })
})

test('the command exits 1 with findings and 0 without, and each finding says what to do', async () => {
  const doctor = async () => {
    const child = spawn('node', ['cli/bootstrap.mjs', 'node', 'cli/main.ts', 'doctor', url, '--json'])
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    const [code] = await once(child, 'close')
    return { code, findings: JSON.parse(output).findings as { todo: string; wrong: string }[] }
  }
  fault = undefined
  expect(await doctor()).toEqual({ code: 0, findings: [] })
  fault = () => challenge
  const sick = await doctor()
  expect(sick.code).toBe(1)
  for (const { wrong, todo } of sick.findings) expect([wrong, todo].every((text) => text.length > 10)).toBe(true)
  expect(JSON.stringify(sick.findings)).toContain('Bot Fight Mode')
})
