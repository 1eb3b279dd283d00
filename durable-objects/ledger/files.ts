// Accepted files: one row each, with a MAC made when the file was accepted (or its yank changed). A row whose MAC does
// not hold was written by somebody else; it is never signed, and the plan puts it into quarantine by name.
import { getFact, setFact } from './facts.ts'
import { macHolds, macOf } from './mac.ts'
import { all, one, run, type Sql } from './sql.ts'

export type FileState = 'staged' | 'live' | 'dropping' | 'deleting' | 'deleted' | 'quarantined'

export interface FileFacts {
  project: string
  filename: string
  bin: string
  sha256: string
  size: number
  n: number
  version: string
  /** The version without trailing zeros: 1.0 and 1.0.0 are one release (PEP 440). */
  release: string
  filetype: string
  /** Unix milliseconds. */
  uploaded: number
  requires_python: string | null
  metadata_sha256: string | null
  metadata_size: number | null
  /** Of the provenance object beside the bytes (PEP 740), verified before it was put there. */
  provenance_sha256: string | null
  /** Null: not yanked. Empty: yanked without a reason. */
  yanked: string | null
}

export interface FileRow extends FileFacts, Record<string, string | number | null | ArrayBuffer> {
  state: FileState
  reason: string | null
  /** Queue row of its delete. */
  removal: number | null
  /** 1: the bytes go with the flip, not after the grace. */
  purge: number | null
  mac: ArrayBuffer
}

export const fileMac = (key: Uint8Array, file: FileFacts): Uint8Array => macOf(key, partsOf(file))

/** False for a row that somebody else wrote. */
export const fileMacHolds = (key: Uint8Array, row: FileRow): boolean => macHolds(key, partsOf(row), row.mac)

const partsOf = (file: FileFacts) => [
  file.project,
  file.filename,
  file.bin,
  file.sha256,
  file.size,
  file.n,
  file.version,
  file.release,
  file.filetype,
  file.uploaded,
  file.requires_python,
  file.metadata_sha256,
  file.metadata_size,
  file.yanked,
  file.provenance_sha256,
]

export const findFile = (sql: Sql, project: string, filename: string): FileRow | undefined =>
  one<FileRow>(sql, 'SELECT * FROM files WHERE project = ? AND filename = ?', project, filename)

export const filesOfProject = (sql: Sql, project: string): FileRow[] =>
  all<FileRow>(sql, "SELECT * FROM files WHERE project = ? AND state IN ('staged', 'live')", project)

/** What the bin's next version may name. */
export const filesOfBin = (sql: Sql, bin: string): FileRow[] =>
  all<FileRow>(sql, "SELECT * FROM files WHERE bin = ? AND state IN ('staged', 'live', 'deleting')", bin)

/** Of every file that is not deleted. */
export const heldByRepository = (sql: Sql): { files: number; bytes: number } =>
  JSON.parse(getFact(sql, 'held') ?? '{"files":0,"bytes":0}')

function addHeld(sql: Sql, files: 1 | -1, size: number): void {
  const held = heldByRepository(sql)
  setFact(sql, 'held', JSON.stringify({ files: held.files + files, bytes: held.bytes + files * size }))
}

export function insertFile(sql: Sql, key: Uint8Array, file: FileFacts): void {
  run(
    sql,
    `INSERT INTO files (project, filename, bin, sha256, size, n, version, release, filetype, uploaded,
       requires_python, metadata_sha256, metadata_size, yanked, provenance_sha256, state, mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'staged', ?)`,
    file.project,
    file.filename,
    file.bin,
    file.sha256,
    file.size,
    file.n,
    file.version,
    file.release,
    file.filetype,
    file.uploaded,
    file.requires_python,
    file.metadata_sha256,
    file.metadata_size,
    file.yanked,
    file.provenance_sha256,
    fileMac(key, file),
  )
  addHeld(sql, 1, file.size)
}

/** Yank is a fact a reader sees, so the MAC is made anew. */
export function setYanked(sql: Sql, key: Uint8Array, row: FileRow, yanked: string | null): void {
  run(
    sql,
    'UPDATE files SET yanked = ?, mac = ? WHERE project = ? AND filename = ?',
    yanked,
    fileMac(key, { ...row, yanked }),
    row.project,
    row.filename,
  )
}

export function setFileState(sql: Sql, project: string, filename: string, state: FileState, reason?: string): void {
  const was = findFile(sql, project, filename)
  if (was && (was.state === 'deleted') !== (state === 'deleted')) addHeld(sql, state === 'deleted' ? -1 : 1, was.size)
  run(
    sql,
    'UPDATE files SET state = ?, reason = ? WHERE project = ? AND filename = ?',
    state,
    reason ?? null,
    project,
    filename,
  )
}

/** Takes a file out of what is published from the queue row `seq` on. */
export function removeFile(sql: Sql, row: FileRow, seq: number, reason: string, purge: boolean): void {
  run(
    sql,
    'UPDATE files SET state = ?, reason = ?, removal = ?, purge = ? WHERE project = ? AND filename = ?',
    row.state === 'staged' ? 'dropping' : 'deleting',
    reason,
    seq,
    purge ? 1 : 0,
    row.project,
    row.filename,
  )
}

/** What was deleted, or never published, is purged too. */
export function markPurged(sql: Sql, project: string, filename: string): void {
  run(sql, 'UPDATE files SET purge = 1 WHERE project = ? AND filename = ?', project, filename)
}

/** The files that were purged last. */
export const purgedFiles = (sql: Sql, limit: number): FileRow[] =>
  all<FileRow>(
    sql,
    "SELECT * FROM files INDEXED BY files_purged WHERE purge = 1 AND state = 'deleted' ORDER BY removal DESC LIMIT ?",
    limit,
  )

/** Files whose delete is part of what is live once the project's queue row `seq` is. */
export const removedBy = (sql: Sql, project: string, seq: number): FileRow[] =>
  all<FileRow>(
    sql,
    "SELECT * FROM files WHERE project = ? AND removal <= ? AND state IN ('deleting', 'dropping')",
    project,
    seq,
  )

/** As if it had never been accepted: for a file that nobody was ever shown. */
export function forgetFile(sql: Sql, { project, filename, size, state }: FileRow): void {
  if (run(sql, 'DELETE FROM files WHERE project = ? AND filename = ?', project, filename) > 0 && state !== 'deleted')
    addHeld(sql, -1, size)
}
