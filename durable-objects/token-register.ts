// Minting, listing and revoking tokens. State: none; each call authorises in the transaction of its change, and every
// change is journalled with the token that made it.
//
// Invariants: only `admin` mints, and nothing wider than itself: no scope and no project it does not have. An admin token
// that is limited to projects sees and ends tokens of these projects alone. The last token that may administer everything
// cannot be revoked, because nothing could mint another.
//
// It can expire, and then whoever deploys proves it by another bootstrap secret: one that never made a token makes one admin
// token, once, while no token that may administer everything is good. Every secret that made a token is remembered by its
// digest, so the first one is dead for ever; one whose answer was lost is followed by another secret, not by itself again.
// How long a token lives is not bounded by its minter: a successor has to outlive what it succeeds.
import { isNormalizedName } from '../pypi/names.ts'
import { appendJournal } from './ledger/journal.ts'
import { findSetting, putSetting } from './ledger/settings.ts'
import type { Context } from './publication/context.ts'
import { type MintAnswer, type MintRequest, type Refused, refused, type Scope } from './rpc.ts'
import type { ListTokensAnswer, ListTokensRequest, RevokeAnswer, RevokeRequest } from './rpc-tokens.ts'
import {
  adminWasUsed,
  type Bearer,
  bearerOf,
  endToken,
  findToken,
  isScope,
  mintToken,
  otherAdmin,
  SCOPES,
  tokensAfter,
  unusedAdmins,
} from './tokens.ts'
import { withdrawStaged } from './withdraw.ts'

/** Five years: a root lives one, and a token without an end would be one nobody looks at again. */
const LIFE_MAX_MS = 5 * 366 * 86_400_000
/** Of one token; the row is compared and parsed with every use. */
const PROJECTS_MAX = 1_000
/** Hex digits of a secret's digest that tell one secret from another, as the command line shows them. */
const FINGERPRINT_LENGTH = 16
/** Tokens of one page of the list, of ≤ 1 kB each unless they name many projects. */
const PAGE_MAX = 1_000
/** One line a person reads. */
const NAME = /^[^\p{Cc}]{1,100}$/u
/** What is about the whole repository: for a token that is limited to projects it would be of no use, or mean more than it says. */
const WHOLE: readonly Scope[] = ['audit']

/** An admin token; or the digest of the bootstrap secret, which the caller has proved to know. */
export type Minter = string | { bootstrap: string }

/**
 * Takes an admin token; or the bootstrap secret until an admin token is used: one whose answer was lost is nobody's. Another
 * one in its place ends it. A bootstrap secret costs the first time one row more.
 */
export function mint(ctx: Context, request: MintRequest, caller: Minter): MintAnswer {
  const { sql, custody } = ctx
  return ctx.storage.transactionSync(() => {
    const now = ctx.now()
    const minter = typeof caller === 'string' ? adminOf(ctx, caller, 'mint tokens') : bootstrapOf(ctx, caller, request)
    if (minter !== null && 'ok' in minter) return minter
    const bad = malformed(request, now)
    if (bad) return refused('invalid', 400, bad)
    const { name, scopes } = request
    const projects = request.projects ?? null
    const wider = minter && widerThan(minter, scopes, projects)
    if (wider) return refused('forbidden', 403, wider)
    const by = minter?.id ?? 'bootstrap'
    const lost = minter === null && scopes.includes('admin') ? lostAdmins(ctx) : []
    for (const id of lost) {
      endToken(sql, custody.macKey(), id, now)
      appendJournal(sql, now, { event: 'revoked', token: id, by })
    }
    const secret = typeof caller === 'string' ? {} : { secret: spend(ctx, caller.bootstrap) }
    const expires = request.expires * 1000
    const minted = mintToken(sql, custody.macKey(), now, { name, scopes, projects, by, expires })
    appendJournal(sql, now, { event: 'minted', token: minted.id, name, scopes, projects, expires, by, ...secret })
    return { ok: true, ...minted }
  })
}

/** Takes an admin or audit token. */
export function listTokens(ctx: Context, request: ListTokensRequest): ListTokensAnswer {
  const { token, ended, after = '', limit } = request
  const now = ctx.now()
  const bearer = bearerOf(ctx.sql, ctx.custody.macKey(), token, now)
  if ('ok' in bearer) return bearer
  if (!bearer.scopes.includes('admin') && !bearer.scopes.includes('audit'))
    return refused('forbidden', 403, "The given token isn't allowed to list tokens: it takes the scope admin or audit.")
  const page = { after, limit: Math.min(limit, PAGE_MAX), ended }
  const { tokens, ...more } = tokensAfter(ctx.sql, ctx.custody.macKey(), now, page)
  return { ok: true, tokens: tokens.filter(({ projects }) => covers(bearer, projects)), ...more }
}

