// What people hand over, as calls: each goes to the gate where no pass runs, and is published within the call if the bucket
// takes it. State: whether a pull is under way; there is at most one.
import { adopt, push } from './adopt.ts'
import { ShareUsed } from './batches.ts'
import type { Flight } from './flight.ts'
import { type Taken, takenBefore } from './handed-over.ts'
import { getFact } from './ledger/facts.ts'
import { nextUnpublished } from './ledger/offline.ts'
import { liveRole } from './ledger/roles.ts'
import type { Context } from './publication/context.ts'
import { beginPull, pull } from './pull.ts'
import { release } from './release.ts'
import { type Refused, refused } from './rpc.ts'
import type { AdoptRequest, PushAnswer, PushRequest } from './rpc-adopt.ts'

export class HandingOver {
  readonly #flight: Flight
  readonly #state: () => DurableObjectState
  #pulling = false

  constructor(flight: Flight, state: () => DurableObjectState) {
    this.#flight = flight
    this.#state = state
  }

  /** The whole repository, once; again as after a lost answer. */
  async adopt(request: AdoptRequest): Promise<PushAnswer> {
    // Not through the flight, whose context is for a ledger that has a name.
    const { sql } = this.#state().storage
    const answer = refused(
      'conflict',
      409,
      'Ask for the keys of a repository to be adopted first; one that is live takes a push.',
    )
    const state = getFact(sql, 'state')
    if (getFact(sql, 'kind') !== 'adopted') return answer
    if (state !== 'keys')
      return this.#flight.unready() ?? this.#take(async (ctx) => takenBefore(ctx, request.files) ?? answer)
    return this.#take((ctx, arm) => adopt(ctx, request, arm))
  }

  async push(request: PushRequest): Promise<PushAnswer> {
    return this.#flight.unready() ?? this.#take((ctx, arm) => push(ctx, request, arm))
  }

  async release(request: PushRequest): Promise<PushAnswer> {
    return this.#flight.unready() ?? this.#take((ctx, arm) => release(ctx, request, arm))
  }

  /** Pulls if it is time, beside everything else: an origin that hangs keeps nothing waiting. */
  pull(): void {
    if (this.#pulling || this.#flight.unready()) return
    const ctx = this.#flight.ctx()
    const setting = beginPull(ctx)
    if (!setting) return
    this.#pulling = true
    const work = async () => {
      try {
        const alone = (take: () => Promise<Taken | Refused>) => this.#flight.alone(take)
        await this.#publish(await pull(ctx, setting, alone, () => this.#flight.arm()))
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        console.error(JSON.stringify({ event: 'pull-failed', message }))
      } finally {
        this.#pulling = false
        this.#flight.tell()
        this.#flight.arm()
      }
    }
    this.#state().waitUntil(work())
  }

  async #take(take: (ctx: Context, arm: () => void) => Promise<Taken | Refused>): Promise<PushAnswer> {
    try {
      return await this.#publish(await this.#flight.alone(() => take(this.#flight.ctx(), () => this.#flight.arm())))
    } catch (error) {
      if (!(error instanceof ShareUsed)) throw error
      return { ok: true, accepted: [], held: [], warnings: [], unchecked: error.left, visible: false }
    }
  }

  async #publish(taken: Taken | Refused): Promise<PushAnswer> {
    if (!taken.ok) return taken
    const { sql, now } = this.#flight.ctx()
    // Also of an earlier call, whose answer a crash took away.
    if ((nextUnpublished(sql) ?? Infinity) <= now()) await this.#flight.pass()
    const visible = liveRole(sql, 'timestamp') !== undefined && (nextUnpublished(sql) ?? Infinity) > now()
    return { ...taken, visible }
  }
}
