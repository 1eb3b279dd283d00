// The face over HTTP: what clients and people see.
import { exports } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'
import { sha256Hex } from '../../tuf/digest.ts'
import { metadataKey } from '../../tuf/layout.ts'
import { parseSnapshot } from '../../tuf/metadata.ts'
import { targetUrlName } from '../../tuf/paths.ts'
import {
  type Face,
  type KeyedRepository,
  newFace,
  newKeyedRepository,
  ORIGIN,
  objectBytes,
  type Published,
  presentOf,
  publish,
} from './face-harness.ts'

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
const HTML_TYPE = 'application/vnd.pypi.simple.v1+html'
const METADATA = 'Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n'
/** Above what is read whole. */
const LARGE_BYTES = 6 * 2 ** 20 + 17

let repository: KeyedRepository
let alpha: Published
let large: Published
let face: Face
let alphaPage: string
let binFile: string

const text = (content: string) => new TextEncoder().encode(content)
const key = (version: number, role: string) => metadataKey(repository.place, version, role)

beforeAll(async () => {
  repository = await newKeyedRepository('main')
  alpha = await publish(repository, 'alpha', '1.0', text('the wheel of alpha'), METADATA)
  const bytes = new Uint8Array(LARGE_BYTES).map((_, i) => (i * 7919) >> 5)
  large = await publish(repository, 'big-one', '2.0', bytes)
  face = newFace('main')
  alphaPage = targetUrlName(alpha.json, await sha256Hex(await face.bytes('/simple/alpha/', { Accept: JSON_TYPE })))
  const bin = `bin-${alpha.json.split('/')[1]!.slice(0, 2)}`
  const { snapshot } = await presentOf(repository)
  const { meta } = parseSnapshot(await objectBytes(key(snapshot.version, 'snapshot'))).signed
  binFile = `${meta.get(bin)!.version}.${bin}.json`
}, 60_000)

describe('the simple index', () => {
  test.each([
    ['pip and uv', `${JSON_TYPE}, ${HTML_TYPE}; q=0.1, text/html; q=0.01`, JSON_TYPE],
    ['hatch, curl', '*/*', 'text/html; charset=utf-8'],
    ['PEP 691 HTML', HTML_TYPE, HTML_TYPE],
    ['latest', 'application/vnd.pypi.simple.latest+json', JSON_TYPE],
  ])('%s: the signed bytes under the type that was asked for', async (_, accept, type) => {
    const target = type === JSON_TYPE ? alpha.json : alpha.html
    for (const path of ['/simple/alpha/', '/legacy/+simple/alpha/', '/legacy/%2Bsimple/alpha/']) {
      const answer = await face.get(path, { Accept: accept })
      expect(answer.status).toBe(200)
      const bytes = new Uint8Array(await answer.arrayBuffer())
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': type,
        vary: 'Accept',
        etag: `"${await sha256Hex(bytes)}"`,
        'cache-control': 'public, no-cache',
        'content-length': String(bytes.length),
        'x-content-type-options': 'nosniff',
      })
      expect(answer.headers.has('x-index-stale')).toBe(false)
      expect(bytes).toEqual(await face.bytes(`/tuf/targets/${target}`))
    }
  })

  test('?format= overrides Accept, an Accept without a fitting type is told what there is', async () => {
    expect(
      (await face.get(`/simple/alpha/?format=${JSON_TYPE}`, { Accept: 'text/html' })).headers.get('content-type'),
    ).toBe(JSON_TYPE)
    const answer = await face.get('/simple/alpha/', { Accept: 'image/png' })
    expect([answer.status, answer.headers.get('vary')]).toEqual([406, 'Accept'])
    expect(await answer.text()).toContain(HTML_TYPE)
  })

  test('an answer to credentials is nobody else’s', async () => {
    expect((await face.get('/simple/alpha/', { Authorization: 'Basic eDp5' })).headers.get('cache-control')).toBe(
      'private, no-cache',
    )
  })

  test.each([
    ['/simple', '/simple/'],
    ['/simple/alpha', '/simple/alpha/'],
    ['/simple/Alpha/', '/simple/alpha/'],
    ['/simple/Not_There.Yet', '/simple/not-there-yet/'],
    ['/simple/big_one/?x=1', '/simple/big-one/'],
    ['/legacy/+simple/Big.One/', '/legacy/+simple/big-one/'],
    ['/legacy/%2Bsimple/Big.One/', '/legacy/%2Bsimple/big-one/'],
  ])('%s moves to %s', async (from, to) => {
    const answer = await face.fetch(from, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([301, to])
  })

  test.each([
    '/simple/unknown/',
    '/simple/alpha//',
    '/simple//alpha/',
    '/simple/alpha/x',
    '/simple/%2e%2e%2ftuf/',
    '/simple/a%00b/',
    '/simple/al%2fpha/',
    '/simple/%zz/',
    '/simple/-alpha/',
    '/simple/evil.test%2f..',
    '/SIMPLE/alpha/',
    '/%73imple/alpha/',
  ])('%s is a plain 404', async (path) => {
    const answer = await face.fetch(path, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'text/plain; charset=utf-8'])
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  test('a page is revalidated by its digest', async () => {
    for (const path of ['/simple/', '/simple/alpha/']) {
      const etag = (await face.get(path)).headers.get('etag')!
      for (const header of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const answer = await face.get(path, { 'If-None-Match': header })
        expect([answer.status, answer.headers.get('etag'), await answer.text()]).toEqual([304, etag, ''])
        expect(answer.headers.get('vary')).toBe('Accept')
      }
      expect((await face.get(path, { 'If-None-Match': '"other"' })).status).toBe(200)
    }
  })

  test.each(['/simple/', '/simple/alpha/', '/files/x/y/z', '/tuf/timestamp.json', '/', '/healthz'])(
    'nothing is written to %s',
    async (path) => {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const answer = await face.fetch(path, { method, body: 'x' })
        expect([method, answer.status, answer.headers.get('allow')]).toEqual([method, 405, 'GET, HEAD'])
        expect(await answer.text()).toContain('/legacy/')
      }
    },
  )
})

