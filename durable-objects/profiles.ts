// Freshness profiles: how long each online role lives and how often the timestamp is replaced, by name.
//
// What a profile costs a month (30 days, 256 bins and `index`, nobody uploading). A role is signed again when half of its
// life is over; bins, `index` and snapshot that are due together share a publication.
//
// | per month                              | standard         | tight            | lean              |
// |----------------------------------------|-----------------:|-----------------:|------------------:|
// | bins and index, 257 × 2 × 30 / life    |          15,420  |          15,420  |    2,203          |
// | snapshot, 2 × 30 / life                |              60  |              60  |       60          |
// | timestamp, a tick and a publication    |   720 + 60 = 780 | 4,320 + 60 =4,380|  120 + 60 = 180   |
// | class A writes                         |          16,260  |          19,860  |    2,443          |
// | at $4.50 a million                     |           $0.07  |           $0.09  |    $0.01          |
// | class B reads, at $0.36 a million: the fence of each watchdog call (8,640) and alarm     | $0.01 at most |
// | rows written, ≈ 12 a role, 6 a timestamp, at $1 a million: 191 k, 212 k, 28 k            | $0.21 at most |
//
// R2's first million writes and Durable Objects' first 50 million rows a month are free on the paid plan, so each of the
// three costs nothing there beyond the plan itself; 16,384 bins are 64 times the first line (983,040 writes, $4.42).
import type { Freshness } from './rpc.ts'
import type { FreshnessProfile } from './rpc-upkeep.ts'

const HOUR = 3_600
const DAY = 24 * HOUR

export const PROFILES: Readonly<Record<FreshnessProfile, Freshness>> = {
  /** PEP 458: one day each. A tick an hour, so that every timestamp served has 23 hours left. */
  standard: { timestampSeconds: DAY, snapshotSeconds: DAY, binSeconds: DAY, tickSeconds: HOUR },
  /** A frozen view is noticed within the hour; a person has half of one to react when the service stands still. */
  tight: { timestampSeconds: HOUR, snapshotSeconds: DAY, binSeconds: DAY, tickSeconds: HOUR / 6 },
  /** A seventh of the writes, and mirrors fetch each bin a seventh as often (pypi/warehouse#10870). */
  lean: { timestampSeconds: DAY, snapshotSeconds: DAY, binSeconds: 7 * DAY, tickSeconds: 6 * HOUR },
}

/** What is said to whoever sends something else. */
export const NO_FRESHNESS = `Freshness is a profile (${Object.keys(PROFILES).join(', ')}) or four times in whole seconds from 1 to 31,622,400.`

const FIELDS = ['timestampSeconds', 'snapshotSeconds', 'binSeconds', 'tickSeconds'] as const
const SECONDS_MAX = 366 * DAY

/** The times of a profile's name, or the times themselves if they make sense; undefined for anything else. */
export function freshnessFrom(value: unknown): Freshness | undefined {
  if (typeof value === 'string') return Object.hasOwn(PROFILES, value) ? PROFILES[value as FreshnessProfile] : undefined
  if (typeof value !== 'object' || value === null) return undefined
  const given = value as Record<string, unknown>
  const good = FIELDS.every((field) => {
    const seconds = given[field]
    return Number.isSafeInteger(seconds) && (seconds as number) >= 1 && (seconds as number) <= SECONDS_MAX
  })
  if (!good) return undefined
  const { timestampSeconds, snapshotSeconds, binSeconds, tickSeconds } = given as unknown as Freshness
  return { timestampSeconds, snapshotSeconds, binSeconds, tickSeconds }
}

/** The name of a profile with these times, if there is one. */
export const profileOf = (freshness: Freshness): FreshnessProfile | undefined =>
  (Object.keys(PROFILES) as FreshnessProfile[]).find((name) =>
    FIELDS.every((field) => PROFILES[name][field] === freshness[field]),
  )
