// Trusted publishing: who may be given tokens without a secret, and the exchange of a CI's JWT for such a token. State:
// none. Every change is one transaction that authorises in itself and is journalled.
//
// The JWT itself comes in here, and is verified here, against keys fetched from here: the face, which holds no key, can
// pass one on and cannot make one up. A token lives fifteen minutes, is for the projects of the publishers that match and
// for nothing else, and may create a project only where a pending publisher names it.

import { isNormalizedName } from '../pypi/names.ts'
import { sha256HexSync } from '../tuf/digest.ts'
import { FormatError } from '../tuf/errors.ts'
import { toHex } from '../tuf/hex.ts'
import { checkClaims, type Once, readIdentity, signatureHolds, type UnverifiedIdentity } from './identity.ts'
import { IssuerFault, type IssuerKeys } from './issuer-keys.ts'
import { getFact, setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import {
  bindPublisher,
  deletePublisher,
  findPublisher,
  forgetEnded,
  insertPublisher,
  isGiven,
  isSpent,
  isTokenOf,
  knowsIssuer,
  noteToken,
  type PublisherRow,
  pendingOf,
  publishersAfter,
  publishersOf,
  spend,
  tokensOf,
} from './ledger/publishers.ts'
import { one } from './ledger/sql.ts'
import { permitted } from './operator.ts'
import type { Context } from './publication/context.ts'
import { describe, matches, readSource, subjectOf, subjectsOf } from './publisher-sources.ts'
import { type Done, refused, type Scope } from './rpc.ts'
import {
  type AddPublisherAnswer,
  type AddPublisherRequest,
  type AudienceRequest,
  type Denied,
  denied,
  type ExchangeAnswer,
  type ListPublishersAnswer,
  type ListPublishersRequest,
  type RemovePublisherRequest,
  type Source,
} from './rpc-oidc.ts'
import { adminOf } from './token-register.ts'
import { bearerOf, endToken, findToken, mayTouch, mintToken } from './tokens.ts'

/** The shortest that PEP 807 allows, and what PyPI gives. */
const TOKEN_MS = 900_000
/** Publishers of one repository (or of one issuer, by claims): all of them are compared with one JWT, ≈ 20 µs each. */
const SAME_SUBJECT_MAX = 100
const PAGE = 500
/** Of the tokens, in the list of tokens. */
const NAME = 'trusted publishing'
/** Also the name of GitLab's variable, in capitals: letters, digits and what becomes `_`. */
const AUDIENCE = /^[A-Za-z][A-Za-z0-9:/._-]{2,99}$/

export function addPublisher(ctx: Context, request: AddPublisherRequest): AddPublisherAnswer {
  const { sql, custody } = ctx
  return ctx.storage.transactionSync(() => {
    const { project, pending } = request
    const bearer = adminOf(ctx, request.token, 'add trusted publishers')
    if ('ok' in bearer) return bearer
    if (!isNormalizedName(project)) return refused('invalid', 400, `'${project}' is not a normalised project name.`)
    // A publisher mints for ever: nobody adds one for more than he may do himself.
    const wanted: Scope[] = pending ? ['upload', 'create'] : ['upload']
    const lacking = wanted.find((scope) => !mayTouch(bearer, scope, project))
    if (lacking)
      return refused('forbidden', 403, `The given token isn't allowed to ${lacking} for project '${project}' itself.`)
    const source = readSource(request.source, getFact(sql, 'development') === 1)
    if (typeof source === 'string') return refused('invalid', 400, source)
    const text = JSON.stringify(source)
    const [issuer, subject] = [source.issuer, subjectOf(source)]
    const same = publishersOf(sql, custody.macKey(), issuer, subject)
    const known = same.find((row) => row.project === project && row.source === text)
    if (known) return { ok: true, id: known.id }
    if (same.length >= SAME_SUBJECT_MAX)
      return refused('invalid', 400, `At most ${SAME_SUBJECT_MAX} trusted publishers may name the same repository.`)
    if (pending && exists(ctx, project))
      return refused('conflict', 409, `Project '${project}' exists already: add the publisher without "pending".`)
    if (!pending && !exists(ctx, project))
      return refused('missing', 404, `There is no project '${project}' yet: add the publisher with "pending": true.`)
    const [id, now] = [toHex(crypto.getRandomValues(new Uint8Array(6))), ctx.now()]
    const row = {
      id,
      project,
      issuer,
      subject,
      source: text,
      pending: pending ? 1 : 0,
      created: now,
      added_by: bearer.id,
    }
    insertPublisher(sql, custody.macKey(), row)
    appendJournal(sql, now, { event: 'publisher-added', publisher: id, project, pending, source, token: bearer.id })
    return { ok: true, id }
  })
}

/** Takes an admin or audit token; one that is limited to projects sees theirs. */
export function listPublishers(ctx: Context, request: ListPublishersRequest): ListPublishersAnswer {
  const { sql, custody } = ctx
  const bearer = bearerOf(sql, custody.macKey(), request.token, ctx.now())
  if ('ok' in bearer) return bearer
  if (!bearer.scopes.includes('admin') && !bearer.scopes.includes('audit'))
    return refused(
      'forbidden',
      403,
      "The given token isn't allowed to list publishers: it takes the scope admin or audit.",
    )
  const page = { after: request.after ?? '', limit: PAGE, project: request.project }
  const { rows, last } = publishersAfter(sql, custody.macKey(), page)
  const own = rows.filter(({ project }) => bearer.projects?.includes(project) ?? true)
  const publishers = own.map(({ id, project, pending, source, created, added_by }) => ({
    id,
    project,
    pending: pending === 1,
    source: JSON.parse(source) as Source,
    created: Math.floor(created / 1000),
    by: added_by,
  }))
  return { ok: true, publishers, ...(last === undefined ? {} : { next: last }) }
}

/** Its tokens end with it. */
export function removePublisher(ctx: Context, { token, id }: RemovePublisherRequest): Done {
  const { sql, custody } = ctx
  return ctx.storage.transactionSync(() => {
    const bearer = adminOf(ctx, token, 'remove trusted publishers')
    if ('ok' in bearer) return bearer
    const row = findPublisher(sql, custody.macKey(), id)
    if (!row || !(bearer.projects?.includes(row.project) ?? true))
      return refused('missing', 404, 'There is no trusted publisher of that id: GET /api/publishers lists them.')
    endPublisher(ctx, id)
    appendJournal(sql, ctx.now(), { event: 'publisher-removed', publisher: id, project: row.project, token: bearer.id })
    return { ok: true }
  })
}

/**
 * What a JWT must be made for. Unless it was set it is this ledger's own, so that no other index can pass on here what
 * it was given.
 */
export const audienceOf = ({ sql }: Context): string =>
  getFact(sql, 'audience') ?? `tuf-edge-${sha256HexSync(`audience ${getFact(sql, 'repositoryId')}`).slice(0, 16)}`

export function setAudience(ctx: Context, { token, audience }: AudienceRequest): Done {
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, token, ['admin'])
    if ('ok' in bearer) return bearer
    if (!AUDIENCE.test(audience))
      return refused(
        'invalid',
        400,
        'An audience begins with a letter and has 3 to 100 letters, digits and :/._- in it.',
      )
    setFact(ctx.sql, 'audience', audience)
    appendJournal(ctx.sql, ctx.now(), { event: 'audience', audience, token: bearer.id })
    return { ok: true }
  })
}

