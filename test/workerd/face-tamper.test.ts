// The face over a bucket that somebody else writes to. Whatever the bucket holds: an answer with content is the signed
// content.
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { makeOfflineKey } from '../../cli/ceremony.ts'
import { snapshotSigned, targetsSigned, timestampSigned } from '../../tuf/build.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey, blobMetadataKey, metadataKey, pageKey } from '../../tuf/layout.ts'
import { parseSnapshot, parseTimestamp } from '../../tuf/metadata.ts'
import { targetUrlName } from '../../tuf/paths.ts'
import { type Signer, signRole } from '../../tuf/sign.ts'
import {
  expectCorrupt,
  type Face,
  flipped,
  type KeyedRepository,
  newFace,
  newKeyedRepository,
  objectBytes,
  type Published,
  presentOf,
  publish,
  signAs,
  timestampOf,
  whileReplaced,
} from './face-harness.ts'
import { bindings } from './repository.ts'

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
const HOUR_MS = 3_600_000
const LARGE_BYTES = 6 * 2 ** 20 + 17
const METADATA = 'Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n'

let repository: KeyedRepository
let alpha: Published
let beta: Published
let large: Published
/** Where everything of `alpha` is in the bucket. */
let keys: Record<'blob' | 'metadata' | 'json' | 'bin' | 'bins' | 'targets' | 'snapshot' | 'root' | 'timestamp', string>

const text = (content: string) => new TextEncoder().encode(content)
/** A publisher that hears and does nothing. */
const deaf = { refresh: async () => ({ ok: true }) }
const pageKeyOf = async (face: Face, path: string) =>
  pageKey(repository.place, path, await sha256Hex(await face.bytes(`/tuf/targets/${path}`)))
const jsonPage = (face: Face, project = 'alpha') => face.get(`/simple/${project}/`, { Accept: JSON_TYPE })
const statusesOf = async (face: Face) => ({
  page: (await jsonPage(face)).status,
  file: (await face.get(`/${alpha.path}`)).status,
  list: (await face.get('/simple/')).status,
  timestamp: (await face.get('/tuf/timestamp.json')).status,
})

beforeAll(async () => {
  repository = await newKeyedRepository('tamper')
  alpha = await publish(repository, 'alpha', '1.0', text('the wheel of alpha'), METADATA)
  beta = await publish(repository, 'beta', '1.0', text('the wheel of beta!'))
  large = await publish(
    repository,
    'big-one',
    '2.0',
    new Uint8Array(LARGE_BYTES).map((_, i) => (i * 7919) >> 5),
  )
  const { place } = repository
  const { snapshot } = await presentOf(repository)
  const snapshotKey = metadataKey(place, snapshot.version, 'snapshot')
  const { meta } = parseSnapshot(await objectBytes(snapshotKey)).signed
  const bin = `bin-${alpha.json.split('/')[1]!.slice(0, 2)}`
  keys = {
    blob: alpha.blob,
    metadata: blobMetadataKey(place, alpha.sha256, 1),
    json: await pageKeyOf(newFace('tamper'), alpha.json),
    bin: metadataKey(place, meta.get(bin)!.version, bin),
    bins: metadataKey(place, 1, 'bins'),
    targets: metadataKey(place, 1, 'targets'),
    snapshot: snapshotKey,
    root: metadataKey(place, 1, 'root'),
    timestamp: timestampOf(repository),
  }
}, 60_000)

afterEach(() => {
  vi.useRealTimers()
})

