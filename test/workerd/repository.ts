// A fresh repository of its own for a test: real object, real ceremony, unique name and so unique bucket keys.
// Storage is shared by all tests of a file (isolation is per file), hence the unique names.
import { env, exports } from 'cloudflare:workers'
import { type CeremonyInput, holdCeremony, makeOfflineKey, type OnlineKeys } from '../../cli/ceremony.ts'
import type { Env } from '../../durable-objects/env.ts'
import type { Freshness, InitialiseRequest, Scope } from '../../durable-objects/rpc.ts'
import { type Place, timestampKey } from '../../tuf/layout.ts'

export const bindings = env as unknown as Env
export const BOOTSTRAP = 'b'.repeat(43)
const DAY = 86_400
export const STANDARD: Freshness = { timestampSeconds: DAY, snapshotSeconds: DAY, binSeconds: DAY, tickSeconds: 3_600 }

type Doors = {
  Public: Service<typeof import('../../durable-objects/entrypoints.ts').Public>
  Member: Service<typeof import('../../durable-objects/entrypoints.ts').Member>
}
const doors = exports as unknown as Doors

export interface TestRepository {
  name: string
  place: Place
  root: Uint8Array
  /** What the ceremony was held with, for one that is held again. */
  offline: CeremonyInput['offline']
  online: OnlineKeys
  stub: ReturnType<Env['PUBLISHER']['getByName']>
  member: Doors['Member']
  public: Doors['Public']
  /** Mints a token with the scopes, by default those of an uploader. */
  token(scopes?: Scope[], projects?: string[]): Promise<string>
}

let count = 0

/** `name` defaults to a unique one; the face routes `main` alone, so a face test asks for that, once a file. */
export async function newRepository(
  options: {
    name?: string
    freshness?: InitialiseRequest['freshness']
    /** Signs another root than the ceremony's. */
    rootOf?: (online: OnlineKeys, offline: CeremonyInput['offline']) => Promise<Uint8Array>
  } = {},
): Promise<TestRepository> {
  const name = options.name ?? `t${Date.now().toString(36)}-${count++}`
  const keys = await doors.Member.createKeys(name, BOOTSTRAP)
  if (!keys.ok) throw new Error(keys.message)
  const offline = { root: [await makeOfflineKey()], targets: [await makeOfflineKey()], bins: [await makeOfflineKey()] }
  const signed = await holdCeremony({
    online: keys,
    offline,
    thresholds: { root: 1, targets: 1, bins: 1 },
    expiresMs: Date.now() + 365 * DAY * 1000,
    development: true,
  })
  const freshness = options.freshness ?? STANDARD
  const { targets, bins } = signed
  const root = (await options.rootOf?.(keys, offline)) ?? signed.root
  const done = await doors.Member.initialise({ repository: name, roots: [root], targets, bins, freshness }, BOOTSTRAP)
  if (!done.ok) throw new Error(done.message)
  const place = { repository: name, epoch: 1 }
  if (!(await bindings.BUCKET.head(timestampKey(place)))) throw new Error('The ceremony left no timestamp.')
  return {
    name,
    place,
    root,
    offline,
    online: keys,
    stub: bindings.PUBLISHER.getByName(name),
    member: doors.Member,
    public: doors.Public,
    async token(scopes = ['upload', 'create', 'yank'], projects) {
      const expires = Math.floor(Date.now() / 1000) + DAY
      const minted = await doors.Member.mint(
        { repository: name, name: 'test', scopes, expires, ...(projects ? { projects } : {}) },
        BOOTSTRAP,
      )
      if (!minted.ok) throw new Error(minted.message)
      return minted.token
    },
  }
}
