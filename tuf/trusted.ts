// The metadata a client trusts at one moment, and the rules by which more is added (TUF 1.0.34, 5.3 – 5.6). No I/O: the
// client fetches and stores, this decides.
//
// Order: root (any number) → timestamp → snapshot → targets → delegated roles. Files kept from an earlier run are offered
// first, then fetched ones; a kept file that is out of date is refused as current and still remembered, so that what
// replaces it cannot be older.
//
// Invariants
// - Everything held verified under the keys of the role that delegates to it.
// - `now` is fixed when the set is made, so that one run judges all dates alike (5.1).
// - A timestamp or snapshot is never replaced by an older one. A kept file that the present root's keys do not sign is not
//   taken at all, so after a rotation of those keys its version numbers bind nobody: that is how a repository recovers
//   from an attacker who raised them (5.3.11).
// - After a refusal the set is as it was, but for an expired or superseded file that is remembered as said above.
import { type Delegations, keysOfRole } from './delegations.ts'
import type { Common, Envelope } from './envelope.ts'
import { ExpiredError, FormatError, MismatchError, RollbackError, UsageError } from './errors.ts'
import { checkBytes, type MetaFile } from './meta-file.ts'
import { parseRoot, type Root } from './root.ts'
import { parseSnapshot, type Snapshot } from './snapshot.ts'
import { parseTargets, type Targets } from './targets.ts'
import { parseTimestamp, type Timestamp } from './timestamp.ts'
import { verifyRole } from './verify.ts'

export class TrustedSet {
  /** Milliseconds since 1970 at which everything is judged. */
  readonly now: number
  #root: Envelope<Root>
  #timestamp: Envelope<Timestamp> | undefined
  #snapshot: Envelope<Snapshot> | undefined
  /** Kept from an earlier run and no longer current. */
  #formerSnapshot: Envelope<Snapshot> | undefined
  readonly #targets = new Map<string, Envelope<Targets>>()
  /** Role → the delegators under whose keys its held file has been verified. */
  readonly #verified = new Map<string, Set<string>>()

  private constructor(root: Envelope<Root>, now: number) {
    this.#root = root
    this.now = now
  }

  /**
   * Starts from a root that is trusted already (shipped, pinned or kept). It must be signed as it asks itself, which finds
   * a damaged file; it may be expired, because newer ones may follow.
   */
  static async start(rootBytes: Uint8Array, now: number): Promise<TrustedSet> {
    const root = parseRoot(rootBytes)
    await verifyRole(root, root.signed.roles.root, root.signed.keys, 'root')
    return new TrustedSet(root, now)
  }

  get root(): Envelope<Root> {
    return this.#root
  }

  /** The newest timestamp seen. It may be expired; nothing below is loaded from one that is. */
  get timestamp(): Envelope<Timestamp> | undefined {
    return this.#timestamp
  }

  /** The snapshot that the timestamp names. */
  get snapshot(): Envelope<Snapshot> | undefined {
    return this.#snapshot
  }

  /** The held file of `targets` or a delegated role. */
  targets(role: string): Envelope<Targets> | undefined {
    return this.#targets.get(role)
  }

