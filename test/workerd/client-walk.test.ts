// Batches that the gate alone lets through and clients would not follow: refused before they are public, under the rule
// `client`, and nothing has moved. And an adoption whose clients hold more than it brings.
import { beforeEach, describe, expect, test } from 'vitest'
import { timestampKey } from '../../tuf/layout.ts'
import { parseRoot, parseSnapshot } from '../../tuf/metadata.ts'
import { type Signer, signRole } from '../../tuf/sign.ts'
import { newSigner, utf8 } from '../unit/tuf/repository.ts'
import { Adoption, handOver, type OurKeys } from './adoption.ts'
import { HOUR } from './controls.ts'
import { BOOTSTRAP, bindings } from './repository.ts'

let adoption: Adoption
let keys: OurKeys
let admin: string

const etag = async () => (await bindings.BUCKET.head(timestampKey(adoption.place)))?.etag
const push = (files: Record<string, Uint8Array | Uint8Array[]>) =>
  adoption.json('PUT', '/api/metadata', { files: handOver(files) }, admin)

async function refused(files: Record<string, Uint8Array | Uint8Array[]>, detail: RegExp): Promise<void> {
  const before = await etag()
  expect(await push(files)).toMatchObject({ status: 400, detail: expect.stringMatching(detail) })
  expect(await etag()).toBe(before)
  // Nothing of it is held: what follows the state before goes out.
  adoption.theirs.role('still').version++
  adoption.theirs.role('still').bytes = await roleFile({ version: adoption.theirs.role('still').version })
  expect(await push({ still: adoption.fileOf('still') })).toMatchObject({ status: 200, visible: true })
  await adoption.clientOver(adoption.warm).refresh()
  await adoption.clientOver(await adoption.theirs.newStore()).refresh()
}

/** A file of alice's, as nobody here would build it. */
const roleFile = ({ version = 2, expires = '2040-01-01T00:00:00Z', ...more }: Record<string, unknown>, by?: Signer[]) =>
  signRole(
    new Map(
      Object.entries({ _type: 'targets', spec_version: '1.0.31', targets: {}, version, expires, ...more }),
    ) as Parameters<typeof signRole>[0],
    by ?? [adoption.alice],
  )

/** Delegations to these roles, all signed by alice, all for every path. */
const delegating = (names: string[], signer = adoption.alice) => ({
  keys: { [signer.keyid]: { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: signer.key.public } } },
  roles: names.map((name) => ({ name, keyids: [signer.keyid], threshold: 1, paths: ['*'], terminating: false })),
})

const targets = (delegated: string[], version: number) =>
  roleFile({ version, delegations: delegating(delegated) }, adoption.theirs.signers.targets)

