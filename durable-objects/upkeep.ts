// What operators ask of a running repository: other times, what the collector will do. State: none. Each call authorises
// in the transaction of its change; every change is journalled with the token that made it.
import { freshnessOf, graceMs, setFreshness } from './freshness.ts'
import { countGarbage, dueCount, garbageList } from './ledger/garbage.ts'
import { appendJournal } from './ledger/journal.ts'
import { one } from './ledger/sql.ts'
import { permitted } from './operator.ts'
import { freshnessFrom, NO_FRESHNESS } from './profiles.ts'
import type { Context } from './publication/context.ts'
import { type Done, refused } from './rpc.ts'
import type { FreshnessRequest, GarbageAnswer } from './rpc-upkeep.ts'

const ENTRIES_MAX = 1_000

/** The next pass signs again what the new times call for: what has less than half of them left, or more than twice. */
export function changeFreshness(ctx: Context, request: FreshnessRequest): Done {
  const { sql } = ctx
  const now = ctx.now()
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, request.token, ['admin'])
    if ('ok' in bearer) return bearer
    const freshness = freshnessFrom(request.freshness)
    if (!freshness) return refused('invalid', 400, NO_FRESHNESS)
    setFreshness(sql, freshness, now)
    appendJournal(sql, now, { event: 'freshness', ...freshness, token: bearer.id })
    return { ok: true }
  })
}

/** What the collector would delete, when and why; deletes nothing. */
export function listGarbage(ctx: Context, token: string): GarbageAnswer {
  const { sql } = ctx
  const now = ctx.now()
  const bearer = permitted(ctx, token, ['admin', 'audit'])
  if ('ok' in bearer) return bearer
  return {
    ok: true,
    now,
    graceSeconds: graceMs(freshnessOf(sql)) / 1000,
    counts: countGarbage(sql),
    due: dueCount(sql, now),
    begun: one<{ n: number }>(sql, "SELECT count(*) AS n FROM blobs WHERE state = 'begun'")!.n,
    entries: garbageList(sql, ENTRIES_MAX),
  }
}
