// Quotas and the size of a bin, through HTTP: each refusal as an uploader is shown it, and what is counted.
import { beforeAll, expect, test } from 'vitest'
import { shardOf } from '../../tuf/bins.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { sqlOf } from './controls.ts'
import { fieldsOf, formOf, makeWheel, noise } from './distributions.ts'
import { bindings } from './repository.ts'
import { fetchFace, makeWorld, page, postDirectly, send, world } from './upload-harness.ts'

let operator: string
const NONE = { bytes: null, files: null, fileBytes: null }

beforeAll(async () => {
  await makeWorld()
  operator = await world.repository.token(['admin', 'delete'])
})

function call(method: string, path: string, body?: unknown, token = operator): Promise<Response> {
  const headers: Record<string, string> = { authorization: `Bearer ${token}` }
  if (body !== undefined) headers['content-type'] = 'application/json'
  return fetchFace(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
}
const limit = async (path: string, quota: object) =>
  expect((await call('PUT', path, { ...NONE, ...quota })).status).toBe(200)
const held = async (path: string) =>
  (await (await call('GET', path)).json<{ held: { files: number; bytes: number } }>()).held
const sent = async (project: string, version: string): Promise<[number, string]> => {
  const answer = await send(await makeWheel(project, version))
  return [answer.status, await answer.text()]
}

test.for([
  ['the index', '/api/settings/quota', 'This index'],
  ['a project', '/api/projects/limited/quota', "Project 'limited'"],
])('%s takes so many files and bytes, and files of such a size', async ([, path, who]) => {
  await limit('/api/settings/quota', {})
  const [first] = await sent('limited', `${path!.length}.0`)
  expect(first).toBe(200)
  const before = await held(path!)
  for (const [quota, said] of [
    [{ files: before.files }, `${who} holds ${before.files} files and may hold ${before.files}: delete some or ask`],
    [
      { bytes: before.bytes + 10 },
      `${who} holds ${before.bytes} bytes and may hold ${before.bytes + 10}: delete some or ask`,
    ],
    [{ fileBytes: 10 }, `${who} takes files of at most 10 bytes, and this one is larger.`],
  ] as const) {
    await limit(path!, quota)
    const [status, text] = await sent('limited', '9.0')
    expect([status, text]).toEqual([400, expect.stringContaining(said)])
    expect(await held(path!)).toEqual(before)
  }
  await limit(path!, { files: before.files + 1 })
  expect((await sent('limited', `${path!.length}.1`))[0]).toBe(200)
  expect((await sent('limited', '9.0'))[0]).toBe(400)
  // A duplicate takes no room.
  expect((await sent('limited', `${path!.length}.1`))[0]).toBe(200)
  await limit(path!, {})
})

test('what is over a quota by its Content-Length alone is refused before a byte is kept', async () => {
  const bytes = noise(9 * 2 ** 20)
  const file = { ...(await makeWheel('long', '1.0')), bytes, sha256: await sha256Hex(bytes) }
  const body = formOf(fieldsOf(file), file.filename, file.bytes)
  let calls = 0
  const bucket = new Proxy(bindings.BUCKET, {
    get(target, name) {
      calls++
      const member = Reflect.get(target, name) as unknown
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
  await limit('/api/settings/quota', { fileBytes: 100_000 })
  const answer = await postDirectly(body, { 'content-length': String(body.length) }, bucket)
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('at most 100000 bytes')])
  expect(calls).toBe(0)
  // Within what the fields around the file may take nothing is known: the file is looked at.
  await limit('/api/settings/quota', { fileBytes: 2 * 2 ** 20 })
  await postDirectly(body, { 'content-length': String(body.length) }, bucket)
  expect(calls).toBeGreaterThan(0)
  await limit('/api/settings/quota', {})
})

test('what is deleted is counted no more, and what is held is what the rows say', async () => {
  const counted = async () => {
    const query = "SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes FROM files WHERE state <> 'deleted'"
    return (await sqlOf<{ files: number; bytes: number }>(world.repository, query))[0]
  }
  expect((await sent('counted', '1.0'))[0]).toBe(200)
  const before = await held('/api/settings/quota')
  expect(before).toEqual(await counted())
  expect((await call('DELETE', '/api/projects/counted/releases/1.0')).status).toBe(200)
  const after = await held('/api/settings/quota')
  expect(after).toEqual(await counted())
  expect(after.files).toBe(before.files - 1)
})

test('two at once cannot both take the last place', async () => {
  const { files } = await held('/api/settings/quota')
  await limit('/api/settings/quota', { files: files + 1 })
  const answers = await Promise.all(['1.0', '1.1', '1.2'].map((version) => sent('racing', version)))
  expect(answers.map(([status]) => status).sort()).toEqual([200, 400, 400])
  expect(await page('racing')).toHaveLength(1)
  await limit('/api/settings/quota', {})
})

test('a bin that is full takes no file, and says who can help', async () => {
  expect((await sent('binned', '1.0'))[0]).toBe(200)
  const bin = `bin-${shardOf('binned').slice(0, 2)}`
  const [row] = await sqlOf<{ length: number }>(world.repository, 'SELECT length FROM roles WHERE name = ?', bin)
  const setLength = (length: number) =>
    sqlOf(world.repository, 'UPDATE roles SET length = ? WHERE name = ?', length, bin)
  await setLength(1_500_000 - 399)
  expect(await sent('binned', '1.1')).toEqual([400, expect.stringContaining('is full: the operator must add bins')])
  await setLength(row!.length)
  expect((await sent('binned', '1.1'))[0]).toBe(200)
})

test('are changed and seen by operators alone', async () => {
  const body = { ...NONE, files: 1 }
  const minted = (scopes: ('read' | 'upload' | 'admin')[], projects?: string[]) =>
    world.repository.member.mint(
      {
        repository: 'main',
        name: 'x',
        scopes,
        expires: Math.floor(Date.now() / 1000) + 60,
        ...(projects && { projects }),
      },
      operator,
    )
  const limited = await minted(['admin'], ['other'])
  if (!limited.ok) throw new Error(limited.message)
  for (const path of ['/api/settings/quota', '/api/projects/limited/quota']) {
    for (const token of [world.token, limited.token]) expect((await call('PUT', path, body, token)).status).toBe(403)
    expect((await call('GET', path, undefined, world.token)).status).toBe(403)
  }
  for (const wrong of [{}, { ...NONE, files: -1 }, { ...NONE, bytes: '1' }, { ...NONE, files: 1.5 }])
    expect((await call('PUT', '/api/settings/quota', wrong)).status).toBe(400)
  expect((await call('PUT', '/api/projects/nobody/quota', body)).status).toBe(404)
})