describe('after an adoption', () => {
  beforeEach(async () => {
    adoption = await Adoption.make(['alpha', 'still'])
    keys = await adoption.adopt()
    admin = await adoption.token('admin')
    await adoption.later(HOUR + 1_000)
    await adoption.clientOver(adoption.warm).refresh()
  })

  test('a root that lists another public key under the keyid of ours', async () => {
    await adoption.nameKeys(keys, false)
    const { raw } = parseRoot(adoption.rootOf(4)).signed
    const { keyid } = keys.find(({ role }) => role === 'timestamp')!
    const other = (await newSigner()).key.raw
    const listed = new Map([...(raw.get('keys') as Map<string, never>), [keyid, other]])
    const root = await signRole(new Map([...raw, ['keys', listed]]), adoption.theirs.signers.root)
    await refused({ root }, /^client: A client that is up to date would not follow: timestamp is signed by 0 of the 1/)
  })

  test('a version that no snapshot can list: the publisher could sign nothing any more', async () => {
    await refused({ alpha: await roleFile({ version: 2 ** 31 }) }, /^client: No snapshot can list it: .*beyond 2\^31/)
  })

  test('a held role that has expired is delegated to again', async () => {
    const soon = new Date(Date.now() + HOUR + 60_000).toISOString().replace(/\.\d+/, '')
    expect(await push({ alpha: await roleFile({ version: 2, expires: soon }) })).toMatchObject({ status: 200 })
    expect(await push({ targets: await targets(['still'], 3) })).toMatchObject({ status: 200 })
    await adoption.later(HOUR + 120_000)
    const again = await targets(['still', 'alpha'], 4)
    await refused({ targets: again }, /^client: A client would not take "alpha" from "targets": "alpha" expired/)
    // With a new file it is welcome, and one that expires later where it is keeps nobody from handing over others.
    expect(await push({ targets: again, alpha: await roleFile({ version: 3 }) })).toMatchObject({ status: 200 })
  })

  test('the root that a client needs is not among those it takes in one run', async () => {
    for (let i = 0; i < 256; i++) await adoption.nameKeys(keys, false)
    const [owner, other] = [adoption.theirs.signers.targets, [await newSigner()]]
    adoption.theirs.signers.targets = other
    await adoption.nameKeys(keys, false)
    const roots = Array.from({ length: 257 }, (_, i) => adoption.rootOf(4 + i))
    const delegations = delegating(['alpha', 'still'])
    const signedBy = (by: Signer[]) => roleFile({ version: 3, delegations }, by)
    await refused(
      { root: roots, targets: await signedBy(other) },
      /^client: A client that is up to date would not follow: "targets" is signed by 0 of the 1/,
    )
    const files = { root: roots.slice(0, 256), targets: await signedBy(owner) }
    expect(await push(files)).toMatchObject({ status: 200, visible: true })
    await adoption.clientOver(adoption.warm).refresh()
  })

  test('roles one below the other, or side by side for the same path, beyond what clients search', async () => {
    const chain: Record<string, Uint8Array> = { targets: await targets(['still', 'r1'], 3) }
    for (let i = 1; i < 33; i++) chain[`r${i}`] = await roleFile({ version: 1, delegations: delegating([`r${i + 1}`]) })
    chain.r33 = await roleFile({ version: 1 })
    await refused(chain, /^client: "r32" is below 32 other roles, and clients search 32/)

    const names = Array.from({ length: 33 }, (_, i) => `s${i}`)
    const file = { length: 1, hashes: { sha256: 'a'.repeat(64) } }
    const row: Record<string, Uint8Array> = { targets: await targets(['still', ...names], 3) }
    for (const name of names)
      row[name] = await roleFile({ version: 1, ...(name === 's32' ? { targets: { last: file } } : {}) })
    await refused(row, /^client: A client would not find "last" of "s32"/)
  })

  test('what has expired where it stays keeps nobody from mending another', async () => {
    const soon = new Date(Date.now() + 2 * HOUR).toISOString().replace(/\.\d+/, '')
    const expiring = await roleFile(
      { version: 3, expires: soon, delegations: delegating(['alpha', 'still']) },
      adoption.theirs.signers.targets,
    )
    expect(await push({ targets: expiring })).toMatchObject({ status: 200 })
    await adoption.later(3 * HOUR)
    expect(await push({ alpha: await roleFile({ version: 2 }) })).toMatchObject({ status: 200, accepted: ['2.alpha'] })
    expect(await push({ targets: await targets(['alpha', 'still'], 4) })).toMatchObject({ status: 200 })
    await adoption.clientOver(adoption.warm, undefined, Date.now() + 3 * HOUR).refresh()
  })
})

