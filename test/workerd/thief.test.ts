// What a thief of everything the edge holds can do with a repository that is signed elsewhere, and what he cannot: he has
// the two real keys, the bucket, and everything that was ever served (docs/adopting.md has the claim in words).
//
// The keys are taken as he takes them: the ledger's rows and WRAPPING_SECRET.
import { runInDurableObject } from 'cloudflare:test'
import { beforeEach, describe, expect, test } from 'vitest'
import { Custody } from '../../durable-objects/custody.ts'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { snapshotSigned, targetsSigned, timestampSigned } from '../../tuf/build.ts'
import { Client, roleFile } from '../../tuf/client.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { ed25519Key } from '../../tuf/keys.ts'
import { parseTargets } from '../../tuf/metadata.ts'
import { targetUrlName, targetUrlPath } from '../../tuf/paths.ts'
import { type Signer, signRole } from '../../tuf/sign.ts'
import { BASE, DAY, delegationsTo, MemoryStore, NOW, newSigner, streamOf, utf8 } from '../unit/tuf/repository.ts'
import { Adoption, handOver, type OurKeys } from './adoption.ts'
import { bindings } from './repository.ts'

const EVIL = utf8('what nobody signed')

let adoption: Adoption
/** What was public before alpha's delegation was revoked: role → bytes. */
let before: Map<string, Uint8Array>
let thief: Thief

/** All that the edge holds, and a network of his own. */
class Thief {
  readonly files = new Map<string, Uint8Array>()
  readonly signers: Record<'timestamp' | 'snapshot', Signer>
  #version = 5_000

  private constructor(signers: Record<'timestamp' | 'snapshot', Signer>) {
    this.signers = signers
  }

  static async of({ name, theirs }: Adoption, keys: OurKeys): Promise<Thief> {
    const signerOf = (role: 'timestamp' | 'snapshot'): Signer => {
      const { public: hex, keyid } = keys.find((key) => key.role === role)!
      const sign = async (payload: Uint8Array): Promise<Uint8Array> => {
        const signature = await runInDurableObject(
          bindings.PUBLISHER.getByName(name),
          async (_: Publisher, { storage }) => {
            const custody = new Custody(storage.sql, bindings.WRAPPING_SECRET)
            return [...(await (await custody.signer(role)).sign(payload))]
          },
        )
        return new Uint8Array(signature)
      }
      return { key: ed25519Key(hex), keyid, sign }
    }
    const thief = new Thief({ timestamp: signerOf('timestamp'), snapshot: signerOf('snapshot') })
    for (const [file, bytes] of theirs.files) if (/^\d+\.root\.json$/.test(file)) thief.files.set(file, bytes)
    return thief
  }

  /** A snapshot and a timestamp over these roles, as good as the edge's own. */
  async publish(roles: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const version = ++this.#version
    const expiresMs = NOW + 3_650 * DAY
    const meta: [string, { version: number; length: number; sha256: string }][] = []
    for (const [role, bytes] of roles) {
      const { signed } = parseTargets(bytes)
      meta.push([role, { version: signed.version, length: bytes.length, sha256: await sha256Hex(bytes) }])
      this.files.set(`${signed.version}.${roleFile(role)}`, bytes)
    }
    const snapshot = await signRole(snapshotSigned({ version, expiresMs, meta }), [this.signers.snapshot])
    this.files.set(`${version}.snapshot.json`, snapshot)
    const named = { version, length: snapshot.length, sha256: await sha256Hex(snapshot) }
    const timestamp = timestampSigned({ version, expiresMs, snapshot: named })
    this.files.set('timestamp.json', await signRole(timestamp, [this.signers.timestamp]))
  }

  /** A client that he has in his network. @param now its clock; people's files expire 90 days after NOW */
  victim(store: MemoryStore, now = Date.now()): Client {
    const fetch = async (url: string) => {
      const bytes = this.files.get(url.slice(BASE.length))
      return { status: bytes ? 200 : 404, body: streamOf(bytes ?? utf8('not here')) }
    }
    return new Client({
      store,
      transport: { fetch },
      metadataUrl: BASE,
      targetsUrl: `${BASE}targets/`,
      now: () => now,
    })
  }

  /** `bytes` where clients look for the target that was signed with the digest of `instead`. */
  async plant(path: string, bytes: Uint8Array, instead = bytes): Promise<void> {
    this.files.set(`targets/${targetUrlPath(targetUrlName(path, await sha256Hex(instead)))}`, bytes)
  }
}

const now = (): Map<string, Uint8Array> =>
  new Map([...adoption.theirs.roles.keys()].map((role) => [role, adoption.fileOf(role)]))
const fresh = (): Promise<MemoryStore> => adoption.theirs.newStore()
/** The client that saw the revocation, as it was then: what a thief shows it is for one test, and versions are remembered. */
const warm = (): MemoryStore => {
  const store = new MemoryStore()
  for (const [file, bytes] of adoption.warm.files) store.files.set(file, bytes)
  return store
}
/** A role's file that lists a target of the thief's. */
const forged = async (path: string, version: number, by: readonly Signer[]): Promise<Uint8Array> => {
  const targets: [string, { length: number; sha256: string }][] = [
    [path, { length: EVIL.length, sha256: await sha256Hex(EVIL) }],
  ]
  return signRole(targetsSigned({ version, expiresMs: NOW + DAY, targets }), by)
}
const fetchTarget = async (client: Client, path: string): Promise<Uint8Array | undefined> => {
  await client.refresh()
  const info = await client.targetInfo(path)
  return info && client.download(info)
}

