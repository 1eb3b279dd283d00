// Every role's numbers. `highest` counts all numbers ever signed and only rises; the rest describes the live file.
import { getFact } from './facts.ts'
import { all, one, run, type Sql } from './sql.ts'

export interface LiveRole extends Record<string, string | number | null> {
  name: string
  version: number
  sha256: string
  length: number
  /** Unix milliseconds. */
  expires: number
  /** Whose object rows hold its bytes; null where they are in a table of their own (offline roles, timestamps). */
  publication: number | null
}

export const highestVersion = (sql: Sql, name: string): number =>
  one<{ highest: number }>(sql, 'SELECT highest FROM roles WHERE name = ?', name)?.highest ?? 0

/** A number is burned in the transaction that stores the bytes signed under it. */
export function burnVersion(sql: Sql, name: string, version: number): void {
  run(
    sql,
    'INSERT INTO roles (name, highest) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET highest = max(highest, excluded.highest)',
    name,
    version,
  )
}

export function setLiveRole(sql: Sql, role: LiveRole): void {
  run(
    sql,
    `INSERT INTO roles (name, highest, version, sha256, length, expires, publication) VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (name) DO UPDATE
     SET highest = max(highest, ?2), version = ?2, sha256 = ?3, length = ?4, expires = ?5, publication = ?6`,
    role.name,
    role.version,
    role.sha256,
    role.length,
    role.expires,
    role.publication,
  )
}

export const liveRole = (sql: Sql, name: string): LiveRole | undefined =>
  one<LiveRole>(
    sql,
    'SELECT name, version, sha256, length, expires, publication FROM roles WHERE name = ? AND version IS NOT NULL',
    name,
  )

/** Those that expire first, of delegated roles that people sign. */
export const soonestDelegated = (sql: Sql, limit: number): LiveRole[] =>
  all<LiveRole>(
    sql,
    `SELECT name, version, sha256, length, expires, publication FROM roles WHERE version IS NOT NULL
     AND name NOT IN ('root', 'targets', 'timestamp', 'snapshot') ORDER BY expires LIMIT ?`,
    limit,
  )

export const liveRoles = (sql: Sql): LiveRole[] =>
  all<LiveRole>(sql, 'SELECT name, version, sha256, length, expires, publication FROM roles WHERE version IS NOT NULL')

/** Roles that the former signer's snapshot listed and nobody delegates to: clients that saw them ask to see them again. */
export const formerRoles = (sql: Sql): [string, { version: number }][] =>
  Object.entries(JSON.parse(getFact(sql, 'formerRoles') ?? '{}') as Record<string, number>).map(([name, version]) => [
    name,
    { version },
  ])
