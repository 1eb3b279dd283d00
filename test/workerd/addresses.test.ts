// Where the repositories of one host lie: everything that names an address names its own, and what is asked for at the
// address of one is asked of that one alone.
import { beforeAll, describe, expect, test } from 'vitest'
import { repositoryOf } from '../../workers/addresses.ts'
import { BOUNDARY, fieldsOf, formOf, makeWheel } from './distributions.ts'
import { adopted, HOST, isolate, main, makeIndex, send, staging, statusOf, upload, withSeveral } from './several.ts'
import { fetchFace } from './upload-harness.ts'

const [trustRoot] = Object.values(
  import.meta.glob('../vectors/sigstore/trusted_root.json', { query: '?raw', import: 'default', eager: true }),
)
withSeveral()

describe('every address is its own', () => {
  beforeAll(async () => {
    expect(await upload(staging, await makeWheel('my-project', '1.0'), staging.operator)).toBe(200)
  })

  test('on pages, in JSON, in feeds, in redirects, in the API’s document', async () => {
    const text = async (path: string, headers = {}) => (await fetchFace(path, { headers })).text()
    const location = async (path: string) => {
      const answer = await fetchFace(path, { redirect: 'manual' })
      return [answer.status, answer.headers.get('location')]
    }
    expect(await location('/r/staging/simple/My.Project/')).toEqual([301, '/r/staging/simple/my-project/'])
    expect(await location('/r/staging/simple')).toEqual([301, '/r/staging/simple/'])
    expect(await location('/r/staging/pypi/My.Project/json')).toEqual([301, '/r/staging/pypi/my-project/json'])
    expect(await location('/simple/My.Project/')).toEqual([301, '/simple/my-project/'])

    const answers = [
      await text('/r/staging/'),
      await text('/r/staging/pypi/my-project/json'),
      await text('/r/staging/rss/updates.xml'),
      await text('/r/staging/rss/packages.xml'),
      await text('/r/staging/api/projects/my-project/files'),
      await text('/r/staging/simple/', { accept: 'text/html' }),
      await text('/r/staging/simple/my-project/', { accept: 'text/html' }),
      await text('/r/staging/nothing'),
      await text('/r/staging/simple/nothing/'),
    ]
    for (const answer of answers) {
      // Whatever begins at the host's root leads to this repository.
      const rooted = [
        ...answer.matchAll(/(?:127\.0\.0\.1|["'\s>])(\/(?:r|simple|pypi|files|legacy|tuf|integrity|rss)\/[^"'<\s]*)/g),
      ]
      for (const [, path] of rooted) expect([path, /^\/r\/staging\b/.test(path!)]).toEqual([path, true])
    }
    const rooted = answers.map((answer) => answer.includes('/r/staging/'))
    expect(rooted).toEqual([true, true, true, true, true, false, false, true, true])
    const { urls } = JSON.parse(answers[1]!) as { urls: { url: string }[] }
    expect(await statusOf(fetchFace(new URL(urls[0]!.url).pathname))).toBe(200)
    const { servers } = JSON.parse(await text('/r/staging/api/openapi.json')) as { servers: { url: string }[] }
    expect(servers).toEqual([{ url: '/r/staging' }])
  })

  test('of trusted publishing, which PEP 807 has asked for at the root of the host', async () => {
    const ask = async (path: string) => {
      const answer = await fetchFace(`/.well-known/pytp?discover=${encodeURIComponent(path)}`)
      return [answer.status, answer.status === 200 ? await answer.json() : await statusOf(answer)]
    }
    expect(await ask('/r/staging/legacy/')).toEqual([
      200,
      {
        'audience-endpoint': `${HOST}/r/staging/_/oidc/audience`,
        'token-mint-endpoint': `${HOST}/r/staging/_/oidc/mint-token`,
        features: ['multi-use-token'],
        'default-features': ['multi-use-token'],
      },
    ])
    expect(await ask('/legacy/')).toMatchObject([200, { 'token-mint-endpoint': `${HOST}/_/oidc/mint-token` }])
    for (const path of ['/r/staging/simple/', '/r/main/legacy/', `/r/${adopted.name}/legacy/`])
      expect([path, await ask(path)]).toEqual([path, [404, 404]])
  })

  test('is looked for before anybody has looked at the Host, so whatever was sent names one', () => {
    const named = (url: string) => repositoryOf({ url } as Request)
    const about = '/.well-known/pytp?discover='
    expect(named(`http://a b:c:d${about}/r/staging/legacy/`)).toBe('staging')
    for (const path of ['', '%', '%00', '/r/', '/r/main/legacy/', '/r/staging', '//r/staging/', '/r/staging%2Flegacy'])
      expect([path, named(`http://a b:c:d${about}${path}`)]).toEqual([
        path,
        path === '/r/staging%2Flegacy' ? 'staging' : 'main',
      ])
    for (const path of [
      '/r/staging',
      '//r/staging/',
      '/r//staging/',
      '/r/staging%2Fsimple/',
      '/R/staging/',
      '/x/../r/staging/',
    ])
      expect([path, named(`http://h${path}`)]).toEqual([path, 'main'])
    expect(named('http://h/r/staging/?x=/r/other/')).toBe('staging')
  })

  test('where pages say that provenance is: below the index, or it is refused', async () => {
    const trust = (base: string, token: string, origin: string) =>
      statusOf(send(`${base}/api/settings/attestations`, 'PUT', token, { trustedRoot: trustRoot, origin }))
    expect(await trust('/r/staging', staging.operator, HOST)).toBe(400)
    expect(await trust('/r/staging', staging.operator, `${HOST}/r/staging`)).toBe(200)
    expect(await trust('', main.operator, `${HOST}/r/staging`)).toBe(400)
    expect(await statusOf(send('/r/staging/api/settings/attestations', 'DELETE', staging.operator))).toBe(200)
  })
})

interface Described {
  requestBody?: { content: Record<string, { schema: Sampled }> }
}

interface Sampled {
  type?: string
  enum?: string[]
  pattern?: string
  minimum?: number
  anyOf?: Sampled[]
  properties?: Record<string, Sampled>
  required?: string[]
}

/** Parts of addresses by their names. */
const PARTS: Record<string, string> = {
  project: 'my-project',
  version: '1.0',
  filename: 'my_project-1.0-py3-none-any.whl',
  sha256: 'a'.repeat(64),
  number: '1',
  id: 'a'.repeat(12),
  role: 'targets',
}

/** The least that the schema takes, or nearly. */
function sample({ type, enum: words, pattern, minimum, anyOf, properties = {}, required = [] }: Sampled): unknown {
  if (anyOf) return sample(anyOf[0]!)
  if (type === 'object') return Object.fromEntries(required.map((name) => [name, sample(properties[name]!)]))
  if (type === 'array') return []
  if (type === 'boolean') return false
  if (type === 'integer') return minimum ?? 1
  if (words) return words[0]
  const digits = /\{(\d+)\}/.exec(pattern ?? '')?.[1]
  return digits === undefined ? 'my-project' : 'a'.repeat(Number(digits))
}

describe('one isolate', () => {
  test('asks the publisher and the bucket for the repository of the address and no other', async () => {
    const { operator } = await makeIndex('probed')
    const { asked, get } = isolate()
    const file = await makeWheel('noted', '1.0')
    const type = { authorization: `Bearer ${operator}`, 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }
    const body = formOf(fieldsOf(file), file.filename, file.bytes)
    expect(await get('/r/probed/legacy/', { method: 'POST', headers: type, body })).toBe(200)
    const { paths } = (await (await fetchFace('/r/probed/api/openapi.json')).json()) as {
      paths: Record<string, Record<string, Described>>
    }
    const headers = { authorization: `Bearer ${operator}`, 'content-type': 'application/json' }
    // Every operation there is, asked so that most come as far as the publisher.
    for (const [path, methods] of Object.entries(paths))
      for (const [method, { requestBody }] of Object.entries(methods)) {
        const at = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => PARTS[name]!)
        const schema = requestBody?.content['application/json']?.schema
        const body = schema ? { body: JSON.stringify(sample(schema)) } : requestBody ? { body: 'x' } : {}
        await get(`/r/probed${at}`, { method: method.toUpperCase(), headers, ...body })
      }
    const operations = asked.repositories.length
    expect(operations).toBeGreaterThan(25)
    for (const path of ['/', '/simple/', '/rss/updates.xml', '/healthz', '/metrics'])
      expect(await get(`/r/probed${path}`)).toBe(200)
    await get('/r/probed/_/oidc/mint-token', { method: 'POST', body: '{"token":"x"}' })
    await get('/r/probed/_/oidc/burn-token', { method: 'POST', body: '{"token":"x"}' })
    expect(asked.repositories.length).toBeGreaterThan(operations + 2)
    expect([...new Set(asked.repositories)]).toEqual(['probed'])
    expect(asked.keys.length).toBeGreaterThan(10)
    expect(asked.keys.filter((key) => !key.startsWith('r/probed/e1/'))).toEqual([])
  })

  test('keeps what it knows of a repository, whatever names strangers make up', async () => {
    const { asked, get } = isolate()
    expect(await get('/r/staging/simple/')).toBe(200)
    for (let i = 0; i < 60; i++) expect(await get(`/r/none-${i}/simple/`)).toBe(503)
    asked.repositories.length = 0
    expect(await get('/r/staging/simple/')).toBe(200)
    expect(asked.repositories).toEqual([])
  })
})
