// An import from another index: what is kept, what is compared, what is refused by name. The other index is a plain web
// server with pages as devpi and PyPI write them; the 3,000 files that are killed in the middle are in test/import.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callApi } from '../../cli/api.ts'
import type { ImportReport } from '../../cli/import.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { freePort, outcomeOf, type Process, startProcess, temporaryFolder } from './process.ts'

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
const LOGIN = 'reader:secret of the source'

let service: Process
let other: Server
let source: string
const folder = temporaryFolder()
const state = join(folder.path, 'index')
const asked: IncomingMessage[] = []

const wheelOf = (name: string, version: string) => {
  const wheel = buildWheel({ name, version, summary: 'x', files: { [`${name}.py`]: `v = '${version}'\n` } })
  return { ...wheel, sha256: createHash('sha256').update(wheel.bytes).digest('hex') }
}
const [one, two, three, swapped, undated] = ['1.0', '2.0', '3.0', '4.0', '5.0'].map((v) => wheelOf('modern', v))
const old = wheelOf('oldstyle', '1.0')
const broken = { filename: 'broken-1.0-py3-none-any.whl', bytes: Buffer.from('this is no zip') }

const pages: Record<string, [type: string, text: string]> = {
  '/team/stable/+simple/': [
    'text/html',
    '<a href="modern/">modern</a><a href="oldstyle/">oldstyle</a><a href="gone/">gone</a>',
  ],
  '/team/stable/+simple/oldstyle/': [
    'text/html; charset=utf-8',
    `<a href="../../+f/1/${old.filename}#sha256=${old.sha256}" data-yanked="old &amp; bad">${old.filename}</a>
     <a href="../../+f/1/${broken.filename}">${broken.filename}</a>
     <a href="../../+f/1/oldstyle-0.1.zip">oldstyle-0.1.zip</a>`,
  ],
  '/team/stable/+simple/modern/': [
    JSON_TYPE,
    JSON.stringify({
      meta: { 'api-version': '1.1' },
      name: 'modern',
      files: [one!, two!, three!, swapped!, undated!].map(({ filename, sha256 }, i) => ({
        filename,
        url: `../../+f/1/${filename}`,
        hashes: { sha256: i === 3 ? '0'.repeat(64) : sha256 },
        ...(i === 4 ? {} : { 'upload-time': `202${i}-03-04T05:06:07.123456Z` }),
        ...(i === 1 ? { yanked: true } : {}),
        ...(i === 2 ? { yanked: 'leaks\nkeys' } : {}),
      })),
    }),
  ],
}
const files = new Map([one!, two!, three!, swapped!, undated!, old, broken].map((file) => [file.filename, file.bytes]))

beforeAll(async () => {
  other = createServer((request, response) => {
    asked.push(request)
    if (request.headers.authorization !== `Basic ${Buffer.from(LOGIN).toString('base64')}`)
      return response.writeHead(401).end()
    const page = pages[request.url!]
    if (page) return response.writeHead(200, { 'content-type': page[0] }).end(page[1])
    const bytes = files.get(request.url!.split('/').at(-1)!)
    if (!bytes) return response.writeHead(404).end()
    return response.writeHead(200, { 'last-modified': 'Tue, 05 May 2015 01:02:03 GMT' }).end(bytes)
  })
  await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening))
  source = `http://127.0.0.1:${(other.address() as AddressInfo).port}/team/stable/+simple/`
  service = await startProcess(state, await freePort())
})
afterAll(async () => {
  other?.close()
  await service?.kill()
  folder.remove()
})

const tokens = () => JSON.parse(readFileSync(join(state, 'tokens.json'), 'utf8')) as { admin: string; upload: string }

async function run(words: string[], env: NodeJS.ProcessEnv = {}) {
  const all = { ...process.env, TUF_EDGE_TOKEN: tokens().admin, TUF_EDGE_SOURCE_AUTH: LOGIN, ...env }
  const child = spawn(process.execPath, ['cli/main.ts', 'import', ...words, '--url', service.url], { env: all })
  return outcomeOf(child)
}

