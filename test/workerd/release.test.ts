// An adopted repository goes back to its owner: two roots, an hour between them, and then nothing is signed here.
import { beforeEach, describe, expect, test } from 'vitest'
import { metadataKey, timestampKey } from '../../tuf/layout.ts'
import { parseTimestamp } from '../../tuf/metadata.ts'
import { newSigner, utf8 } from '../unit/tuf/repository.ts'
import { Adoption, doors, handOver, type OurKeys } from './adoption.ts'
import { alarmOf, dropAlarm, HOUR, sqlOf, statusOf } from './controls.ts'
import { bindings } from './repository.ts'

let adoption: Adoption
let keys: OurKeys
let admin: string

const release = (files: unknown) => adoption.json('POST', '/api/release', { files }, admin)
const timestampEtag = async () => (await bindings.BUCKET.head(timestampKey(adoption.place)))!.etag
const events = async (event: string) =>
  (await sqlOf<{ event: string }>(adoption.known, 'SELECT event FROM journal'))
    .map((row) => JSON.parse(row.event) as { event: string })
    .filter((row) => row.event === event)

/** Roots 4 and 5: with both keys, and with theirs alone. */
async function twoRoots() {
  await adoption.nameKeys(keys, true)
  await adoption.nameKeys([], true)
  return handOver({ root: [adoption.rootOf(5), adoption.rootOf(4)] })
}

beforeEach(async () => {
  adoption = await Adoption.make(['alpha'])
  keys = await adoption.adopt()
  admin = await adoption.token('admin')
  await adoption.later(HOUR + 1_000)
})