describe('a spoiled object is 503 and never content', () => {
  const all = () => [`/${alpha.path}`, `/tuf/targets/${targetUrlName(alpha.path, alpha.sha256)}`]

  test.each<[string, () => keyof typeof keys, (bytes: Uint8Array) => Uint8Array | string | null]>([
    ['the last bit of a file', () => 'blob', (bytes) => flipped(bytes)],
    ['the first bit of a file', () => 'blob', (bytes) => flipped(bytes, 0)],
    ['a file cut short', () => 'blob', (bytes) => bytes.slice(0, -1)],
    ['a file made longer', () => 'blob', (bytes) => new Uint8Array([...bytes, 0])],
    ['a file that is gone', () => 'blob', () => null],
    ['another file of the same length', () => 'blob', () => 'the wheel of beta!'],
    ['the bin', () => 'bin', (bytes) => flipped(bytes, 40)],
    ['a bin that is gone', () => 'bin', () => null],
    ['a bin that says nothing', () => 'bin', () => '{"signatures":[],"signed":{}}'],
    ['bins', () => 'bins', (bytes) => flipped(bytes, 40)],
    ['targets', () => 'targets', (bytes) => flipped(bytes, 40)],
    ['the snapshot', () => 'snapshot', (bytes) => flipped(bytes, 40)],
    ['the root', () => 'root', (bytes) => flipped(bytes, 40)],
  ])('%s', async (_, which, spoil) => {
    const key = keys[which()]
    const face = newFace('tamper', { publicDoor: deaf })
    await whileReplaced(key, spoil(await objectBytes(key)), async () => {
      for (const path of all()) {
        await expectCorrupt(await face.get(path))
        await expectCorrupt(await face.get(path, { Range: 'bytes=0-1' }))
      }
    })
    // Nothing of it was remembered.
    for (const path of all()) expect(await face.text(path)).toBe('the wheel of alpha')
  })

  test('a page, and with it the metadata it vouches for', async () => {
    const face = newFace('tamper', { publicDoor: deaf })
    const other = await objectBytes(await pageKeyOf(face, beta.json))
    for (const bytes of [flipped(await objectBytes(keys.json)), other, null])
      await whileReplaced(keys.json, bytes, async () => {
        await expectCorrupt(await jsonPage(face))
        await expectCorrupt(await face.get(`/${alpha.path}.metadata`))
        expect((await face.get('/simple/alpha/')).status).toBe(200)
      })
    expect((await jsonPage(face)).status).toBe(200)
  })

  test('metadata beside its file', async () => {
    for (const bytes of [flipped(text(METADATA)), METADATA.replace('1.0', '2'), '', null]) {
      const face = newFace('tamper', { publicDoor: deaf })
      await whileReplaced(keys.metadata, bytes, async () => expectCorrupt(await face.get(`/${alpha.path}.metadata`)))
      expect(await face.text(`/${alpha.path}.metadata`)).toBe(METADATA)
    }
  })

  test('a large file never arrives complete unless every byte is right', async () => {
    const face = newFace('tamper', { publicDoor: deaf })
    const whole = new Uint8Array(await (await face.get(`/${large.path}`)).arrayBuffer())
    expect(await sha256Hex(whole)).toBe(large.sha256)
    for (const at of [0, LARGE_BYTES >> 1, -1])
      await whileReplaced(large.blob, flipped(large.bytes, at), async () => {
        const answer = await face.get(`/${large.path}`)
        const received: number[] = []
        const drain = async () => {
          for await (const chunk of answer.body!) received.push(chunk.length)
        }
        await expect(drain()).rejects.toThrow()
        expect(received.reduce((sum, n) => sum + n, 0)).toBeLessThan(LARGE_BYTES)
      })
    await whileReplaced(large.blob, large.bytes.slice(1), async () => {
      await expectCorrupt(await face.get(`/${large.path}`))
      await expectCorrupt(await face.get(`/${large.path}`, { Range: 'bytes=0-9' }))
    })
  })

  test.each<[string, (bytes: Uint8Array) => Promise<Uint8Array | string | null> | Uint8Array | string | null]>([
    ['gone', () => null],
    ['empty', () => ''],
    ['no JSON', () => 'hello'],
    ['a changed version', (bytes) => new TextDecoder().decode(bytes).replace('"version":', '"version":9')],
    ['too long to be one', (bytes) => `${new TextDecoder().decode(bytes)}${' '.repeat(20_000)}`],
    [
      'signed by a stranger',
      async (bytes) => {
        const { version, snapshot, expiresMs } = parseTimestamp(bytes).signed
        const { length, hashes } = snapshot
        const named = { version: snapshot.version, length: length!, sha256: hashes!.get('sha256')! }
        return signRole(timestampSigned({ version: version + 1, expiresMs, snapshot: named }), [
          (await makeOfflineKey()).signer,
        ])
      },
    ],
  ])('timestamp.json: %s', async (_, spoil) => {
    const [cold, warm] = [newFace('tamper', { publicDoor: deaf }), newFace('tamper', { publicDoor: deaf })]
    const before = await objectBytes(keys.timestamp)
    expect((await warm.get('/simple/alpha/')).status).toBe(200)
    await whileReplaced(keys.timestamp, await spoil(before), async () => {
      for (const face of [cold, warm]) {
        for (const path of ['/tuf/timestamp.json', '/simple/alpha/', '/simple/', `/${alpha.path}`, '/'])
          await expectCorrupt(await face.get(path))
        // The publisher was told, and not once for every request.
        expect(face.refreshed).toBe(1)
      }
    })
    for (const face of [cold, warm])
      expect(await statusesOf(face)).toEqual({ page: 200, file: 200, list: 200, timestamp: 200 })
  })
})

