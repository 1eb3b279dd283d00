// What an isolate remembers between requests. Everything here can be forgotten at any moment; only verified things are
// ever put in. An isolate has 128 MB (platform limit) for everything: 60 MB of upload buffers, these caches, code.
import { waitUntil } from 'cloudflare:workers'

/** A parsed role is its bytes, their text and an object an entry: 4.4 times the bytes (measured, a bin of 5,000 files). */
export const ROLE_WEIGHT = 5
export const ROLES_BYTES_MAX = 24 * 2 ** 20
/** Pages and superseded metadata. */
export const PAGES_BYTES_MAX = 16 * 2 ** 20
/** Distribution files that were read whole, and their metadata: mostly for clients that ask for ranges. */
export const FILES_BYTES_MAX = 12 * 2 ** 20

/** What pages say about their files' metadata; counted as the pages' bytes. */
export const PROMISES_BYTES_MAX = 4 * 2 ** 20

/** What an entry costs beside its bytes. */
const ENTRY_OVERHEAD_BYTES = 512
/** How long one request waits for what another one loads. Longer means that one was cut off and will never finish. */
const FLIGHT_WAIT_MS = 3_000

/** Least recently used goes first; the sum of the stated sizes never exceeds the bound. */
export class ByteCache<V> {
  readonly #max: number
  readonly #entries = new Map<string, { value: V; bytes: number }>()
  #bytes = 0

  constructor(max: number) {
    this.#max = max
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  set(key: string, value: V, size: number): void {
    const bytes = size + ENTRY_OVERHEAD_BYTES
    this.#drop(key)
    if (bytes > this.#max) return
    this.#entries.set(key, { value, bytes })
    this.#bytes += bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#max) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#entries.delete(key)
    this.#bytes -= entry.bytes
  }
}

const LATE = Symbol('late')

/** The value of `promise`, or `otherwise` after `ms` milliseconds. */
export async function within<T, O>(promise: Promise<T>, ms: number, otherwise: O): Promise<T | O> {
  let timer: number | null = null
  const late = new Promise<O>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Single flight: what several requests need at once is loaded once. */
export class Flights {
  readonly #running = new Map<string, Promise<unknown>>()

  async share<T>(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key) as Promise<T> | undefined
    if (running) {
      const shared = await within(running, FLIGHT_WAIT_MS, LATE)
      if (shared !== LATE) return shared as T
      if (this.#running.get(key) === running) this.#running.delete(key)
      return this.share(key, work)
    }
    const flight = work().finally(() => {
      if (this.#running.get(key) === flight) this.#running.delete(key)
    })
    this.#running.set(key, flight)
    // The work goes on when the client that began it is gone; the others would wait for something cancelled.
    waitUntil(flight.catch(() => {}))
    return flight
  }
}