/**
 * A refusal writes nothing, so a JWT that came too early for its publisher is still good.
 *
 * Costs no bucket call. A row read for each publisher of the repository, and four written: token, JWT, journal, and one
 * for each publisher that matches; two fetches an issuer and hour.
 */
export async function exchange(ctx: Context, keys: IssuerKeys, jwt: string): Promise<ExchangeAnswer> {
  try {
    const identity = readIdentity(jwt)
    if (!knowsIssuer(ctx.sql, identity.issuer))
      return denied('invalid-token', 'No trusted publisher of this index has the issuer of this JWT.')
    const key = await keys.find(identity.issuer, identity.kid, identity.algorithm, ctx.now())
    if (!key) return denied('invalid-token', 'The issuer has no key of the name that the JWT says it is signed with.')
    if (!(await signatureHolds(identity, key)))
      return denied('invalid-token', 'The signature of the JWT does not hold.')
    const once = checkClaims(identity, audienceOf(ctx), ctx.now())
    return ctx.storage.transactionSync(() => mintFor(ctx, identity, once))
  } catch (error) {
    if (error instanceof FormatError) return denied('invalid-token', error.message)
    if (error instanceof IssuerFault) return denied('unavailable', error.message)
    throw error
  }
}

function mintFor(ctx: Context, { issuer, claims }: UnverifiedIdentity, once: Once): ExchangeAnswer {
  const { sql, custody } = ctx
  const now = ctx.now()
  if (isSpent(sql, issuer, once.id))
    return denied('invalid-reuse-token', 'The JWT was used before: ask the CI for a new one.')
  const found = subjectsOf(claims)
    .flatMap((subject) => publishersOf(sql, custody.macKey(), issuer, subject))
    .filter(({ source }) => matches(JSON.parse(source) as Source, claims))
  const usable = found.filter(({ project, pending }) => (pending === 1) !== exists(ctx, project))
  if (usable.length === 0) return noPublisher(found, describe(claims))
  spend(sql, issuer, once.id, once.until)
  forgetEnded(sql, now)
  const scopes: Scope[] = usable.some(({ pending }) => pending === 1) ? ['upload', 'create'] : ['upload']
  const projects = [...new Set(usable.map(({ project }) => project))]
  const expires = now + TOKEN_MS
  const minted = mintToken(sql, custody.macKey(), now, {
    name: NAME,
    scopes,
    projects,
    by: `publisher ${usable[0]!.id}`,
    expires,
  })
  const publishers = usable.map(({ id }) => id)
  for (const publisher of publishers) noteToken(sql, minted.id, publisher, expires)
  const trace = Object.fromEntries(TRACE.map((name) => [name, claims.get(name)]).filter(([, value]) => isShort(value)))
  const by = { publishers, issuer, jwt: once.id, ...trace }
  appendJournal(sql, now, { event: 'minted', token: minted.id, scopes, projects, expires, by })
  return { ok: true, token: minted.token, expires: Math.floor(expires / 1000) }
}

