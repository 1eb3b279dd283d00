// Notices for the webhook, each kept until it is delivered or given up. `name` says what it is about: the same thing is
// never told twice. A row whose `next_at` is null is done; the last thousand stay as memory of what was told.
import { all, one, run, type Sql } from './sql.ts'

const KEPT = 1_000

export interface Notice extends Record<string, string | number> {
  id: number
  /** JSON text, as it is sent. */
  body: string
  /** Deliveries tried so far. */
  attempts: number
}

/** True if nothing of that name was there before. */
export const addNotice = (sql: Sql, name: string, body: string, now: number): boolean =>
  run(sql, 'INSERT INTO notices (name, body, next_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', name, body, now) > 0

export const dueNotices = (sql: Sql, now: number, limit: number): Notice[] =>
  all<Notice>(sql, 'SELECT id, body, attempts FROM notices WHERE next_at <= ? ORDER BY next_at, id LIMIT ?', now, limit)

/** Unix milliseconds of the next delivery. */
export const nextNotice = (sql: Sql): number | undefined =>
  one<{ at: number | null }>(sql, 'SELECT min(next_at) AS at FROM notices')?.at ?? undefined

/** `nextAt` is null when this attempt is the last. */
export function noteAttempt(sql: Sql, id: number, nextAt: number | null): void {
  run(sql, 'UPDATE notices SET attempts = attempts + 1, next_at = ? WHERE id = ?', nextAt, id)
}

export function noteDelivered(sql: Sql, id: number): void {
  run(sql, 'UPDATE notices SET next_at = NULL WHERE id = ?', id)
  run(sql, 'DELETE FROM notices WHERE next_at IS NULL AND id <= (SELECT max(id) FROM notices) - ?', KEPT)
}

export function clearNotices(sql: Sql): void {
  run(sql, 'DELETE FROM notices')
}
