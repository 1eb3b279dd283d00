// A batch in parts as the command sends it: what a run that broke off left is not sent again, and the call that takes the
// whole is repeated as long as it says so.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ApiError } from '../../../cli/api.ts'
import { handOver } from '../../../cli/hand-over.ts'
import { sha256Hex } from '../../../tuf/digest.ts'

const TOKEN = 'a-token'
let server: Server
let base = ''
/** Role → digest of what the service keeps, by batch. */
let kept: Map<string, Map<string, string>>
let calls: { method: string; path: string; body: { files?: { role: string; bytes: string }[]; batch?: string } }[]
/** Answers of the calls that take the whole; the last one goes on. */
let answers: { status: number; body: object }[]
let brokenAfter = Number.POSITIVE_INFINITY

beforeEach(async () => {
  kept = new Map()
  calls = []
  brokenAfter = Number.POSITIVE_INFINITY
  answers = [{ status: 200, body: { accepted: ['1.targets'], held: [], warnings: [], visible: true } }]
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}
    const { method = '', url: path = '' } = request
    calls.push({ method, path, body })
    const say = (status: number, said: object) => response.writeHead(status).end(JSON.stringify(said))
    const batch = /^\/r\/tools\/api\/batches\/([0-9a-f]{64})$/.exec(path)?.[1]
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return say(401, {})
    if (batch === undefined) {
      const { status, body: said } = answers.length > 1 ? answers.shift()! : answers[0]!
      return say(status, said)
    }
    const files = kept.get(batch) ?? new Map<string, string>()
    kept.set(batch, files)
    if (method === 'DELETE') kept.delete(batch)
    if (method === 'PUT' && brokenAfter-- <= 0) return say(409, { detail: 'broken off' })
    for (const { role, bytes } of body.files ?? [])
      files.set(role, await sha256Hex(new Uint8Array(Buffer.from(bytes, 'base64'))))
    return say(200, { files: files.size, bytes: 0, digests: [...files.values()] })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/r/tools`
})
afterEach(() => {
  server.close()
  server.closeAllConnections()
})

/** Twelve files of a megabyte: three or four go into a part. */
const FILES = Array.from({ length: 12 }, (_, i) => ({ role: `role-${i}`, bytes: new Uint8Array(1_000_000).fill(i) }))
const send = (files = FILES) => handOver(base, TOKEN, files, { method: 'PUT', path: '/api/metadata' })
const sentRoles = () =>
  calls.flatMap(({ method, path, body }) =>
    method === 'PUT' && path.includes('/batches/') ? body.files!.map(({ role }) => role) : [],
  )

test('a small one is one call', async () => {
  await send([{ role: 'targets', bytes: new Uint8Array(10) }])
  expect(calls.map(({ path }) => path)).toEqual(['/r/tools/api/metadata'])
  expect(calls[0]!.body.files).toHaveLength(1)
})

test('a large one is sent in parts, each file once, and taken by its name', async () => {
  expect(await send()).toMatchObject({ accepted: ['1.targets'] })
  expect(sentRoles()).toEqual(FILES.map(({ role }) => role))
  for (const { body } of calls) {
    const bytes = (body.files ?? []).reduce((sum, file) => sum + Buffer.from(file.bytes, 'base64').length, 0)
    expect(bytes).toBeLessThanOrEqual(4_000_000)
  }
  const [batch] = [...kept.keys()]
  expect(calls.at(-1)).toMatchObject({ path: '/r/tools/api/metadata', body: { batch } })
  expect(kept.get(batch!)!.size).toBe(FILES.length)
})

test('broken off and run again it sends the rest, in whatever order the files come', async () => {
  brokenAfter = 1
  await expect(send()).rejects.toThrow('broken off')
  const before = [...kept.values()][0]!.size
  expect(before).toBeGreaterThan(0)
  calls = []
  brokenAfter = Number.POSITIVE_INFINITY
  await send([...FILES].reverse())
  expect(kept.size).toBe(1)
  expect(sentRoles()).toHaveLength(FILES.length - before)
})

test('the call that takes the whole is repeated while files are unchecked', async () => {
  const more = { status: 202, body: { accepted: [], held: [], warnings: [], visible: false, unchecked: 4 } }
  answers = [more, more, ...answers]
  expect(await send()).toMatchObject({ visible: true })
  expect(calls.filter(({ path }) => path.endsWith('/metadata'))).toHaveLength(3)
})

test('what was refused is taken away again', async () => {
  answers = [{ status: 400, body: { detail: 'threshold: "a" is signed by nobody.' } }]
  await expect(send()).rejects.toThrow(ApiError)
  expect(kept.size).toBe(0)
})
