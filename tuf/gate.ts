// The gate: whether what people signed may follow what they signed before. For a repository whose roots, targets and
// delegated roles are made elsewhere, and whose snapshot and timestamp are made here. No I/O of its own; a batch passes as
// a whole or not at all, and a refusal names its rule.
//
// Invariants of what has passed, together with what was held:
// - roots follow each other without a gap, each signed by the one before and by itself, and the newest names our keys;
// - every role that is delegated to has a file, signed as each of its delegators asks; no role reaches itself;
// - no version is lower than before, and none has two contents.
// Cost: the files of the batch, the held roles that delegate (never the leaves), and the held children of a delegation
// whose keys changed. A batch that is larger than memory is read file by file (`readRole`), and what was verified in one
// call is remembered for the next (`Voices`).

import { formatDate } from './dates.ts'
import { type Delegations, keysOfRole } from './delegations.ts'
import { sha256Hex, timingSafeEqual } from './digest.ts'
import type { Common, Envelope } from './envelope.ts'
import { SignatureError, TufError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { parseRoot, type Root } from './root.ts'
import { binName } from './succinct.ts'
import { parseTargets, type TargetFile, type Targets } from './targets.ts'
import { type RoleKeys, verifyRole } from './verify.ts'

/** What a refusal is about; documented for operators, so a rule's name does not change. */
export type GateRule =
  | 'format'
  | 'digest'
  | 'size'
  | 'name'
  | 'next-root'
  | 'consistent-snapshot'
  | 'online-keys'
  | 'threshold'
  | 'rollback'
  | 'two-contents'
  | 'expired'
  | 'incomplete'
  | 'cycle'
  | 'unreachable'
  | 'client'

/** A batch was refused; nothing of it was taken. The message says what is wrong with which role. */
export class GateError extends Error {
  override name = 'GateError'
  readonly rule: GateRule

  constructor(rule: GateRule, message: string) {
    super(message)
    this.rule = rule
  }
}

/** A file as people hand it over. `role` is `root`, `targets` or the name of a delegated role. */
export interface SignedFile {
  readonly role: string
  readonly bytes: Uint8Array
}

/** A file of `targets` or a delegated role, and what was read of it. */
export interface ReadFile extends SignedFile {
  readonly version: number
  /** Of `bytes`, lower-case hex. */
  readonly sha256: string
  readonly length: number
  readonly expiresMs: number
  readonly delegates: boolean
  /** May be a getter: whoever asks for it has it in memory, one file at a time. */
  readonly bytes: Uint8Array
}

/** Whose signatures of which bytes were verified before. */
export interface Voices {
  /** Identities of public keys. */
  of(sha256: string): readonly string[]
  /** To be kept. What it throws ends the gate. */
  add(sha256: string, identities: Iterable<string>, length: number): void
}

/** What is known of a role that is held, without its file. */
export interface HeldRole {
  readonly version: number
  /** Lower-case hex. */
  readonly sha256: string
  readonly delegates: boolean
}

/** What the repository is now. */
export interface Held {
  /** The newest root; undefined before the first batch, whose first root is then believed. */
  readonly root: Envelope<Root> | undefined
  /** `targets` and every delegated role that has a file. */
  readonly roles: ReadonlyMap<string, HeldRole>
  /** The file of a held role. */
  load(role: string): Promise<Uint8Array>
}

export interface GateOptions {
  /** Unix milliseconds. */
  readonly now: number
  /** Keyids that the newest root must name, alone enough, for what is signed here. Left out: any (before adoption). */
  readonly online?: { readonly snapshot: string; readonly timestamp: string }
  /** Expired files are taken; for the chain of an adoption, whose own client walk judges the dates. */
  readonly expiredToo?: boolean
  /** Left out: everything is verified in this call. */
  readonly voices?: Voices
}

export type AdmittedRole = ReadFile

export interface AdmittedRoot {
  readonly version: number
  readonly sha256: string
  readonly expiresMs: number
  readonly envelope: Envelope<Root>
}

/** What of the batch is new. Files that are held already, byte for byte, are not repeated here. */
export interface Admitted {
  /** In their order. */
  readonly roots: readonly AdmittedRoot[]
  readonly roles: readonly AdmittedRole[]
}

/** Roles in one batch: 10,000 delegated roles and their delegators, the largest repository that is adopted in one go. */
export const BATCH_MAX = 20_000
/** Of them together: twice 10,000 roles of 100 targets (120 MB), beside a ledger of at most 10 GB. */
export const BATCH_BYTES_MAX = 250_000_000
/** Percent-encoded characters of a role's name, which becomes one segment of a URL and of a bucket key. */
const NAME_CHARS_MAX = 200

/** @throws {GateError} */
export async function admit(
  batch: readonly (SignedFile | ReadFile)[],
  held: Held,
  options: GateOptions,
): Promise<Admitted> {
  if (batch.length > BATCH_MAX) throw new GateError('size', `A batch has at most ${BATCH_MAX} files.`)
  const roots = await newRoots(batch, held.root, options)
  const root = roots.at(-1)?.envelope ?? held.root
  if (!root) throw new GateError('incomplete', 'The batch holds no root, and none is known yet.')
  mustNameOnlineKeys(root.signed, options)
  const roles = await newRoles(batch, held, options)
  await new Tree(root, roles, held, options.voices).check(roots.length > 0)
  return { roots, roles: [...roles.values()] }
}

async function newRoots(
  batch: readonly SignedFile[],
  held: Envelope<Root> | undefined,
  options: GateOptions,
): Promise<AdmittedRoot[]> {
  const given = batch
    .filter(({ role }) => role === 'root')
    .map(({ bytes }) => readRoot(bytes))
    .sort((a, b) => a.signed.version - b.signed.version)
  const taken: AdmittedRoot[] = []
  let before = held
  for (const envelope of given) {
    const { version, expiresMs } = envelope.signed
    if (held && version <= held.signed.version) {
      // Handing over the whole chain is usual; only the newest can be compared here, the older ones are the ledger's.
      if (version === held.signed.version && !timingSafeEqual(envelope.bytes, held.bytes))
        throw new GateError('two-contents', `root ${version} is held already, with other bytes.`)
      continue
    }
    if (before && version !== before.signed.version + 1)
      throw new GateError(
        'next-root',
        `root ${version} cannot follow root ${before.signed.version}: only ${before.signed.version + 1} can.`,
      )
    if (before)
      await mustBeSigned(
        envelope,
        before.signed.roles.root,
        before.signed.keys,
        `root ${version}, as ${before.signed.version} asks,`,
      )
    await mustBeSigned(envelope, envelope.signed.roles.root, envelope.signed.keys, `root ${version}`)
    if (before && before.signed.consistentSnapshot !== envelope.signed.consistentSnapshot)
      throw new GateError(
        'consistent-snapshot',
        `root ${version} turns consistent_snapshot ${envelope.signed.consistentSnapshot ? 'on' : 'off'}: files of clients in mid-run would change their names.`,
      )
    taken.push({ version, sha256: await sha256Hex(envelope.bytes), expiresMs, envelope })
    before = envelope
  }
  // Only the last root's date counts (TUF 1.0.34, 5.3.10).
  const last = taken.at(-1)
  if (last) mustBeCurrent('root', last.envelope.signed, options)
  return taken
}

/** With a threshold of one, and ours among the keys, what is signed here is enough, and what others sign does no harm. */
function mustNameOnlineKeys(root: Root, { online }: GateOptions): void {
  if (!online) return
  for (const role of ['snapshot', 'timestamp'] as const) {
    const { keyids, threshold } = root.roles[role]
    if (threshold !== 1 || !keyids.includes(online[role]) || root.keys.get(online[role])?.identity === undefined)
      throw new GateError(
        'online-keys',
        `root ${root.version} must name the key ${online[role]} for ${role} with threshold 1: it is signed here.`,
      )
  }
}

async function newRoles(
  batch: readonly (SignedFile | ReadFile)[],
  held: Held,
  options: GateOptions,
): Promise<Map<string, AdmittedRole>> {
  const taken = new Map<string, AdmittedRole>()
  const seen = new Set<string>()
  for (const given of batch) {
    const { role } = given
    if (role === 'root') continue
    if (seen.has(role)) throw new GateError('two-contents', `The batch holds "${role}" twice.`)
    seen.add(role)
    // Not what was read: ten thousand files read are ten times their bytes, and each is looked at twice.
    const file = 'sha256' in given ? given : await readRole(given)
    const { version, sha256 } = file
    const known = held.roles.get(role)
    if (known && version < known.version)
      throw new GateError('rollback', `"${role}" has version ${version}, and version ${known.version} was published.`)
    if (known?.version === version) {
      if (known.sha256 === sha256) continue
      throw new GateError('two-contents', `"${role}" ${version} was published with other bytes: give it a new version.`)
    }
    mustBeCurrent(`"${role}"`, file, options)
    taken.set(role, file)
  }
  return taken
}

/** What a root says by itself, whoever signed it. @throws {GateError} */
export function readRoot(bytes: Uint8Array): Envelope<Root> {
  mustFit('root', bytes, LIMITS.rootBytes)
  return readable(() => parseRoot(bytes))
}

/**
 * What a file says by itself, whoever signed it.
 *
 * @throws {GateError}
 */
export async function readRole({ role, bytes }: SignedFile): Promise<ReadFile> {
  mustBeRole(role)
  mustFit(`"${role}"`, bytes, LIMITS.targetsBytes)
  const { signed } = readable(() => parseTargets(bytes))
  const { version, expiresMs, delegations, targets } = signed
  for (const [path, file] of targets)
    if (bucketDigest(file) === undefined)
      throw new GateError(
        'digest',
        `"${path}" of "${role}" has neither a sha256 nor a sha512 in lower-case hex: nobody could check it here.`,
      )
  const sha256 = await sha256Hex(bytes)
  return { role, version, sha256, length: bytes.length, expiresMs, delegates: delegations !== undefined, bytes }
}

/** The tree of delegations as it would be after the batch. */
class Tree {
  readonly #root: Envelope<Root>
  readonly #batch: ReadonlyMap<string, AdmittedRole>
  readonly #held: Held
  readonly #voices: Voices | undefined
  readonly #loaded = new Map<string, Promise<Envelope<Targets>>>()
  /** Roles above the one that is looked at, and roles whose whole sub-tree was looked at. */
  readonly #above = new Set<string>()
  readonly #done = new Set<string>()

  constructor(root: Envelope<Root>, batch: ReadonlyMap<string, AdmittedRole>, held: Held, voices: Voices | undefined) {
    this.#root = root
    this.#batch = batch
    this.#held = held
    this.#voices = voices
  }

  async check(newRoot: boolean): Promise<void> {
    this.#mustExist('targets', 'root')
    if (!this.#root.signed.consistentSnapshot)
      for (const role of this.#batch.keys())
        if (/^\d+\.root$/.test(role))
          throw new GateError(
            'name',
            `"${role}" would be taken for a root: without consistent snapshots both are ${role}.json.`,
          )
    if (newRoot || this.#batch.has('targets')) {
      const { roles, keys, version } = this.#root.signed
      await this.#mustBeSigned('targets', roles.targets, keys, `"targets", as root ${version} asks,`)
    }
    await this.#descend('targets')
    for (const role of this.#batch.keys())
      if (!this.#done.has(role)) throw new GateError('unreachable', `"${role}" is delegated to by no role.`)
  }

  /** Everything below `delegator`, depth first. */
  async #descend(delegator: string): Promise<void> {
    this.#done.add(delegator)
    if (!this.#delegates(delegator)) return
    this.#above.add(delegator)
    const delegations = (await this.#file(delegator)).signed.delegations!
    const before = await this.#delegationsBefore(delegator)
    for (const child of childrenOf(delegations)) {
      if (this.#above.has(child))
        throw new GateError('cycle', `"${delegator}" delegates to "${child}", which is above it.`)
      this.#mustExist(child, delegator)
      const keys = keysOfRole(delegations, child)!
      if (this.#batch.has(child) || !sameKeys(keys, delegations, before && keysOfRole(before, child), before))
        await this.#mustBeSigned(child, keys, delegations.keys, `"${child}", as "${delegator}" asks,`)
      if (!this.#done.has(child)) await this.#descend(child)
    }
    this.#above.delete(delegator)
  }

  async #mustBeSigned(name: string, role: RoleKeys, keys: Delegations['keys'], what: string): Promise<void> {
    const sha256 = (this.#batch.get(name) ?? this.#held.roles.get(name))!.sha256
    const before = this.#voices?.of(sha256) ?? []
    const asked = new Set(role.keyids.map((keyid) => keys.get(keyid)?.identity))
    if (before.filter((identity) => asked.has(identity)).length >= role.threshold) return
    const file = await this.#file(name)
    const voices = await mustBeSigned(file, role, keys, what)
    this.#voices?.add(sha256, new Set([...before, ...voices]), file.bytes.length)
  }

  #delegates(role: string): boolean {
    return this.#batch.get(role)?.delegates ?? this.#held.roles.get(role)?.delegates ?? false
  }

  #mustExist(role: string, delegator: string): void {
    if (!this.#batch.has(role) && !this.#held.roles.has(role))
      throw new GateError(
        'incomplete',
        `"${delegator}" delegates to "${role}", which has no file: add it to the batch.`,
      )
  }

  #file(role: string): Promise<Envelope<Targets>> {
    const given = this.#batch.get(role)
    const bytes = async () => given?.bytes ?? this.#held.load(role)
    const loading = this.#loaded.get(role) ?? bytes().then((found) => parseTargets(found))
    // Leaves are looked at once; keeping ten thousand of them would be the whole repository in memory.
    if (this.#delegates(role)) this.#loaded.set(role, loading)
    return loading
  }

  /** What the held file of a delegator says; of one that is not in the batch, what it goes on saying. */
  async #delegationsBefore(delegator: string): Promise<Delegations | undefined> {
    if (!this.#held.roles.get(delegator)?.delegates) return undefined
    if (!this.#batch.has(delegator)) return (await this.#file(delegator)).signed.delegations
    return parseTargets(await this.#held.load(delegator)).signed.delegations
  }
}

/** The names that a file delegates to; of succinct roles, all of them. */
export function* childrenOf({ roles, succinct }: Delegations): Iterable<string> {
  for (const { name } of roles ?? []) yield name
  if (!succinct) return
  const digits = Math.ceil(succinct.bitLength / 4)
  if (succinct.bitLength > SUCCINCT_BITS_MAX)
    throw new GateError('size', `2^${succinct.bitLength} succinct roles are more than are served: at most 2^14.`)
  for (let bin = 0; bin < 2 ** succinct.bitLength; bin++) yield binName(succinct.namePrefix, bin, digits)
}

/** PEP 458's own case, 16,384 bins; their names alone make a snapshot of two megabytes, which is what clients read. */
const SUCCINCT_BITS_MAX = 14

/** Whether what was checked under the old keys holds under the new ones without being looked at. */
export function sameKeys(
  keys: RoleKeys,
  now: Delegations,
  then: RoleKeys | undefined,
  before: Delegations | undefined,
): boolean {
  if (!then || !before || then.threshold !== keys.threshold || then.keyids.length !== keys.keyids.length) return false
  return keys.keyids.every(
    (keyid) => then.keyids.includes(keyid) && now.keys.get(keyid)?.identity === before.keys.get(keyid)?.identity,
  )
}

async function mustBeSigned(
  envelope: Envelope<Root> | Envelope<Targets>,
  role: RoleKeys,
  keys: Delegations['keys'],
  what: string,
): Promise<ReadonlySet<string>> {
  try {
    return await verifyRole(envelope, role, keys, what)
  } catch (error) {
    if (error instanceof SignatureError) throw new GateError('threshold', error.message)
    throw error
  }
}

function mustBeCurrent(what: string, { expiresMs }: Pick<Common, 'expiresMs'>, { now, expiredToo }: GateOptions): void {
  if (expiresMs <= now && !expiredToo)
    throw new GateError('expired', `${what} expired at ${formatDate(expiresMs)}: sign it with a later date.`)
}

function mustFit(what: string, bytes: Uint8Array, max: number): void {
  if (bytes.length > max)
    throw new GateError('size', `${what} has ${bytes.length} bytes, and clients read at most ${max}.`)
}

/** What a file lies under in the bucket: its sha256, or its sha512 if it has no other. */
export function bucketDigest({ hashes }: TargetFile): string | undefined {
  const [sha256, sha512] = [hashes.get('sha256'), hashes.get('sha512')]
  if (sha256 !== undefined) return /^[0-9a-f]{64}$/.test(sha256) ? sha256 : undefined
  return sha512 !== undefined && /^[0-9a-f]{128}$/.test(sha512) ? sha512 : undefined
}

function mustBeRole(role: string): void {
  if (role === 'snapshot' || role === 'timestamp')
    throw new GateError('name', `"${role}" is signed here: leave it out of the batch.`)
  if (role === '' || !role.isWellFormed() || encodeURIComponent(role).length > NAME_CHARS_MAX)
    throw new GateError('name', `A role's name has between 1 and ${NAME_CHARS_MAX} percent-encoded characters.`)
}

function readable<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof TufError) throw new GateError('format', error.message)
    throw error
  }
}
