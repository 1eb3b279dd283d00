// Work that waits for the network, a few pieces at a time. State: none. Invariant: after the first failure nothing new is
// begun, what is under way ends, and the failure is the caller's.

/** Requests at a time: what browsers allow themselves per server. */
export const LANES = 6

export async function inLanes<T>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<void>,
  lanes = LANES,
): Promise<void> {
  const queue = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let failed = false
  const lane = async () => {
    try {
      while (!failed) {
        const { done, value } = await queue.next()
        if (done) return
        await work(value)
      }
    } catch (error) {
      failed = true
      throw error
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: lanes }, lane))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}
