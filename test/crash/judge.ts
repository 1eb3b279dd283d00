// Whether what readers saw can have happened in one order: each answer shows one publication, and whoever begins after
// an answer has ended, the same reader or another, is shown that publication or a later one. An upload that is answered
// 200 is such an answer too: it shows the first publication that names its file. This is linearisability of one register
// whose values are the publications, and for intervals that only grow a single pass in the order of beginnings decides it.
import type { History, Span } from './history.ts'

export interface Answer {
  who: string
  what: string
  /** Milliseconds: just before the request was sent, just after the last byte was read. */
  begun: number
  ended: number
  shows:
    | { kind: 'target'; path: string; sha256: string; serial?: number }
    | { kind: 'snapshot'; version: number }
    /** A target found through a TUF client: of exactly this publication. */
    | { kind: 'within'; version: number; path: string; sha256: string }
    /** From when on the file is there. */
    | { kind: 'upload'; path: string; sha256: string }
}

/** One sentence for each answer that fits in no order; empty: all is well. */
export function judge(history: History, answers: readonly Answer[]): string[] {
  const wrong: string[] = []
  const ended: { at: number; publication: number; answer: Answer }[] = []
  const byBegin = answers.toSorted((a, b) => a.begun - b.begun)
  let floor: { publication: number; answer?: Answer } = { publication: 0 }
  for (const answer of byBegin) {
    // `ended` stays in the order of ends; whatever ended before this one began is a floor under it.
    while (ended.length > 0 && ended[0]!.at < answer.begun) {
      const { publication, answer: seen } = ended.shift()!
      if (publication > floor.publication) floor = { publication, answer: seen }
    }
    const span = spanOf(history, answer)
    if (typeof span === 'string') {
      wrong.push(`${answer.who}: ${answer.what}: ${span}`)
      continue
    }
    if (span.to < floor.publication) {
      const { who, what } = floor.answer!
      wrong.push(
        `${answer.who}: ${answer.what} showed publication ${span.to} or older, after ${who}: ${what} had shown ${floor.publication}`,
      )
      continue
    }
    const entry = { at: answer.ended, publication: Math.max(span.from, floor.publication), answer }
    const index = ended.findLastIndex(({ at }) => at <= entry.at) + 1
    ended.splice(index, 0, entry)
  }
  return wrong
}

function spanOf(history: History, { shows }: Answer): Span | string {
  if (shows.kind === 'snapshot')
    return history.live.includes(shows.version)
      ? { from: shows.version, to: shows.version }
      : `snapshot ${shows.version} was never live`
  const spans = history.spans(shows.path, shows.sha256)
  if (shows.kind === 'upload')
    return spans.length > 0
      ? { from: spans[0]!.from, to: Number.MAX_SAFE_INTEGER }
      : `${shows.path} was answered 200 and no publication names it`
  if (shows.kind === 'within')
    return spans.some(({ from, to }) => from <= shows.version && shows.version <= to)
      ? { from: shows.version, to: shows.version }
      : `${shows.path} is not what publication ${shows.version} says`
  if (spans.length !== 1) return `${shows.path} with these bytes is in ${spans.length} publications' spans, not in one`
  if (shows.serial !== undefined && shows.serial !== spans[0]!.from)
    return `${shows.path} says serial ${shows.serial} and came with publication ${spans[0]!.from}`
  return spans[0]!
}
