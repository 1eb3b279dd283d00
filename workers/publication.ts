// One publication as readers see it: a verified timestamp and everything that hangs below it, loaded when it is needed.
//
// Invariants
// - A request works on one Publication from start to end, so its answers come from one moment.
// - Every role is checked by what the snapshot says (version, length, digest) and by its own signature under the role that
//   delegates to it, once for each new version: an object with the right digest that nobody signed does not exist here.
// - A target is found as a client finds it: by the delegations, in their order, terminating ones included.
// Bucket reads, cold: snapshot, targets, bins and one bin = 4. Warm: none.
import { BINS_ROLE } from '../tuf/bins.ts'
import { keysOfRole } from '../tuf/delegations.ts'
import { bucketDigest } from '../tuf/gate.ts'
import { metadataKey } from '../tuf/layout.ts'
import { LIMITS } from '../tuf/limits.ts'
import {
  type Common,
  type Delegations,
  type Envelope,
  type MetaFile,
  parseSnapshot,
  parseTargets,
  type RoleKeys,
  type Root,
  type Snapshot,
  type TargetFile,
  type Targets,
  type Timestamp,
} from '../tuf/metadata.ts'
import { findTarget } from '../tuf/search.ts'
import { verifyRole } from '../tuf/verify.ts'
import type { Env } from './env.ts'
import { Corrupt, verifying } from './errors.ts'
import { type ByteCache, type Flights, ROLE_WEIGHT } from './memory.ts'
import { readNamed } from './objects.ts'
import type { Trusted } from './trust.ts'

/** A target of this publication. */
export interface Target {
  path: string
  /** Bytes. */
  length: number
  /** Of a foreign file that has none, its sha512 (128 digits). */
  sha256: string
  /** Which store of the blob holds it; 1 unless `custom.n` says otherwise. */
  n: number
  /** Of a repository that is signed elsewhere: it lies under its digest, whatever its path. */
  foreign?: { sha512: string | undefined }
  /** Set once something above the target is past its date: that date. */
  stale?: string
}

/** A verified role file. What is held beside the bytes is only what look-ups need. */
export interface Role {
  /** Tells this file from every other one; part of the key under which what it delegates is remembered. */
  id: string
  head: Common
  bytes: Uint8Array
  targets: ReadonlyMap<string, TargetFile>
  delegations?: Delegations
  /** Of each delegated role, the literal starts of its patterns: 512 of them are looked through for every path. */
  starts?: readonly (readonly string[])[]
}

/** What publications of one repository share. */
export interface Shared {
  roles: ByteCache<Role>
  flights: Flights
}

/** Who may sign a role. */
export interface Signers {
  /** Identity of the delegating file. */
  id: string
  role: RoleKeys
  keys: Root['keys']
}

const NO_FIELDS: Common['raw'] = new Map()
const NO_TARGETS: Targets['targets'] = new Map()

export class Publication {
  readonly trusted: Trusted
  readonly timestamp: Envelope<Timestamp>
  /** Digest of the timestamp's bytes. */
  readonly sha256: string
  /** When the bucket received the timestamp, by the bucket's clock (milliseconds): for health alone. */
  readonly putAt: number
  readonly #shared: Shared
  #snapshot: Envelope<Snapshot> | undefined
  /** The newest snapshot seen before, until the present one has been compared with it. */
  #former: Envelope<Snapshot> | undefined

  constructor(
    shared: Shared,
    trusted: Trusted,
    timestamp: Envelope<Timestamp>,
    object: { sha256: string; putAt: number },
    previous?: Publication,
  ) {
    this.#shared = shared
    this.trusted = trusted
    this.timestamp = timestamp
    this.sha256 = object.sha256
    this.putAt = object.putAt
    if (!previous || previous.trusted.place.epoch !== trusted.place.epoch) return
    const same =
      previous.trusted.root === trusted.root &&
      identity(previous.timestamp.signed.snapshot) === identity(timestamp.signed.snapshot)
    if (same) this.#snapshot = previous.#snapshot
    this.#former = previous.#former ?? previous.#snapshot
  }

  get version(): number {
    return this.timestamp.signed.version
  }