describe('an adoption', () => {
  test('a root that clients go by for an hour has expired, and the one that ends the hour has not', async () => {
    adoption = await Adoption.make(['alpha'])
    const { theirs } = adoption
    const good = theirs.expires.root
    const keysOf = adoption.json('POST', '/api/ceremony/keys', { adopted: true }, BOOTSTRAP)
    keys = ((await keysOf) as unknown as { keys: OurKeys }).keys
    theirs.expires.root = Date.now() + HOUR / 2
    await adoption.nameKeys(keys, true)
    theirs.expires.root = good
    await adoption.nameKeys(keys, false)
    const files = handOver({
      root: [1, 2, 3].map((version) => adoption.rootOf(version)),
      targets: adoption.fileOf('targets'),
      alpha: adoption.fileOf('alpha'),
    })
    const body = { files, served: { snapshot: 1, timestamp: 1 }, freshness: 'standard' }
    expect(await adoption.json('POST', '/api/adopt', body, BOOTSTRAP)).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/^expired: root 2 expires at .*, and root 3 goes out later/),
    })
    expect(await etag()).toBeUndefined()
  })

  test('a role that nobody delegates to any more is listed on, so that clients that saw it follow', async () => {
    adoption = await Adoption.make(['alpha', 'gone'])
    const { theirs } = adoption
    const delegations = theirs.role('targets').delegations as ReturnType<typeof delegating>
    theirs.role('targets').delegations = {
      ...delegations,
      roles: delegations.roles.filter(({ name }) => name !== 'gone'),
    }
    await theirs.publish('targets')
    await adoption.ownersClient().refresh()
    const before = new Map(adoption.warm.files)
    const last = { snapshot: before.get('snapshot.json')!, timestamp: before.get('timestamp.json')! }
    const base64 = (bytes: Uint8Array) => handOver({ x: bytes })[0]!.bytes
    const { body } = await adoption.request()
    const { files } = body as { files: { role: string }[] }
    const served = { snapshot: theirs.versions.snapshot, timestamp: theirs.versions.timestamp }
    const request = (snapshot: Uint8Array) => ({
      files: files.filter(({ role }) => role !== 'gone'),
      served,
      last: { snapshot: base64(snapshot), timestamp: base64(last.timestamp) },
      freshness: 'standard',
    })
    const forged = await signRole(parseSnapshot(last.snapshot).signed.raw, [await newSigner()])
    expect(await adoption.json('POST', '/api/adopt', request(forged), BOOTSTRAP)).toMatchObject({
      status: 400,
      detail: expect.stringContaining('signed by the keys of no root of the batch'),
    })
    expect(await adoption.json('POST', '/api/adopt', request(last.snapshot), BOOTSTRAP)).toMatchObject({ status: 200 })
    await adoption.clientOver(adoption.warm).refresh()
    const listed = () => parseSnapshot(adoption.warm.files.get('snapshot.json')!).signed.meta
    expect(listed().get('gone')).toEqual({ version: 1 })
    expect((await adoption.newFace()('/tuf/1.gone.json')).status).toBe(404)
    // Also under every snapshot after the first, and no lower number may come under that name.
    admin = await adoption.token('admin')
    theirs.role('targets').version++
    const again = await roleFile(
      { version: theirs.role('targets').version, delegations: delegating(['alpha', 'gone']) },
      theirs.signers.targets,
    )
    const gone = await roleFile({ version: 1, targets: { x: { length: 1, hashes: { sha256: 'a'.repeat(64) } } } })
    expect(await push({ targets: again, gone })).toMatchObject({ status: 200 })
    expect(listed().get('alpha')).toMatchObject({ version: 1 })
    await adoption.clientOver(adoption.warm).refresh()
    expect(listed().get('gone')).toMatchObject({ version: 1, length: gone.length })
  })

  test('300 roots are two runs of a new client, as they were, and no reason to refuse', async () => {
    adoption = await Adoption.make(['alpha'])
    for (let i = 0; i < 300; i++) await adoption.theirs.publishRoot()
    await adoption.adopt()
    const store = await adoption.theirs.newStore()
    await expect(adoption.clientOver(store).refresh()).rejects.toThrow('timestamp is signed by 0 of the 1')
    await adoption.clientOver(store).refresh()
    expect(store.files.get('root.json')).toEqual(adoption.rootOf(302))
  })

  test('without consistent snapshots a role called as a version of another is that role', async () => {
    adoption = await Adoption.make(['1.targets', '1002.snapshot'], { consistent: false })
    await adoption.adopt()
    for (const role of ['1.targets', '1002.snapshot']) {
      const client = adoption.clientOver(adoption.warm)
      await client.refresh()
      const info = await client.targetInfo(`${role}/file`)
      expect(await client.download(info!)).toEqual(utf8(`a file of ${role}`))
    }
  })
})
