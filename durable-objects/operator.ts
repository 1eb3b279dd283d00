// Who may repair a repository. State: none. An admin token is a row of the ledger and the ledger is found through the
// bucket, so each of the two losses needs another proof: the bootstrap secret, which only the operator's deployment has.
// Invariant: while ledger and bucket are both there, the bootstrap secret repairs nothing.
import { isInitialised } from './ledger/facts.ts'
import type { Context } from './publication/context.ts'
import { type Refused, refused, type Scope } from './rpc.ts'
import { type Bearer, bearerOf } from './tokens.ts'

/** A token, or the proof that the caller knows the bootstrap secret, with what the bucket showed at that moment. */
export type Caller = string | { bootstrap: true; bucketLost: boolean }

/** Who the token belongs to if it has one of the scopes, and for every project: what is asked is about the whole. */
export function permitted({ sql, custody, now }: Context, token: string, scopes: readonly Scope[]): Bearer | Refused {
  const bearer = bearerOf(sql, custody.macKey(), token, now())
  if ('ok' in bearer) return bearer
  if (!scopes.some((scope) => bearer.scopes.includes(scope)))
    return refused(
      'forbidden',
      403,
      `The given token isn't allowed to do this: it takes the scope ${scopes.join(' or ')}.`,
    )
  if (bearer.projects === null) return bearer
  return refused('forbidden', 403, "The given token isn't allowed to do this: it is limited to projects.")
}

/** The id to be written into the journal, or why the call is refused. `scopes`: any of them suffices. */
export function operatorOf(ctx: Context, caller: Caller, scopes: readonly Scope[]): { id: string } | Refused {
  if (typeof caller !== 'string') {
    if (caller.bucketLost || !isInitialised(ctx.sql)) return { id: 'bootstrap' }
    return refused('forbidden', 403, 'Ledger and bucket are both there: use an admin token, not the bootstrap secret.')
  }
  const bearer = permitted(ctx, caller, scopes)
  return 'ok' in bearer ? bearer : { id: bearer.id }
}