  /** True from the second on that the timestamp states (as python-tuf and tuf-js have it). */
  expired(now: number): boolean {
    return this.timestamp.signed.expiresMs <= now
  }

  async snapshot(env: Env): Promise<Envelope<Snapshot>> {
    if (this.#snapshot) return this.#snapshot
    const named = this.timestamp.signed.snapshot
    const { place, root } = this.trusted
    const key = metadataKey(place, named.version, 'snapshot')
    const id = `${key} ${identity(named)} ${root.signed.version}`
    this.#snapshot = await this.#shared.flights.share(id, async () => {
      const bytes = await readNamed(env, key, named, LIMITS.snapshotBytes, 'snapshot')
      return verifying(async () => {
        const envelope = parseSnapshot(bytes)
        await verifyRole(envelope, root.signed.roles.snapshot, root.signed.keys, 'snapshot')
        checkVersion('snapshot', envelope.signed.version, named.version)
        return envelope
      })
    })
    // TUF 1.0.34, 5.5.5: nothing a reader has seen may be gone or older.
    for (const [role, { version }] of this.#former?.signed.meta ?? []) {
      const entry = this.#snapshot.signed.meta.get(role)
      if (!entry || entry.version < version) {
        this.#snapshot = undefined
        throw new Corrupt(`snapshot ${named.version} lost or lowered the role "${role}".`)
      }
    }
    this.#former = undefined
    return this.#snapshot
  }

  /** The target under this path, or undefined: this publication says there is none. */
  async find(env: Env, path: string): Promise<Target | undefined> {
    const loaded = new Map<string, Role>()
    const load = async (name: string, delegator: string): Promise<Targets> => {
      const role = await this.#role(env, name, loaded.get(delegator))
      loaded.set(name, role)
      return asSeenFrom(role, path)
    }
    const found = await verifying(() => findTarget(path, load, LIMITS.delegations))
    if (!found) return undefined
    const sha256 = this.trusted.adopted ? bucketDigest(found) : found.hashes.get('sha256')
    if (sha256 === undefined) throw new Corrupt(`the target "${path}" has no sha256.`)
    // In somebody else's metadata the field may mean anything.
    const foreign = this.trusted.adopted && { foreign: { sha512: found.hashes.get('sha512') } }
    const n = foreign ? 1 : (found.custom?.get('n') ?? 1)
    if (typeof n !== 'number') throw new Corrupt(`"n" of the target "${path}" is not a number.`)
    const snapshot = await this.snapshot(env)
    const dates = [this.trusted.root, this.timestamp, snapshot].map(({ signed }): Common => signed)
    const stale = firstExpired([...dates, ...[...loaded.values()].map(({ head }) => head)], Date.now())
    return { path, length: found.length, sha256, n, ...foreign, ...(stale === undefined ? {} : { stale }) }
  }

  /**
   * The file of a role by nothing but what the snapshot says: which role delegates to it is the gate's to have checked,
   * and each client's. For repositories that are signed elsewhere, whose delegations may be of any depth.
   */
  async file(env: Env, name: string): Promise<Uint8Array | undefined> {
    const named = (await this.snapshot(env)).signed.meta.get(name)
    if (!named) return undefined
    const key = metadataKey(this.trusted.place, named.version, name)
    return readNamed(env, key, named, LIMITS.targetsBytes, `"${name}"`)
  }

  /** A role by name, with whatever leads to it, or undefined: neither `targets` nor `bins` delegates to it. */
  async role(env: Env, name: string): Promise<Role | undefined> {
    const delegator = await this.#delegatorOf(env, name)
    return delegator && this.#role(env, name, delegator === 'root' ? undefined : delegator)
  }

  /** Whose keys sign the role `name` at present, or undefined: it is no role of this repository. */
  async signersOf(env: Env, name: string): Promise<Signers | undefined> {
    const { signed } = this.trusted.root
    const id = `root ${signed.version}`
    if (name === 'snapshot') return { id, role: signed.roles.snapshot, keys: signed.keys }
    const delegator = await this.#delegatorOf(env, name)
    return delegator && this.#signers(name, delegator === 'root' ? undefined : delegator)
  }

  async #delegatorOf(env: Env, name: string): Promise<Role | 'root' | undefined> {
    if (name === 'targets') return 'root'
    const { meta } = (await this.snapshot(env)).signed
    if (!meta.has(name)) return undefined
    const targets = await this.#role(env, 'targets', undefined)
    if (targets.delegations && keysOfRole(targets.delegations, name)) return targets
    const delegated = (targets.delegations?.roles ?? []).map((role) => role.name)
    // `bins` is nearly always the one; a team's role has to be read to know.
    for (const between of delegated.sort((a, b) => Number(b === BINS_ROLE) - Number(a === BINS_ROLE))) {
      const role = await this.#role(env, between, targets)
      if (role.delegations && keysOfRole(role.delegations, name)) return role
    }
    return undefined
  }

  #signers(name: string, delegator: Role | undefined): Signers {
    const { signed } = this.trusted.root
    if (!delegator) return { id: `root ${signed.version}`, role: signed.roles.targets, keys: signed.keys }
    const role = delegator.delegations && keysOfRole(delegator.delegations, name)
    if (!role) throw new Corrupt(`nothing delegates to the role "${name}".`)
    return { id: delegator.id, role, keys: delegator.delegations!.keys }
  }

  /** @param delegator undefined for the top-level targets */
  async #role(env: Env, name: string, delegator: Role | undefined): Promise<Role> {
    const named = (await this.snapshot(env)).signed.meta.get(name)
    if (!named) throw new Corrupt(`snapshot does not list the role "${name}".`)
    const signers = this.#signers(name, delegator)
    const key = metadataKey(this.trusted.place, named.version, name)
    const id = `${key} ${identity(named)} (${signers.id})`
    const held = this.#shared.roles.get(id)
    if (held) return held
    return this.#shared.flights.share(id, async () => {
      const bytes = await readNamed(env, key, named, LIMITS.targetsBytes, `"${name}"`)
      const role = await verifying(async () => {
        const envelope = parseTargets(bytes)
        await verifyRole(envelope, signers.role, signers.keys, `"${name}"`)
        checkVersion(`"${name}"`, envelope.signed.version, named.version)
        return compact(id, envelope)
      })
      this.#shared.roles.set(id, role, bytes.length * ROLE_WEIGHT)
      return role
    })
  }
}