describe('files', () => {
  const file = () => `/${alpha.path}`

  test('a file answers with all that keeps it from being run, and with its metadata', async () => {
    const answer = await face.get(file())
    const bytes = new Uint8Array(await answer.arrayBuffer())
    expect([answer.status, bytes]).toEqual([200, alpha.bytes])
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      etag: `"${alpha.sha256}"`,
      'content-length': String(bytes.length),
      'accept-ranges': 'bytes',
      'cache-control': 'public, max-age=31536000, immutable, no-transform',
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'content-security-policy': "sandbox; default-src 'none'",
      'x-content-type-options': 'nosniff',
    })
    expect(answer.headers.has('content-encoding')).toBe(false)
    const metadata = await face.get(`${file()}.metadata`)
    expect([metadata.status, await metadata.text()]).toEqual([200, METADATA])
    expect(metadata.headers.get('etag')).toBe(`"${await sha256Hex(text(METADATA))}"`)
    expect((await face.get(`/${large.path}.metadata`)).status).toBe(404)
    expect((await face.get(`${file()}.metadata.metadata`)).status).toBe(404)
  })

  test.each([
    // [Range, status, Content-Range, first byte, bytes]
    ['bytes=0-3', 206, 'bytes 0-3/LEN', 0, 4],
    ['bytes=4-', 206, 'bytes 4-LAST/LEN', 4, -1],
    ['bytes=-5', 206, 'bytes LAST4-LAST/LEN', -5, -1],
    ['bytes=-99999999', 206, 'bytes 0-LAST/LEN', 0, -1],
    ['bytes=2-99999999', 206, 'bytes 2-LAST/LEN', 2, -1],
    ['bytes=99999999-', 416, 'bytes */LEN', 0, 0],
    ['bytes=-0', 416, 'bytes */LEN', 0, 0],
    ['bytes=3-2', 200, null, 0, -1],
    ['bytes=0-1,3-4', 200, null, 0, -1],
    ['bytes=-', 200, null, 0, -1],
    ['chunks=0-1', 200, null, 0, -1],
  ] as const)('Range: %s', async (range, status, contentRange, from, count) => {
    for (const { path, bytes } of [alpha, large]) {
      const answer = await face.get(`/${path}`, { Range: range })
      expect(answer.status).toBe(status)
      const expected = contentRange
        ?.replace('LAST4', String(bytes.length - 5))
        .replace('LAST', String(bytes.length - 1))
        .replace('LEN', String(bytes.length))
      expect(answer.headers.get('content-range')).toBe(expected ?? null)
      const body = new Uint8Array(await answer.arrayBuffer())
      if (status === 416) continue
      const part = count === -1 ? bytes.slice(from) : bytes.slice(from, from + count)
      expect(answer.headers.get('content-length')).toBe(String(part.length))
      expect(await sha256Hex(body)).toBe(await sha256Hex(part))
    }
  })

  test('If-Range gives a part of this very file alone; If-None-Match goes before Range', async () => {
    const statusOf = async (headers: Record<string, string>) =>
      (await face.get(file(), { Range: 'bytes=0-1', ...headers })).status
    expect(await statusOf({ 'If-Range': `"${alpha.sha256}"` })).toBe(206)
    expect(await statusOf({ 'If-Range': `W/"${alpha.sha256}"` })).toBe(200)
    expect(await statusOf({ 'If-Range': '"other"' })).toBe(200)
    expect(await statusOf({ 'If-Range': 'Wed, 21 Oct 2026 07:28:00 GMT' })).toBe(200)
    expect(await statusOf({ 'If-None-Match': `"${alpha.sha256}"` })).toBe(304)
  })

  test('HEAD tells the length of everything and sends nothing', async () => {
    for (const path of [
      '/',
      '/healthz',
      '/simple/',
      '/simple/alpha/',
      file(),
      `/${large.path}`,
      `${file()}.metadata`,
    ]) {
      const [head, get] = [await face.fetch(path, { method: 'HEAD' }), await face.get(path)]
      expect([path, head.status, (await head.arrayBuffer()).byteLength]).toEqual([path, 200, 0])
      const body = await get.arrayBuffer()
      if (path !== '/healthz' && path !== '/') expect(head.headers.get('content-length')).toBe(String(body.byteLength))
    }
  })

  test.each([
    ['another project’s folder', () => `/${alpha.path.replace('/alpha/', '/beta/')}`],
    ['another shard', () => `/${alpha.path.replace(/files\/..../, 'files/0000')}`],
    ['the digest', () => `/files/${alpha.sha256}`],
    ['upper case', () => `/${alpha.path.replace('py3', 'PY3')}`],
    ['an empty segment', () => `/${alpha.path.replace('/alpha/', '//alpha/')}`],
    ['an encoded slash', () => `/${alpha.path.replace('/alpha/', '/alpha%2f')}`],
    ['an encoded backslash', () => `/${alpha.path.replace('/alpha/', '/alpha%5c')}`],
    ['twice encoded', () => `/${alpha.path.replace('alpha', '%2561lpha')}`],
    ['encoded dots', () => `/files/x/%2e%2e/${alpha.filename}`],
    ['a page', () => `/files/../${alpha.json}`],
    ['a NUL', () => `/${alpha.path}%00`],
    ['a slash behind', () => `/${alpha.path}/`],
  ])('%s: 404', async (_, path) => {
    expect((await face.get(path())).status).toBe(404)
  })

  test('a segment is decoded once: the same file under an encoded letter, with a query', async () => {
    expect((await face.get(`/${alpha.path.replace('alpha', '%61lpha')}?x=/../y`)).status).toBe(200)
  })
})

