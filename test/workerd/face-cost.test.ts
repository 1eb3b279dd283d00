// What a request to the face costs in reads of the bucket: cold, warm, and when several come at once.
import { beforeAll, describe, expect, test } from 'vitest'
import { ByteCache, Flights } from '../../workers/memory.ts'
import {
  type Face,
  type KeyedRepository,
  newFace,
  newKeyedRepository,
  type Published,
  presentOf,
  publish,
  setClock,
} from './face-harness.ts'
import { bindings } from './repository.ts'

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
const HOUR_MS = 3_600_000
const METADATA = 'Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n'

let repository: KeyedRepository
let alpha: Published

const jsonPage = (of: Face) => of.get('/simple/alpha/', { Accept: JSON_TYPE })
const text = (content: string) => new TextEncoder().encode(content)
beforeAll(async () => {
  repository = await newKeyedRepository('main')
  alpha = await publish(repository, 'alpha', '1.0', text('the wheel of alpha'), METADATA)
}, 60_000)

describe('what a request costs', () => {
  const timestamp = 'tuf/timestamp.json'

  test('a warm answer reads the timestamp and nothing else', async () => {
    const face = newFace('main')
    const etag = (await jsonPage(face)).headers.get('etag')!
    const cold = face.reads()
    expect(cold.map((key) => key.replace(/(?<=\/)(?:\d+|[0-9a-f]{64})\./, ''))).toEqual([
      'tuf/root.json',
      // Whether it is private, before anything is looked for; then the present.
      timestamp,
      timestamp,
      'tuf/snapshot.json',
      'tuf/targets.json',
      'tuf/bins.json',
      `tuf/bin-${alpha.json.split('/')[1]!.slice(0, 2)}.json`,
      `pages/${alpha.json}`,
    ])
    for (const [path, init, more] of [
      ['/simple/alpha/', { headers: { Accept: JSON_TYPE } }, 0],
      ['/simple/alpha/', { headers: { Accept: JSON_TYPE, 'If-None-Match': etag } }, 0],
      ['/tuf/timestamp.json', {}, 0],
      [`/tuf/${(await presentOf(repository)).snapshot.version}.snapshot.json`, {}, 0],
      [`/${alpha.path}`, { method: 'HEAD' }, 0],
      [`/${alpha.path}`, { headers: { 'If-None-Match': `"${alpha.sha256}"` } }, 0],
      [`/${alpha.path}`, {}, 1],
      [`/${alpha.path}`, { headers: { Range: 'bytes=0-3' } }, 0],
      [`/${alpha.path}.metadata`, {}, 1],
      [`/${alpha.path}.metadata`, {}, 0],
      ['/simple/unknown/', {}, 1],
      ['/simple/unknown/', {}, 0],
      ['/files/nothing', {}, -1],
    ] as const) {
      await (await face.fetch(path, init)).arrayBuffer()
      const reads = face.reads()
      expect([path, reads.length - 1, reads[0] ?? timestamp]).toEqual([path, more, timestamp])
    }
    await face.get('/tuf/1.root.json')
    expect(face.reads()).toEqual([])
    await face.get('/tuf/2.root.json')
    expect(face.reads()).toEqual(['tuf/2.root.json'])
  })

  test('what many cold requests need at once is loaded once', async () => {
    const face = newFace('main')
    const answers = await Promise.all(Array.from({ length: 30 }, () => jsonPage(face)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    const reads = face.reads()
    expect(reads.filter((key) => key === timestamp)).toHaveLength(31)
    expect(reads.filter((key) => key !== timestamp)).toHaveLength(6)
  })

  test('a load whose request was cut off holds the next one up for three seconds, not for ever', async () => {
    const flights = new Flights()
    void flights.share('key', () => new Promise(() => {}))
    const started = performance.now()
    expect(await flights.share('key', async () => 'loaded')).toBe('loaded')
    expect(performance.now() - started).toBeGreaterThanOrEqual(2_900)
    expect(await flights.share('key', async () => 'again')).toBe('again')
  })

  test('what is remembered stays within its bytes, and the longest unused goes first', () => {
    const cache = new ByteCache<string>(10_000)
    for (const key of ['a', 'b', 'c']) cache.set(key, key, 2_500)
    expect(cache.get('a')).toBe('a')
    cache.set('d', 'd', 2_500)
    expect(['a', 'b', 'c', 'd'].map((key) => cache.get(key))).toEqual(['a', undefined, 'c', 'd'])
    cache.set('e', 'e', 10_000)
    expect(['a', 'e'].map((key) => cache.get(key))).toEqual(['a', undefined])
  })

  test('a new timestamp over the same snapshot loads nothing again', async () => {
    const own = await newKeyedRepository('tick')
    const face = newFace('tick')
    expect((await face.get('/simple/')).status).toBe(200)
    const before = await presentOf(own)
    await setClock(own, () => Date.now() + 2 * HOUR_MS)
    await bindings.PUBLISHER.getByName('tick').refresh()
    const after = await presentOf(own)
    expect(after.version).toBeGreaterThan(before.version)
    expect(after.snapshot.version).toBe(before.snapshot.version)
    face.reads()
    expect((await face.get('/simple/')).status).toBe(200)
    expect(face.reads()).toEqual([timestamp])
  })
})
