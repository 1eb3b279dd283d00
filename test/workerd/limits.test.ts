// Limits that hold for everything at once: no write from a page of another origin, no byte by its digest alone, nothing
// that people uploaded shown in this origin's name, no project without end. (docs/limits.md names the tests of the others.)
import { beforeAll, expect, test } from 'vitest'
import { FILES_PER_PROJECT_MAX } from '../../pypi/limits.ts'
import { shardOf } from '../../tuf/bins.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey } from '../../tuf/layout.ts'
import { call, expectProblem } from './calls.ts'
import { sqlOf } from './controls.ts'
import { type Distribution, makeWheel } from './distributions.ts'
import { bindings } from './repository.ts'
import { fetchFace, makeWorld, send, world } from './upload-harness.ts'

let operator: string
let file: Distribution
const journalLength = async () =>
  (await sqlOf<{ n: number }>(world.repository, 'SELECT max(seq) AS n FROM journal'))[0]!.n

beforeAll(async () => {
  await makeWorld()
  operator = await world.repository.token(['read', 'upload', 'create', 'yank', 'delete', 'audit', 'admin'])
  file = await makeWheel('limited', '1.0')
  expect((await send(file)).status).toBe(200)
})

test('a page of another origin writes nothing, wherever it writes and whatever token it holds', async () => {
  const { paths } = await (await fetchFace('/api/openapi.json')).json<{ paths: Record<string, object> }>()
  const writes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).flatMap((method) => (method === 'get' ? [] : [[method.toUpperCase(), path] as const])),
  )
  expect(writes.length).toBeGreaterThan(25)
  const before = await journalLength()
  for (const [method, path] of [...writes, ['POST', '/legacy/'], ['POST', '/legacy'], ['POST', '/_/oidc/mint-token']]) {
    const at = path!.replaceAll('{project}', 'limited').replaceAll(/\{\w+\}/g, 'x')
    for (const [name, value] of [
      ['origin', 'https://evil.test'],
      ['origin', 'null'],
      ['sec-fetch-site', 'cross-site'],
      ['sec-fetch-site', 'same-site'],
    ] as const) {
      const headers = { [name]: value, authorization: `Bearer ${operator}`, 'content-type': 'application/json' }
      const answer = await fetchFace(at, { method: method!, headers, body: '{}' })
      expect([method, path, name, value, answer.status]).toEqual([method, path, name, value, 403])
      await answer.text()
    }
  }
  expect(await journalLength()).toBe(before)
})

test('bytes are reached by their digest only where the present publication names them', async () => {
  const targets = '/tuf/targets/files'
  const status = async (project: string, sha256: string, filename: string) =>
    (await fetchFace(`${targets}/${shardOf(project)}/${project}/${sha256}.${filename}`)).status
  expect(await status('limited', file.sha256, file.filename)).toBe(200)

  // Bytes in the bucket that nobody staged, under the key that a file of them would have.
  const bytes = new TextEncoder().encode('nobody accepted this')
  const planted = await sha256Hex(bytes)
  await bindings.BUCKET.put(blobKey(world.repository.place, planted, 1), bytes)
  expect(await status('limited', planted, file.filename)).toBe(404)
  expect(await status('limited', planted, 'planted-1.0-py3-none-any.whl')).toBe(404)

  // Bytes that are named, but not there.
  const other = await makeWheel('elsewhere', '1.0')
  expect((await send(other)).status).toBe(200)
  expect(await status('limited', other.sha256, file.filename)).toBe(404)
  expect(await status('elsewhere', file.sha256, other.filename)).toBe(404)

  // Bytes that were named, and lie in the bucket until the grace is over.
  expect((await call('DELETE', '/api/projects/elsewhere', { token: operator })).status).toBe(200)
  expect(await bindings.BUCKET.head(blobKey(world.repository.place, other.sha256, 1))).not.toBeNull()
  expect(await status('elsewhere', other.sha256, other.filename)).toBe(404)
})

test('what people uploaded is never run in this origin’s name', async () => {
  const base = `${shardOf('limited')}/limited`
  for (const path of [
    `/files/${base}/${file.filename}`,
    `/files/${base}/${file.filename}.metadata`,
    `/tuf/targets/files/${base}/${file.sha256}.${file.filename}`,
    `/tuf/targets/files/${base}/${file.filename}`,
  ])
    for (const init of [{}, { method: 'HEAD' }, { headers: { range: 'bytes=0-3' } }]) {
      const { headers, status } = await fetchFace(path, init)
      expect([200, 206]).toContain(status)
      expect(Object.fromEntries(headers)).toMatchObject({
        'content-type': 'application/octet-stream',
        'content-disposition': 'attachment',
        'content-security-policy': "sandbox; default-src 'none'",
        'x-content-type-options': 'nosniff',
      })
    }
})

test('a project that has as many files as a page may list takes no more', async () => {
  expect((await send(await makeWheel('crowded', '1.0'))).status).toBe(200)
  const [row] = await sqlOf<{ bin: string }>(world.repository, "SELECT bin FROM files WHERE project = 'crowded'")
  const fill = `WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ?)
    INSERT INTO files (project, filename, bin, sha256, size, n, version, release, filetype, uploaded, state, mac)
    SELECT 'crowded', 'filler-' || n, ?, '', 0, 1, '0', '0', 'sdist', 0, 'quarantined', x'00' FROM i`
  await sqlOf(world.repository, fill, FILES_PER_PROJECT_MAX - 1, row!.bin)
  const more = await makeWheel('crowded', '1.1')
  const answer = await send(more)
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('has 5000 files, the most')])
  await sqlOf(world.repository, "DELETE FROM files WHERE filename = 'filler-1'")
  expect((await send(more)).status).toBe(200)
})

test('a body that is longer than its call can mean is refused, and a token for too many projects', async () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `project-${i}`)
  const mint = (count: number) => {
    const expires = Math.floor(Date.now() / 1000) + 60
    const body = { name: 'many', scopes: ['upload'], projects: names(count), expires }
    return call('POST', '/api/tokens', { token: operator, body })
  }
  expect((await mint(1_000)).status).toBe(200)
  await expectProblem(await mint(1_001), 400, /at most 1000 projects/)
  const body = { status: 'archived', reason: 'x'.repeat(16 * 1024) }
  const long = await call('PUT', '/api/projects/limited/status', { token: operator, body })
  await expectProblem(long, 413, /at most 16384 bytes/)
})