beforeEach(async () => {
  adoption = await Adoption.make(['alpha', 'beta'])
  const { theirs } = adoption
  const keys = await adoption.adopt()
  before = now()
  // Alice's key is lost: the owner delegates alpha to nobody any more, and beta to somebody else.
  const bob = await newSigner()
  theirs.role('beta').signers = [bob]
  theirs.role('targets').delegations = delegationsTo(['beta', [bob], ['beta/*']])
  await theirs.publishRole('targets')
  await theirs.publishRole('beta')
  const files = handOver({ targets: adoption.fileOf('targets'), beta: adoption.fileOf('beta') })
  const pushed = await adoption.json('PUT', '/api/metadata', { files }, await adoption.token('admin'))
  expect(pushed).toMatchObject({ status: 200, visible: true })
  const client = adoption.clientOver(adoption.warm)
  await client.refresh()
  expect(await client.targetInfo('alpha/file')).toBeUndefined()
  thief = await Thief.of(adoption, keys)
})

describe('he can', () => {
  test('freeze: a client goes on with what it has, and his timestamp keeps it there', async () => {
    await thief.publish(now())
    await thief.plant('beta/file', utf8('a file of beta'))
    const later = NOW + 89 * DAY
    for (const store of [warm(), await fresh()])
      expect(await fetchTarget(thief.victim(store, later), 'beta/file')).toEqual(utf8('a file of beta'))
  })

  test('take a client without newer state back to an older combination, revoked delegations included', async () => {
    await thief.publish(before)
    await thief.plant('alpha/file', utf8('a file of alpha'))
    expect(await fetchTarget(thief.victim(await fresh()), 'alpha/file')).toEqual(utf8('a file of alpha'))
    // Alice's key, once stolen too, signs for such a client again: it is trusted by a version that has not expired.
    const { alice } = adoption
    const older = parseTargets(before.get('alpha')!).signed.version
    await thief.publish(new Map(before).set('alpha', await forged('alpha/evil', older + 1, [alice])))
    await thief.plant('alpha/evil', EVIL)
    expect(await fetchTarget(thief.victim(await fresh()), 'alpha/evil')).toEqual(EVIL)
  })
})

test('he can have a client remember versions that never were, and it refuses the true ones then', async () => {
  const store = warm()
  const both = [thief.signers.timestamp, thief.signers.snapshot]
  await thief.publish(now().set('targets', await forged('evil', 9_999, both)))
  await expect(thief.victim(store).refresh()).rejects.toMatchObject({ code: 'signature' })
  await expect(adoption.clientOver(store).refresh()).rejects.toMatchObject({ code: 'rollback' })
})

describe('he cannot', () => {
  test('do so to a client that has seen the newer state', async () => {
    await thief.publish(before)
    await expect(thief.victim(warm()).refresh()).rejects.toMatchObject({ code: 'rollback' })
  })

  test('do so beyond the first expiry of what people signed, whatever his own dates say', async () => {
    await thief.publish(before)
    const client = thief.victim(await fresh(), NOW + 91 * DAY)
    await expect(client.refresh()).rejects.toThrow(/^"targets" expired at /)
  })

  test('have a client take a file that no key of the owner signed: targets, a delegated role, a root', async () => {
    const both = [thief.signers.timestamp, thief.signers.snapshot]
    const { theirs } = adoption
    const next = (role: string) => theirs.role(role).version + 1
    await thief.publish(now().set('targets', await forged('evil', next('targets'), both)))
    for (const store of [warm(), await fresh()])
      await expect(thief.victim(store).refresh()).rejects.toThrow('"targets" is signed by 0 of the 1 keys it needs.')

    await thief.publish(now().set('beta', await forged('beta/evil', next('beta'), both)))
    for (const store of [warm(), await fresh()])
      await expect(fetchTarget(thief.victim(store), 'beta/evil')).rejects.toThrow('"beta" is signed by 0 of the 1 keys')

    await thief.publish(now())
    theirs.signers.targets = both
    const root = await theirs.publishRoot(both)
    thief.files.set(`${theirs.versions.root}.root.json`, root)
    for (const store of [warm(), await fresh()])
      await expect(thief.victim(store).refresh()).rejects.toThrow('root is signed by 0 of the 1 keys it needs.')
  })

  test('use a key that a client’s newest roots and roles do not trust, nor other bytes under a signed digest', async () => {
    const { alice, theirs } = adoption
    await thief.publish(now().set('beta', await forged('beta/evil', theirs.role('beta').version + 1, [alice])))
    await expect(fetchTarget(thief.victim(warm()), 'beta/evil')).rejects.toThrow('"beta" is signed by 0 of the 1 keys')
    await thief.publish(now())
    await thief.plant('beta/file', EVIL, utf8('a file of beta'))
    for (const store of [warm(), await fresh()])
      await expect(fetchTarget(thief.victim(store), 'beta/file')).rejects.toThrow(/beta\/file/)
  })
})
