// Every timestamp from the moment it is signed, so that one found in the bucket can be told from a stranger's.
import { all, one, run, type Sql } from './sql.ts'

/** Rows kept behind the live one: enough to recognise what a slow or replayed write may bring back. */
const KEPT = 1_000

// A type, not an interface: only types satisfy the index signature of a SQL row.
export type TimestampRow = {
  version: number
  bytes: ArrayBuffer
  sha256: string
  snapshot: number
  /** The publication it makes live, or null for a freshness tick. */
  publication: number | null
  signed: number
  /** Unix milliseconds. */
  expires: number
  /** 1: it says that reading takes a token. */
  private: number
}

export function insertTimestamp(sql: Sql, row: Omit<TimestampRow, 'bytes'> & { bytes: Uint8Array }): void {
  run(
    sql,
    `INSERT INTO timestamps (version, bytes, sha256, snapshot, publication, signed, expires, private)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    row.version,
    row.bytes,
    row.sha256,
    row.snapshot,
    row.publication,
    row.signed,
    row.expires,
    row.private,
  )
}

export const timestampByDigest = (sql: Sql, sha256: string): TimestampRow | undefined =>
  one<TimestampRow>(sql, 'SELECT * FROM timestamps WHERE sha256 = ?', sha256)

/** The newest signed timestamp above the live one: its put may or may not have landed. */
export const timestampInDoubt = (sql: Sql, live: number): TimestampRow | undefined =>
  all<TimestampRow>(sql, 'SELECT * FROM timestamps WHERE version > ? ORDER BY version DESC LIMIT 1', live)[0]

/** Whether a timestamp above the live one was signed for this publication: its put may land at any time. */
export const publicationInDoubt = (sql: Sql, publication: number, live: number): boolean =>
  one(sql, 'SELECT 1 AS x FROM timestamps WHERE version > ? AND publication = ?', live, publication) !== undefined

export function pruneTimestamps(sql: Sql, live: number): void {
  run(sql, 'DELETE FROM timestamps WHERE version <= ?', live - KEPT)
}