describe('TUF', () => {
  test('every file a client needs, immutable by name, and the timestamp never kept', async () => {
    const { version, snapshot } = await presentOf(repository)
    const files = [`${snapshot.version}.snapshot.json`, '1.targets.json', '1.bins.json', '1.root.json', binFile]
    for (const name of files) {
      const answer = await face.get(`/tuf/${name}?x=1`, { 'User-Agent': '', Accept: 'image/png' })
      expect([name, answer.status]).toEqual([name, 200])
      expect(answer.headers.get('cache-control')).toContain('immutable')
      expect(answer.headers.get('content-type')).toBe('application/json')
      const [v, role] = name.split('.') as [string, string]
      expect(new Uint8Array(await answer.arrayBuffer())).toEqual(await objectBytes(key(Number(v), role)))
      const head = await face.fetch(`/tuf/${name}`, { method: 'HEAD' })
      expect(head.headers.get('content-length')).toBe(answer.headers.get('content-length'))
    }
    const timestamp = await face.get('/tuf/timestamp.json')
    expect(timestamp.headers.get('cache-control')).toBe('no-cache, no-transform')
    const etag = timestamp.headers.get('etag')!
    expect(etag).toBe(`"${await sha256Hex(new Uint8Array(await timestamp.arrayBuffer()))}"`)
    expect((await face.get('/tuf/timestamp.json', { 'If-None-Match': etag })).status).toBe(304)
    expect((await face.get(`/tuf/${version}.timestamp.json`)).status).toBe(404)
  })

  test.each([
    '/tuf/2.root.json',
    '/tuf/3.root.json',
    '/tuf/0.root.json',
    '/tuf/01.root.json',
    '/tuf/1.Root.json',
    '/tuf/root.json',
    '/tuf/snapshot.json',
    '/tuf/1.nothing.json',
    '/tuf/1.bin-zz.json',
    '/tuf/99999999999.snapshot.json',
    '/tuf/1%2eroot.json/',
    '/tuf/./1.root.json/x',
    '/tuf/%2e%2e%2f1.root.json',
    '/tuf/',
    '/tuf',
    '/tuf/e2/timestamp.json',
    '/tuf/targets/',
    '/tuf/targets',
    '/cdn-cgi/explorer/',
    '/cdn-cgi/mf/scheduled',
    '/r/main/e1/tuf/timestamp.json',
    '/nothing',
    '/simple/../r/main/e1/tuf/timestamp.json',
  ])('%s is exactly 404 and kept by nobody', async (path) => {
    const answer = await face.fetch(path, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([404, 'no-store'])
  })

  test('the three spellings of a target give the same bytes, and only for its own path', async () => {
    for (const { path, sha256, bytes } of [
      alpha,
      {
        path: alpha.json,
        sha256: alphaPage.match(/[0-9a-f]{64}/)![0],
        bytes: await face.bytes(`/tuf/targets/${alpha.json}`),
      },
      { path: 'simple/vnd.pypi.simple.v1.json', ...(await listOf()) },
    ]) {
      for (const spelling of [targetUrlName(path, sha256), `${sha256}.${path}`, path]) {
        const answer = await face.get(`/tuf/targets/${spelling}`)
        expect([spelling, answer.status]).toEqual([spelling, 200])
        expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes)
        expect(answer.headers.get('content-type')).toBe('application/octet-stream')
        expect(answer.headers.get('cache-control')).toContain(spelling === path ? 'no-cache' : 'immutable')
        expect((await face.get(`/tuf/targets/${spelling}`, { Range: 'bytes=1-2' })).status).toBe(206)
      }
      const other = await sha256Hex(text('other'))
      for (const wrong of [
        targetUrlName(path, other),
        `${other}.${path}`,
        targetUrlName(path.replace(/[^/]*$/, 'other.whl'), sha256),
        `${sha256}.${path.replace(/[^/]*$/, 'other.whl')}`,
        targetUrlName(large.path, sha256),
        `${sha256}`,
        `${sha256}.`,
        `../${targetUrlName(path, sha256)}`,
        path.replace('/', '%2f'),
        targetUrlName(path, sha256).replace('/', '%2F'),
        path.replace('/', '%5c'),
      ])
        expect([wrong, (await face.get(`/tuf/targets/${wrong}`)).status]).toEqual([wrong, 404])
    }
  })

  async function listOf() {
    const bytes = await face.bytes('/simple/', { Accept: JSON_TYPE })
    return { sha256: await sha256Hex(bytes), bytes }
  }
})

