// Keys to delete and the time before which they must stay. Nothing ever lists the bucket: what is not written here, or
// referenced from the live tables, was never put by this ledger.
import { all, one, run, type Sql } from './sql.ts'

export type GarbageKind = 'metadata' | 'page' | 'blob'

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

export const dueGarbage = (
  sql: Sql,
  now: number,
  limit: number,
): { key: string; kind: GarbageKind; reason: string }[] =>
  all(sql, 'SELECT key, kind, reason FROM garbage WHERE not_before <= ? ORDER BY not_before LIMIT ?', now, limit)

/** True while a page that was live once is still kept for clients that began with an older timestamp. */
export const isRetainedPage = (sql: Sql, key: string): boolean =>
  one(sql, "SELECT 1 AS x FROM garbage WHERE key = ? AND kind = 'page' AND reason = 'replaced'", key) !== undefined

export function removeGarbage(sql: Sql, keys: string[]): void {
  for (const key of keys) run(sql, 'DELETE FROM garbage WHERE key = ?', key)
}
