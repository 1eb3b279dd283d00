// Attestations through HTTP (PEP 740): real releases of PyPI with the attestations they were really given, under Sigstore's
// real trust root. What holds is served; what does not is refused and leaves nothing; without a trust root all is dropped.
import { beforeAll, describe, expect, test } from 'vitest'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobProvenanceKey } from '../../tuf/layout.ts'
import { sqlOf } from './controls.ts'
import type { Distribution, Field } from './distributions.ts'
import { bindings } from './repository.ts'
import { fetchFace, makeWorld, page, send, stored, world } from './upload-harness.ts'

const ORIGIN = 'https://pypi.example.org'
const TYPE = 'application/vnd.pypi.integrity.v1+json'
const files = import.meta.glob('../vectors/sigstore/*', { query: '?url&inline', import: 'default', eager: true })

function bytesOf(name: string): Uint8Array<ArrayBuffer> {
  const url = files[`../vectors/sigstore/${name}`]!
  return Uint8Array.from(atob(url.slice(url.indexOf(',') + 1)), (character) => character.charCodeAt(0))
}
const textOf = (name: string): string => new TextDecoder().decode(bytesOf(name))

async function release(filename: string, project: string, version: string): Promise<Distribution> {
  const bytes = bytesOf(filename)
  return { project, version, filename, bytes, sha256: await sha256Hex(bytes), metadata: '' }
}
const attested = (...names: string[]): Field[] => [['attestations', `[${names.map(textOf).join(',')}]`]]

const SDIST = 'pypi_attestations-0.0.19.tar.gz'
const PUBLISH = `${SDIST}.publish.attestation`
const SLSA = `${SDIST}.slsa.attestation`
const GITLAB = 'gitlab_oidc_project-0.0.3.tar.gz'
const STAGING = 'rfc8785-0.1.2-py3-none-any.whl'

let operator: string
beforeAll(async () => {
  await makeWorld()
  operator = await world.repository.token(['admin', 'audit', 'delete', 'upload', 'create'])
})

