// Load with bounds: so many at once, for so many calls or so many milliseconds.

import { percentile } from './figures.ts'
import type { Http, Send } from './http.ts'

/** Works all items off, `concurrency` at a time; results in the order of the items. */
export async function inParallel<T, R>(
  items: readonly T[],
  concurrency: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  let next = 0
  const lane = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i]!, i)
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, lane))
  return results
}

export interface Hammered {
  perSecond: number
  p50: number
  p99: number
  requests: number
}

/** Repeats one request on `connections` connections for `ms` milliseconds. @throws if an answer has another status */
export async function hammer(
  http: Http,
  send: Send,
  expected: number,
  { connections, ms }: { connections: number; ms: number },
): Promise<Hammered> {
  const times: number[] = []
  const started = performance.now()
  const lane = async () => {
    while (performance.now() - started < ms) {
      const answer = await http.send(send)
      if (answer.status !== expected)
        throw new Error(`${send.method} ${send.path} was answered ${answer.status}, not ${expected}.`)
      times.push(answer.ms)
    }
  }
  await Promise.all(Array.from({ length: connections }, lane))
  const seconds = (performance.now() - started) / 1000
  return {
    perSecond: times.length / seconds,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    requests: times.length,
  }
}
