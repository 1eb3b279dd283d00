// What people sign, for a repository that is signed elsewhere and for the root, targets and bins of an index: what they
// hand over passes the gate (tuf/gate.ts) as a whole or not at all, is kept byte for byte (handed-over.ts), and goes out
// in the next publication under a snapshot of ours. State: none.
// To be called where no pass runs: the gate waits for WebCrypto, and what it compared with must not move meanwhile.
// Cost: one publication a batch, however large.
import type { Held } from '../tuf/gate.ts'
import { metadataKey, timestampKey } from '../tuf/layout.ts'
import { batchInParts, type InParts } from './batches.ts'
import { refusedByClients } from './client-walk.ts'
import { beginningOf, VERSIONS_APART } from './former-signer.ts'
import { gateKeys, heldNow, mayHandOver, passGate, record, rootsHeldDifferently, type Taken } from './handed-over.ts'
import { complaintOfIndex } from './index-roles.ts'
import { getFact, setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import { burnVersion } from './ledger/roles.ts'
import { isLoopback } from './loopback.ts'
import { permitted } from './operator.ts'
import { freshnessFrom, NO_FRESHNESS } from './profiles.ts'
import { retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'
import { handedBack } from './release.ts'
import { type Refused, refused } from './rpc.ts'
import type { AdoptRequest, HandedOver, OriginRequest, PushRequest } from './rpc-adopt.ts'
import { lookForFiles } from './target-files.ts'

const NOTHING_HELD: Held = {
  root: undefined,
  roles: new Map(),
  load: (role) => Promise.reject(new Error(`"${role}" is not held.`)),
}

/** The first batch: the whole repository. `arm` sets the alarm in the transaction that makes it. */
export async function adopt(ctx: Context, request: AdoptRequest, arm: () => void): Promise<Taken | Refused> {
  const { sql, place } = ctx
  const freshness = freshnessFrom(request.freshness)
  if (!freshness) return refused('invalid', 400, NO_FRESHNESS)
  const { snapshot, timestamp } = request.served
  for (const version of [snapshot, timestamp])
    if (!Number.isSafeInteger(version) || version < 0 || version > 2 ** 31 - 1 - VERSIONS_APART)
      return refused('invalid', 400, 'The versions served so far are whole numbers below 2^31 - 1,001.')
  if (await retrying(ctx, () => ctx.bucket.head(timestampKey(place))))
    return refused('conflict', 409, 'The bucket holds a timestamp.json of this repository, and this ledger is new.')
  const parts = partsOf(ctx, request)
  if (parts && 'ok' in parts) return parts
  const admitted = await passGate(ctx, parts?.files ?? request.files, NOTHING_HELD, gateKeys(ctx), parts)
  if ('ok' in admitted) return admitted
  for (const { version } of admitted.roots)
    if (await retrying(ctx, () => ctx.bucket.head(metadataKey(place, version, 'root'))))
      return refused('conflict', 409, `The bucket holds a ${version}.root.json already: use another repository name.`)
  const begun = await beginningOf(ctx, request, freshness, admitted)
  if ('ok' in begun) return begun
  const refusal = await refusedByClients(ctx, admitted, NOTHING_HELD, { beginning: begun, walked: parts?.walked })
  if (refusal) return refusal
  return ctx.storage.transactionSync(() => {
    setFact(sql, 'freshness', JSON.stringify(freshness))
    setFact(sql, 'formerRoles', JSON.stringify(begun.former))
    setFact(sql, 'development', 0)
    burnVersion(sql, 'snapshot', begun.served.snapshot)
    burnVersion(sql, 'timestamp', begun.served.timestamp)
    const taken = record(ctx, admitted, undefined)
    parts?.end()
    setFact(sql, 'state', 'live')
    appendJournal(sql, ctx.now(), { event: 'adopted', served: { snapshot, timestamp }, files: taken.accepted.length })
    arm()
    return taken
  })
}

/** Any later batch. A token for `metadata:ROLE` hands over this role alone. */
export async function push(ctx: Context, request: PushRequest, arm: () => void): Promise<Taken | Refused> {
  const { token } = request
  const asked = mayHandOver(ctx, token, request.files)
  if ('ok' in asked) return asked
  const parts = partsOf(ctx, request)
  if (parts && 'ok' in parts) return parts
  const files = parts?.files ?? request.files
  const taken = await takeBatch(ctx, files, { event: 'pushed', may: () => mayHandOver(ctx, token, files) }, arm, parts)
  // Who takes the keys out of root without a word has lost more than a push: it is told.
  if (!taken.ok && taken.message.startsWith('online-keys'))
    appendJournal(ctx.sql, ctx.now(), { event: 'push-refused', reason: taken.message })
  return taken
}

const partsOf = (ctx: Context, { batch }: { batch?: string }): InParts | Refused | undefined =>
  batch === undefined ? undefined : batchInParts(ctx, batch)

/**
 * @param by who hands over, asked again in the transaction, and the journal's word for it
 * @param parts where `files` came from, if they did not come with the call
 */
export async function takeBatch(
  ctx: Context,
  files: readonly HandedOver[],
  by: { event: string; may(): { id: string } | Refused },
  arm: () => void,
  parts?: InParts,
): Promise<Taken | Refused> {
  const { sql } = ctx
  const allowed = by.may()
  if ('ok' in allowed) return allowed
  const held = heldNow(ctx)
  const older = handedBack(sql) ?? rootsHeldDifferently(ctx, files)
  if (older) return older
  const admitted = await passGate(ctx, files, held, gateKeys(ctx), parts)
  if ('ok' in admitted) return admitted
  const wrong = getFact(sql, 'kind') === 'adopted' ? undefined : await complaintOfIndex(ctx, admitted, held)
  if (wrong !== undefined) return refused('invalid', 400, `index: ${wrong}`)
  const refusal = await refusedByClients(ctx, admitted, held, { walked: parts?.walked })
  if (refusal) return refusal
  const seen = await lookForFiles(ctx, admitted, held)
  if ('ok' in seen) return seen
  return ctx.storage.transactionSync(() => {
    // The token may have been revoked while signatures were checked.
    const bearer = by.may()
    if ('ok' in bearer) return bearer
    const taken = record(ctx, admitted, held.root?.signed)
    parts?.end()
    if (taken.accepted.length > 0) {
      appendJournal(sql, ctx.now(), { event: by.event, files: listed(taken.accepted), token: bearer.id })
      arm()
    }
    return seen.fresh === 0 ? taken : { ...taken, targets: seen }
  })
}

/** The journal names every file of a batch that people put together by hand; of a whole repository it counts them. */
const LISTED_MAX = 1_000
const listed = (files: readonly string[]): readonly string[] | number =>
  files.length <= LISTED_MAX ? files : files.length

/** Sets where target files are fetched that the bucket lacks. */
export function setOrigin(ctx: Context, { token, origin }: OriginRequest): { ok: true } | Refused {
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, token, ['admin'])
    if ('ok' in bearer) return bearer
    if (getFact(ctx.sql, 'kind') !== 'adopted')
      return refused('invalid', 400, 'Only a repository that is signed elsewhere has an origin.')
    if (origin !== null && !isOrigin(origin))
      return refused(
        'invalid',
        400,
        'The origin is an https URL without a password, query or fragment, ending with a slash.',
      )
    setFact(ctx.sql, 'origin', origin ?? '')
    appendJournal(ctx.sql, ctx.now(), { event: 'origin', origin, token: bearer.id })
    return { ok: true }
  })
}

function isOrigin(text: string): boolean {
  if (typeof text !== 'string' || text.length > 2_000 || !URL.canParse(text)) return false
  const url = new URL(text)
  const { protocol, username, password, search, hash, pathname } = url
  const plain = username === '' && password === '' && search === '' && hash === '' && pathname.endsWith('/')
  return plain && (protocol === 'https:' || (protocol === 'http:' && isLoopback(url)))
}
