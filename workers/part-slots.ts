// How many uploads of one isolate may hold file bytes. State: the leases that are out, and who waits, oldest first.
// Invariant: at most `count` leases are out, but for those whose holder was silent for LOST_MS and is taken for dead: the
// platform may end a request whose client went away without running its `finally`.
import { Problem } from './errors.ts'

/** Bytes of one buffer: the least that R2 takes as a part of a multipart upload (all parts but the last). */
export const PART_BYTES = 5 * 1024 * 1024

/**
 * Part buffers of one isolate. The bucket's binding copies a part while it sends it, so a buffer counts twice:
 * 7 × 2 × 5 MiB = 70 MiB of the isolate's 128 MB; the rest is for checkers, caches and code.
 */
export const PART_BUFFERS = 7

/** Whole buffers that are not in use. A new one for every upload would fill the isolate before its collector runs. */
const spare: Uint8Array[] = []

/** A buffer of PART_BYTES with somebody else's bytes in it. */
export const takeBuffer = (): Uint8Array => spare.pop() ?? new Uint8Array(PART_BYTES)

/** Gives back a buffer that nothing reads any more: never one of an upload that failed with a put under way. */
export function giveBuffer(buffer: Uint8Array): void {
  if (buffer.length === PART_BYTES && spare.length < PART_BUFFERS) spare.push(buffer)
}

/** A living holder renews with every chunk, and a body may stall for 30 s, a part take a few more: 2 minutes is dead. */
const LOST_MS = 120_000

/** How often a waiting upload looks whether its turn has come. */
const LOOK_MS = 20

/** A living waiter looks every LOOK_MS: one that has not for this long is dead. */
const WAITER_LOST_MS = 2_000

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
  lease?: Lease
  looked: number
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

  /**
   * Waits for a buffer, at most `milliseconds`. The waiting request looks for itself: whether one that another request
   * wakes goes on in its own context hangs on a compatibility flag, and one that is dead would be handed a buffer.
   * @throws NoSlot
   */
  async acquire(milliseconds: number): Promise<Lease> {
    const end = Date.now() + milliseconds
    const waiter: Waiter = { looked: 0 }
    for (;;) {
      const lease = this.#look(waiter)
      if (lease) return lease
      if (Date.now() >= end) break
      await scheduler.wait(LOOK_MS)
    }
    this.#waiting.delete(waiter)
    throw new NoSlot()
  }

  #look(waiter: Waiter): Lease | undefined {
    if (!waiter.lease) {
      waiter.looked = Date.now()
      this.#waiting.add(waiter) // keeps its place
      this.#serve()
    }
    return waiter.lease
  }

  #lease(): Lease {
    const lease: Lease = {
      renew: () => {
        if (this.#renewed.has(lease)) this.#renewed.set(lease, Date.now())
      },
      release: () => {
        this.#renewed.delete(lease)
      },
    }
    this.#renewed.set(lease, Date.now())
    return lease
  }

  /** Gives what is free, or was held or waited for by the dead, to those who have waited longest. */
  #serve(): void {
    const now = Date.now()
    for (const [lease, renewed] of this.#renewed) if (now - renewed > LOST_MS) this.#renewed.delete(lease)
    for (const waiter of this.#waiting) {
      if (now - waiter.looked > WAITER_LOST_MS) this.#waiting.delete(waiter)
      else if (this.#renewed.size < this.#count) {
        this.#waiting.delete(waiter)
        waiter.lease = this.#lease()
      }
    }
  }
}
