// The reading half of the API and Warehouse's JSON, through HTTP, held against what was uploaded; and what they cost.
import { beforeAll, expect, test } from 'vitest'
import { shardOf } from '../../tuf/bins.ts'
import { fieldsOf, formOf, makeSdist, makeWheel } from './distributions.ts'
import { newFace } from './face-harness.ts'
import { fetchFace, makeWorld, post, world } from './upload-harness.ts'

const METADATA =
  'Summary: what it does\nAuthor-email: a@example.org\nRequires-Dist: idna>=3\nRequires-Python: >=3.9\nProject-URL: Source, https://example.org/src\n'
const files: Record<string, { sha256: string; size: number }> = {}
let operator: string

beforeAll(async () => {
  await makeWorld()
  operator = await world.repository.token(['yank', 'delete', 'admin'])
  for (const file of [
    await makeWheel('reads', '1.0', { metadata: METADATA }),
    await makeSdist('reads', '1.0'),
    await makeWheel('reads', '1.9', { metadata: METADATA }),
    await makeWheel('reads', '1.10', { metadata: METADATA }),
    await makeWheel('reads', '2.0rc1'),
    await makeWheel('other', '1.0'),
  ]) {
    const answer = await post(formOf(fieldsOf(file), file.filename, file.bytes))
    expect([answer.status, await answer.text()]).toEqual([200, ''])
    files[file.filename] = { sha256: file.sha256, size: file.bytes.length }
  }
})

const change = (method: string, path: string, body?: unknown) =>
  fetchFace(path, {
    method,
    headers: {
      authorization: `Bearer ${operator}`,
      ...(body === undefined ? null : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })

// biome-ignore lint/suspicious/noExplicitAny: an answer of any shape, looked into by the test
const json = async (path: string): Promise<[number, any]> => {
  const answer = await fetchFace(path)
  return [answer.status, await answer.json()]
}
const WHEEL = 'reads-1.10-py3-none-any.whl'

test('projects, releases and files are those of the signed pages', async () => {
  expect(await json('/api/projects/Reads')).toMatchObject([
    200,
    { name: 'reads', status: 'active', files: 5, versions: ['2.0rc1', '1.10', '1.9', '1.0'] },
  ])
  const [, { releases }] = await json('/api/projects/reads/releases')
  expect(releases.map(({ version, files: n }: { version: string; files: number }) => [version, n])).toEqual([
    ['2.0rc1', 1],
    ['1.10', 1],
    ['1.9', 1],
    ['1.0', 2],
  ])
  const [, release] = await json('/api/projects/reads/releases/1.0.0')
  expect(release.files.map(({ filename }: { filename: string }) => filename)).toHaveLength(2)
  const [, file] = await json(`/api/projects/reads/files/${WHEEL}`)
  expect(file).toMatchObject({
    filename: WHEEL,
    version: '1.10',
    ...files[WHEEL],
    requiresPython: '>=3.9',
    yanked: false,
  })
  expect(new Uint8Array(await (await fetchFace(file.url)).arrayBuffer())).toHaveLength(file.size)
  const [, all] = await json('/api/projects/reads/files')
  expect(
    Object.fromEntries(
      all.files.map((each: { filename: string; sha256: string; size: number }) => [
        each.filename,
        { sha256: each.sha256, size: each.size },
      ]),
    ),
  ).toEqual(Object.fromEntries(Object.entries(files).filter(([name]) => name.startsWith('reads'))))
  for (const path of ['nobody', 'nobody/files', 'reads/releases/3.0', 'reads/files/none.whl'])
    expect((await json(`/api/projects/${path}`))[0]).toBe(404)
})

test('names come in pages', async () => {
  await world.repository.public.refresh('main')
  const seen: string[] = []
  for (let after = ''; ; ) {
    const [status, page] = await json(`/api/projects?limit=1${after}`)
    expect(status).toBe(200)
    seen.push(...page.projects)
    if (page.next === undefined) break
    after = `&after=${page.next}`
  }
  const listed = await (
    await fetchFace('/simple/', { headers: { accept: 'application/vnd.pypi.simple.v1+json' } })
  ).json<{ projects: { name: string }[] }>()
  expect(seen).toEqual(listed.projects.map(({ name }) => name))
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'after=a%20b', 'limit=1&limit=2'])
    expect((await json(`/api/projects?${query}`))[0]).toBe(400)
})

