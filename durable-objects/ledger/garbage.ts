// Keys to delete and the time before which they must stay. Nothing ever lists the bucket: what is not written here, or
// referenced from the live tables, was never put by this ledger.
import { macHolds, macOf } from './mac.ts'
import { all, one, run, type Sql } from './sql.ts'

export type GarbageKind = 'metadata' | 'page' | 'blob' | 'upload'

export function addGarbage(sql: Sql, key: string, notBefore: number, kind: GarbageKind, reason: string): void {
  run(
    sql,
    `INSERT INTO garbage (key, not_before, kind, reason) VALUES (?, ?, ?, ?)
     ON CONFLICT (key) DO UPDATE SET not_before = max(not_before, excluded.not_before)`,
    key,
    notBefore,
    kind,
    reason,
  )
}

/** Goes with the next collection, whatever its grace. */
export function hastenGarbage(sql: Sql, key: string, now: number): void {
  run(sql, 'UPDATE garbage SET not_before = min(not_before, ?) WHERE key = ?', now, key)
}

export const dueGarbage = (
  sql: Sql,
  now: number,
  limit: number,
): { key: string; kind: GarbageKind; reason: string }[] =>
  all(sql, 'SELECT key, kind, reason FROM garbage WHERE not_before <= ? ORDER BY not_before LIMIT ?', now, limit)

/** Unix milliseconds from which the first key may go. */
export const oldestGarbage = (sql: Sql): number | undefined =>
  one<{ at: number | null }>(sql, 'SELECT min(not_before) AS at FROM garbage')?.at ?? undefined

/** What lies further ahead than any grace was dated by a clock that ran ahead: its grace begins now. */
export function mendDates(sql: Sql, now: number, graceMs: number): void {
  run(sql, 'UPDATE garbage SET not_before = ? WHERE not_before > ?', now + graceMs, now + 2 * graceMs)
}

/** The first `limit` keys to go, soonest first. */
export const garbageList = (
  sql: Sql,
  limit: number,
): { key: string; kind: GarbageKind; reason: string; notBefore: number }[] =>
  all(sql, 'SELECT key, kind, reason, not_before AS notBefore FROM garbage ORDER BY not_before, key LIMIT ?', limit)

export const dueCount = (sql: Sql, now: number): number =>
  one<{ n: number }>(sql, 'SELECT count(*) AS n FROM garbage WHERE not_before <= ?', now)!.n

export function countGarbage(sql: Sql): Record<GarbageKind, number> {
  const counts = { metadata: 0, page: 0, blob: 0, upload: 0 }
  for (const { kind, n } of all<{ kind: GarbageKind; n: number }>(
    sql,
    'SELECT kind, count(*) AS n FROM garbage GROUP BY kind',
  ))
    counts[kind] = n
  return counts
}

/** True while a page that was live once is still kept for clients that began with an older timestamp. */
export function isRetainedPage(sql: Sql, macKey: Uint8Array, key: string): boolean {
  const query = "SELECT mac FROM garbage WHERE key = ? AND kind = 'page' AND reason = 'replaced'"
  const row = one<{ mac: ArrayBuffer | null }>(sql, query, key)
  return row !== undefined && macHolds(macKey, [key], row.mac, 'garbage')
}

/** A page that was live until now: it is kept, and shown to whoever is still reading it. */
export function retirePage(sql: Sql, macKey: Uint8Array, key: string, notBefore: number): void {
  addGarbage(sql, key, notBefore, 'page', 'replaced')
  run(sql, 'UPDATE garbage SET mac = ? WHERE key = ?', macOf(macKey, [key], 'garbage'), key)
}

export function removeGarbage(sql: Sql, keys: string[]): void {
  for (const key of keys) run(sql, 'DELETE FROM garbage WHERE key = ?', key)
}
