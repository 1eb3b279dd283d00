// The second bucket: a copy of every live file, if the deployment binds one (`COPY`). The ledger brings back everything
// but the files, so with the copy a lost bucket is whole again. State: the table `uncopied`; a row goes when the file,
// its METADATA and its provenance are in the copy, so a crash repeats a file and loses none.
//
// Beside publishing, never in it: a slow second bucket keeps no upload waiting. Invariant: nothing gets into the copy whose
// digest is not the accepted one (R2 checks it on put), and what the collector deletes goes from both.
// Cost: per file 2 heads, 2 reads, 2 puts, and 2 rows; of an attested one 3 each.
import { blobKey, blobKeys, blobMetadataKey, blobProvenanceKey } from '../tuf/layout.ts'
import { blobState } from './ledger/blobs.ts'
import { clearFact, getFact, setFact } from './ledger/facts.ts'
import { type FileRow, findFile } from './ledger/files.ts'
import { all, one, run, type Sql } from './ledger/sql.ts'
import { retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'

/** Files of one call; the next alarm goes on. Of 95 MB each they are a gigabyte to stream. */
const BATCH = 10
/** After a failure; what waits is in the first bucket, so nothing is in a hurry. */
const RETRY_MS = 60_000

/** A file has become live. To be called in the transaction that makes it so. */
export function toBeCopied({ sql, copy }: Context, project: string, filename: string): void {
  if (copy) run(sql, 'INSERT OR IGNORE INTO uncopied (project, filename) VALUES (?, ?)', project, filename)
}

/** Files that the copy lacks. */
export const uncopiedCount = (sql: Sql): number => one<{ n: number }>(sql, 'SELECT count(*) AS n FROM uncopied')!.n

/** When copying goes on (Unix milliseconds), or undefined: everything is copied. */
export const nextCopy = (sql: Sql, now: number): number | undefined =>
  one(sql, 'SELECT 1 AS x FROM uncopied LIMIT 1') === undefined ? undefined : (getFact(sql, 'copyRetryAt') ?? now)

/** Copies the next files. Never throws what a bucket throws. */
export async function copyFiles(ctx: Context): Promise<void> {
  const { sql, copy, now } = ctx
  if (!startOrEnd(ctx) || !copy || (getFact(sql, 'copyRetryAt') ?? 0) > now()) return
  const files = all<Pick<FileRow, 'project' | 'filename'>>(sql, 'SELECT project, filename FROM uncopied LIMIT ?', BATCH)
  try {
    for (const { project, filename } of files) {
      // Only what was never live loses its row; what becomes of a live file is its state.
      const { sha256, n, metadata_sha256: meta, provenance_sha256: provenance } = findFile(sql, project, filename)!
      await copyObject(ctx, copy, blobKey(ctx.place, sha256, n), sha256)
      if (meta !== null) await copyObject(ctx, copy, blobMetadataKey(ctx.place, sha256, n), meta)
      if (provenance !== null) await copyObject(ctx, copy, blobProvenanceKey(ctx.place, sha256, n), provenance)
      // Collected meanwhile: then it goes from the copy as well.
      if (blobState(sql, sha256, n) === 'gone') await copy.delete(blobKeys(ctx.place, sha256, n))
      run(sql, 'DELETE FROM uncopied WHERE project = ? AND filename = ?', project, filename)
    }
    clearFact(sql, 'copyRetryAt')
  } catch (error) {
    setFact(sql, 'copyRetryAt', now() + RETRY_MS)
    const message = error instanceof Error ? error.message : String(error)
    console.error(JSON.stringify({ event: 'copy-failed', message }))
  }
}

/** A bucket that was just bound lacks everything; one that is bound no more is owed nothing. True while one is bound. */
function startOrEnd({ sql, storage, copy }: Context): boolean {
  const copying = getFact(sql, 'copying') === 1
  if (copying === (copy !== undefined)) return copying
  storage.transactionSync(() => {
    run(sql, 'DELETE FROM uncopied')
    if (copy)
      run(sql, "INSERT INTO uncopied (project, filename) SELECT project, filename FROM files WHERE state = 'live'")
    setFact(sql, 'copying', copy ? 1 : 0)
  })
  return copy !== undefined
}

async function copyObject(ctx: Context, copy: R2Bucket, key: string, sha256: string): Promise<void> {
  if (await retrying(ctx, () => copy.head(key))) return
  const object = await retrying(ctx, () => ctx.bucket.get(key))
  // Deleted, or lost: the rebuild names it.
  if (!object) return
  const { readable, writable } = new FixedLengthStream(object.size)
  const put = copy.put(key, readable, { sha256, onlyIf: { etagDoesNotMatch: '*' } })
  await Promise.all([object.body.pipeTo(writable), put])
}

/** Puts a lost object back from the copy. True if it is there now. */
export async function restoreObject(ctx: Context, key: string, sha256: string): Promise<boolean> {
  const object = ctx.copy && (await retrying(ctx, () => ctx.copy!.get(key)))
  if (!object) return false
  const { readable, writable } = new FixedLengthStream(object.size)
  try {
    await Promise.all([object.body.pipeTo(writable), ctx.bucket.put(key, readable, { sha256 })])
    return true
  } catch (error) {
    console.error(JSON.stringify({ event: 'restore-failed', key, message: String(error) }))
    return false
  }
}
