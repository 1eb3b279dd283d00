// How many uploads of one isolate may hold file bytes. State: the leases that are out, and who waits, oldest first.
// Invariant: at most `count` leases are out, but for those whose holder was silent for LOST_MS and is taken for dead: the
// platform may end a request whose client went away without running its `finally`.
import { Problem } from './errors.ts'

/** Bytes of one buffer: the least that R2 takes as a part of a multipart upload (all parts but the last). */
export const PART_BYTES = 5 * 1024 * 1024

/** Part buffers of one isolate: 12 × 5 MiB = 60 MiB of its 128 MB; the rest is for checkers, pages and code. */
export const PART_BUFFERS = 12

/** A living holder renews with every chunk, and a body may stall for 30 s, a part take a few more: 2 minutes is dead. */
const LOST_MS = 120_000

/** All buffers were in use for the whole waiting time. */
export class NoSlot extends Problem {
  constructor() {
    super(503, 'Too many uploads at once. Uploading again in a moment is safe.', { 'Retry-After': '5' })
  }
}

/** The right to hold one buffer. */
export interface Lease {
  /** Tells that the holder lives. */
  renew(): void
  /** May be called more than once. */
  release(): void
}

interface Waiter {
  grant(lease: Lease): void
}

/** A fair semaphore: who asked first is served first. */
export class PartSlots {
  readonly #count: number
  readonly #renewed = new Map<Lease, number>()
  readonly #waiting = new Set<Waiter>()

  constructor(count: number) {
    this.#count = count
  }

  /** Buffers in use. */
  get held(): number {
    return this.#renewed.size
  }

  /** Uploads that wait for one. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Waits for a buffer, at most `milliseconds`. @throws NoSlot */
  async acquire(milliseconds: number): Promise<Lease> {
    this.#dropLost()
    if (this.#waiting.size === 0 && this.#renewed.size < this.#count) return this.#lease()
    const { promise: turn, resolve: grant } = Promise.withResolvers<Lease>()
    const waiter: Waiter = { grant }
    this.#waiting.add(waiter)
    // The timer is set and cleared in the waiting request's own context: the request that grants may not touch it. It is
    // also what keeps a waiting request alive, since nothing else in it is pending.
    let timer: number | null = null
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), milliseconds)
    })
    const lease = await Promise.race([turn, late])
    clearTimeout(timer)
    if (lease) return lease
    this.#waiting.delete(waiter)
    // Granted in the moment the time was over.
    turn.then((unused) => unused.release())
    throw new NoSlot()
  }

  #lease(): Lease {
    const lease: Lease = {
      renew: () => {
        if (this.#renewed.has(lease)) this.#renewed.set(lease, Date.now())
      },
      release: () => {
        if (this.#renewed.delete(lease)) this.#serve()
      },
    }
    this.#renewed.set(lease, Date.now())
    return lease
  }

  #serve(): void {
    for (const waiter of this.#waiting) {
      if (this.#renewed.size >= this.#count) return
      this.#waiting.delete(waiter)
      waiter.grant(this.#lease())
    }
  }

  #dropLost(): void {
    const now = Date.now()
    for (const [lease, renewed] of this.#renewed) if (now - renewed > LOST_MS) this.#renewed.delete(lease)
    this.#serve()
  }
}
