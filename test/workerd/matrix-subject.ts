// A repository under attack: its publisher works on a MemoryBucket, on a clock that tests move, and every transaction of
// it can be struck from outside. All of that is put around each incarnation of the object before its first call, so the
// product has no hook for it and a restart changes nothing.
import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { type CeremonyInput, holdCeremony, makeOfflineKey } from '../../cli/ceremony.ts'
import { journalHash } from '../../durable-objects/ledger/journal.ts'
import { Publisher } from '../../durable-objects/publisher.ts'
import type { Freshness, Status } from '../../durable-objects/rpc.ts'
import type { HandedOver } from '../../durable-objects/rpc-adopt.ts'
import type { Place } from '../../tuf/layout.ts'
import { bucketPrefix } from '../../tuf/layout.ts'
import { MemoryBucket } from './matrix-bucket.ts'
import { keepLedger, returnLedger } from './matrix-return.ts'
import { type Change, type Moment, substitute, watched } from './matrix-watch.ts'
import { memoryStore, newReader, type Reader } from './reading.ts'
import { bindings } from './repository.ts'

export const HOUR = 3_600_000
const DAY = 24 * HOUR
/** Real alarms would fire in the middle of a test: this clock is so far ahead that none of them does. */
const AHEAD = 1_000 * DAY

const subjects = new Map<string, Subject>()
const attached = new WeakSet<Publisher>()
let count = 0

export class Subject {
  readonly name = `m${Date.now().toString(36)}-${count++}`
  readonly place: Place = { repository: this.name, epoch: 1 }
  bucket = new MemoryBucket()
  readonly freshness: Freshness
  root = new Uint8Array()
  token = ''
  #ceremony: CeremonyInput | undefined
  /** Milliseconds by which the publisher's clock differs from this machine's. */
  offset = AHEAD
  /** Called for every transaction, twice. Throw to make it fail. */
  onTransaction: ((change: Change, moment: Moment) => void) | undefined
  /** State of the present incarnation; to be used inside its own calls only. */
  state: DurableObjectState | undefined

  private constructor(freshness: Freshness) {
    this.freshness = freshness
  }

  static async create(freshness: Freshness): Promise<Subject> {
    const subject = new Subject(freshness)
    subjects.set(subject.name, subject)
    const online = await subject.stub.createKeys(subject.name, false)
    if (!online.ok) throw new Error(online.message)
    const offline = {
      root: [await makeOfflineKey()],
      targets: [await makeOfflineKey()],
      bins: [await makeOfflineKey()],
    }
    subject.#ceremony = {
      online: { repositoryId: online.repositoryId, keys: [...online.keys] },
      offline,
      thresholds: { root: 1, targets: 1, bins: 1 },
      expiresMs: subject.now() + 3 * 365 * DAY,
      development: true,
    }
    const { root, targets, bins } = await holdCeremony(subject.#ceremony)
    const done = await subject.stub.initialise({ repository: subject.name, roots: [root], targets, bins, freshness })
    if (!done.ok) throw new Error(done.message)
    subject.root = root as Uint8Array<ArrayBuffer>
    const minted = await subject.stub.mint(
      {
        repository: subject.name,
        name: 'test',
        scopes: ['upload', 'create', 'yank', 'delete', 'admin'],
        expires: Math.floor(subject.now() / 1000) + (4 * 365 * DAY) / 1000,
      },
      { bootstrap: '0'.repeat(64) },
    )
    if (!minted.ok) throw new Error(minted.message)
    subject.token = minted.token
    return subject
  }

  /** What people sign next: new keys for targets and bins, and a root that names them, signed by the root's key. */
  async nextCeremony(version: number): Promise<HandedOver[]> {
    const offline = { ...this.#ceremony!.offline, targets: [await makeOfflineKey()], bins: [await makeOfflineKey()] }
    const files = await holdCeremony({ ...this.#ceremony!, offline, version })
    return (['root', 'targets', 'bins'] as const).map((role) => ({ role, bytes: files[role] }))
  }

  /** A new one each time: a stub whose object was reset is dead. */
  get stub() {
    return bindings.PUBLISHER.getByName(this.name)
  }

  readonly now = (): number => {
    const now = Date.now() + this.offset
    this.#latest = Math.max(this.#latest, now)
    return now
  }
  /** The latest time the publisher has ever seen: alarms set then stand, also when the clock goes back. */
  #latest = 0

  /** A client; with a store it goes on from what that store trusts. */
  reader(store = memoryStore(), now: () => number = this.now): Promise<Reader> {
    return newReader(this, { store, now, bucket: this.bucket.binding() })
  }

  async status(): Promise<Status> {
    return survived(async () => ({ ...(await this.stub.status()) }) as Status)
  }

  /** Fires the alarm, if one is set. */
  alarm(): Promise<boolean> {
    return runDurableObjectAlarm(this.stub)
  }

  /** Whatever waits has an alarm within the longest back-off, a minute; and there is always one. */
  async alarmFault(): Promise<string | undefined> {
    const [alarm, waiting] = await this.#inside(async ({ storage }) => [
      await storage.getAlarm(),
      storage.sql
        .exec("SELECT 1 FROM queue WHERE publication IS NULL UNION SELECT 1 FROM publications WHERE state = 'open'")
        .toArray().length > 0,
    ])
    if (alarm === null) return 'no alarm is set'
    this.now()
    const late = (alarm as number) - this.#latest - 61_000
    return waiting && late > 0 ? `something waits, and the alarm comes ${late} ms too late` : undefined
  }

  rows<T extends Record<string, SqlStorageValue>>(query: string): Promise<T[]> {
    return this.#inside((state) => state.storage.sql.exec<T>(query).toArray())
  }

  #inside<T>(look: (state: DurableObjectState) => T | Promise<T>): Promise<T> {
    return survived(() => runInDurableObject(this.stub, (_: Publisher, state) => look(state)))
  }

