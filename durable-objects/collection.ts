// The collector: deletes what the garbage rows name once its grace is over. It runs when no publication is open, so it
// can never race with an apply, and it is nobody's obstacle: between two batches it lets uploads go first, and a delete
// that fails is tried again later while publishing goes on.
//
// Invariants: a root is never garbage, and nothing that is live is deleted whatever the list says. What was replaced at t
// is named by timestamps signed before t, which end by t + their life; it goes an hour later (`graceMs`). A crash after a
// delete and before its note repeats the delete, which is harmless because no deleted key is ever written again
// (docs/design/publication.md, invariant 8).
import { blobKeys, bucketPrefix, metadataKey } from '../tuf/layout.ts'
import { giveUpReservations } from './direct-uploads.ts'
import { forgetFormer, freshnessOf, graceMs, ORPHAN_MS } from './freshness.ts'
import { abortAbandoned } from './large-uploads.ts'
import { dropAbandoned } from './ledger/batches.ts'
import { blobState, setBlobState } from './ledger/blobs.ts'
import { clearFact, getFact, setFact } from './ledger/facts.ts'
import {
  addGarbage,
  dueGarbage,
  type GarbageKind,
  hastenGarbage,
  mendDates,
  oldestGarbage,
  removeGarbage,
} from './ledger/garbage.ts'
import { dropOffline } from './ledger/offline.ts'
import { waitingCount } from './ledger/queue.ts'
import { liveRole } from './ledger/roles.ts'
import { all, one } from './ledger/sql.ts'
import { retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'

/**
 * Keys of one delete call (R2 limit). A publication replaces at most 2 pages of 200 projects, 256 bins, `index`, its 2
 * pages and the snapshot: 660 keys. So one batch a publication keeps up with any rate of publishing.
 */
const BATCH = 1_000
/** A pass that always has more to publish collects between two publications what is overdue by this. */
const OVERDUE_MS = 60_000
/** A delete that failed is tried again after a minute; until then nothing waits for it. */
const RETRY_MS = 60_000

/** Deletes what is due, batch by batch, until an upload waits. Never throws what the bucket throws. */
export async function collectGarbage(ctx: Context): Promise<void> {
  const { sql } = ctx
  forgetFormer(sql, ctx.now())
  condemnOrphans(ctx)
  await abortAbandoned(ctx)
  giveUpReservations(ctx)
  ctx.storage.transactionSync(() => dropAbandoned(sql, ctx.now() - ORPHAN_MS))
  mendDates(sql, ctx.now(), graceMs(freshnessOf(sql)))
  while (mayCollect(ctx)) if (!(await collectBatch(ctx)) || waitingCount(sql) > 0) return
}

/** For a pass that goes on publishing: one batch, if anything is overdue. No publication may be open. */
export async function collectOverdue(ctx: Context): Promise<void> {
  const oldest = oldestGarbage(ctx.sql)
  if (oldest !== undefined && oldest + OVERDUE_MS <= ctx.now() && mayCollect(ctx)) await collectBatch(ctx)
}

function mayCollect({ sql, now }: Context): boolean {
  const retryAt = getFact(sql, 'collectRetryAt')
  // Beyond now + RETRY_MS it was noted by a clock that ran ahead.
  return retryAt === undefined || retryAt <= now() || retryAt > now() + RETRY_MS
}

/** True if there may be more. Progress is saved with the batch. */
async function collectBatch(ctx: Context): Promise<boolean> {
  const { sql } = ctx
  const due = dueGarbage(sql, ctx.now(), BATCH)
  if (due.length === 0) return false
  const keys = due.filter(({ key, kind }) => isDeletable(ctx, key, kind)).map(({ key }) => key)
  try {
    if (keys.length > 0) await retrying(ctx, () => ctx.bucket.delete(keys))
    const blobs = keys.filter((key) => blobOf(key) !== undefined)
    if (ctx.copy && blobs.length > 0) await retrying(ctx, () => ctx.copy!.delete(blobs))
  } catch (error) {
    setFact(sql, 'collectRetryAt', ctx.now() + RETRY_MS)
    const message = error instanceof Error ? error.message : String(error)
    console.error(JSON.stringify({ event: 'collect-failed', message }))
    return false
  }
  ctx.storage.transactionSync(() => {
    clearFact(sql, 'collectRetryAt')
    removeGarbage(
      sql,
      due.map(({ key }) => key),
    )
    for (const key of keys) {
      const blob = blobOf(key)
      if (blob) setBlobState(sql, blob.sha256, blob.n, 'gone')
      const file = metadataOf(key)
      if (file) dropOffline(sql, file.role, file.version)
    }
  })
  return due.length === BATCH
}

const METADATA_KEY = /\/tuf\/(\d+)\.([^/]+)\.json$/
const UPLOAD_KEY = /^uploads\/[0-9a-f]{32}$/
const PAGE_KEY = /^pages\/(.+\/)([0-9a-f]{64})\.([^/]+)$/

/** The last look before a delete that cannot be taken back: nothing that is live goes, whatever the list says. */
function isDeletable({ sql, place }: Context, key: string, kind: GarbageKind): boolean {
  if (!key.startsWith(bucketPrefix(place))) return false
  if (kind === 'blob') {
    const blob = blobOf(key)
    // `gone`: another of the three, file, METADATA and provenance, was in the batch before.
    return blob !== undefined && ['condemned', 'gone'].includes(blobState(sql, blob.sha256, blob.n) ?? '')
  }
  if (kind === 'page') {
    const match = PAGE_KEY.exec(key.slice(bucketPrefix(place).length))
    if (!match) return false
    const [, folder, sha256, name] = match as unknown as [string, string, string, string]
    return one(sql, 'SELECT 1 AS x FROM pages WHERE path = ? AND sha256 = ?', `${folder}${name}`, sha256) === undefined
  }
  if (kind === 'upload') return UPLOAD_KEY.test(key.slice(bucketPrefix(place).length))
  const file = metadataOf(key)
  if (file === undefined || file.role === 'root') return false
  const live = liveRole(sql, file.role)
  return !(live && metadataKey(place, live.version, file.role) === key)
}

function metadataOf(key: string): { version: number; role: string } | undefined {
  const match = METADATA_KEY.exec(key)
  return match ? { version: Number(match[1]), role: decodeURIComponent(match[2]!) } : undefined
}

function blobOf(key: string): { sha256: string; n: number } | undefined {
  const match = /\/blobs\/([0-9a-f]{64})\/(\d+)(?:\.metadata|\.provenance)?$/.exec(key)
  return match ? { sha256: match[1]!, n: Number(match[2]) } : undefined
}

/** Marks a blob and what lies beside it for deletion; (sha256, n) is never given out again. */
export function condemnBlob(ctx: Context, sha256: string, n: number, reason: string): void {
  const notBefore = ctx.now() + graceMs(freshnessOf(ctx.sql))
  setBlobState(ctx.sql, sha256, n, 'condemned')
  for (const key of blobKeys(ctx.place, sha256, n)) addGarbage(ctx.sql, key, notBefore, 'blob', reason)
}

/** A condemned blob that does not wait for its grace. */
export function hastenBlob({ sql, place, now }: Context, sha256: string, n: number): void {
  for (const key of blobKeys(place, sha256, n)) hastenGarbage(sql, key, now())
}

/** Uploads that began more than a day ago and were never staged. */
function condemnOrphans(ctx: Context): void {
  const orphans = all<{ sha256: string; n: number }>(
    ctx.sql,
    "SELECT sha256, n FROM blobs WHERE state = 'begun' AND created <= ? LIMIT ?",
    ctx.now() - ORPHAN_MS,
    BATCH,
  )
  if (orphans.length === 0) return
  ctx.storage.transactionSync(() => {
    for (const { sha256, n } of orphans) condemnBlob(ctx, sha256, n, 'never staged')
  })
}
