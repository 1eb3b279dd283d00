// Who may read. State: none. That a repository is private stands in its timestamp, which every reader verifies anyhow: the
// switch is a flip, holds for every face from that moment on, and nobody who holds the bucket alone can turn it back.
import { readingDue } from './freshness.ts'
import { getFact, setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import { permitted } from './operator.ts'
import type { Context } from './publication/context.ts'
import { type Done, refused } from './rpc.ts'
import type { MayReadAnswer, ReadingRequest } from './rpc-tokens.ts'
import { bearerOf } from './tokens.ts'

/** Takes an admin token. It holds once a timestamp that says it was put. */
export function changeReading(ctx: Context, request: ReadingRequest): Done {
  const { sql } = ctx
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, request.token, ['admin'])
    if ('ok' in bearer) return bearer
    if (typeof request.private !== 'boolean') return refused('invalid', 400, 'private must be true or false.')
    setFact(sql, 'private', request.private ? 1 : 0)
    appendJournal(sql, ctx.now(), { event: 'reading', private: request.private, token: bearer.id })
    return { ok: true }
  })
}

/**
 * For the answer to the change: whether every reader goes by it now. A halted repository signs nothing, and the face goes by
 * what is signed alone; but its first timestamp afterwards is private already.
 */
export function readingHolds({ sql }: Context): Done {
  if (!readingDue(sql)) return { ok: true }
  if (getFact(sql, 'halted') !== undefined)
    return refused(
      'halted',
      503,
      'It is written down, and holds with the first timestamp after the halt: until then the index is as open as it was. docs/operations.md says how to end the halt, and how to close the index at once.',
    )
  return refused(
    'unavailable',
    503,
    'It is written down, but timestamp.json could not be put yet: repeat this in a moment.',
  )
}

/** Whether the token reads. All or nothing, whatever projects it is limited to: the signed lists name every project. */
export function mayRead({ sql, custody, now }: Context, token: string): MayReadAnswer {
  const bearer = bearerOf(sql, custody.macKey(), token, now())
  if ('ok' in bearer) return bearer
  if (bearer.scopes.includes('read')) return { ok: true, expires: bearer.expires }
  return refused('forbidden', 403, "The given token isn't allowed to read: that takes the scope read.")
}