describe('release', () => {
  test('the first root at once, the second an hour later; then nothing is signed, and reads go on', async () => {
    const face = adoption.newFace()
    await adoption.clientOver(adoption.warm, face).refresh()
    expect(await release(await twoRoots())).toMatchObject({
      status: 200,
      accepted: ['4.root', '5.root'],
      held: [{ root: 5 }],
    })
    expect((await face('/tuf/4.root.json')).status).toBe(200)
    expect((await face('/tuf/5.root.json')).status).toBe(404)
    await adoption.clientOver(adoption.warm, face).refresh()
    expect(adoption.warm.files.get('root.json')).toEqual(adoption.rootOf(4))
    expect(await statusOf(adoption.known)).toMatchObject({ state: 'live', releasing: 5 })
    // Until then nothing new is taken.
    adoption.theirs.role('alpha').files.set('alpha/new', utf8('new'))
    await adoption.theirs.publishRole('alpha')
    const push = () =>
      adoption.json('PUT', '/api/metadata', { files: handOver({ alpha: adoption.fileOf('alpha') }) }, admin)
    expect(await push()).toMatchObject({ status: 409, detail: expect.stringContaining('is being handed back') })

    expect(await adoption.later(2 * HOUR + 5_000)).toMatchObject({
      ok: false,
      message: expect.stringContaining('root 5'),
    })
    const last = await timestampEtag()
    for (const isolate of [face, adoption.newFace()]) {
      expect(new Uint8Array(await (await isolate('/tuf/5.root.json')).arrayBuffer())).toEqual(adoption.rootOf(5))
      expect((await isolate('/tuf/timestamp.json')).status).toBe(200)
      expect(await (await isolate('/tuf/targets/alpha/file')).text()).toBe('a file of alpha')
      const health = await isolate('/healthz')
      expect(health.status).toBe(503)
      expect(await health.json()).toMatchObject({ reasons: [expect.stringContaining('handed back with root 5')] })
    }
    expect(await statusOf(adoption.known)).toMatchObject({ state: 'released', releasing: 5, warnings: [] })
    expect(await events('released')).toEqual([{ event: 'released', root: 5 }])
    // A client follows the owner: what is signed here holds for it no more.
    await expect(adoption.clientOver(adoption.warm, face).refresh()).rejects.toThrow(/timestamp/)
    expect(adoption.warm.files.get('root.json')).toEqual(adoption.rootOf(5))

    const rows = (await sqlOf(adoption.known, 'SELECT seq FROM journal')).length
    for (const days of [1, 3, 40]) expect(await adoption.later(days * 24 * HOUR)).toMatchObject({ ok: false })
    expect(await timestampEtag()).toBe(last)
    expect((await sqlOf(adoption.known, 'SELECT seq FROM journal')).length).toBe(rows)
    for (const [method, path, body] of [
      ['PUT', '/api/metadata', { files: handOver({ alpha: adoption.fileOf('alpha') }) }],
      ['POST', '/api/release', { files: handOver({ root: [adoption.rootOf(4), adoption.rootOf(5)] }) }],
    ] as const)
      expect(await adoption.json(method, path, body, admin)).toMatchObject({
        status: 409,
        detail: expect.stringContaining('handed back'),
      })
  })

  test('the owner goes on where the edge stopped: a warm client follows the two roots and the keys of the owner', async () => {
    await adoption.clientOver(adoption.warm).refresh()
    await release(await twoRoots())
    const client = adoption.clientOver(adoption.warm)
    await client.refresh()
    const { version } = parseTimestamp(adoption.warm.files.get('timestamp.json')!).signed
    expect(version).toBeGreaterThan(1_000)
    // The owner signs above what was served, from the place he had.
    adoption.theirs.versions.snapshot = 5_000
    adoption.theirs.versions.timestamp = 5_000
    await adoption.theirs.publish('targets', 'alpha')
    await adoption.ownersClient().refresh()
    expect(adoption.warm.files.get('root.json')).toEqual(adoption.rootOf(5))
  })

  test('refused: whoever may not, one root, roots that do not hand back, and a push that does', async () => {
    const ofAlpha = await adoption.json(
      'POST',
      '/api/tokens',
      {
        name: 'ci',
        scopes: ['metadata:root'],
        allProjects: true,
        expires: Math.floor(Date.now() / 1000) + 90 * 86_400,
      },
      admin,
    )
    const { token } = ofAlpha as unknown as { token: string }
    await adoption.nameKeys(keys, true)
    await adoption.nameKeys(keys, true)
    const [four, five] = [adoption.rootOf(4), adoption.rootOf(5)]
    expect(await release(handOver({ root: [four, five] }))).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/^online-keys: root 5 names the key/),
    })
    expect(await release(handOver({ root: [four] }))).toMatchObject({ status: 400 })
    await adoption.nameKeys([], true)
    expect(await release(handOver({ root: [five, adoption.rootOf(6)] }))).toMatchObject({ status: 409 })
    const push = { files: handOver({ root: [four, five, adoption.rootOf(6)] }) }
    expect(await adoption.json('PUT', '/api/metadata', push, token)).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/^online-keys: root 6 must name the key/),
    })
    expect(await events('push-refused')).toMatchObject([{ reason: expect.stringContaining('root 6') }])
    const files = { files: handOver({ root: [four, five] }) }
    expect(await adoption.json('POST', '/api/release', files, token)).toMatchObject({ status: 403 })
    expect(await bindings.BUCKET.head(metadataKey(adoption.place, 4, 'root'))).toBeNull()
    expect((await statusOf(adoption.known)).state).toBe('live')
  })

  test('an owner whose second root has keys that the first does not name would leave clients behind', async () => {
    const mine = adoption.own.timestamp
    adoption.own.timestamp = adoption.own.snapshot
    await adoption.nameKeys(keys, true)
    adoption.own.timestamp = mine
    await adoption.nameKeys([], true)
    expect(await release(handOver({ root: [adoption.rootOf(4), adoption.rootOf(5)] }))).toMatchObject({
      status: 400,
      detail: expect.stringContaining('root 4 has to name every key that root 5 names for timestamp'),
    })
  })

  test('a root that waits may not change who signs targets: what waits for nothing would fail under the root before it', async () => {
    await adoption.nameKeys(keys, true)
    adoption.theirs.signers.targets = [await newSigner()]
    await adoption.nameKeys([], true)
    await adoption.theirs.publishRole('targets')
    expect(await release(handOver({ root: [adoption.rootOf(4), adoption.rootOf(5)] }))).toMatchObject({ status: 400 })
    const files = { root: [adoption.rootOf(4)], targets: adoption.fileOf('targets') }
    expect(await adoption.json('PUT', '/api/metadata', { files: handOver(files) }, admin)).toMatchObject({
      status: 400,
    })
    // The same in a push: 4 names both, 5 ours alone and another key for targets.
    adoption = await Adoption.make([])
    keys = await adoption.adopt()
    admin = await adoption.token('admin')
    adoption.theirs.signers.targets = [await newSigner()]
    await adoption.nameKeys(keys, false)
    await adoption.theirs.publishRole('targets')
    const changed = { files: handOver({ root: adoption.rootOf(4), targets: adoption.fileOf('targets') }) }
    // Root 3 waits still.
    expect(await adoption.json('PUT', '/api/metadata', changed, admin)).toMatchObject({
      status: 409,
      detail: expect.stringContaining('root 4 goes out an hour later'),
    })
    await adoption.later(HOUR + 1_000)
    expect(await adoption.json('PUT', '/api/metadata', changed, admin)).toMatchObject({ status: 200, visible: true })
    await adoption.clientOver(adoption.warm).refresh()
  })

  test('dies between the second root and the flip: it happens all the same, once', async () => {
    await release(await twoRoots())
    await bindings.BUCKET.put(metadataKey(adoption.place, 5, 'root'), adoption.rootOf(5))
    const face = adoption.newFace()
    // The object is there before the ledger knows: reads go on.
    expect((await face('/tuf/5.root.json')).status).toBe(200)
    expect((await face('/tuf/timestamp.json')).status).toBe(200)
    await adoption.later(2 * HOUR + 5_000)
    expect(await events('released')).toHaveLength(1)
    expect((await statusOf(adoption.known)).state).toBe('released')
    await dropAlarm(adoption.known)
    expect(await doors.Public.refresh(adoption.name)).toMatchObject({ ok: false })
    expect(await alarmOf(adoption.known)).toBeNull()
  })
})
