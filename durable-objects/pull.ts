// Origin pull: on a schedule, new metadata from the place where the owner publishes it, through the same gate as a push.
// State: the facts `pull` (the setting), `pullAt` (when next) and `pulled` (how the last one ended).
//
// Invariants: a pull changes nothing but by a batch that passed the gate; one that failed is tried again at its time, and
// is said in status and warnings until one succeeds. The next time is set before the first request, so a crash cannot loop.
//
// Which versions there are is a hint, and any source of it will do, because the gate judges every file by its signatures:
// - while the owner's own timestamp is not past its date, what its snapshot lists, unverified (its keys are in no root now);
// - else by asking for the next number of every role, then the one after it, until there is none: numbers that were skipped
//   are not found, and a role costs a request a pull.
// Whoever controls the origin can withhold, as with any hint; it cannot make us take what the owner did not sign.
// Cost: three requests a pull (root, timestamp, snapshot) and one a changed role; by numbers, one a role and three.

import { sha256Hex } from '../tuf/digest.ts'
import { childrenOf, type Held, type SignedFile } from '../tuf/gate.ts'
import { LIMITS } from '../tuf/limits.ts'
import type { MetaFile } from '../tuf/meta-file.ts'
import { parseSnapshot, parseTargets, parseTimestamp } from '../tuf/metadata.ts'
import { takeBatch } from './adopt.ts'
import { heldNow, type Taken } from './handed-over.ts'
import { clearFact, getFact, setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import { nextPull, pullSetting, pullState } from './ledger/pulls.ts'
import { permitted } from './operator.ts'
import type { Context } from './publication/context.ts'
import { complaintOfSource, Source, SourceError } from './pull-source.ts'
import { type Done, type Refused, refused } from './rpc.ts'
import type { PullRequest, PullSetting, PullState } from './rpc-adopt.ts'

const EVERY_MIN_S = 60
const EVERY_MAX_S = 7 * 86_400
/** Numbers after the held one that are asked for, one by one. */
const PROBES_MAX = 16

/** Sets or ends it; the first pull is due at once. */
export function setPull(ctx: Context, { token, pull }: PullRequest): Done {
  const { sql, storage, now } = ctx
  return storage.transactionSync(() => {
    const bearer = permitted(ctx, token, ['admin'])
    if ('ok' in bearer) return bearer
    if (getFact(sql, 'kind') !== 'adopted')
      return refused('invalid', 400, 'Only a repository that is signed elsewhere can be pulled.')
    const wrong = pull && complaintOfSource(pull.url, pull.privateAddresses === true)
    if (wrong) return refused('invalid', 400, wrong)
    if (
      pull &&
      !(Number.isInteger(pull.everySeconds) && pull.everySeconds >= EVERY_MIN_S && pull.everySeconds <= EVERY_MAX_S)
    )
      return refused('invalid', 400, `everySeconds is between ${EVERY_MIN_S} and ${EVERY_MAX_S}.`)
    clearFact(sql, 'pulled')
    if (pull) {
      setFact(sql, 'pull', JSON.stringify(pull))
      setFact(sql, 'pullAt', now())
    } else for (const fact of ['pull', 'pullAt'] as const) clearFact(sql, fact)
    appendJournal(sql, now(), {
      event: 'pull',
      url: pull?.url ?? null,
      everySeconds: pull?.everySeconds ?? null,
      token: bearer.id,
    })
    return { ok: true }
  })
}

/** Whether it is this one's turn; if so the next is set. */
export function beginPull({ sql, now }: Context): PullSetting | undefined {
  const setting = pullSetting(sql)
  const at = nextPull(sql)
  const time = now()
  // A time further off than it can have been set was set by a clock that ran ahead.
  if (!setting || at === undefined || (at > time && at <= time + setting.everySeconds * 1000)) return undefined
  setFact(sql, 'pullAt', time + setting.everySeconds * 1000)
  return setting
}

/**
 * Fetches what is new and hands it to the gate.
 *
 * @param alone runs what compares with the ledger where no pass does
 */
export async function pull(
  ctx: Context,
  setting: PullSetting,
  alone: (work: () => Promise<Taken | Refused>) => Promise<Taken | Refused>,
  arm: () => void,
): Promise<Taken | Refused> {
  const result = await fetchAndTake(ctx, setting, alone, arm)
  note(ctx, setting, result)
  return result.taken
}

interface Pulled {
  taken: Taken | Refused
  disagreement?: string
}

async function fetchAndTake(
  ctx: Context,
  { url }: PullSetting,
  alone: Parameters<typeof pull>[2],
  arm: () => void,
): Promise<Pulled> {
  try {
    const { files, disagreement } = await new Origin(new Source(url, ctx.now), heldNow(ctx), ctx.now()).whatIsNew()
    const nothing: Taken = { ok: true, accepted: [], held: [], warnings: [] }
    const by = { event: 'pulled', may: () => ({ id: 'origin' }) }
    const taken = files.length === 0 ? nothing : await alone(() => takeBatch(ctx, files, by, arm))
    return { taken, ...(disagreement === undefined ? {} : { disagreement }) }
  } catch (error) {
    if (error instanceof SourceError) return { taken: refused('unavailable', 503, error.message) }
    throw error
  }
}

/** A row of the journal for what is new, not for every try. */
function note(ctx: Context, setting: PullSetting, { taken, disagreement }: Pulled): void {
  const { sql, storage, now } = ctx
  storage.transactionSync(() => {
    // It may have been ended meanwhile, or point elsewhere.
    if (getFact(sql, 'pull') !== JSON.stringify(setting)) return
    const before = pullState(sql)
    const trouble = taken.ok ? disagreement : taken.message
    const since = trouble !== undefined && before?.trouble === trouble ? before.since! : now()
    const state: PullState = { at: now(), ...(trouble === undefined ? {} : { trouble, since }) }
    setFact(sql, 'pulled', JSON.stringify(state))
    if (trouble !== undefined && before?.trouble !== trouble)
      appendJournal(sql, now(), { event: taken.ok ? 'origin-differs' : 'pull-refused', reason: trouble })
  })
}

/** What the place has and the ledger does not. */
class Origin {
  readonly #source: Source
  readonly #held: Held
  readonly #now: number
  readonly #files: SignedFile[] = []
  #disagreement: string | undefined

  constructor(source: Source, held: Held, now: number) {
    this.#source = source
    this.#held = held
    this.#now = now
  }

  async whatIsNew(): Promise<{ files: SignedFile[]; disagreement?: string }> {
    await this.#roots()
    const listed = await this.#listed()
    const seen = new Set(['targets', ...this.#held.roles.keys()])
    for (const role of seen) {
      const bytes = await this.#newest(role, listed)
      if (!bytes) continue
      this.#files.push({ role, bytes })
      for (const child of childrenIn(bytes)) seen.add(child)
    }
    return { files: this.#files, ...(this.#disagreement === undefined ? {} : { disagreement: this.#disagreement }) }
  }

  async #roots(): Promise<void> {
    const { version } = this.#held.root!.signed
    const same = await this.#source.file(`${version}.root.json`, LIMITS.rootBytes)
    if (same && (await sha256Hex(same)) !== (await sha256Hex(this.#held.root!.bytes)))
      this.#differs(`root ${version} has other bytes there`)
    for (let next = version + 1; next <= version + LIMITS.rootRotations; next++) {
      const bytes = await this.#source.file(`${next}.root.json`, LIMITS.rootBytes)
      if (!bytes) return
      this.#files.push({ role: 'root', bytes })
    }
  }

  /** What the owner's snapshot says, while its timestamp is kept up; undefined: it is not, and says nothing. */
  async #listed(): Promise<ReadonlyMap<string, MetaFile> | undefined> {
    const timestamp = await this.#source.file('timestamp.json', LIMITS.timestampBytes)
    try {
      const { expiresMs, snapshot } = parseTimestamp(timestamp!).signed
      if (expiresMs <= this.#now) return undefined
      const name = this.#consistent ? `${snapshot.version}.snapshot.json` : 'snapshot.json'
      const bytes = await this.#source.file(name, LIMITS.snapshotBytes)
      return parseSnapshot(bytes!).signed.meta
    } catch (error) {
      if (error instanceof SourceError) throw error
      return undefined
    }
  }

  async #newest(role: string, listed: ReadonlyMap<string, MetaFile> | undefined): Promise<Uint8Array | undefined> {
    const known = this.#held.roles.get(role)
    if (listed) {
      const there = listed.get(role)
      if (!there) return undefined
      this.#compare(role, there)
      if (known && there.version <= known.version) return undefined
      return this.#source.file(this.#consistent ? `${there.version}.${role}.json` : `${role}.json`, LIMITS.targetsBytes)
    }
    if (!this.#consistent) return this.#changed(role)
    let newest: Uint8Array | undefined
    const first = (known?.version ?? 0) + 1
    for (let version = first; version < first + PROBES_MAX; version++) {
      const bytes = await this.#source.file(`${version}.${role}.json`, LIMITS.targetsBytes)
      if (!bytes) return newest
      newest = bytes
    }
    return newest
  }

  async #changed(role: string): Promise<Uint8Array | undefined> {
    const bytes = await this.#source.file(`${role}.json`, LIMITS.targetsBytes)
    return bytes && (await sha256Hex(bytes)) !== this.#held.roles.get(role)?.sha256 ? bytes : undefined
  }

  #compare(role: string, there: MetaFile): void {
    const known = this.#held.roles.get(role)
    const sha256 = there.hashes?.get('sha256')
    if (known && there.version < known.version)
      this.#differs(`"${role}" is ${there.version} there and ${known.version} here`)
    else if (known && there.version === known.version && sha256 !== undefined && sha256 !== known.sha256)
      this.#differs(`"${role}" ${known.version} has other bytes there`)
  }

  /** The first is enough: it has to be looked into anyway. */
  #differs(what: string): void {
    this.#disagreement ??= `Origin and edge disagree: ${what}.`
  }

  get #consistent(): boolean {
    return this.#held.root!.signed.consistentSnapshot
  }
}

/** Whom a file delegates to; one that is no file of targets, nobody: the gate will say what it is. */
function childrenIn(bytes: Uint8Array): string[] {
  try {
    const { delegations } = parseTargets(bytes).signed
    return delegations ? [...childrenOf(delegations)] : []
  } catch {
    return []
  }
}