test("Warehouse's JSON says what the METADATA and the page say, and its latest is no pre-release", async () => {
  const answer = await fetchFace('/pypi/reads/json')
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
  // biome-ignore lint/suspicious/noExplicitAny: looked into by the test
  const body = await answer.json<any>()
  expect(body.info).toMatchObject({
    name: 'reads',
    version: '1.10',
    summary: 'what it does',
    author_email: 'a@example.org',
    requires_dist: ['idna>=3'],
    requires_python: '>=3.9',
    project_urls: { Source: 'https://example.org/src' },
    yanked: false,
    yanked_reason: null,
  })
  expect(Object.keys(body.releases).sort()).toEqual(['1.0', '1.10', '1.9', '2.0rc1'])
  expect(body.urls).toMatchObject([
    {
      filename: WHEEL,
      packagetype: 'bdist_wheel',
      python_version: 'py3',
      digests: { sha256: files[WHEEL]!.sha256 },
      size: files[WHEEL]!.size,
      url: `http://127.0.0.1/files/${shardOf('reads')}/reads/${WHEEL}`,
    },
  ])
  expect(answer.headers.get('x-pypi-last-serial')).toBe(String(body.last_serial))
  const [, one] = await json('/pypi/reads/1.0.0/json')
  expect(one).not.toHaveProperty('releases')
  expect(one.urls.map(({ packagetype }: { packagetype: string }) => packagetype).sort()).toEqual([
    'bdist_wheel',
    'sdist',
  ])
  const moved = await fetchFace('/pypi/Reads/1.0/json', { redirect: 'manual' })
  expect([moved.status, moved.headers.get('location')]).toEqual([301, '/pypi/reads/1.0/json'])
  for (const path of ['nobody/json', 'reads/9.9/json', 'reads/x/json', 'reads', 'reads/1.0/2.0/json', '%2e%2e/json'])
    expect((await fetchFace(`/pypi/${path}`)).status).toBe(404)
})

test('the serial is the one of the signed page, in both forms, and grows with a change', async () => {
  const serials = async () => {
    const answers = await Promise.all(
      ['text/html', 'application/vnd.pypi.simple.v1+json'].map((accept) =>
        fetchFace('/simple/reads/', { headers: { accept } }),
      ),
    )
    return answers.map((answer) => Number(answer.headers.get('x-pypi-last-serial')))
  }
  const [html, of] = await serials()
  expect(html).toBe(of)
  expect((await json('/api/projects/reads'))[1].serial).toBe(of)
  expect((await change('PUT', '/api/projects/reads/releases/1.10/yank', { reason: 'broken' })).status).toBe(200)
  const [after] = await serials()
  expect(after).toBeGreaterThan(of!)
  const [, body] = await json('/pypi/reads/json')
  expect([body.info.version, body.last_serial]).toEqual(['1.9', after])
  expect((await json('/pypi/reads/1.10/json'))[1].info).toMatchObject({ yanked: true, yanked_reason: 'broken' })
})

test('what was deleted is in none of them', async () => {
  expect((await change('DELETE', '/api/projects/reads/releases/1.9')).status).toBe(200)
  // As a version or in a file's name; seconds of a time may well end so.
  for (const path of ['/pypi/reads/json', '/api/projects/reads', '/api/projects/reads/files'])
    expect(JSON.stringify((await json(path))[1])).not.toMatch(/"1\.9"|-1\.9[-.]/)
  expect((await json('/pypi/reads/1.9/json'))[0]).toBe(404)
  expect((await json('/api/projects/reads/releases/1.9'))[0]).toBe(404)
})

test('a warm read costs one bucket read, the timestamp', async () => {
  const face = newFace('main')
  for (const path of [
    '/api/projects',
    '/api/projects/reads',
    '/api/projects/reads/files',
    '/pypi/reads/json',
    '/simple/reads/',
  ]) {
    expect((await face.get(path)).status).toBe(200)
    face.reads()
    await (await face.get(path)).text()
    expect([path, face.reads()]).toEqual([path, ['tuf/timestamp.json']])
  }
})
