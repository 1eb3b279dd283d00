// Metadata that people signed, byte for byte as accepted. Roots are kept for ever: clients walk the whole chain. Of other
// roles a row goes with its object, when the collector deletes what was replaced.
import { macHolds, macOf } from './mac.ts'
import { CHUNK_BYTES_MAX } from './publications.ts'
import { all, one, run, type Sql } from './sql.ts'

export interface OfflineRow {
  version: number
  sha256: string
  bytes: Uint8Array
}

type Row = { version: number; sha256: string; bytes: ArrayBuffer; delegates: number; mac: ArrayBuffer | null }

const partsOf = (role: string, { version, sha256, delegates }: Pick<Row, 'version' | 'sha256' | 'delegates'>) => [
  role,
  version,
  sha256,
  delegates,
]

/** @param delegates whether the file says who else may name files */
export function insertOffline(sql: Sql, macKey: Uint8Array, role: string, row: OfflineRow, delegates = false): void {
  run(
    sql,
    'INSERT INTO offline (role, version, sha256, bytes, delegates, mac) VALUES (?, ?, ?, ?, ?, ?)',
    role,
    row.version,
    row.sha256,
    row.bytes.slice(0, CHUNK_BYTES_MAX),
    Number(delegates),
    macOf(macKey, partsOf(role, { ...row, delegates: Number(delegates) }), 'offline'),
  )
  for (let at = CHUNK_BYTES_MAX, chunk = 1; at < row.bytes.length; at += CHUNK_BYTES_MAX, chunk++)
    run(
      sql,
      'INSERT INTO offline_rest (role, version, chunk, bytes) VALUES (?, ?, ?, ?)',
      role,
      row.version,
      chunk,
      row.bytes.slice(at, at + CHUNK_BYTES_MAX),
    )
}

/** The file, put together. One row more for each 1.9 MB beyond the first. */
export function offlineBytes(sql: Sql, role: string, version: number, first: ArrayBuffer): Uint8Array {
  const head = new Uint8Array(first)
  if (head.length < CHUNK_BYTES_MAX) return head
  const query = 'SELECT bytes FROM offline_rest WHERE role = ? AND version = ? ORDER BY chunk'
  const rest = all<{ bytes: ArrayBuffer }>(sql, query, role, version).map(({ bytes }) => new Uint8Array(bytes))
  const whole = new Uint8Array(rest.reduce((length, chunk) => length + chunk.length, head.length))
  let at = 0
  for (const chunk of [head, ...rest]) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

export const newestOffline = (sql: Sql, macKey: Uint8Array, role: string): OfflineRow | undefined =>
  offlineVersions(sql, macKey, role).at(-1)

/** Oldest first. The face trusts the roots named here, so a row that was not accepted from people is not among them. */
export const offlineVersions = (sql: Sql, macKey: Uint8Array, role: string): OfflineRow[] =>
  all<Row>(sql, 'SELECT version, sha256, bytes, delegates, mac FROM offline WHERE role = ? ORDER BY version', role)
    .filter((row) => macHolds(macKey, partsOf(role, row), row.mac, 'offline'))
    .map(({ version, sha256, bytes }) => ({ version, sha256, bytes: offlineBytes(sql, role, version, bytes) }))

export function offlineFile(sql: Sql, macKey: Uint8Array, role: string, version: number): OfflineRow | undefined {
  const query = 'SELECT version, sha256, bytes, delegates, mac FROM offline WHERE role = ? AND version = ?'
  const row = one<Row>(sql, query, role, version)
  if (!row || !macHolds(macKey, partsOf(role, row), row.mac, 'offline')) return undefined
  return { version: row.version, sha256: row.sha256, bytes: offlineBytes(sql, role, version, row.bytes) }
}

/** The newest row of every role, without its file. */
export const newestOfEach = (
  sql: Sql,
  macKey: Uint8Array,
): { role: string; version: number; sha256: string; delegates: boolean }[] =>
  all<{ role: string; version: number; sha256: string; delegates: number; mac: ArrayBuffer | null }>(
    sql,
    // Of a max() alone in its group SQLite takes the other columns from the row that has it.
    'SELECT role, max(version) AS version, sha256, delegates, mac FROM offline GROUP BY role',
  )
    .filter((row) => macHolds(macKey, partsOf(row.role, row), row.mac, 'offline'))
    .map(({ role, version, sha256, delegates }) => ({ role, version, sha256, delegates: delegates === 1 }))

/** Versions of a role below `version` that have a row, oldest first. */
export const olderVersions = (sql: Sql, role: string, version: number): number[] =>
  all<{ version: number }>(
    sql,
    'SELECT version FROM offline WHERE role = ? AND version < ? ORDER BY version',
    role,
    version,
  ).map((row) => row.version)

export function dropOffline(sql: Sql, role: string, version: number): void {
  for (const table of ['offline', 'offline_rest'])
    run(sql, `DELETE FROM ${table} WHERE role = ? AND version = ?`, role, version)
}

/** Accepted, and to be in a publication not before `notBefore` (Unix milliseconds). */
export function addUnpublished(sql: Sql, role: string, version: number, notBefore: number): void {
  run(sql, 'INSERT INTO unpublished (role, version, not_before) VALUES (?, ?, ?)', role, version, notBefore)
}

export function removeUnpublished(sql: Sql, role: string, version: number): void {
  run(sql, 'DELETE FROM unpublished WHERE role = ? AND version = ?', role, version)
}

/** What may go out now, in the order of its versions. */
export const readyUnpublished = (sql: Sql, now: number): { role: string; version: number }[] =>
  all(sql, 'SELECT role, version FROM unpublished WHERE not_before <= ? ORDER BY role, version', now)

/** When the next accepted file may go out, or undefined: there is none. */
export const nextUnpublished = (sql: Sql): number | undefined =>
  one<{ at: number | null }>(sql, 'SELECT min(not_before) AS at FROM unpublished')?.at ?? undefined

/** When the last accepted version of a role may go out, or undefined: all are public. */
export const lastUnpublished = (sql: Sql, role: string): number | undefined =>
  one<{ at: number | null }>(sql, 'SELECT max(not_before) AS at FROM unpublished WHERE role = ?', role)?.at ?? undefined

export const isUnpublished = (sql: Sql, role: string, version: number): boolean =>
  one(sql, 'SELECT 1 AS x FROM unpublished WHERE role = ? AND version = ?', role, version) !== undefined

/** Roots that are not public yet, in the order of their versions. */
export const unpublishedRoots = (sql: Sql): { version: number; notBefore: number }[] =>
  all(sql, "SELECT version, not_before AS notBefore FROM unpublished WHERE role = 'root' ORDER BY version")