describe('for people and machines', () => {
  test('the page: how to install from here, what is here, and what it can be checked by', async () => {
    const answer = await face.get('/')
    const html = await answer.text()
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; img-src data:; style-src 'nonce-[0-9a-f-]{36}';/,
    )
    for (const part of [
      '2 packages',
      `pip install --index-url ${ORIGIN}/simple/ alpha`,
      `uv pip install --default-index ${ORIGIN}/simple/ alpha`,
      `twine upload --repository-url ${ORIGIN}/legacy/ dist/*`,
      `uv publish --publish-url ${ORIGIN}/legacy/ dist/*`,
      `npx tuf-edge fetch alpha --index ${ORIGIN}/ --root root.json --into downloads`,
      '<a href="/pypi/alpha/json">',
      '<a href="/simple/big-one/">big-one</a>',
      '<a href="/tuf/1.root.json">',
      await sha256Hex(repository.signed.root),
      'Development index',
      'fresh</span> for another 23 hours',
    ])
      expect(html).toContain(part)
    expect(html).not.toMatch(/<script|src=|@import|url\(/)
  })

  test('what is not here says where to look', async () => {
    for (const path of ['/nope', '/simple/unknown/']) {
      const answer = await face.get(path)
      expect([answer.status, await answer.text()], path).toEqual([404, expect.stringContaining(' /simple/')])
    }
  })

  test('health and metrics', async () => {
    const { version, expires } = await presentOf(repository)
    const answer = await face.get('/healthz')
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(await answer.json()).toEqual({ status: 'ok', reasons: [], warnings: [], timestamp: version, expires })
    const metrics = await face.text('/metrics')
    expect(metrics).toContain(`\ntuf_edge_timestamp_version ${version}\n`)
    expect(metrics).toContain(`\ntuf_edge_timestamp_expires_seconds ${Date.parse(expires) / 1000}\n`)
    expect(metrics).toContain('tuf_edge_healthy 1\n')
    expect(metrics).not.toMatch(/alpha|undefined|NaN/)
  })
})

test('the deployed entry point answers for the repository main', async () => {
  const door = (exports as unknown as { default: { fetch(url: string, init?: RequestInit): Promise<Response> } })
    .default
  expect(await (await door.fetch(`${ORIGIN}/${alpha.path}`)).text()).toBe('the wheel of alpha')
  expect((await door.fetch(`${ORIGIN}/tuf/timestamp.json`, { method: 'HEAD' })).status).toBe(200)
  expect((await door.fetch(`${ORIGIN}/legacy/`)).status).toBe(405)
  expect((await door.fetch('https://index.example/simple/')).status).toBe(421)
})