const page = async (project: string) => {
  const answer = await fetch(`${service.url}/simple/${project}/`, { headers: { accept: JSON_TYPE } })
  const { files: listed } = (await answer.json()) as { files: Record<string, unknown>[] }
  return new Map(listed.map((file) => [file.filename, file]))
}

test('dates and yanks are kept, digests compared, what is refused is named with its reason, a second run finds it all', async () => {
  const first = await run([source, '--json'])
  expect(first.code, first.told).toBe(1)
  const report = JSON.parse(first.said) as ImportReport
  expect(report).toMatchObject({ found: 8, there: 0, imported: 5, unchecked: 0 })
  expect(Object.fromEntries(report.refused.map(({ file, why }) => [file, why]))).toEqual({
    [broken.filename]: expect.stringContaining('zip'),
    'oldstyle-0.1.zip': expect.stringContaining('.tar.gz'),
    [swapped!.filename]: 'The source sent other bytes than its sha256 says.',
    'gone (the whole project)': expect.stringContaining('404'),
  })
  const modern = await page('modern')
  expect([...modern.keys()].sort()).toEqual([one!, two!, three!, undated!].map(({ filename }) => filename))
  expect(modern.get(one!.filename)).toMatchObject({ 'upload-time': '2020-03-04T05:06:07.123Z', yanked: false })
  expect(modern.get(two!.filename)).toMatchObject({ 'upload-time': '2021-03-04T05:06:07.123Z', yanked: true })
  expect(modern.get(three!.filename)).toMatchObject({ yanked: 'leaks keys' })
  // The page has no date, so the file's own header counts: that is where devpi has it.
  expect(modern.get(undated!.filename)).toMatchObject({ 'upload-time': '2015-05-05T01:02:03.000Z' })
  expect((await page('oldstyle')).get(old.filename)).toMatchObject({
    yanked: 'old & bad',
    hashes: { sha256: old.sha256 },
  })

  asked.length = 0
  const second = await run([source, '--json', '--project', 'modern'])
  expect(JSON.parse(second.said)).toMatchObject({
    found: 5,
    there: 4,
    imported: 0,
    refused: [{ file: swapped!.filename }],
  })
  // One page and the file that is refused, tried three times: nothing that is there is downloaded.
  expect(asked.length).toBe(1 + 3)
})

