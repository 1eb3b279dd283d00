// The face over time: an older state put back, dates that pass, a root that rotates. An answer with content is of the
// present.
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { makeOfflineKey } from '../../cli/ceremony.ts'
import { rootSigned, timestampSigned } from '../../tuf/build.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import type { Key } from '../../tuf/keys.ts'
import { metadataKey, pageKey } from '../../tuf/layout.ts'
import { parseRoot, parseSnapshot, type Root } from '../../tuf/metadata.ts'
import { targetUrlName } from '../../tuf/paths.ts'
import { type Signer, signRole } from '../../tuf/sign.ts'
import {
  expectCorrupt,
  flipped,
  type KeyedRepository,
  newFace,
  newKeyedRepository,
  objectBytes,
  type Published,
  presentOf,
  publish,
  setClock,
  signAs,
  timestampOf,
  whileReplaced,
  yank,
} from './face-harness.ts'
import { bindings } from './repository.ts'

const HOUR_MS = 3_600_000
const METADATA = 'Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n'

let repository: KeyedRepository
let alpha: Published

const text = (content: string) => new TextEncoder().encode(content)
/** A publisher that hears and does nothing. */
const deaf = { refresh: async () => ({ ok: true }) }
beforeAll(async () => {
  repository = await newKeyedRepository('tamper')
  alpha = await publish(repository, 'alpha', '1.0', text('the wheel of alpha'), METADATA)
}, 60_000)

afterEach(() => {
  vi.useRealTimers()
})