  /**
   * Takes the next root: signed by the threshold of the present root and by its own, version exactly one higher
   * (5.3.4, 5.3.5). It may be expired; `updateTimestamp` judges the last one's date.
   */
  async updateRoot(bytes: Uint8Array): Promise<Envelope<Root>> {
    if (this.#timestamp) throw new UsageError('Roots must be updated before the timestamp.')
    const next = parseRoot(bytes)
    const { roles, keys, version } = this.#root.signed
    await verifyRole(next, roles.root, keys, 'root')
    if (next.signed.version !== version + 1)
      throw new RollbackError(`root has version ${next.signed.version}, and only ${version + 1} can follow ${version}.`)
    await verifyRole(next, next.signed.roles.root, next.signed.keys, 'root')
    this.#root = next
    return next
  }

  /**
   * Takes a timestamp (5.4).
   *
   * @returns false if it has the version of the one held, which is then kept, whatever this one says (5.4.3.1)
   * @throws {ExpiredError} if the root or this timestamp is expired; such a timestamp is remembered against rollback
   */
  async updateTimestamp(bytes: Uint8Array): Promise<boolean> {
    if (this.#snapshot) throw new UsageError('The timestamp must be updated before the snapshot.')
    this.#checkDate(this.#root.signed, 'root')
    const next = parseTimestamp(bytes)
    await verifyRole(next, this.#root.signed.roles.timestamp, this.#root.signed.keys, 'timestamp')
    const held = this.#timestamp?.signed
    if (held) {
      if (next.signed.version === held.version) return false
      checkNotLower('timestamp', next.signed.version, held.version)
      checkNotLower('snapshot in timestamp', next.signed.snapshot.version, held.snapshot.version)
    }
    this.#timestamp = next
    this.#checkDate(next.signed, 'timestamp')
    return true
  }

  /**
   * Takes a snapshot (5.5): the bytes the timestamp names, no role of the one trusted before missing or lower.
   *
   * @param kept it comes from the client's own store. If it is not, or no longer, what the timestamp names, it is refused
   * like any other and remembered, so that its successor cannot be older.
   */
  async updateSnapshot(bytes: Uint8Array, { kept = false }: { kept?: boolean } = {}): Promise<void> {
    const named = this.#currentTimestamp().signed.snapshot
    if (this.#snapshot) throw new UsageError('The snapshot is current already.')
    if (!kept) await checkBytes(bytes, named, 'snapshot')
    const next = parseSnapshot(bytes)
    await verifyRole(next, this.#root.signed.roles.snapshot, this.#root.signed.keys, 'snapshot')
    for (const [role, { version }] of this.#formerSnapshot?.signed.meta ?? []) {
      const entry = next.signed.meta.get(role)
      if (!entry) throw new RollbackError(`snapshot no longer lists the role "${role}".`)
      checkNotLower(`"${role}" in snapshot`, entry.version, version)
    }
    if (kept) {
      this.#formerSnapshot = next
      await checkBytes(bytes, named, 'snapshot')
    }
    checkVersion('snapshot', next.signed.version, named.version)
    this.#checkDate(next.signed, 'snapshot')
    this.#snapshot = next
  }

  /** Takes the top-level targets file (5.6). */
  async updateTargets(bytes: Uint8Array): Promise<Envelope<Targets>> {
    return this.updateDelegated(bytes, 'targets', 'root')
  }

  /**
   * Takes the file of `role`: the bytes the snapshot names, signed as `delegator` asks (5.6.3 – 5.6.6).
   *
   * @param delegator a role held already, or `root` for the top-level targets
   */
  async updateDelegated(bytes: Uint8Array, role: string, delegator: string): Promise<Envelope<Targets>> {
    const named = this.metaOf(role)
    await checkBytes(bytes, named, `"${role}"`)
    const next = parseTargets(bytes)
    await this.#verifyDelegated(next, role, delegator)
    checkVersion(`"${role}"`, next.signed.version, named.version)
    this.#checkDate(next.signed, `"${role}"`)
    this.#targets.set(role, next)
    this.#verified.set(role, new Set([delegator]))
    return next
  }

  /**
   * The held file of `role` as seen from `delegator`, or undefined if none is held. A role that several others delegate
   * to is verified under the keys of each: one delegator's word does not bind the other.
   *
   * @throws {SignatureError} if this delegator's keys did not sign it
   */
  async delegated(role: string, delegator: string): Promise<Envelope<Targets> | undefined> {
    const held = this.#targets.get(role)
    if (!held) return undefined
    const delegators = this.#verified.get(role)!
    if (!delegators.has(delegator)) {
      await this.#verifyDelegated(held, role, delegator)
      delegators.add(delegator)
    }
    return held
  }

  /** Lets go of a role's file, for who looks at many of them once; nothing may be asked below it afterwards. */
  forget(role: string): void {
    this.#targets.delete(role)
    this.#verified.delete(role)
  }

  /**
   * How the current snapshot names the file of `role`.
   *
   * @throws {FormatError} if it does not list the role
   */
  metaOf(role: string): MetaFile {
    if (!this.#snapshot) throw new UsageError('The snapshot must be loaded first.')
    const entry = this.#snapshot.signed.meta.get(role)
    if (!entry) throw new FormatError(`snapshot does not list the role "${role}", so it cannot be trusted.`)
    return entry
  }

  async #verifyDelegated(file: Envelope<Targets>, role: string, delegator: string): Promise<void> {
    if (delegator === 'root') {
      if (role !== 'targets') throw new UsageError(`root does not delegate to "${role}".`)
      await verifyRole(file, this.#root.signed.roles.targets, this.#root.signed.keys, '"targets"')
      return
    }
    const delegations: Delegations | undefined = this.#targets.get(delegator)?.signed.delegations
    const keys = delegations && keysOfRole(delegations, role)
    if (!keys) throw new UsageError(`"${delegator}" does not delegate to "${role}", or is not loaded.`)
    await verifyRole(file, keys, delegations.keys, `"${role}"`)
  }

  /** The timestamp, if it is current; a remembered expired one is not. */
  #currentTimestamp(): Envelope<Timestamp> {
    if (!this.#timestamp) throw new UsageError('The timestamp must be loaded first.')
    this.#checkDate(this.#timestamp.signed, 'timestamp')
    return this.#timestamp
  }

  /** Expired at the very second it states, as python-tuf and tuf-js have it. */
  #checkDate({ expires, expiresMs }: Common, role: string): void {
    if (expiresMs <= this.now) throw new ExpiredError(role, expires)
  }
}

function checkNotLower(what: string, version: number, held: number): void {
  if (version < held) throw new RollbackError(`${what} has version ${version}, and version ${held} was trusted before.`)
}

function checkVersion(what: string, version: number, named: number): void {
  if (version !== named) throw new MismatchError(`${what} has version ${version} instead of ${named}.`)
}
