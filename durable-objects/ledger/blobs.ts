// Stored bytes: (sha256, n) names one store of a file's bytes in the bucket and is given out once. A blob that was ever
// condemned is never given out again, so a delete that arrives late cannot hit a file accepted after it.
import { one, run, type Sql } from './sql.ts'

export type BlobState = 'begun' | 'referenced' | 'condemned' | 'gone'

/** The next unused n for these bytes. An interrupted upload's n is not given out again either: its put may still land. */
export function beginBlob(sql: Sql, sha256: string, now: number): number {
  const n = (one<{ n: number | null }>(sql, 'SELECT max(n) AS n FROM blobs WHERE sha256 = ?', sha256)?.n ?? 0) + 1
  run(sql, "INSERT INTO blobs (sha256, n, state, created) VALUES (?, ?, 'begun', ?)", sha256, n, now)
  return n
}

export const blobState = (sql: Sql, sha256: string, n: number): BlobState | undefined =>
  one<{ state: BlobState }>(sql, 'SELECT state FROM blobs WHERE sha256 = ? AND n = ?', sha256, n)?.state

export function setBlobState(sql: Sql, sha256: string, n: number, state: BlobState): void {
  run(sql, 'UPDATE blobs SET state = ? WHERE sha256 = ? AND n = ?', state, sha256, n)
}