/** Names the exact file: its version, and its digests where they are signed. */
const identity = ({ version, hashes }: MetaFile): string =>
  `${version}${[...(hashes ?? [])].map(([name, hex]) => ` ${name}:${hex}`).join('')}`

function checkVersion(what: string, version: number, named: number): void {
  if (version !== named) throw new Corrupt(`${what} has version ${version} instead of ${named}.`)
}

/** Drops the canonical copy and the raw fields, which nothing needs once the signature is checked. */
function compact(id: string, { signed, bytes }: Envelope<Targets>): Role {
  const { targets, delegations, ...common } = signed
  const role: Role = { id, head: { ...common, raw: NO_FIELDS }, bytes, targets }
  if (!delegations) return role
  return {
    ...role,
    delegations,
    ...(delegations.roles && { starts: delegations.roles.map(({ paths }) => startsOf(paths)) }),
  }
}

function startsOf(paths: readonly string[] | undefined): string[] {
  return paths ? paths.map((pattern) => pattern.replace(/[*?].*$/s, '')) : ['']
}

/**
 * `role` reduced to what can matter for `path`, so that the search does not match 512 patterns for every request: a
 * pattern can only hold a path that begins with the pattern's literal start.
 */
function asSeenFrom({ head, targets, delegations, starts }: Role, path: string): Targets {
  const file = targets.get(path)
  const seen: Targets = { ...head, targets: file ? new Map([[path, file]]) : NO_TARGETS }
  if (!delegations) return seen
  if (!delegations.roles || !starts) return { ...seen, delegations }
  const roles = delegations.roles.filter((_, i) => starts[i]!.some((start) => path.startsWith(start)))
  return { ...seen, delegations: { keys: delegations.keys, roles } }
}

function firstExpired(heads: readonly Common[], now: number): string | undefined {
  const expired = heads.filter(({ expiresMs }) => expiresMs <= now)
  return expired.sort((a, b) => a.expiresMs - b.expiresMs)[0]?.expires
}
