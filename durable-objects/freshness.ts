// When things are due. Versions order events; clocks only set dates: a clock that went back never stops signing, and
// whatever expires later than now + 2 × its life was dated by a clock that ran ahead and is signed again at once.
import { nextCopy } from './copy.ts'
import { oldestBatch } from './ledger/batches.ts'
import { getFact, setFact } from './ledger/facts.ts'
import { oldestGarbage } from './ledger/garbage.ts'
import { nextNotice } from './ledger/notices.ts'
import { nextUnpublished } from './ledger/offline.ts'
import { nextPull } from './ledger/pulls.ts'
import { waitingCount } from './ledger/queue.ts'
import { all, one, type Sql } from './ledger/sql.ts'
import type { Freshness } from './rpc.ts'

/** The project list may lag the pages by up to a minute: it grows with the repository, pages do not. */
export const LIST_LAG_MS = 60_000
/** Up to this many projects the list is cheap enough (≈ 60 kB) to follow every publication. */
export const LIST_AT_ONCE_MAX = 1_000
/** An upload that began and never staged is given up after a day. */
export const ORPHAN_MS = 86_400_000
/** The flight that `stage` starts carries the publication; the alarm is for the crash in between. */
const RECOVERY_DELAY_MS = 1_000
/** Back-off of failing passes: 1 s, 2 s, 4 s … at most a minute, so that the loop outlives any outage. */
const BACKOFF_MAX_MS = 60_000
/** After a timestamp has expired everywhere, a cache may still serve it: one hour more. */
const CACHE_GRACE_MS = 3_600_000

/** A role that is signed again takes with it whatever has used up 3/8 of its life: bins that came due one by one share. */
const EARLY_SHARE = 5 / 8

/** The settings in force, and for how long timestamps with a longer life may still be in somebody's cache. */
interface Settings extends Freshness {
  former?: { timestampSeconds: number; until: number }
}

export const freshnessOf = (sql: Sql): Settings => JSON.parse(getFact(sql, 'freshness')!) as Settings

/** New times. What was signed under longer ones stays valid until its date: the grace keeps counting with them till then. */
export function setFreshness(sql: Sql, freshness: Freshness, now: number): void {
  const { former, timestampSeconds } = freshnessOf(sql)
  const longest = Math.max(timestampSeconds, former?.timestampSeconds ?? 0)
  const settings: Settings = { ...freshness }
  if (longest > freshness.timestampSeconds) {
    const until = Math.max(now + timestampSeconds * 1000, former?.until ?? 0)
    settings.former = { timestampSeconds: longest, until }
  }
  setFact(sql, 'freshness', JSON.stringify(settings))
}

/** Forgets longer times once nothing signed under them can be valid. */
export function forgetFormer(sql: Sql, now: number): void {
  const { former, ...freshness } = freshnessOf(sql)
  if (former && former.until <= now) setFact(sql, 'freshness', JSON.stringify(freshness))
}

/** Online roles' life in milliseconds. */
export function lifeOf(freshness: Freshness, role: string): number {
  if (role === 'timestamp') return freshness.timestampSeconds * 1000
  return (role === 'snapshot' ? freshness.snapshotSeconds : freshness.binSeconds) * 1000
}

/** True when less than half the life is left, or more than twice of it. */
export const isDue = (expires: number, life: number, now: number): boolean =>
  expires - now < life / 2 || expires - now > 2 * life

/** How long what a publication replaced stays in the bucket: longer than any client or cache can name it. */
export const graceMs = ({ timestampSeconds, former }: Settings): number =>
  Math.max(timestampSeconds, former?.timestampSeconds ?? 0) * 1000 + CACHE_GRACE_MS

/** Online roles but timestamp that have to be signed again, soonest first; none unless one of them is due. */
export function dueRoles(sql: Sql, freshness: Freshness, now: number): string[] {
  const online = isAdopted(sql) ? "name = 'snapshot'" : `(name = 'snapshot' OR ${BINS})`
  const rows = all<{ name: string; expires: number }>(
    sql,
    `SELECT name, expires FROM roles WHERE version IS NOT NULL AND ${online} ORDER BY expires`,
  )
  if (!rows.some(({ name, expires }) => isDue(expires, lifeOf(freshness, name), now))) return []
  const early = rows.filter(({ name, expires }) => {
    const life = lifeOf(freshness, name)
    return isDue(expires, life, now) || expires - now < life * EARLY_SHARE
  })
  return early.map(({ name }) => name)
}

/** 1: reading takes a token, as the operator has it. */
export const wantedPrivate = (sql: Sql): number => getFact(sql, 'private') ?? 0

