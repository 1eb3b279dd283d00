// The collector: deletes what the garbage rows name once its grace is over. It runs at the end of a pass, when no
// publication is open, so it can never race with an apply. Roots are never garbage.
import { blobKey, blobMetadataKey } from '../tuf/layout.ts'
import { freshnessOf, graceMs, ORPHAN_MS } from './freshness.ts'
import { setBlobState } from './ledger/blobs.ts'
import { addGarbage, dueGarbage, removeGarbage } from './ledger/garbage.ts'
import { all } from './ledger/sql.ts'
import { retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'

/** Keys of one delete call (R2 limit). Progress is saved after each. */
const BATCH = 1_000

export async function collectGarbage(ctx: Context): Promise<void> {
  condemnOrphans(ctx)
  for (;;) {
    const due = dueGarbage(ctx.sql, ctx.now(), BATCH)
    if (due.length === 0) return
    const keys = due.map((row) => row.key)
    await retrying(ctx, () => ctx.bucket.delete(keys))
    ctx.storage.transactionSync(() => {
      removeGarbage(ctx.sql, keys)
      for (const { key, kind } of due) {
        const blob = kind === 'blob' && /\/blobs\/([0-9a-f]{64})\/(\d+)$/.exec(key)
        if (blob) setBlobState(ctx.sql, blob[1]!, Number(blob[2]), 'gone')
      }
    })
  }
}

/** Marks a blob and its metadata sibling for deletion; (sha256, n) is never given out again. */
export function condemnBlob(ctx: Context, sha256: string, n: number, reason: string): void {
  const notBefore = ctx.now() + graceMs(freshnessOf(ctx.sql))
  setBlobState(ctx.sql, sha256, n, 'condemned')
  addGarbage(ctx.sql, blobKey(ctx.place, sha256, n), notBefore, 'blob', reason)
  addGarbage(ctx.sql, blobMetadataKey(ctx.place, sha256, n), notBefore, 'blob', reason)
}

/** Uploads that began more than a day ago and were never staged. */
function condemnOrphans(ctx: Context): void {
  const orphans = all<{ sha256: string; n: number }>(
    ctx.sql,
    "SELECT sha256, n FROM blobs WHERE state = 'begun' AND created <= ?",
    ctx.now() - ORPHAN_MS,
  )
  if (orphans.length === 0) return
  ctx.storage.transactionSync(() => {
    for (const { sha256, n } of orphans) condemnBlob(ctx, sha256, n, 'never staged')
  })
}