function call(method: string, path: string, body?: unknown, token = operator): Promise<Response> {
  const headers: Record<string, string> = { authorization: `Bearer ${token}` }
  if (body !== undefined) headers['content-type'] = 'application/json'
  return fetchFace(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
}
const SETTING = '/api/settings/attestations'
const trust = (trustedRoot = textOf('trusted_root.json'), origin = ORIGIN) =>
  call('PUT', SETTING, { trustedRoot, origin })
const provenance = (path: string, headers: HeadersInit = {}) => fetchFace(`/integrity/${path}/provenance`, { headers })
const HERE = `pypi-attestations/0.0.19/${SDIST}`

describe('the trust root', () => {
  test('is what can be read, set by an operator', async () => {
    expect((await call('PUT', SETTING, { trustedRoot: '{}', origin: ORIGIN }, world.token)).status).toBe(400)
    const body = { trustedRoot: textOf('trusted_root.json'), origin: ORIGIN }
    expect((await call('PUT', SETTING, body, world.token)).status).toBe(403)
    expect((await call('GET', SETTING, undefined, world.token)).status).toBe(403)
    const bad = await trust('{"mediaType":"x"}')
    expect([bad.status, await bad.json()]).toEqual([
      400,
      expect.objectContaining({
        detail: 'The trust root is refused: Its mediaType is not that of a trusted_root.json.',
      }),
    ])
    for (const origin of ['http://pypi.example.org', `${ORIGIN}/`, 'pypi.example.org', 'https://a b'])
      expect((await trust(undefined, origin)).status).toBe(400)
    expect(await (await call('GET', SETTING)).json()).toEqual({ trustedRoot: null, origin: null })
    expect((await call('DELETE', SETTING)).status).toBe(200)
  })
})

describe('without a trust root', () => {
  test('attestations are dropped, whatever they are, and the upload is taken', async () => {
    const wheel = await release(STAGING, 'rfc8785', '0.1.2')
    const answer = await send(wheel, attested(`${STAGING}.publish.attestation`))
    expect([answer.status, await answer.text()]).toEqual([
      200,
      expect.stringMatching(/no trust root to verify attestations with: those sent with the file were not stored/),
    ])
    expect((await stored(wheel.sha256)).some((key) => key.endsWith('.provenance'))).toBe(false)
    expect((await page('rfc8785'))[0]).not.toHaveProperty('provenance')
    expect((await provenance(`rfc8785/0.1.2/${STAGING}`)).status).toBe(404)
  })
})

describe('with one', () => {
  let sdist: Distribution
  beforeAll(async () => {
    sdist = await release(SDIST, 'pypi-attestations', '0.0.19')
    expect((await trust()).status).toBe(200)
    expect(await (await call('GET', SETTING)).json()).toEqual({
      trustedRoot: textOf('trusted_root.json'),
      origin: ORIGIN,
    })
  })

  test.for<[string, () => Field[], RegExp]>([
    ['of another file', () => attested(`${GITLAB}.publish.attestation`), /about a file of another name/],
    ['one good, one not', () => attested(PUBLISH, `${GITLAB}.publish.attestation`), /about a file of another name/],
    ['that is none', () => [['attestations', '[{}]']], /version 1/],
    ['that is no JSON', () => [['attestations', '[']], /JSON is refused/],
    ['that was changed', () => [['attestations', `[${textOf(PUBLISH).replace('"MEY', '"MEX')}]`]], /do not hold/],
  ])('an upload with an attestation %s is refused and leaves nothing', async ([, fields, message]) => {
    const before = await stored()
    const answer = await send(sdist, fields())
    expect(answer.status).toBe(400)
    expect((await answer.json<{ message: string }>()).message).toMatch(message)
    expect(await stored()).toEqual(before)
    expect(await page('pypi-attestations')).toEqual([])
  })

  test('a key of the trust root that is no point of its curve trusts nobody, and breaks nothing', async () => {
    const root = JSON.parse(textOf('trusted_root.json')) as { tlogs: { publicKey: { rawBytes: string } }[] }
    const key = root.tlogs[0]!.publicKey
    key.rawBytes = key.rawBytes.replace(/....==$/, 'AAAA==')
    expect((await trust(JSON.stringify(root))).status).toBe(200)
    const answer = await send(sdist, attested(PUBLISH))
    expect([answer.status, (await answer.json<{ message: string }>()).message]).toEqual([
      400,
      expect.stringMatching(/was not signed by the transparency log/),
    ])
    expect((await trust()).status).toBe(200)
  })

  test('another signer than the trusted publisher is refused', async () => {
    const source = { kind: 'github', repository: 'octo-org/sample', ownerId: '65', workflow: 'release.yml' }
    const added = await call('POST', '/api/publishers', { project: 'pypi-attestations', pending: true, ...source })
    expect(added.status).toBeLessThan(300)
    const { id } = await added.json<{ id: string }>()
    const answer = await send(sdist, attested(PUBLISH))
    expect([answer.status, (await answer.json<{ message: string }>()).message]).toEqual([
      400,
      expect.stringMatching(/not that of a trusted publisher/),
    ])
    expect((await call('DELETE', `/api/publishers/${id}`)).status).toBe(200)
    const right = { ...source, repository: 'trailofbits/pypi-attestations', ownerId: '2314423' }
    const again = await call('POST', '/api/publishers', { project: 'pypi-attestations', pending: true, ...right })
    expect(again.status).toBeLessThan(300)
  })

  test('what holds is taken, named on both pages and served with its digest signed', async () => {
    const answer = await send(sdist, attested(PUBLISH, SLSA))
    expect([answer.status, await answer.text()]).toEqual([200, ''])
    const [listed] = (await page('pypi-attestations')) as unknown as Record<string, string>[]
    expect(listed!.provenance).toBe(`${ORIGIN}/integrity/${HERE}/provenance`)
    const html = await (await fetchFace('/simple/pypi-attestations/', { headers: { accept: 'text/html' } })).text()
    expect(html).toContain(`data-provenance="${ORIGIN}/integrity/${HERE}/provenance"`)

    const served = await provenance(HERE, { accept: TYPE })
    expect(served.status).toBe(200)
    expect(served.headers.get('content-type')).toBe(TYPE)
    const text = await served.text()
    expect(await sha256Hex(new TextEncoder().encode(text))).toBe(listed!['_provenance-sha256'])
    expect(JSON.parse(text)).toEqual({
      version: 1,
      attestation_bundles: [
        {
          publisher: { kind: 'GitHub', repository: 'trailofbits/pypi-attestations', workflow: 'release.yml' },
          attestations: [JSON.parse(textOf(PUBLISH)), JSON.parse(textOf(SLSA))],
        },
      ],
    })
    const etag = served.headers.get('etag')!
    expect((await provenance(HERE, { 'if-none-match': etag })).status).toBe(304)
  })

  test('only that file has it, in any spelling of project and version, for whoever can read it', async () => {
    for (const path of [HERE, `Pypi_Attestations/0.0.19.0/${SDIST}`]) {
      const answer = await provenance(path)
      expect([path, answer.status]).toEqual([path, 200])
      await answer.text()
    }
    for (const path of [
      `pypi-attestations/0.0.20/${SDIST}`,
      `pypi-attestations/nonsense/${SDIST}`,
      `other/0.0.19/${SDIST}`,
      `pypi-attestations/0.0.19/${SDIST}.provenance`,
      'pypi-attestations/0.0.19/..%2f',
      'pypi-attestations/0.0.19',
    ]) {
      const answer = await provenance(path)
      expect([path, answer.status]).toEqual([path, 404])
    }
    for (const [accept, status] of [
      ['text/html', 406],
      ['application/json', 200],
      ['*/*', 200],
      [`${TYPE};q=0`, 406],
    ] as const)
      expect([accept, (await provenance(HERE, { accept })).status]).toEqual([accept, status])
    expect((await fetchFace(`/integrity/${HERE}/provenance`, { method: 'POST' })).status).toBe(405)
  })

  test('a file that is there already keeps what it has', async () => {
    const answer = await send(sdist, attested(PUBLISH))
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringMatching(/file was there before/)])
    expect(await (await provenance(HERE)).json()).toMatchObject({ attestation_bundles: [{ attestations: [{}, {}] }] })
  })

  test('bytes that somebody put in its place are not served', async () => {
    const gitlab = await release(GITLAB, 'gitlab-oidc-project', '0.0.3')
    expect((await send(gitlab, attested(`${GITLAB}.publish.attestation`))).status).toBe(200)
    const key = blobProvenanceKey(world.repository.place, gitlab.sha256, 1)
    expect(await stored(gitlab.sha256)).toContain(key)
    await bindings.BUCKET.put(key, '{"version":1,"attestation_bundles":[]}')
    const answer = await provenance(`gitlab-oidc-project/0.0.3/${GITLAB}`)
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringMatching(/^corrupt:/)])
  })

  test('a trust root that somebody wrote into the ledger is none', async () => {
    const [row] = await sqlOf(world.repository, 'SELECT value FROM settings')
    const planted = JSON.stringify({ ...JSON.parse(row!.value as string), origin: 'https://evil.example' })
    await sqlOf(world.repository, 'UPDATE settings SET value = ?', planted)
    expect(await (await call('GET', SETTING)).json()).toEqual({ trustedRoot: null, origin: null })
    expect((await trust()).status).toBe(200)
  })

  test('turned off, attestations are dropped again; what was verified stays, until its file goes', async () => {
    expect((await call('DELETE', SETTING)).status).toBe(200)
    expect(await (await call('GET', SETTING)).json()).toEqual({ trustedRoot: null, origin: ORIGIN })
    expect((await provenance(HERE)).status).toBe(200)
    const gone = await call('DELETE', `/api/projects/pypi-attestations/files/${SDIST}`)
    expect(gone.status).toBe(200)
    expect((await provenance(HERE)).status).toBe(404)
  })
})
