// The feeds, through HTTP, held against what was uploaded: what is new comes first, what nobody may download is absent.
import { runInDurableObject } from 'cloudflare:test'
import { beforeAll, expect, test } from 'vitest'
import { call } from './calls.ts'
import { type Distribution, fieldsOf, formOf, makeSdist, makeWheel } from './distributions.ts'
import { newFace } from './face-harness.ts'
import { bindings } from './repository.ts'
import { fetchFace, makeWorld, post, world } from './upload-harness.ts'

let operator: string
const DAY = 86_400_000
const START = Date.now()
const daysAgo = (days: number) => new Date(START - days * DAY).toISOString()

/** Uploads with a date of its own, as an import does. */
async function upload(file: Distribution, date: string): Promise<void> {
  const answer = await post(formOf([...fieldsOf(file), ['upload_time', date]], file.filename, file.bytes), {
    authorization: `Bearer ${operator}`,
  })
  expect(answer.status, await answer.text()).toBe(200)
}

/** Items of a feed, from a face that remembers nothing; each link leads somewhere. */
async function feed(name: string): Promise<{ title: string; date: string }[]> {
  const answer = await newFace('main').get(`/rss/${name}.xml`)
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/rss+xml; charset=utf-8'])
  const text = await answer.text()
  expect(text).toMatch(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n<rss version="2\.0">\n<channel>\n/)
  const items = [...text.matchAll(/<item>([\s\S]*?)<\/item>/g)].map(([, item]) => {
    const of = (tag: string) => new RegExp(`<${tag}[^>]*>([^<&]*)</${tag}>`).exec(item!)?.[1] ?? ''
    return { title: of('title'), link: of('link'), guid: of('guid'), date: of('pubDate') }
  })
  expect(new Set(items.map(({ guid }) => guid)).size).toBe(items.length)
  for (const { link, guid } of items)
    for (const url of [link, guid]) expect((await fetchFace(new URL(url).pathname)).status).toBe(200)
  return items
}
const titles = async (name: string) => (await feed(name)).map(({ title }) => title)

beforeAll(async () => {
  await makeWorld()
  operator = await world.repository.token(['upload', 'create', 'delete', 'admin'])
})

test('an empty index has empty feeds', async () => {
  expect(await titles('updates')).toEqual([])
  expect(await titles('packages')).toEqual([])
})

test('releases come newest first, with the date of their first file', async () => {
  await upload(await makeWheel('older', '1.0'), daysAgo(9))
  await upload(await makeWheel('newer', '2.0+local.1'), daysAgo(3))
  await upload(await makeWheel('older', '1.1'), daysAgo(5))
  // One more file of a release is no new release.
  await upload(await makeSdist('older', '1.0'), daysAgo(1))
  const seen = await feed('updates')
  expect(seen.map(({ title }) => title)).toEqual(['newer 2.0+local.1', 'older 1.1', 'older 1.0'])
  expect(seen[2]!.date).toBe(new Date(daysAgo(9)).toUTCString())
  expect(await titles('packages')).toEqual(['newer added', 'older added'])
})

test('what is in quarantine or was deleted is in no feed, and comes back with its release', async () => {
  const status = (word: string) =>
    call('PUT', '/api/projects/newer/status', { token: operator, body: { status: word } })
  expect((await status('quarantined')).status).toBe(200)
  expect(await titles('updates')).toEqual(['older 1.1', 'older 1.0'])
  expect(await titles('packages')).toEqual(['older added'])
  expect((await status('active')).status).toBe(200)
  expect((await call('DELETE', '/api/projects/older/releases/1.1', { token: operator })).status).toBe(200)
  expect(await titles('updates')).toEqual(['newer 2.0+local.1', 'older 1.0'])
})

test('at most forty of each, and a row nobody accepted is not told', async () => {
  await Promise.all(Array.from({ length: 41 }, async (_, i) => upload(await makeWheel(`many${i}`, '1.0'), daysAgo(0))))
  const seen = await titles('updates')
  expect([seen.length, (await feed('packages')).length]).toEqual([40, 40])
  expect(seen).not.toContain('newer 2.0+local.1')
  await runInDurableObject(bindings.PUBLISHER.getByName('main'), (_, state) => {
    state.storage.sql.exec("UPDATE files SET version = '9.9' WHERE project = 'many7'")
  })
  expect((await titles('updates')).filter((title) => title.startsWith('many7 '))).toEqual([])
}, 60_000)

test('a minute’s readers of one isolate cost the publisher one question', async () => {
  let asked = 0
  const face = newFace('main', {
    publicDoor: {
      recent: async (name) => {
        asked++
        return world.repository.public.recent(name as string)
      },
    },
  })
  for (const path of ['updates', 'packages', 'updates']) {
    const answer = await face.get(`/rss/${path}.xml`)
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'public, no-cache'])
    await answer.text()
  }
  expect(asked).toBe(1)
  expect((await face.get('/rss/nothing.xml')).status).toBe(404)
})
