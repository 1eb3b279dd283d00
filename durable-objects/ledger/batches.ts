// Batches that come in parts, until they are finished: the files, what each says by itself, and whose signatures of them
// were verified. Nothing here is signed, served or compared with. The bytes lie under their digest with those that were
// accepted (offline.ts), so that taking a batch moves names and not bytes.
import { macHolds, macOf } from './mac.ts'
import { dropBytes, hasBytes, insertBytes } from './offline.ts'
import { all, one, run, type Sql } from './sql.ts'

export interface Batch extends Record<string, string | number> {
  id: string
  files: number
  length: number
  /** Unix milliseconds of the last call for it. */
  touched: number
}

export interface StagedRow extends Record<string, string | number> {
  role: string
  version: number
  sha256: string
  length: number
  /** Unix milliseconds. */
  expires: number
  delegates: number
}

const partsOf = (batch: string, row: StagedRow) => [
  batch,
  row.role,
  row.version,
  row.sha256,
  row.length,
  row.expires,
  row.delegates,
]

export const findBatch = (sql: Sql, id: string): Batch | undefined =>
  one<Batch>(sql, 'SELECT id, files, length, touched FROM batches WHERE id = ?', id)

/** Of all batches that are not finished. */
export const stagedLength = (sql: Sql): number =>
  one<{ length: number | null }>(sql, 'SELECT sum(length) AS length FROM batches')!.length ?? 0

export function touchBatch(sql: Sql, id: string, now: number): void {
  run(
    sql,
    'INSERT INTO batches (id, files, length, touched) VALUES (?1, 0, 0, ?2) ON CONFLICT (id) DO UPDATE SET touched = ?2',
    id,
    now,
  )
}

/** Four rows a file, and one for each 1.9 MB of it beyond the first. Repeating it changes nothing. */
export function stageFile(sql: Sql, macKey: Uint8Array, batch: string, row: StagedRow, bytes: Uint8Array): void {
  const { role, version, sha256, length, expires, delegates } = row
  const before = one<{ sha256: string; length: number }>(
    sql,
    'SELECT sha256, length FROM staged WHERE batch = ? AND role = ? AND version = ?',
    batch,
    role,
    version,
  )
  if (before?.sha256 === sha256) return
  if (!hasBytes(sql, sha256)) insertBytes(sql, sha256, bytes)
  run(
    sql,
    `INSERT INTO staged (batch, role, version, sha256, length, expires, delegates, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (batch, role, version) DO UPDATE
     SET sha256 = excluded.sha256, length = excluded.length, expires = excluded.expires,
     delegates = excluded.delegates, mac = excluded.mac`,
    batch,
    role,
    version,
    sha256,
    length,
    expires,
    delegates,
    macOf(macKey, partsOf(batch, row), 'staged'),
  )
  if (before) dropBytes(sql, before.sha256)
  run(
    sql,
    'UPDATE batches SET files = files + ?, length = length + ? WHERE id = ?',
    before ? 0 : 1,
    length - (before?.length ?? 0),
    batch,
  )
}

export const digestsOf = (sql: Sql, batch: string): string[] =>
  all<{ sha256: string }>(sql, 'SELECT sha256 FROM staged WHERE batch = ?', batch).map(({ sha256 }) => sha256)

/** The files of a batch without their bytes; undefined if somebody else wrote one of them. */
export function stagedFiles(sql: Sql, macKey: Uint8Array, batch: string): StagedRow[] | undefined {
  const rows = all<StagedRow & { mac: ArrayBuffer }>(
    sql,
    'SELECT role, version, sha256, length, expires, delegates, mac FROM staged WHERE batch = ? ORDER BY role, version',
    batch,
  )
  return rows.every((row) => macHolds(macKey, partsOf(batch, row), row.mac, 'staged')) ? rows : undefined
}

/** Identities of the keys whose signatures of these bytes were verified; or, under a pair of digests, that a client walked. */
export function voicesOf(sql: Sql, macKey: Uint8Array, batch: string, sha256: string): string[] {
  const query = 'SELECT identities, mac FROM voices WHERE batch = ? AND sha256 = ?'
  const row = one<{ identities: string; mac: ArrayBuffer }>(sql, query, batch, sha256)
  if (!row || !macHolds(macKey, [batch, sha256, row.identities], row.mac, 'voices')) return []
  return JSON.parse(row.identities) as string[]
}

export function setVoices(sql: Sql, macKey: Uint8Array, batch: string, sha256: string, voices: string[]): void {
  const identities = JSON.stringify(voices)
  run(
    sql,
    'INSERT OR REPLACE INTO voices (batch, sha256, identities, mac) VALUES (?, ?, ?, ?)',
    batch,
    sha256,
    identities,
    macOf(macKey, [batch, sha256, identities], 'voices'),
  )
}

/** How many files of a batch are still to be looked at, each by the gate and by the client's walk; of what is unknown, one. */
export function uncheckedCount(sql: Sql, batch: string): number {
  const count = (query: string) => one<{ n: number }>(sql, `SELECT count(*) AS n FROM ${query}`, batch)!.n
  const halves = 2 * count("staged WHERE batch = ? AND role <> 'root'") - count('voices WHERE batch = ?')
  return Math.max(1, Math.ceil(halves / 2))
}

/** Forgets a batch; bytes go with it that nothing else names. */
export function dropBatch(sql: Sql, id: string): void {
  const digests = digestsOf(sql, id)
  for (const table of ['staged', 'voices']) run(sql, `DELETE FROM ${table} WHERE batch = ?`, id)
  run(sql, 'DELETE FROM batches WHERE id = ?', id)
  for (const sha256 of digests) dropBytes(sql, sha256)
}

/** When the oldest batch was touched last (Unix milliseconds), or undefined: there is none. */
export const oldestBatch = (sql: Sql): number | undefined =>
  one<{ at: number | null }>(sql, 'SELECT min(touched) AS at FROM batches')?.at ?? undefined

/** Forgets what nobody has touched since `before`. */
export function dropAbandoned(sql: Sql, before: number): void {
  for (const { id } of all<{ id: string }>(sql, 'SELECT id FROM batches WHERE touched <= ?', before)) dropBatch(sql, id)
}
