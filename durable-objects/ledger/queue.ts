// What still has to be published: one row a change, in the order of acceptance. A row without a publication waits;
// one with a publication is part of it and goes when it is live, or waits again when it is superseded.
import { binOfProject } from './bins.ts'
import { all, one, run, type Sql } from './sql.ts'

/**
 * A change of one file; with an empty name, of the project or of several files.
 *
 * @param token id of the token that staged it; absent: nothing is staged
 */
export function enqueue(sql: Sql, project: string, filename: string, token?: string): number {
  return one<{ seq: number }>(
    sql,
    'INSERT INTO queue (project, filename, token) VALUES (?, ?, ?) RETURNING seq',
    project,
    filename,
    token ?? null,
  )!.seq
}

export const waitingCount = (sql: Sql): number =>
  one<{ n: number }>(sql, 'SELECT count(*) AS n FROM queue WHERE publication IS NULL')!.n

/** True once `limit` changes are waiting or under way. Reads at most so many rows. */
export const queueHolds = (sql: Sql, limit: number): boolean =>
  one<{ n: number }>(sql, 'SELECT count(*) AS n FROM (SELECT 1 FROM queue LIMIT ?)', limit)!.n >= limit

/** Projects with a waiting change, oldest change first. */
export const waitingProjects = (sql: Sql, limit: number): { project: string; bin: string; seq: number }[] =>
  all<{ project: string; seq: number }>(
    sql,
    `SELECT project, max(seq) AS seq FROM queue
     WHERE publication IS NULL GROUP BY project ORDER BY min(seq) LIMIT ?`,
    limit,
  ).map((row) => ({ ...row, bin: binOfProject(row.project) }))

/** Projects with a waiting change and no file that is live. */
export const waitingNewProjects = (sql: Sql): string[] =>
  all<{ project: string }>(
    sql,
    `SELECT DISTINCT project FROM queue WHERE publication IS NULL
     AND NOT EXISTS (SELECT 1 FROM files WHERE files.project = queue.project AND state = 'live')`,
  ).map((row) => row.project)

/** Everything accepted for the project up to `seq` is now part of the publication. */
export function assignToPublication(sql: Sql, project: string, seq: number, publication: number): void {
  run(
    sql,
    'UPDATE queue SET publication = ? WHERE project = ? AND seq <= ? AND publication IS NULL',
    publication,
    project,
    seq,
  )
}

export const changesOf = (sql: Sql, publication: number): { seq: number; project: string; filename: string }[] =>
  all(sql, 'SELECT seq, project, filename FROM queue WHERE publication = ?', publication)

/** Highest waiting or assigned change of a file, or of its project, whose status may hide it; undefined when all is live. */
export const pendingChange = (sql: Sql, project: string, filename: string): number | undefined =>
  one<{ seq: number | null }>(
    sql,
    "SELECT max(seq) AS seq FROM queue WHERE project = ? AND filename IN (?, '')",
    project,
    filename,
  )?.seq ?? undefined

export function dropChanges(sql: Sql, publication: number): void {
  run(sql, 'DELETE FROM queue WHERE publication = ?', publication)
}

export function returnChanges(sql: Sql, publication: number): void {
  run(sql, 'UPDATE queue SET publication = NULL WHERE publication = ?', publication)
}

/** Highest waiting or assigned change of any file of the project, or of the project itself. */
export const pendingOfProject = (sql: Sql, project: string): number | undefined =>
  one<{ seq: number | null }>(sql, 'SELECT max(seq) AS seq FROM queue WHERE project = ?', project)?.seq ?? undefined
