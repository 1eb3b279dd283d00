// One pass of the publisher: settles what an earlier one left, publishes what waits, re-signs what is due, collects.
// Single flight: the object runs one pass at a time, and every step may be run again from the ledger after any crash.
//
//   fence → plan → sign → commit → apply → flip → finish     (docs/design/publication.md)
//
// While a publication is applied, a tick may flip a new timestamp over the *live* snapshot, so that a slow bucket never
// lets the timestamp run past its date.
import { collectGarbage, collectOverdue } from '../collection.ts'
import { freshnessOf, tickDue } from '../freshness.ts'
import { getFact } from '../ledger/facts.ts'
import { findPublication, openPublication, type Publication } from '../ledger/publications.ts'
import { liveRole } from '../ledger/roles.ts'
import { one } from '../ledger/sql.ts'
import { publicationInDoubt } from '../ledger/timestamps.ts'
import { dropWithdrawn, withdrawals } from '../withdraw.ts'
import { type ApplyResult, applyPublication } from './apply.ts'
import { commitPublication } from './commit.ts'
import { type Context, RetryableFault } from './context.ts'
import { inspectTimestamp, recordForeignWrite } from './fence.ts'
import { finishFlip, supersede } from './finish.ts'
import { expectedEtag, flipTimestamp, type SnapshotMeta } from './flip.ts'
import { makePlan, planNeeded } from './plan.ts'
import { signPublication } from './sign.ts'

/** Rounds of one pass: each publishes or repairs something. What is left then goes on with the next alarm. */
const ROUNDS_MAX = 1_000

/** How often a pass looks for a due tick while it puts: three queries a put would cost more than they are worth. */
const TICK_LOOK_MS = 1_000

/** `published` is called with the queue rows that became live, as soon as they are. @throws Halt, RetryableFault */
export async function runPass(ctx: Context, published: (seqs: number[]) => void): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    await settle(ctx, published)
    // Its owner's keys sign from here on.
    if (getFact(ctx.sql, 'state') === 'released') return
    const publication = openPublication(ctx.sql) ?? (await prepare(ctx, published))
    if (!publication) {
      if (!tickDue(ctx.sql, freshnessOf(ctx.sql), ctx.now())) break
      await flip(ctx, liveSnapshot(ctx)!, null, published)
      continue
    }
    const applied = await applyUnlessOver(ctx, publication, published)
    if ('more' in applied) return
    if (!applied.ok) await giveUp(ctx, publication, published, applied.reason, applied.poison)
    else if (await flip(ctx, snapshotOf(ctx, publication), publication.id, published)) await collectOverdue(ctx)
  }
  await collectGarbage(ctx)
}

/** Looked at before the puts, and after them: a withdrawal ends a publication that is being applied. */
async function applyUnlessOver(
  ctx: Context,
  publication: Publication,
  published: (seqs: number[]) => void,
): Promise<ApplyResult> {
  const withdrawn = () => findPublication(ctx.sql, publication.id)?.half_life === 0
  const over = { ok: false, reason: 'what a revoked token staged is in it' } as const
  if (withdrawn()) return over
  if (ctx.now() > publication.half_life)
    return { ok: false, reason: 'less than half the life of a role was left before it went out' }
  const applied = await applyPublication(ctx, publication, ticker(ctx, published))
  return applied.ok && withdrawn() ? over : applied
}

/** Plans, signs and commits the next publication, not before the flip interval of the last one is over. */
async function prepare(ctx: Context, published: (seqs: number[]) => void): Promise<Publication | undefined> {
  const { sql } = ctx
  published(ctx.storage.transactionSync(() => dropWithdrawn(ctx)).map(({ seq }) => seq))
  if (!planNeeded(sql, ctx.now())) return undefined
  // What is staged during the wait shares the publication.
  const since = ctx.now() - (getFact(sql, 'flippedAt') ?? 0)
  if (since >= 0 && since < ctx.flipIntervalMs) await ctx.sleep(ctx.flipIntervalMs - since)
  const before = withdrawals(ctx)
  const plan = makePlan(sql, ctx.custody.macKey(), ctx.now())
  const signed = await signPublication(ctx, plan)
  return withdrawals(ctx) === before ? commitPublication(ctx, plan, signed) : prepare(ctx, published)
}

/** Brings ledger and bucket together before anything is written. */
async function settle(ctx: Context, published: (seqs: number[]) => void): Promise<void> {
  const found = await inspectTimestamp(ctx)
  if (found.kind === 'pointer') return
  if (found.kind === 'ours') {
    published(finishFlip(ctx, found.row, found.etag))
    return
  }
  recordForeignWrite(ctx, found.why)
  const live = liveSnapshot(ctx)
  if (!live) throw new RetryableFault(`timestamp.json is not ours (${found.why}) and nothing is live yet.`)
  const result = await flipTimestamp(ctx, live, null, found.etag)
  if (result.ok) published(finishFlip(ctx, result.row, result.etag))
}

/** False when somebody wrote first: the next round's fence classifies it. */
async function flip(
  ctx: Context,
  snapshot: SnapshotMeta,
  publication: number | null,
  published: (seqs: number[]) => void,
): Promise<boolean> {
  const result = await flipTimestamp(ctx, snapshot, publication, expectedEtag(ctx))
  if (result.ok) published(finishFlip(ctx, result.row, result.etag))
  return result.ok
}

/**
 * Supersedes a publication, but not while a timestamp that makes it live may still be on its way: landing afterwards it
 * would show what the ledger has given up, and the next tick would go back behind it. Another flip over the live snapshot
 * changes the etag that late put waits for; if the late one came first, the publication is live after all.
 */
async function giveUp(
  ctx: Context,
  { id }: Publication,
  published: (seqs: number[]) => void,
  reason: string,
  poison?: { project: string; filename: string },
): Promise<void> {
  const live = liveSnapshot(ctx)
  const timestamp = liveRole(ctx.sql, 'timestamp')
  const doubt = live && timestamp && publicationInDoubt(ctx.sql, id, timestamp.version)
  if (doubt && !(await flip(ctx, live, null, published))) return
  supersede(ctx, id, reason, poison)
}

/** For the moments between two puts: keeps the live view fresh, at most one tick at a time. */
function ticker(ctx: Context, published: (seqs: number[]) => void): () => Promise<void> {
  let ticking: Promise<unknown> | undefined
  let lookedAt = 0
  return async () => {
    const now = ctx.now()
    if (Math.abs(now - lookedAt) < TICK_LOOK_MS) return
    lookedAt = now
    const live = liveSnapshot(ctx)
    if (!live || !tickDue(ctx.sql, freshnessOf(ctx.sql), now)) return
    ticking ??= flip(ctx, live, null, published).finally(() => {
      ticking = undefined
    })
    await ticking
  }
}

const liveSnapshot = (ctx: Context): SnapshotMeta | undefined => liveRole(ctx.sql, 'snapshot')

const snapshotOf = (ctx: Context, publication: Publication): SnapshotMeta =>
  one<{ version: number; length: number; sha256: string }>(
    ctx.sql,
    "SELECT version, length, sha256 FROM objects WHERE publication = ? AND name = 'snapshot' AND chunk = 0",
    publication.id,
  )!
