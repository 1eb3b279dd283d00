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

type Row = { version: number; sha256: string; delegates: number; mac: ArrayBuffer | null }

const partsOf = (role: string, { version, sha256, delegates }: Omit<Row, 'mac'>) => [role, version, sha256, delegates]

/**
 * @param row whose bytes are not asked for if they lie here already, as those of a batch in parts do
 * @param delegates whether the file says who else may name files
 */
export function insertOffline(sql: Sql, macKey: Uint8Array, role: string, row: OfflineRow, delegates = false): void {
  const { version, sha256 } = row
  run(
    sql,
    'INSERT INTO offline (role, version, sha256, delegates, mac) VALUES (?, ?, ?, ?, ?)',
    role,
    version,
    sha256,
    Number(delegates),
    macOf(macKey, partsOf(role, { version, sha256, delegates: Number(delegates) }), 'offline'),
  )
  if (!hasBytes(sql, sha256)) insertBytes(sql, sha256, row.bytes)
}

export const hasBytes = (sql: Sql, sha256: string): boolean =>
  one(sql, 'SELECT 1 AS x FROM offline_bytes WHERE sha256 = ? AND chunk = 0', sha256) !== undefined

/** To be called in the transaction that makes the first row with this digest. */
export function insertBytes(sql: Sql, sha256: string, bytes: Uint8Array): void {
  for (let at = 0, chunk = 0; at < bytes.length; at += CHUNK_BYTES_MAX, chunk++)
    run(
      sql,
      'INSERT INTO offline_bytes (sha256, chunk, bytes) VALUES (?, ?, ?)',
      sha256,
      chunk,
      bytes.slice(at, at + CHUNK_BYTES_MAX),
    )
}

/** The file, put together; a row for each 1.9 MB of it. */
export function offlineBytes(sql: Sql, sha256: string): Uint8Array {
  const query = 'SELECT bytes FROM offline_bytes WHERE sha256 = ? ORDER BY chunk'
  const chunks = all<{ bytes: ArrayBuffer }>(sql, query, sha256).map(({ bytes }) => new Uint8Array(bytes))
  if (chunks.length === 1) return chunks[0]!
  const whole = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** To be called when a row with this digest has gone: the last one takes the bytes along. */
export function dropBytes(sql: Sql, sha256: string): void {
  for (const table of ['offline', 'staged'])
    if (one(sql, `SELECT 1 AS x FROM ${table} WHERE sha256 = ? LIMIT 1`, sha256)) return
  run(sql, 'DELETE FROM offline_bytes WHERE sha256 = ?', sha256)
}

export const newestOffline = (sql: Sql, macKey: Uint8Array, role: string): OfflineRow | undefined =>
  offlineVersions(sql, macKey, role).at(-1)

/** Oldest first. The face trusts the roots named here, so a row that was not accepted from people is not among them. */
export const offlineVersions = (sql: Sql, macKey: Uint8Array, role: string): OfflineRow[] =>
  all<Row>(sql, 'SELECT version, sha256, delegates, mac FROM offline WHERE role = ? ORDER BY version', role)
    .filter((row) => macHolds(macKey, partsOf(role, row), row.mac, 'offline'))
    .map(({ version, sha256 }) => ({ version, sha256, bytes: offlineBytes(sql, sha256) }))

export function offlineFile(sql: Sql, macKey: Uint8Array, role: string, version: number): OfflineRow | undefined {
  const row = offlineRow(sql, macKey, role, version)
  return row && { ...row, bytes: offlineBytes(sql, row.sha256) }
}

/** Without its file. */
export function offlineRow(
  sql: Sql,
  macKey: Uint8Array,
  role: string,
  version: number,
): Pick<OfflineRow, 'version' | 'sha256'> | undefined {
  const query = 'SELECT version, sha256, delegates, mac FROM offline WHERE role = ? AND version = ?'
  const row = one<Row>(sql, query, role, version)
  if (!row || !macHolds(macKey, partsOf(role, row), row.mac, 'offline')) return undefined
  return { version: row.version, sha256: row.sha256 }
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
  const query = 'DELETE FROM offline WHERE role = ? AND version = ? RETURNING sha256'
  const gone = one<{ sha256: string }>(sql, query, role, version)
  if (gone) dropBytes(sql, gone.sha256)
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
