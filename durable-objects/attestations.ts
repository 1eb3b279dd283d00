// Whom attestations are trusted by, and what an upload's are compared with. State: none. The trust root is an operator's to
// set and stands in the ledger under a MAC: whoever could change it could have anybody's signature taken for proof.

import { sha256HexSync } from '../tuf/digest.ts'
import { baseOf } from '../tuf/layout.ts'
import { authoriseUpload, malformed } from './accept.ts'
import { getFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import { publishersAfter } from './ledger/publishers.ts'
import { findSetting, putSetting } from './ledger/settings.ts'
import { isLoopback } from './loopback.ts'
import { permitted } from './operator.ts'
import type { Context } from './publication/context.ts'
import { type BeginRequest, type Done, refused } from './rpc.ts'
import type { AttestationTrustAnswer, TrustRootAnswer, TrustRootRequest } from './rpc-attestations.ts'
import type { Source } from './rpc-oidc.ts'

/** As the face reads it at most (sigstore/trust-root.ts). */
const TRUSTED_ROOT_CHARS_MAX = 131_072
const ORIGIN_CHARS_MAX = 255
const PUBLISHERS_MAX = 500

export function setTrustRoot(ctx: Context, request: TrustRootRequest): Done {
  const { sql, custody } = ctx
  const { trustedRoot } = request
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, request.token, ['admin'])
    if ('ok' in bearer) return bearer
    if (trustedRoot === null && findSetting(sql, custody.macKey(), 'attestations') === undefined) return { ok: true }
    const origin = request.origin ?? findSetting(sql, custody.macKey(), 'attestations')?.origin
    if (!isPlace(origin, ctx.place.repository, getFact(sql, 'development') === 1))
      return refused(
        'invalid',
        400,
        `The origin is where this index is: https://pypi.example.org${baseOf(ctx.place.repository)}.`,
      )
    if (trustedRoot !== null && (typeof trustedRoot !== 'string' || trustedRoot.length > TRUSTED_ROOT_CHARS_MAX))
      return refused(
        'invalid',
        400,
        `The trust root is the text of a file of at most ${TRUSTED_ROOT_CHARS_MAX} characters.`,
      )
    putSetting(sql, custody.macKey(), 'attestations', { trustedRoot, origin })
    const sha256 = trustedRoot === null ? null : sha256HexSync(trustedRoot)
    appendJournal(sql, ctx.now(), { event: 'trust-root', sha256, origin, token: bearer.id })
    return { ok: true }
  })
}

export function trustRootOf(ctx: Context, token: string): TrustRootAnswer {
  const bearer = permitted(ctx, token, ['admin', 'audit'])
  if ('ok' in bearer) return bearer
  const { trustedRoot = null, origin = null } = findSetting(ctx.sql, ctx.custody.macKey(), 'attestations') ?? {}
  return { ok: true, trustedRoot, origin }
}

/** For an upload that brings attestations and may be made. Writes nothing but that the token was used. */
export function attestationTrust(ctx: Context, request: BeginRequest): AttestationTrustAnswer {
  const bad = malformed(request)
  if (bad) return bad
  const bearer = authoriseUpload(ctx, request)
  if ('ok' in bearer) return bearer
  const { sql, custody } = ctx
  const trustedRoot = findSetting(sql, custody.macKey(), 'attestations')?.trustedRoot
  if (trustedRoot === undefined || trustedRoot === null) return { ok: true, publishers: [] }
  const { project } = request
  const { rows } = publishersAfter(sql, custody.macKey(), { after: '', limit: PUBLISHERS_MAX, project })
  return { ok: true, trustedRoot, publishers: rows.map(({ source }) => JSON.parse(source) as Source) }
}

/** Pages name what lies below it. */
function isPlace(origin: unknown, repository: string, development: boolean): origin is string {
  if (typeof origin !== 'string' || origin.length > ORIGIN_CHARS_MAX || !URL.canParse(origin)) return false
  const url = new URL(origin)
  return url.origin + baseOf(repository) === origin && (url.protocol === 'https:' || (development && isLoopback(url)))
}
