// Settings that decide what is believed or signed: like every row of that kind they carry a MAC, and one that does not hold
// is as good as absent.
import { macHolds, macOf } from './mac.ts'
import { one, run, type Sql } from './sql.ts'

interface Settings {
  /** Whom attestations are trusted by (null: nobody), and the scheme and host that pages name provenance under. */
  attestations: { trustedRoot: string | null; origin: string }
  /** SHA-256 (hex) of every bootstrap secret that ever made a token. One more for each that is deployed, and never one less. */
  bootstrapSecrets: string[]
}

export function findSetting<S extends keyof Settings>(sql: Sql, key: Uint8Array, name: S): Settings[S] | undefined {
  const row = one<{ value: string; mac: ArrayBuffer }>(sql, 'SELECT value, mac FROM settings WHERE name = ?', name)
  const holds = row !== undefined && macHolds(key, [name, row.value], row.mac, 'settings')
  return holds ? (JSON.parse(row.value) as Settings[S]) : undefined
}

export function putSetting<S extends keyof Settings>(sql: Sql, key: Uint8Array, name: S, value: Settings[S]): void {
  const text = JSON.stringify(value)
  const mac = macOf(key, [name, text], 'settings')
  run(sql, 'INSERT OR REPLACE INTO settings (name, value, mac) VALUES (?, ?, ?)', name, text, mac)
}
