// The flight: one pass at a time over one ledger, whatever calls for it, and who waits for it. State: the running pass,
// callers who wait for their queue row, and the context, which is disposable: after a failure it is dropped, and the next
// event starts from the ledger.
//
// Invariant: at most one pass or repair runs (`#running`).
import type { Accepted } from './accept.ts'
import { copyFiles } from './copy.ts'
import { Custody } from './custody.ts'
import { type Env, readSettings, type Settings } from './env.ts'
import { nextAlarm } from './freshness.ts'
import { clearFact, getFact, isInitialised, setFact } from './ledger/facts.ts'
import { findFile } from './ledger/files.ts'
import { appendJournal } from './ledger/journal.ts'
import { waitingCount } from './ledger/queue.ts'
import { type Context, Halt, RetryableFault } from './publication/context.ts'
import { runPass } from './publication/pass.ts'
import { handedBack } from './release.ts'
import { type BeginRequest, type Refused, refused, type StageAnswer } from './rpc.ts'
import { Waiters } from './waiters.ts'
import { deliverNotices, takeNotices } from './webhook.ts'

export class Flight {
  readonly #state: () => DurableObjectState
  readonly #env: () => Env
  readonly #clock: () => number
  readonly #settings: Settings
  readonly #waiters = new Waiters()
  #context: Context | undefined
  #running: Promise<void> | undefined
  #telling = false
  #copying = false

  /** All three are asked each time: tests put other ones under a running object. */
  constructor(state: () => DurableObjectState, env: () => Env, clock: () => number) {
    this.#state = state
    this.#env = env
    this.#clock = clock
    this.#settings = readSettings(env())
  }

  /** Drops what memory holds; the next event starts from the ledger. */
  forget(): void {
    this.#context = undefined
  }

  ctx(): Context {
    const { sql } = this.#state().storage
    this.#context ??= {
      sql,
      storage: this.#state().storage,
      bucket: this.#env().BUCKET,
      ...(this.#env().COPY ? { copy: this.#env().COPY } : {}),
      custody: new Custody(sql, this.#settings.wrappingSecret),
      place: { repository: getFact(sql, 'repository')!, epoch: getFact(sql, 'epoch')! },
      flipIntervalMs: this.#settings.flipIntervalMs,
      now: () => this.#clock(),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    }
    return this.#context
  }

  uninitialised(): Refused | undefined {
    if (isInitialised(this.#state().storage.sql)) return undefined
    return refused('unavailable', 503, 'This repository is not initialised yet: its ceremony has not been held.')
  }

  unready(): Refused | undefined {
    const uninitialised = this.uninitialised()
    if (uninitialised) return uninitialised
    if (getFact(this.#state().storage.sql, 'state') === 'released') return handedBack(this.#state().storage.sql)
    const halted = getFact(this.#state().storage.sql, 'halted')
    return halted === undefined ? undefined : refused('halted', 503, `halted: ${halted}`)
  }

  lastError(): string | undefined {
    return getFact(this.#state().storage.sql, 'lastError')
  }

  /** A change and its alarm in one transaction; the flight starts at once, the alarm is for a crash before it ends. */
  change<T extends Accepted>(change: () => T): T {
    const accepted = this.#state().storage.transactionSync(() => {
      const result = change()
      if (result.ok && result.seq !== undefined) this.arm()
      return result
    })
    if (accepted.ok && accepted.seq !== undefined) this.#state().waitUntil(this.pass())
    return accepted
  }

  async untilPublished({ project, filename, wait }: BeginRequest, accepted: Accepted): Promise<StageAnswer> {
    if (accepted.ok && wait === false) return { ok: true, visible: accepted.seq === undefined }
    const answer = await this.untilVisible(accepted)
    const row = answer.ok && findFile(this.#state().storage.sql, project, filename)
    if (row && row.state === 'quarantined')
      return refused('unavailable', 503, `${filename} was not published: ${row.reason}`)
    if (answer.ok && !row)
      return refused('unavailable', 503, `${filename} was taken back: the token that staged it was revoked.`)
    return answer
  }

  /** These changes are visible, or will never be. */
  announce(seqs: number[]): void {
    this.#waiters.announce(seqs)
  }

  async untilVisible(accepted: Accepted): Promise<StageAnswer> {
    if (!accepted.ok) return accepted
    const { seq } = accepted
    if (seq === undefined) return { ok: true, visible: true }
    return { ok: true, visible: await this.#waiters.wait(seq) }
  }

  /** Joins the running pass or starts one; what was staged during a pass is taken by its next round or by another. */
  async pass(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    await this.#running
    // A change may have arrived after the pass looked for the last time and before it ended.
    if (waitingCount(this.#state().storage.sql) > 0 && this.unready() === undefined && this.lastError() === undefined)
      await this.pass()
  }

  /** Copies what became live, beside everything else. */
  #copy(): void {
    if (this.#copying) return
    this.#copying = true
    const copy = async () => {
      try {
        await copyFiles(this.ctx())
      } finally {
        this.#copying = false
        this.arm()
      }
    }
    this.#state().waitUntil(copy())
  }

  /** Tells the webhook what is new, beside everything else: a receiver that hangs keeps nothing waiting. */
  tell(): void {
    if (getFact(this.#state().storage.sql, 'webhook') === undefined || this.#telling) return
    const ctx = this.ctx()
    takeNotices(ctx)
    this.#telling = true
    const tell = async () => {
      try {
        await deliverNotices(ctx)
      } finally {
        this.#telling = false
        this.arm()
      }
    }
    this.#state().waitUntil(tell())
  }

  /** Repairs run when no pass does, and no pass runs beside them. */
  async alone<T>(work: () => Promise<T | Refused>): Promise<T | Refused> {
    while (this.#running) await this.#running
    let release = () => {}
    this.#running = new Promise<void>((resolve) => {
      release = resolve
    })
    try {
      return await work()
    } catch (error) {
      if (error instanceof RetryableFault) return refused('unavailable', 503, error.message)
      throw error
    } finally {
      this.#running = undefined
      release()
    }
  }

  async #run(): Promise<void> {
    if (this.unready()) return
    const { sql } = this.#state().storage
    try {
      if (getFact(sql, 'wrappingCheck') !== (await this.ctx().custody.checkValue()))
        throw new Halt('WRAPPING_SECRET is not the one the online keys were wrapped with. Put the old one back.')
      await runPass(this.ctx(), (seqs) => this.#waiters.announce(seqs))
      if (getFact(sql, 'lastError') !== undefined) {
        clearFact(sql, 'lastError')
        clearFact(sql, 'failures')
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#state().storage.transactionSync(() => {
        setFact(sql, 'lastError', message)
        setFact(sql, 'failures', (getFact(sql, 'failures') ?? 0) + 1)
        if (error instanceof Halt) {
          setFact(sql, 'halted', message)
          appendJournal(sql, this.#clock(), { event: 'halted', reason: message })
        }
      })
      console.error(JSON.stringify({ event: error instanceof Halt ? 'halted' : 'pass-failed', message }))
      this.forget()
    }
    this.#copy()
    this.tell()
    this.arm()
  }

  arm(): void {
    const { storage } = this.#state()
    const at = nextAlarm(storage.sql, this.#clock())
    if (at !== null) void storage.setAlarm(at)
  }
}