/** Claims that lead from the journal to the run. */
const TRACE = ['sub', 'sha', 'job_workflow_ref', 'ci_config_ref_uri', 'run_id', 'pipeline_id', 'job_id']
const isShort = (value: unknown): boolean => typeof value === 'string' && value.length <= 500

function noPublisher(found: PublisherRow[], claims: string): Denied {
  const [first] = found
  if (!first)
    return denied('invalid-publisher', `The JWT is good, and no trusted publisher here matches it: ${claims}.`)
  return denied(
    'invalid-publisher',
    `Project '${first.project}' does not exist any more: add its trusted publisher again, with "pending": true.`,
  )
}

/** Ends a token of a trusted publisher, for whoever holds it; of any other token nothing is said or done. */
export function burn(ctx: Context, token: string): Done {
  const { sql, custody } = ctx
  return ctx.storage.transactionSync(() => {
    const bearer = bearerOf(sql, custody.macKey(), token, ctx.now())
    if ('ok' in bearer || !isGiven(sql, bearer.id)) return { ok: true }
    endToken(sql, custody.macKey(), bearer.id, ctx.now())
    appendJournal(sql, ctx.now(), { event: 'revoked', token: bearer.id, by: bearer.id })
    return { ok: true }
  })
}

/** Removes a trusted publisher, and ends the tokens it was given. To be called in a transaction. */
export function endPublisher({ sql, custody, now }: Context, id: string): void {
  for (const token of tokensOf(sql, id, now())) {
    const found = findToken(sql, custody.macKey(), token)
    if (found && found.revoked === undefined) endToken(sql, custody.macKey(), token, now())
  }
  deletePublisher(sql, id)
}

/**
 * A project came into being, in the transaction that calls this. Its first upload was by a token of one of the pending
 * publishers, which is bound to it then; whoever else waited for the name has lost it, and is not let into a stranger's
 * project.
 */
export function projectCreated(ctx: Context, project: string, token: string): void {
  const { sql, custody } = ctx
  for (const row of pendingOf(sql, custody.macKey(), project)) {
    const bound = isTokenOf(sql, token, row.id)
    if (bound) bindPublisher(sql, custody.macKey(), row)
    else endPublisher(ctx, row.id)
    const event = bound ? 'publisher-bound' : 'publisher-void'
    appendJournal(sql, ctx.now(), { event, publisher: row.id, project, token })
  }
}

const exists = ({ sql }: Context, project: string): boolean =>
  one(sql, 'SELECT 1 AS x FROM projects WHERE name = ?', project) !== undefined