describe('what nobody signed does not exist, whatever its digest', () => {
  test('planted objects under free names', async () => {
    const { place } = repository
    const face = newFace('tamper', { publicDoor: deaf })
    const page = text('{"meta":{"api-version":"1.4"},"name":"alpha","versions":[],"files":[]}')
    const sha256 = await sha256Hex(page)
    const blob = await sha256Hex(text('evil'))
    const snapshot = await objectBytes(keys.snapshot)
    const bin = await objectBytes(keys.bin)
    const binName = keys.bin.match(/\.(bin-..)\.json$/)![1]!
    for (const [key, bytes, path] of [
      [pageKey(place, alpha.json, sha256), page, `/tuf/targets/${targetUrlName(alpha.json, sha256)}`],
      [metadataKey(place, 999, 'snapshot'), snapshot, '/tuf/999.snapshot.json'],
      [metadataKey(place, 999, binName), bin, `/tuf/999.${binName}.json`],
      [metadataKey(place, 2, 'root'), repository.signed.root, '/tuf/2.root.json'],
      [metadataKey(place, 2, 'root'), text('{}'), '/tuf/2.root.json'],
      [metadataKey(place, 1, 'evil'), bin, '/tuf/1.evil.json'],
      [blobKey(place, blob, 1), text('evil'), `/tuf/targets/files/0000/x/${blob}.x`],
      [
        `r/tamper/e1/pages/${targetUrlName(alpha.path, blob)}`,
        text('evil'),
        `/tuf/targets/${targetUrlName(alpha.path, blob)}`,
      ],
      [`r/tamper/e1/files/${alpha.path}2`, text('evil'), `/${alpha.path}2`],
    ] as const)
      await whileReplaced(key, bytes, async () => {
        const answer = await face.get(path)
        expect([path, answer.status, answer.headers.get('cache-control')]).toEqual([path, 404, 'no-store'])
      })
  })

  test('a bin with the right digest under a stranger’s signature, named by a truly signed snapshot', async () => {
    const timestamp = await forge({ binSigner: (await makeOfflineKey()).signer })
    await whileReplaced(keys.timestamp, timestamp, async () => {
      const face = newFace('tamper', { publicDoor: deaf })
      await expectCorrupt(await face.get(`/${alpha.path}`))
      await expectCorrupt(await jsonPage(face))
      expect((await face.get('/tuf/timestamp.json')).status).toBe(200)
    })
  })

  test('a snapshot under a stranger’s signature, named by a truly signed timestamp', async () => {
    const timestamp = await forge({ snapshotSigner: (await makeOfflineKey()).signer })
    await whileReplaced(keys.timestamp, timestamp, async () => {
      const face = newFace('tamper', { publicDoor: deaf })
      await expectCorrupt(await face.get(`/${alpha.path}`))
      await expectCorrupt(await face.get('/tuf/1.targets.json'))
    })
  })

  test('truly signed files that were never published', async () => {
    await forge({})
    const face = newFace('tamper', { publicDoor: deaf })
    const { snapshot } = await presentOf(repository)
    const bin = keys.bin.match(/bin-../)![0]
    for (const path of [`/tuf/${snapshot.version + 100}.snapshot.json`, `/tuf/500.${bin}.json`])
      expect([path, (await face.get(path)).status]).toEqual([path, 404])
  })

  test('a bin that names a file outside what was delegated to it: the search never asks it', async () => {
    const evil = await sha256Hex(text('evil'))
    const timestamp = await forge({ targets: [[beta.path, { length: 4, sha256: evil }]] })
    await whileReplaced(keys.timestamp, timestamp, async () => {
      const face = newFace('tamper', { publicDoor: deaf })
      expect(await face.text(`/${beta.path}`)).toBe('the wheel of beta!')
      expect((await face.get(`/tuf/targets/${targetUrlName(beta.path, evil)}`)).status).toBe(404)
    })
  })

  test('a snapshot that lost or lowered a role', async () => {
    for (const index of ['lost', 'lowered'] as const) {
      const face = newFace('tamper', { publicDoor: deaf })
      expect((await face.get('/simple/alpha/')).status).toBe(200)
      const timestamp = await forge({ index })
      await whileReplaced(keys.timestamp, timestamp, async () => expectCorrupt(await face.get('/simple/beta/')))
    }
  })

  interface Forgery {
    binSigner?: Signer
    snapshotSigner?: Signer
    targets?: [string, { length: number; sha256: string }][]
    /** Changes what the snapshot says of the role `index`. */
    index?: 'lost' | 'lowered'
  }

  /** A later timestamp over a later snapshot, both under the publisher's own keys, over a bin of alpha's as asked. */
  async function forge({
    binSigner,
    snapshotSigner,
    targets = [[alpha.path, { length: 18, sha256: alpha.sha256 }]],
    index,
  }: Forgery) {
    const { place } = repository
    const present = await presentOf(repository)
    const bin = keys.bin.match(/\.(bin-..)\.json$/)![1]!
    const expiresMs = Date.now() + HOUR_MS
    return signAs(repository, async (signer) => {
      const bytes = await signRole(targetsSigned({ version: 500, expiresMs, targets }), [
        binSigner ?? (await signer('bin')),
      ])
      const meta = new Map<string, { version: number; length?: number; sha256: string }>()
      for (const [role, { version, length, hashes }] of parseSnapshot(await objectBytes(keys.snapshot)).signed.meta)
        meta.set(role, { version, ...(length && { length }), sha256: hashes!.get('sha256')! })
      if (index === 'lost') meta.delete('index')
      else if (index === 'lowered') meta.get('index')!.version--
      else meta.set(bin, { version: 500, length: bytes.length, sha256: await sha256Hex(bytes) })
      const version = present.snapshot.version + 100
      const snapshot = await signRole(snapshotSigned({ version, expiresMs, meta }), [
        snapshotSigner ?? (await signer('snapshot')),
      ])
      const named = { version, length: snapshot.length, sha256: await sha256Hex(snapshot) }
      await bindings.BUCKET.put(metadataKey(place, 500, bin), bytes)
      await bindings.BUCKET.put(metadataKey(place, version, 'snapshot'), snapshot)
      const timestamp = timestampSigned({ version: present.version + 100, expiresMs, snapshot: named })
      return signRole(timestamp, [await signer('timestamp')])
    })
  }
})

