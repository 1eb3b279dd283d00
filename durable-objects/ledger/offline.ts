// Metadata that people signed, byte for byte as accepted. Roots are kept for ever: clients walk the whole chain.
import { all, one, run, type Sql } from './sql.ts'

export interface OfflineRow {
  version: number
  sha256: string
  bytes: Uint8Array
}

type Row = { version: number; sha256: string; bytes: ArrayBuffer }
const read = (row: Row): OfflineRow => ({ ...row, bytes: new Uint8Array(row.bytes) })

export function insertOffline(sql: Sql, role: string, row: OfflineRow): void {
  run(
    sql,
    'INSERT INTO offline (role, version, sha256, bytes) VALUES (?, ?, ?, ?)',
    role,
    row.version,
    row.sha256,
    row.bytes,
  )
}

export function newestOffline(sql: Sql, role: string): OfflineRow | undefined {
  const row = one<Row>(
    sql,
    'SELECT version, sha256, bytes FROM offline WHERE role = ? ORDER BY version DESC LIMIT 1',
    role,
  )
  return row && read(row)
}

export const offlineVersions = (sql: Sql, role: string): OfflineRow[] =>
  all<Row>(sql, 'SELECT version, sha256, bytes FROM offline WHERE role = ? ORDER BY version', role).map(read)
