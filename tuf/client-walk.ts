// The last look before a batch goes out: the verifying client goes through the repository as it is going to be. The gate
// asks whether each file may follow what was held; here the question is whether somebody who knows only the rules of the
// client arrives, new and with the state before. No I/O of its own. State: what the client keeps, in memory.
//
// What is asked for, beside root, timestamp, snapshot and targets: every role of the batch, from each of its delegators;
// the roles that delegate, on the way there; and held files that a delegator names now and did not before. A held leaf
// under the same keys is what it was, byte for byte, and was walked to when it came.
// Where what stays has expired nobody arrives, before the batch or after it: that is not the batch's fault, and an owner
// has to be able to mend one role after the other.
// Cost: the files of the batch and the roles that delegate, each read and verified once more; a snapshot read twice.
import { Client, roleFile, type Store } from './client.ts'
import { keysOfRole } from './delegations.ts'
import { LimitError, TufError } from './errors.ts'
import { type AdmittedRole, childrenOf, GateError, type Held } from './gate.ts'
import { LIMITS } from './limits.ts'
import { parseTargets, type Targets } from './targets.ts'
import type { Transport } from './transport.ts'
import type { TrustedSet } from './trusted.ts'

/** What clients are answered at some moment. */
export interface Present {
  /** By version; those that are public. */
  readonly roots: ReadonlyMap<number, Uint8Array>
  readonly timestamp: Uint8Array
  readonly snapshot: Uint8Array
  readonly consistentSnapshot: boolean
  /** The newest file of `targets` or a delegated role. */
  load(role: string): Promise<Uint8Array | undefined>
}

/** Of a batch that is larger than a call: which leaves a client took from which delegators, by the digests of both files. */
export interface Walked {
  has(child: string, delegator: string): boolean
  /** To be kept. What it throws ends the walk. */
  add(child: string, delegator: string, length: number): void
}

/** Targets of the batch that are looked for as clients look: a search reads up to 32 roles and all that they delegate. */
const LOOK_UPS_MAX = 32
/** Not an address: nothing of this leaves the process. */
const URL_BASE = 'after:/'

/** A client's state, which lives as long as the walk. */
export class Kept implements Store {
  readonly #files: Map<string, Uint8Array>

  /** @param files by role */
  constructor(files: Readonly<Record<string, Uint8Array>>) {
    this.#files = new Map(Object.entries(files).map(([role, bytes]) => [roleFile(role), bytes]))
  }

  async get(file: string): Promise<Uint8Array | undefined> {
    return this.#files.get(file)
  }

  async put(file: string, bytes: Uint8Array): Promise<void> {
    // Roles are many, and nothing of the walk asks for them a second time.
    if (TOP_LEVEL_FILES.has(file)) this.#files.set(file, bytes)
  }
}

const TOP_LEVEL_FILES = new Set(['root', 'timestamp', 'snapshot', 'targets'].map(roleFile))

/**
 * One client's refresh.
 *
 * @param runs refreshes that it may take: one takes 256 roots
 * @throws {GateError} `client`, with what the client said
 */
export async function refreshAsClient(kept: Kept, present: Present, now: number, who: string, runs = 1) {
  const targets = await present.load('targets')
  const isStale = targets === undefined || parseTargets(targets).signed.expiresMs <= now
  const options = { store: kept, transport: transportOf(present), metadataUrl: URL_BASE, targetsUrl: URL_BASE }
  for (let run = 1; ; run++) {
    const client = new Client({ ...options, now: () => (isStale ? 0 : now) })
    try {
      await client.refresh()
      return client
    } catch (error) {
      if (!(error instanceof TufError)) throw error
      if (run >= runs) throw new GateError('client', `${who} would not follow: ${error.message}`)
    }
  }
}

/**
 * From a client that is up to date, every role as said above.
 *
 * @param changed what is new of roles
 * @param walked what is remembered of calls before; left out: all is walked in this one
 * @throws {GateError} `client`
 */
