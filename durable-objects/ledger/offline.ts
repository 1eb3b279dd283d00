// Metadata that people signed, byte for byte as accepted. Roots are kept for ever: clients walk the whole chain.
import { macHolds, macOf } from './mac.ts'
import { all, run, type Sql } from './sql.ts'

export interface OfflineRow {
  version: number
  sha256: string
  bytes: Uint8Array
}

type Row = { version: number; sha256: string; bytes: ArrayBuffer; mac: ArrayBuffer | null }

const partsOf = (role: string, { version, sha256 }: Pick<OfflineRow, 'version' | 'sha256'>) => [role, version, sha256]

export function insertOffline(sql: Sql, macKey: Uint8Array, role: string, row: OfflineRow): void {
  run(
    sql,
    'INSERT INTO offline (role, version, sha256, bytes, mac) VALUES (?, ?, ?, ?, ?)',
    role,
    row.version,
    row.sha256,
    row.bytes,
    macOf(macKey, partsOf(role, row), 'offline'),
  )
}

export const newestOffline = (sql: Sql, macKey: Uint8Array, role: string): OfflineRow | undefined =>
  offlineVersions(sql, macKey, role).at(-1)

/** Oldest first. The face trusts the roots named here, so a row that was not accepted from people is not among them. */
export const offlineVersions = (sql: Sql, macKey: Uint8Array, role: string): OfflineRow[] =>
  all<Row>(sql, 'SELECT version, sha256, bytes, mac FROM offline WHERE role = ? ORDER BY version', role)
    .filter((row) => macHolds(macKey, partsOf(role, row), row.mac, 'offline'))
    .map(({ version, sha256, bytes }) => ({ version, sha256, bytes: new Uint8Array(bytes) }))