/** Takes an admin token. Works while the publisher has halted: a stolen token does not wait for a repair. */
export function revoke(ctx: Context, { token, id, dropStaged }: RevokeRequest): RevokeAnswer & { seqs?: number[] } {
  const { sql, custody } = ctx
  return ctx.storage.transactionSync(() => {
    const now = ctx.now()
    const bearer = adminOf(ctx, token, 'revoke tokens')
    if ('ok' in bearer) return bearer
    const found = findToken(sql, custody.macKey(), id)
    if (!found || !covers(bearer, found.projects))
      return refused('missing', 404, 'There is no token of that id: `tuf-edge token list` shows them.')
    // Repeated, it ends nothing twice, and still drops what is asked for.
    if (found.revoked === undefined) {
      const isAdmin = found.scopes.includes('admin') && found.projects === null
      if (isAdmin && !otherAdmin(sql, custody.macKey(), now, [id]))
        return refused(
          'conflict',
          409,
          'This is the last token that may administer the index: create another one first.',
        )
      endToken(sql, custody.macKey(), id, now)
      appendJournal(sql, now, { event: 'revoked', token: id, by: bearer.id })
    }
    const { dropped, withdrawing, seqs } = dropStaged ? withdrawStaged(ctx, id) : NOTHING
    return { ok: true, dropped, withdrawing, seqs }
  })
}

const NOTHING = { dropped: [], withdrawing: [], seqs: [] }

/** Who the token belongs to if it may administer, whatever it is limited to. */
export function adminOf({ sql, custody, now }: Context, token: string, what: string): Bearer | Refused {
  const bearer = bearerOf(sql, custody.macKey(), token, now())
  if ('ok' in bearer || bearer.scopes.includes('admin')) return bearer
  return refused('forbidden', 403, `The given token isn't allowed to ${what}: that takes the scope admin.`)
}

/** Null: the bootstrap secret may mint: anything before the first use of an admin token, later one admin token. */
function bootstrapOf(ctx: Context, { bootstrap }: { bootstrap: string }, request: MintRequest): Refused | null {
  const { sql, custody } = ctx
  if (!adminWasUsed(sql, custody.macKey())) return null
  if (otherAdmin(sql, custody.macKey(), ctx.now(), lostAdmins(ctx)))
    return refused('forbidden', 403, 'The bootstrap secret ended with the first use of an admin token: use that token.')
  const spent = spentSecrets(ctx)
  // Whoever deletes the row would bring the first secret back.
  if (!spent)
    return refused(
      'forbidden',
      403,
      'The ledger no longer says which bootstrap secrets made a token: restore it first.',
    )
  if (spent.includes(bootstrap))
    return refused('forbidden', 403, 'This bootstrap secret made its token already: deploy another one for one more.')
  const { scopes, projects } = request
  if (projects !== undefined || !Array.isArray(scopes) || !scopes.includes('admin'))
    return refused(
      'forbidden',
      403,
      'A new bootstrap secret makes one token with the scope admin for all projects, no other.',
    )
  return null
}

/** Admin tokens that the bootstrap secret made and nobody has shown: each may be an answer that was lost. */
const lostAdmins = ({ sql, custody }: Context): string[] => unusedAdmins(sql, custody.macKey(), 'bootstrap')

const spentSecrets = ({ sql, custody }: Context): string[] | undefined =>
  findSetting(sql, custody.macKey(), 'bootstrapSecrets')

/** Remembers that the secret made a token. @returns what `npm run deploy` shows of it */
function spend(ctx: Context, secret: string): string {
  const spent = spentSecrets(ctx) ?? []
  if (!spent.includes(secret)) putSetting(ctx.sql, ctx.custody.macKey(), 'bootstrapSecrets', [...spent, secret])
  return secret.slice(0, FINGERPRINT_LENGTH)
}

const covers = ({ projects: own }: Bearer, projects: string[] | null): boolean =>
  own === null || (projects?.every((project) => own.includes(project)) ?? false)

/** Why the minter may not give this away, or undefined. */
function widerThan(minter: Bearer, scopes: Scope[], projects: string[] | null): string | undefined {
  // Who may administer may hand over every role, so a token for one is never wider.
  const has = (wanted: Scope) =>
    minter.scopes.includes(wanted) || (wanted.startsWith('metadata:') && minter.scopes.includes('admin'))
  const scope = scopes.find((wanted) => !has(wanted))
  if (scope !== undefined)
    return `The given token isn't allowed to mint the scope ${scope}: it does not have it itself.`
  if (!covers(minter, projects))
    return "The given token isn't allowed to mint for these projects: it is limited to others itself."
  return undefined
}

/** Why the request makes no token, or undefined. */
function malformed({ name, scopes, projects, expires }: MintRequest, now: number): string | undefined {
  if (typeof name !== 'string' || !NAME.test(name)) return 'A token needs a name of one line, at most 100 characters.'
  if (!Array.isArray(scopes) || scopes.length === 0 || !scopes.every(isScope) || new Set(scopes).size < scopes.length)
    return `A token needs scopes out of: ${SCOPES}.`
  if (projects !== undefined) {
    if (!Array.isArray(projects) || projects.length === 0 || !projects.every(isNormalizedName))
      return 'The projects of a token are a list of normalised project names.'
    if (projects.length > PROJECTS_MAX) return `A token is limited to at most ${PROJECTS_MAX} projects.`
    const whole = scopes.find((scope) => WHOLE.includes(scope) || scope.startsWith('metadata:'))
    if (whole !== undefined)
      return `The scope ${whole} is about the whole repository: mint it in a token for every project.`
  }
  if (!(expires * 1000 > now)) return 'A token needs an expiry in the future.'
  if (expires * 1000 > now + LIFE_MAX_MS) return 'A token lives five years at most: give it an earlier expiry.'
  return undefined
}