export async function walkRoles(
  client: Client,
  present: Present,
  changed: ReadonlyMap<string, AdmittedRole>,
  held: Held,
  walked?: Walked,
): Promise<void> {
  const set = client.trusted!
  const digestOf = (role: string) => (changed.get(role) ?? held.roles.get(role))?.sha256 ?? ''
  const delegates = (role: string) => changed.get(role)?.delegates ?? held.roles.get(role)?.delegates ?? false
  const depths = new Map([['targets', 0]])
  /** Role → one of its targets. */
  const paths = new Map<string, string>()
  const note = (role: string) => {
    const [path] = set.targets(role)!.signed.targets.keys()
    if (path !== undefined && changed.has(role)) paths.set(role, path)
  }
  note('targets')
  for (const [delegator, depth] of depths) {
    const delegations = set.targets(delegator)?.signed.delegations
    if (!delegations) continue
    const before = await delegationsBefore(delegator, changed, held)
    for (const child of childrenOf(delegations)) {
      const isNamedFirst = changed.has(delegator) && !(before && keysOfRole(before, child))
      if (!changed.has(child) && !isNamedFirst && !delegates(child)) continue
      if (!delegates(child) && walked?.has(digestOf(child), digestOf(delegator))) continue
      const bytes = await present.load(child)
      if (!bytes)
        throw new GateError('client', `A client would not find "${child}", which "${delegator}" delegates to.`)
      if (!changed.has(child) && !isNamedFirst && isOver(bytes, set.now)) continue
      if (depth + 1 >= LIMITS.delegations)
        throw new GateError(
          'client',
          `"${child}" is below ${depth + 1} other roles, and clients search ${LIMITS.delegations}.`,
        )
      await take(set, bytes, child, delegator)
      note(child)
      if (delegates(child)) {
        if (!depths.has(child)) depths.set(child, depth + 1)
        continue
      }
      set.forget(child)
      walked?.add(digestOf(child), digestOf(delegator), bytes.length)
    }
  }
  await lookUp(client, paths)
}

async function take(set: TrustedSet, bytes: Uint8Array, role: string, delegator: string): Promise<void> {
  try {
    if (!(await set.delegated(role, delegator))) await set.updateDelegated(bytes, role, delegator)
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    throw new GateError('client', `A client would not take "${role}" from "${delegator}": ${error.message}`)
  }
}

/** One target of each new file, of as many as there is time for, evenly. */
async function lookUp(client: Client, paths: ReadonlyMap<string, string>): Promise<void> {
  const every = Math.max(1, Math.ceil(paths.size / LOOK_UPS_MAX))
  for (const [at, [role, path]] of [...paths].entries()) {
    if (at % every !== 0) continue
    try {
      await client.targetInfo(path)
    } catch (error) {
      // Any other error is of a file that stays, or was found above.
      if (error instanceof LimitError)
        throw new GateError('client', `A client would not find "${path}" of "${role}": ${error.message}`)
      if (!(error instanceof TufError)) throw error
    }
  }
}

async function delegationsBefore(
  delegator: string,
  changed: ReadonlyMap<string, AdmittedRole>,
  held: Held,
): Promise<Targets['delegations']> {
  if (!changed.has(delegator) || !held.roles.get(delegator)?.delegates) return undefined
  return parseTargets(await held.load(delegator)).signed.delegations
}

const isOver = (bytes: Uint8Array, now: number): boolean => parseTargets(bytes).signed.expiresMs <= now

/** As the face answers (workers/adopted.ts). */
function transportOf(present: Present): Transport {
  return {
    async fetch(url) {
      const found = await answer(present, decodeURIComponent(url.slice(URL_BASE.length)))
      return { status: found ? 200 : 404, body: new Blob(found ? [found as Uint8Array<ArrayBuffer>] : []).stream() }
    },
  }
}

async function answer(present: Present, name: string): Promise<Uint8Array | undefined> {
  if (name === 'timestamp.json') return present.timestamp
  const [, version, role] = /^([1-9]\d*)\.(.+)\.json$/s.exec(name) ?? []
  const root = role === 'root' ? present.roots.get(Number(version)) : undefined
  if (root) return root
  if (present.consistentSnapshot)
    return role === 'snapshot' ? present.snapshot : role === undefined ? undefined : present.load(role)
  const plain = name.slice(0, -'.json'.length)
  return plain === 'snapshot' ? present.snapshot : present.load(plain)
}