  /** The publisher's object dies, as in a crash: whoever waits for it gets an error. */
  async crash(): Promise<void> {
    await runInDurableObject(this.stub, (_: Publisher, state) => state.abort('injected crash')).catch(() => {})
  }

  /** @returns what brings ledger, bucket and clock back to this moment, under a new incarnation of the object */
  async keep(): Promise<() => Promise<void>> {
    const bucket = this.bucket.copy()
    const now = this.now()
    const alarm = await this.#inside(keepLedger)
    return async () => {
      await this.crash()
      await this.#inside((state) => returnLedger(state, alarm))
      await this.crash()
      this.bucket = bucket.copy()
      this.offset = now - Date.now()
      this.#latest = now
    }
  }

  /** What must hold of ledger and bucket whenever nothing is under way. */
  async audit(): Promise<string[]> {
    const faults = [...this.bucket.violations]
    const journal = await this.rows<{ seq: number; time: number; event: string; hash: string }>(
      'SELECT * FROM journal ORDER BY seq',
    )
    let previous = '0'.repeat(64)
    for (const [index, { seq, time, event, hash }] of journal.entries()) {
      if (seq !== index + 1 || journalHash(previous, seq, time, event) !== hash)
        faults.push(`journal row ${seq} is broken`)
      previous = hash
    }
    const signed = new Map<string, string>()
    for (const { event } of journal) {
      const { event: kind, role, version, sha256 } = JSON.parse(event) as Record<string, string>
      if (kind !== 'signed') continue
      const name = `${version}.${role}`
      if (signed.has(name)) faults.push(`${name} was signed twice`)
      signed.set(name, sha256!)
      const held = this.bucket.objects.get(`${bucketPrefix(this.place)}tuf/${name}.json`)
      if (held && held.sha256 !== sha256) faults.push(`${name} in the bucket is not what was signed`)
    }
    const [open] = await this.rows<{ n: number }>("SELECT count(*) AS n FROM publications WHERE state = 'open'")
    if (open!.n > 1) faults.push(`${open!.n} publications are open`)
    return faults
  }
}

/** A crash may come at any write, and so under a look; the ledger outlives it, and is looked at again. */
async function survived<T>(look: () => Promise<T>): Promise<T> {
  try {
    return await look()
  } catch (error) {
    if (!(error as { durableObjectReset?: boolean }).durableObjectReset) throw error
    return look()
  }
}

/** Pauses of the product between two tries; there is no other timer of these lengths. */
const PAUSES = new Set([100, 200, 400, 1_000])

const setTimer = globalThis.setTimeout
globalThis.setTimeout = ((run: () => void, ms?: number) =>
  setTimer(run, PAUSES.has(ms ?? 0) ? 0 : ms)) as typeof globalThis.setTimeout

const methods = Publisher.prototype as unknown as Record<string, (...args: unknown[]) => unknown>
for (const method of [
  'createKeys',
  'initialise',
  'mint',
  'begin',
  'stage',
  'whenVisible',
  'yank',
  'push',
  'remove',
  'setStatus',
  'refresh',
  'alarm',
]) {
  const original = methods[method]!
  methods[method] = function (this: Publisher, ...args: unknown[]) {
    attach(this)
    return original.apply(this, args)
  }
}

/** Puts bucket, clock and transactions of the subject around this incarnation. */
function attach(publisher: Publisher): void {
  const inside = publisher as unknown as { ctx: DurableObjectState; env: Record<string, unknown> }
  const state = inside.ctx
  const subject = subjects.get(state.id.name ?? '')
  if (!subject || attached.has(publisher)) return
  attached.add(publisher)
  subject.state = state
  publisher.clock = subject.now
  inside.env = { ...inside.env, BUCKET: subject.bucket.binding(() => state.storage.sync()) }
  const watch = watched(state.storage, (change, moment) => subject.onTransaction?.(change, moment))
  // Telling transactions apart costs fourteen queries each.
  const transactionSync = <T>(closure: () => T): T =>
    subject.onTransaction ? watch(closure) : state.storage.transactionSync(closure)
  const storage = substitute(state.storage, { transactionSync })
  inside.ctx = substitute(state, { storage })
}