describe('when the rest is not there', () => {
  test('before the first root everything but health is 503 and nothing is read', async () => {
    const face = newFace('empty')
    for (const path of [
      '/',
      '/simple/',
      '/simple/x/',
      '/files/a/b/c',
      '/tuf/timestamp.json',
      '/tuf/1.root.json',
      '/metrics',
      '/x',
    ]) {
      const answer = await face.get(path)
      expect([path, answer.status, await answer.text()]).toEqual([
        path,
        503,
        expect.stringContaining('not initialised'),
      ])
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
    const health = await face.get('/healthz')
    expect([health.status, await health.json()]).toEqual([
      503,
      { status: 'failing', reasons: [expect.stringContaining('not initialised')], warnings: [] },
    ])
    expect(face.reads()).toEqual([])
    expect((await face.fetch('/legacy/', { method: 'POST', body: 'x' })).status).toBe(401)
  })

  test('faults are 503 with a sentence, and say nothing of the inside', async () => {
    const broken = new Proxy(bindings.BUCKET, {
      get: () => async () => {
        throw new Error('secret detail at line 7')
      },
    })
    const silent = () => Promise.reject(new Error('secret detail at line 7'))
    for (const [options, sentence] of [
      [{ bucket: broken }, 'The bucket does not answer.'],
      [{ publicDoor: { trust: silent } }, 'The publisher does not answer.'],
    ] as const) {
      const face = newFace('tamper', options)
      for (const path of ['/simple/alpha/', `/${alpha.path}`, '/tuf/timestamp.json', '/']) {
        const answer = await face.get(path)
        expect([path, answer.status, await answer.text()]).toEqual([path, 503, `${sentence}\n`])
        expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
      }
    }
    const face = newFace('tamper', { publicDoor: { retainsPage: silent, status: silent } })
    const hashed = keys.json.replace(/^.*\/pages\//, '').replace(/[0-9a-f]{64}/, 'a'.repeat(64))
    await whileReplaced(`r/tamper/e1/pages/${hashed}`, 'x', async () => {
      const answer = await face.get(`/tuf/targets/${hashed}`)
      expect([answer.status, await answer.text()]).toEqual([503, 'The publisher does not answer.\n'])
    })
    expect(await (await face.get('/healthz')).json()).toMatchObject({ reasons: ['The publisher does not answer.'] })
  })

  test('a development index is shown to loopback alone; a real one to everybody', async () => {
    const faces = [newFace('tamper'), newFace('guarded')]
    await newKeyedRepository('guarded', false)
    for (const [url, development, guarded] of [
      ['http://localhost:8787/simple/', 200, 200],
      ['http://[::1]/simple/', 200, 200],
      ['http://127.0.0.1:1/simple/', 200, 200],
      ['https://index.example/simple/', 421, 200],
      ['https://127.0.0.1.index.example/tuf/1.root.json', 421, 200],
      ['http://10.0.0.1/simple/', 421, 200],
    ] as const)
      for (const [i, face] of faces.entries())
        expect([url, i, (await face.fetch(url)).status]).toEqual([url, i, i === 0 ? development : guarded])
    expect(await faces[0]!.text('https://index.example/')).toContain('development index')
    expect(await faces[1]!.text('/')).not.toContain('Development')
  })
})
