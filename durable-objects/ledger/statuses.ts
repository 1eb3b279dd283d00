// Project status (PEP 792): one row for each project that is not simply active. What a page says is signed, so the row
// carries a MAC; one that does not hold is as good as absent.
import type { ProjectStatus } from '../../pypi/page.ts'
import { macHolds, macOf } from './mac.ts'
import { all, one, run, type Sql } from './sql.ts'

/** `deleted` lasts until the flip that takes the project's pages away. */
export type Standing = ProjectStatus | 'deleted'

export interface StatusFacts {
  project: string
  bin: string
  status: Standing
  reason: string | null
  /** What the live page says. */
  live: Standing
  /** Queue row of the last change. */
  seq: number
}

interface StatusRow extends StatusFacts, Record<string, string | number | null | ArrayBuffer> {
  mac: ArrayBuffer | null
}

const partsOf = ({ project, bin, status, reason, live, seq }: StatusFacts) => [project, bin, status, reason, live, seq]

const holds = (key: Uint8Array, row: StatusRow): boolean => macHolds(key, partsOf(row), row.mac, 'statuses')

/** Undefined: active. */
export function findStatus(sql: Sql, key: Uint8Array, project: string): StatusFacts | undefined {
  const row = one<StatusRow>(sql, 'SELECT * FROM statuses WHERE project = ?', project)
  return row && holds(key, row) ? row : undefined
}

export const statusesOfBin = (sql: Sql, key: Uint8Array, bin: string): Map<string, StatusFacts> =>
  new Map(
    all<StatusRow>(sql, 'SELECT * FROM statuses WHERE bin = ?', bin)
      .filter((row) => holds(key, row))
      .map((row) => [row.project, row]),
  )

export function putStatus(sql: Sql, key: Uint8Array, row: StatusFacts): void {
  run(
    sql,
    'INSERT OR REPLACE INTO statuses (project, bin, status, reason, live, seq, mac) VALUES (?, ?, ?, ?, ?, ?, ?)',
    row.project,
    row.bin,
    row.status,
    row.reason,
    row.live,
    row.seq,
    macOf(key, partsOf(row), 'statuses'),
  )
}

export function dropStatus(sql: Sql, project: string): void {
  run(sql, 'DELETE FROM statuses WHERE project = ?', project)
}
