// A cell of the crash matrix: where the publisher falls, how, what becomes of the write there, and when it goes on.
import { expect } from 'vitest'
import type { Call, Fate } from './matrix-bucket.ts'
import type { Subject } from './matrix-subject.ts'
import type { Change, Moment } from './matrix-watch.ts'

/** Short lives for all but the bins, so that what was replaced is collected without signing everything again. */
export const FRESHNESS = { timestampSeconds: 3_600, snapshotSeconds: 86_400, binSeconds: 7 * 86_400, tickSeconds: 900 }
export const TWICE_THE_LONGEST = 2 * 1_000 * FRESHNESS.binSeconds

export type Point =
  | { name: string; write: (call: Call) => boolean; nth?: number }
  | { name: string; change: Change; moment: Moment }

export const immutable = ({ kind, keys }: Call) =>
  kind === 'put' && /\/(pages|tuf)\//.test(keys[0]!) && !flip({ kind, keys })
export const flip = ({ kind, keys }: Call) => kind === 'put' && keys[0]!.endsWith('/timestamp.json')

export const FALLS = ['exception', 'abort'] as const
export const FATES: Fate[] = ['lost', 'unacknowledged', 'refused', 'lands before a flip', 'lands at last']
export const RESUMES = ['at once', 'after twice the longest life'] as const

export interface Cell {
  point: Point
  fall: (typeof FALLS)[number]
  fate: Fate
  resume: (typeof RESUMES)[number]
}

/** Lets the fall happen at the point, once, and gives the write of the cell its fate. */
export function setTrap(subject: Subject, { point, fall, fate }: Cell) {
  const trap = { sprung: false, away: false, met: 'write' in point }
  const strike = () => {
    trap.sprung = true
    if (fall === 'abort') subject.state!.abort('injected crash')
    else if ('write' in point) trap.away = true
  }
  let seen = 0
  subject.bucket.judge = (call) => {
    if (trap.away) return { fate: 'lost' }
    if (!trap.met) {
      if (!trap.sprung || !armed) return undefined
      trap.met = true
      return { fate }
    }
    if (trap.sprung || !('write' in point) || !point.write(call) || ++seen !== (point.nth ?? 1)) return undefined
    return { fate, strike }
  }
  let armed = false
  subject.onTransaction = (change, moment) => {
    if ('write' in point || trap.sprung || change !== point.change || moment !== point.moment) return
    strike()
    throw new Error('injected: the publisher fell')
  }
  return {
    get sprung() {
      return trap.sprung
    },
    goOn() {
      trap.away = false
      armed = true
    },
    spent: () => trap.met,
  }
}

/** The alarm alone brings everything to rest. */
export async function goOn(subject: Subject, where: string): Promise<void> {
  for (let round = 0; round < 6; round++) {
    expect(await subject.alarmFault(), where).toBeUndefined()
    await subject.alarm()
    const status = await subject.status()
    expect(status.state, where).toBe('live')
    const open = await subject.rows("SELECT 1 AS x FROM publications WHERE state = 'open'")
    if (status.staged === 0 && open.length === 0 && status.lastError === undefined) return
  }
  throw new Error(`${where}: not at rest after six alarms: ${JSON.stringify(await subject.status())}`)
}

export async function until(condition: () => boolean, message: string): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  throw new Error(message)
}