/** Whether the live timestamp says about reading something else than the operator has said since. */
export function readingDue(sql: Sql): boolean {
  const live = one<{ private: number }>(
    sql,
    "SELECT private FROM timestamps WHERE version = (SELECT version FROM roles WHERE name = 'timestamp')",
  )
  return live !== undefined && live.private !== wantedPrivate(sql)
}

/** The roles below snapshot that are signed here: of an adopted repository none, whatever their names. */
const BINS = "name NOT IN ('root', 'targets', 'bins', 'timestamp', 'snapshot')"
const isAdopted = (sql: Sql): boolean => getFact(sql, 'kind') === 'adopted'

export function tickDue(sql: Sql, freshness: Freshness, now: number): boolean {
  const live = one<{ expires: number }>(
    sql,
    "SELECT expires FROM roles WHERE name = 'timestamp' AND version IS NOT NULL",
  )
  if (!live) return false
  if (readingDue(sql)) return true
  const life = lifeOf(freshness, 'timestamp')
  const signed = live.expires - life
  return signed + freshness.tickSeconds * 1000 <= now || isDue(live.expires, life, now)
}

export const listDue = (sql: Sql, now: number): boolean =>
  getFact(sql, 'listDirty') === 1 &&
  ((getFact(sql, 'listedAt') ?? 0) + LIST_LAG_MS <= now ||
    (getFact(sql, 'listedAt') ?? 0) > now ||
    one<{ n: number }>(sql, 'SELECT count(*) AS n FROM (SELECT 1 FROM projects LIMIT ?)', LIST_AT_ONCE_MAX + 1)!.n <=
      LIST_AT_ONCE_MAX)

/**
 * The next moment (Unix milliseconds) at which this object has to act, or null when only a person can. Computed from
 * the tables in the transaction that changes them, so that no change can erase the alarm of another.
 */
export function nextAlarm(sql: Sql, now: number): number | null {
  const notice = nextNotice(sql)
  // Whoever waits for a person has at least to tell.
  if (getFact(sql, 'state') !== 'live' || getFact(sql, 'halted') !== undefined) return notice ?? null
  const freshness = freshnessOf(sql)
  const failures = getFact(sql, 'failures') ?? 0
  const backoff = failures === 0 ? 0 : Math.min(1000 * 2 ** (failures - 1), BACKOFF_MAX_MS)
  const work = (at: number): number => Math.min(Math.max(at, now + backoff), notice ?? Number.POSITIVE_INFINITY)
  // A pass does everything that is due, so with one to come in a second nothing else is looked up.
  const open = one(sql, "SELECT 1 AS x FROM publications WHERE state = 'open'") !== undefined
  if (open || waitingCount(sql) > 0 || readingDue(sql)) return work(now + RECOVERY_DELAY_MS)
  const times: number[] = []
  const timestamp = one<{ expires: number }>(
    sql,
    "SELECT expires FROM roles WHERE name = 'timestamp' AND version IS NOT NULL",
  )
  if (!timestamp) times.push(now + RECOVERY_DELAY_MS)
  else {
    const life = lifeOf(freshness, 'timestamp')
    times.push(Math.min(timestamp.expires - life + freshness.tickSeconds * 1000, timestamp.expires - life / 2))
  }
  const soonest = (condition: string, life: number) => {
    const row = one<{ expires: number | null }>(
      sql,
      `SELECT min(expires) AS expires FROM roles WHERE version IS NOT NULL AND ${condition}`,
    )
    if (row?.expires) times.push(row.expires - life / 2)
  }
  soonest("name = 'snapshot'", freshness.snapshotSeconds * 1000)
  if (!isAdopted(sql)) soonest(BINS, freshness.binSeconds * 1000)
  const unpublished = nextUnpublished(sql)
  if (unpublished !== undefined) times.push(Math.max(unpublished, now + RECOVERY_DELAY_MS))
  const pull = nextPull(sql)
  if (pull !== undefined) times.push(Math.max(pull, now + RECOVERY_DELAY_MS))
  if (getFact(sql, 'listDirty') === 1) times.push((getFact(sql, 'listedAt') ?? 0) + LIST_LAG_MS)
  const copy = nextCopy(sql, now + RECOVERY_DELAY_MS)
  if (copy !== undefined) times.push(copy)
  const garbage = oldestGarbage(sql)
  if (garbage !== undefined) times.push(Math.max(garbage, getFact(sql, 'collectRetryAt') ?? 0))
  const batch = oldestBatch(sql)
  if (batch !== undefined) times.push(batch + ORPHAN_MS)
  const orphan = one<{ at: number | null }>(sql, "SELECT min(created) AS at FROM blobs WHERE state = 'begun'")?.at
  if (orphan) times.push(orphan + ORPHAN_MS)
  const over = one<{ at: number | null }>(sql, 'SELECT min(expires) AS at FROM reservations')?.at
  if (over) times.push(over + ORPHAN_MS)
  return work(Math.min(...times))
}
