// How much an index and its projects may hold. A row of `quotas` is a project's, the one with an empty name the
// repository's; a limit that is null is none. What a project holds is summed from its rows (at most FILES_PER_PROJECT_MAX),
// what the repository holds is kept as a fact by whatever adds or takes a file (files.ts), because a sum would grow with it.
import { one, run, type Sql } from './sql.ts'

export const REPOSITORY = ''

export interface Quota {
  bytes: number | null
  files: number | null
  /** Bytes of one file. */
  fileBytes: number | null
}

export const findQuota = (sql: Sql, project: string): Quota =>
  one<{ bytes: number | null; files: number | null; fileBytes: number | null }>(
    sql,
    'SELECT bytes, files, file_bytes AS fileBytes FROM quotas WHERE project = ?',
    project,
  ) ?? { bytes: null, files: null, fileBytes: null }

export function putQuota(sql: Sql, project: string, { bytes, files, fileBytes }: Quota): void {
  run(
    sql,
    'INSERT OR REPLACE INTO quotas (project, bytes, files, file_bytes) VALUES (?, ?, ?, ?)',
    project,
    bytes,
    files,
    fileBytes,
  )
}

/** Of every file that is not deleted, those that wait included. */
export const heldByProject = (sql: Sql, project: string): { files: number; bytes: number } =>
  one<{ files: number; bytes: number }>(
    sql,
    "SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes FROM files WHERE project = ? AND state <> 'deleted'",
    project,
  )!