test('what the source yanks and un-yanks later is yanked and un-yanked here; where it says nothing, and what it deletes, is left alone', async () => {
  const name = '/team/stable/+simple/modern/'
  const before = pages[name]!
  const listed = (JSON.parse(before[1]) as { files: Record<string, unknown>[] }).files
  const say = (yanks: Record<string, unknown>, but?: string) => {
    const files = listed
      .filter(({ filename }) => filename !== but && filename !== swapped!.filename)
      .map(({ yanked: _, ...file }) => ({ ...file, ...(yanks[file.filename as string] as object) }))
    pages[name] = [JSON_TYPE, JSON.stringify({ meta: { 'api-version': '1.1' }, name: 'modern', files })]
  }
  const words = [source, '--project', 'modern']
  const yanksOf = async () =>
    Object.fromEntries([...(await page('modern'))].map(([filename, { yanked }]) => [filename, yanked]))
  try {
    say({
      [one!.filename]: { yanked: 'found\nlater' },
      [two!.filename]: { yanked: false },
      [three!.filename]: { yanked: true },
    })
    const kept = await run([...words, '--json', '--keep-yanks'])
    expect(JSON.parse(kept.said)).toMatchObject({ found: 4, there: 4, imported: 0, yanked: [], unyanked: [] })

    const expires = Math.floor(Date.now() / 1000) + 3600
    const body = { name: 'no yank', scopes: ['upload', 'create'], allProjects: true, expires }
    const { token } = await callApi<{ token: string }>(service.url, 'POST', '/api/tokens', {
      token: tokens().admin,
      body,
    })
    const refused = await run([...words, '--json'], { TUF_EDGE_TOKEN: token })
    expect(refused.code).toBe(1)
    expect(JSON.parse(refused.said)).toMatchObject({ yanked: [], unyanked: [] })
    expect((JSON.parse(refused.said) as ImportReport).refused.map(({ file }) => file).sort()).toEqual(
      [one!, two!, three!].map(({ filename }) => filename),
    )

    const followed = await run([...words, '--json'])
    expect(followed.code, followed.said).toBe(0)
    const report = JSON.parse(followed.said) as ImportReport
    expect(report).toMatchObject({ found: 4, there: 4, imported: 0, refused: [] })
    expect(new Map(report.yanked.map(({ file, reason }) => [file, reason]))).toEqual(
      new Map([
        [one!.filename, 'found later'],
        [three!.filename, undefined],
      ]),
    )
    expect(report.unyanked).toEqual([two!.filename])
    const then = await yanksOf()
    expect(then).toEqual({
      [one!.filename]: 'found later',
      [two!.filename]: false,
      [three!.filename]: true,
      [undated!.filename]: false,
    })

    // Nothing is said of what is as it was, the first file is gone there, and nothing is said of the third any more.
    say({ [two!.filename]: { yanked: 'again' } }, one!.filename)
    const told = await run(words)
    expect(told.said.split('\n')).toEqual([
      '3 files: 0 imported (0 bytes), 3 there before, 0 refused',
      `  yanked ${two!.filename}: again`,
      '',
    ])
    expect(await yanksOf()).toEqual({ ...then, [two!.filename]: 'again' })
    expect(JSON.parse((await run([...words, '--json'])).said)).toMatchObject({ there: 3, yanked: [], unyanked: [] })
  } finally {
    pages[name] = before
  }
})

test('other bytes under a name that is there are refused, and nothing of them is sent', async () => {
  const work = join(folder.path, 'other-bytes')
  mkdirSync(work)
  const other = buildWheel({ name: 'modern', version: '1.0', summary: 'other', files: { 'modern.py': '' } })
  writeFileSync(join(work, other.filename), other.bytes)
  const { code, said } = await run([work])
  expect(code).toBe(1)
  expect(said).toContain(`refused ${other.filename}: The index has a file of that name with other bytes`)
})

test.for<[string, string[], NodeJS.ProcessEnv, number, string]>([
  ['no token', ['SOURCE'], { TUF_EDGE_TOKEN: '' }, 1, 'TUF_EDGE_TOKEN'],
  ['a token that is none', ['SOURCE'], { TUF_EDGE_TOKEN: `tue_${'x'.repeat(49)}` }, 1, 'authentication'],
  ['a password in the address', ['http://reader:hidden@127.0.0.1:1/simple/'], {}, 2, 'TUF_EDGE_SOURCE_AUTH'],
  ['a folder that is not there', ['/nowhere/at/all'], {}, 1, 'neither a folder'],
  ['a source that wants another password', ['SOURCE'], { TUF_EDGE_SOURCE_AUTH: 'x:y' }, 1, '401'],
])('%s: one sentence, and nothing is imported', async ([, words, env, code, sentence]) => {
  const answer = await run(
    words.map((word) => (word === 'SOURCE' ? source : word)),
    env,
  )
  expect(answer.code, answer.told).toBe(code)
  expect(answer.told).toContain(sentence)
  expect(answer.told.trim().split('\n').length, answer.told).toBe(1)
  expect(answer.told).not.toContain('hidden')
})

test('an uploader’s token may not date what it brings', async () => {
  const work = join(folder.path, 'dated')
  mkdirSync(work)
  const wheel = wheelOf('dated', '1.0')
  writeFileSync(join(work, wheel.filename), wheel.bytes)
  const { code, said } = await run([work, '--keep-times'], { TUF_EDGE_TOKEN: tokens().upload })
  expect(code).toBe(1)
  expect(said).toContain('that takes the scope admin')
})