describe('time', () => {
  test('an older timestamp is refused by those who saw the newer and by those who came later; the publisher repairs it', async () => {
    const own = await newKeyedRepository('replay')
    const warm = newFace('replay')
    await publish(own, 'alpha', '1.0', text('one'))
    const old = await objectBytes(timestampOf(own))
    expect((await warm.get('/simple/alpha/')).status).toBe(200)
    const second = await publish(own, 'alpha', '1.1', text('two'))
    expect(await warm.text('/simple/alpha/')).toContain('alpha-1.1')
    const late = newFace('replay', { publicDoor: deaf })
    await bindings.BUCKET.put(timestampOf(own), old)
    await expectCorrupt(await late.get('/simple/alpha/'))
    await expectCorrupt(await warm.get('/tuf/timestamp.json'))
    await vi.waitFor(async () => expect((await warm.get('/simple/alpha/')).status).toBe(200), {
      timeout: 5_000,
      interval: 50,
    })
    expect(await warm.text(`/${second.path}`)).toBe('two')
    expect(await late.text('/simple/alpha/')).toContain('alpha-1.1')
  })

  test('one version never has two contents', async () => {
    const face = newFace('tamper', { publicDoor: deaf })
    expect((await face.get('/simple/alpha/')).status).toBe(200)
    const { version, snapshot } = await presentOf(repository)
    const fork = await signAs(repository, async (signer) => {
      const named = { version: snapshot.version, length: snapshot.length!, sha256: snapshot.hashes!.get('sha256')! }
      return signRole(timestampSigned({ version, expiresMs: Date.now() + 2 * HOUR_MS, snapshot: named }), [
        await signer('timestamp'),
      ])
    })
    await whileReplaced(timestampOf(repository), fork, async () => expectCorrupt(await face.get('/simple/alpha/')))
  })

  test('a client in the middle of a run finds what its timestamp named; a deleted upload is never shown again', async () => {
    const own = await newKeyedRepository('midrun')
    const face = newFace('midrun')
    const file = await publish(own, 'alpha', '1.0', text('one'))
    const before = await presentOf(own)
    const oldPage = await face.bytes(`/tuf/targets/${file.json}`)
    const hashed = targetUrlName(file.json, await sha256Hex(oldPage))
    const oldSnapshot = await face.bytes(`/tuf/${before.snapshot.version}.snapshot.json`)
    const bin = `bin-${file.json.split('/')[1]!.slice(0, 2)}`
    const oldBin = parseSnapshot(oldSnapshot).signed.meta.get(bin)!.version
    await yank(own, file, 'broken')
    expect((await presentOf(own)).snapshot.version).toBeGreaterThan(before.snapshot.version)
    for (const each of [face, newFace('midrun')]) {
      expect(await each.bytes(`/tuf/targets/${hashed}`)).toEqual(oldPage)
      expect(await each.bytes(`/tuf/${before.snapshot.version}.snapshot.json`)).toEqual(oldSnapshot)
      expect((await each.get(`/tuf/${oldBin}.${bin}.json`)).status).toBe(200)
      expect(await each.text('/simple/alpha/')).toContain('data-yanked="broken"')
      // Retained is (path, digest), not the digest alone.
      const elsewhere = hashed.replace('/alpha/', '/beta/')
      expect((await each.get(`/tuf/targets/${elsewhere}`)).status).toBe(404)
    }
    const cold = newFace('midrun')
    const { version } = before.snapshot
    const key = metadataKey(own.place, version, 'snapshot')
    const present = await objectBytes(metadataKey(own.place, (await presentOf(own)).snapshot.version, 'snapshot'))
    // A flipped bit, and a truly signed file under another version's name.
    for (const bytes of [flipped(oldSnapshot, 40), present])
      await whileReplaced(key, bytes, async () =>
        expect((await cold.get(`/tuf/${version}.snapshot.json`)).status).toBe(404),
      )
    await whileReplaced(pageKey(own.place, file.json, await sha256Hex(oldPage)), flipped(oldPage), async () =>
      expectCorrupt(await cold.get(`/tuf/targets/${hashed}`)),
    )
  })

  test('past its date: the publisher is asked, and what it signs is served', async () => {
    const own = await newKeyedRepository('late')
    const face = newFace('late')
    expect((await face.get('/simple/')).status).toBe(200)
    const before = await presentOf(own)
    const late = before.expiresMs + 1_000
    await setClock(own, () => late)
    vi.useFakeTimers({ toFake: ['Date'], now: late })
    expect((await face.get('/simple/')).status).toBe(200)
    await vi.waitFor(async () => expect((await face.get('/simple/')).headers.has('x-index-stale')).toBe(false), {
      timeout: 20_000,
      interval: 100,
    })
    expect((await presentOf(own)).version).toBeGreaterThan(before.version)
    expect((await face.get('/tuf/timestamp.json')).headers.get('cache-control')).toContain('no-cache')
    expect(face.refreshed).toBe(1)
  })

  test('a publisher that hangs holds nobody up: one request waits two seconds, the others not at all', async () => {
    const face = newFace('tamper', { publicDoor: { refresh: () => new Promise(() => {}) } })
    vi.useFakeTimers({ toFake: ['Date'], now: (await presentOf(repository)).expiresMs })
    const started = performance.now()
    expect((await face.get('/simple/alpha/')).headers.has('x-index-stale')).toBe(true)
    const waited = performance.now() - started
    for (let i = 0; i < 10; i++) expect((await face.get('/simple/alpha/')).headers.has('x-index-stale')).toBe(true)
    expect(waited).toBeGreaterThanOrEqual(1_900)
    expect(performance.now() - started - waited).toBeLessThan(waited)
  })

  test('past its date with a publisher that does nothing: served, and said to be stale', async () => {
    const face = newFace('tamper', { publicDoor: deaf })
    const { expiresMs } = await presentOf(repository)
    vi.useFakeTimers({ toFake: ['Date'], now: expiresMs - 30_000 })
    expect((await face.get('/simple/alpha/')).headers.has('x-index-stale')).toBe(false)
    expect(face.refreshed).toBe(1)
    expect((await face.get('/healthz')).status).toBe(503)
    vi.setSystemTime(expiresMs)
    for (const path of ['/simple/alpha/', '/simple/', `/${alpha.path}`, `/tuf/targets/${alpha.path}`, '/']) {
      const answer = await face.get(path)
      expect([path, answer.status, answer.headers.get('x-index-stale')]).toEqual([
        path,
        200,
        expect.stringMatching(/^\d{4}-.*Z$/),
      ])
    }
    const timestamp = await face.get('/tuf/timestamp.json')
    expect([timestamp.status, timestamp.headers.get('cache-control')]).toEqual([200, 'no-store'])
    const health = await face.get('/healthz')
    expect([health.status, await health.json()]).toMatchObject([
      503,
      // Timestamp, snapshot, `index` and bins: a day is over for each of them.
      { status: 'failing', reasons: Array(4).fill(expect.stringContaining('expired')) },
    ])
    expect(await face.text('/')).toContain('stale')
    expect(face.refreshed).toBe(1)
  })

  test('a root that rotates is there at once; the chain goes on with what it names, and a stranger’s root is not', async () => {
    const own = await newKeyedRepository('rotate')
    const face = newFace('rotate', { publicDoor: deaf })
    expect((await face.get('/tuf/2.root.json')).status).toBe(404)
    const first = parseRoot(own.signed.root).signed
    const next = await makeOfflineKey()
    const stranger = await makeOfflineKey()
    const owner = own.offline.root[0]!
    const makeRoot = (version: number, signer: Signer, rootKey = owner.key) =>
      signRole(nextRoot(first, version, next.key, rootKey), [signer])
    const place = (version: number) => metadataKey(own.place, version, 'root')
    // Both thresholds count: that of the root before, and its own.
    for (const bytes of [
      await makeRoot(2, stranger.signer),
      await makeRoot(2, stranger.signer, stranger.key),
      await makeRoot(2, owner.signer, stranger.key),
    ]) {
      await bindings.BUCKET.put(place(2), bytes)
      expect((await face.get('/tuf/2.root.json')).status).toBe(404)
    }
    const second = await makeRoot(2, owner.signer)
    await bindings.BUCKET.put(place(2), second)
    // A timestamp under the new key: only who follows the chain can verify it.
    const present = await presentOf(own)
    const named = {
      version: present.snapshot.version,
      length: present.snapshot.length!,
      sha256: present.snapshot.hashes!.get('sha256')!,
    }
    const timestamp = await signRole(
      timestampSigned({ version: present.version + 1, expiresMs: Date.now() + HOUR_MS, snapshot: named }),
      [next.signer],
    )
    const warm = newFace('rotate', { publicDoor: deaf })
    expect((await warm.get('/simple/')).status).toBe(200)
    await bindings.BUCKET.put(timestampOf(own), timestamp)
    expect((await warm.get('/simple/')).status).toBe(200)
    expect(await face.bytes('/tuf/2.root.json')).toEqual(second)
    expect(await face.bytes('/tuf/1.root.json')).toEqual(own.signed.root)
    expect((await face.get('/tuf/3.root.json')).status).toBe(404)
    await bindings.BUCKET.put(place(3), await makeRoot(4, owner.signer))
    expect((await face.get('/tuf/3.root.json')).status).toBe(404)
  })

  function nextRoot(first: Root, version: number, timestampKey: Key, rootKey: Key) {
    const role = (name: 'root' | 'targets' | 'snapshot' | 'timestamp') => first.roles[name]
    return rootSigned({
      version,
      expiresMs: Date.now() + 100 * HOUR_MS,
      keys: [...new Map([...first.keys.values(), timestampKey, rootKey].map((key) => [key.keyid, key])).values()],
      roles: {
        root: { keyids: [rootKey.keyid], threshold: 1 },
        targets: role('targets'),
        snapshot: role('snapshot'),
        timestamp: { keyids: [...role('timestamp').keyids, timestampKey.keyid], threshold: 1 },
      },
      extra: { 'x-tuf-edge-development': true },
    })
  }
})
