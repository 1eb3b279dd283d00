// Direct uploads: a place in the bucket is reserved, the bytes go there by themselves, and are taken in afterwards. What
// lies there counts for nothing: it is read, hashed and checked while it is copied to a key of `begin`'s, as every upload is.
//
// Invariants: one place a (project, filename, sha256), under a random name; who may put there is told by a ticket (or the
// bucket's own signature) that ends within the hour and is good for this place alone; a place that nobody may put to for a
// day is collected, with what is in it.
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { UNAUTHENTICATED } from '../pypi/refusal.ts'
import { timingSafeEqual } from '../tuf/digest.ts'
import { uploadKey } from '../tuf/layout.ts'
import { begin, malformed } from './accept.ts'
import { ORPHAN_MS } from './freshness.ts'
import { findFile } from './ledger/files.ts'
import { addGarbage } from './ledger/garbage.ts'
import { macOf } from './ledger/mac.ts'
import { all, one, run } from './ledger/sql.ts'
import { presignedPut, type S3Settings, s3BucketOf } from './presigned-put.ts'
import type { Context } from './publication/context.ts'
import { overQuota } from './quotas.ts'
import { type BeginRequest, refused } from './rpc.ts'
import type { ReserveAnswer, ReservedAnswer, TicketAnswer, TicketRequest } from './rpc-direct.ts'

/** From the reservation to the begin of the put; a gigabyte that has begun may take longer. */
const RESERVED_MS = 3_600_000
/** Places that are not collected, ≈ 400 B each: 2 MB. Each holds what the bucket takes in one put, at most 5 GiB. */
const RESERVATIONS_MAX = 5_000
/** Places given up in one pass of the collector: one call deletes them. */
const GIVEN_UP_MAX = 1_000

type Row = { id: string; expires: number }
type File = Pick<BeginRequest, 'project' | 'filename' | 'sha256'>

/** @param settings may hold the bucket's own address and credentials for it. Rows: 1. */
export function reserve(ctx: Context, request: BeginRequest, settings: S3Settings): ReserveAnswer {
  const { sql, storage, place, custody } = ctx
  const s3 = s3BucketOf(settings)
  if (typeof s3 === 'string') return refused('unavailable', 503, s3)
  return storage.transactionSync(() => {
    const allowed = begin(ctx, { ...request, peek: true })
    if (!allowed.ok || allowed.kind === 'duplicate') return allowed
    const { project, filename, sha256 } = request
    const now = ctx.now()
    const expires = now + RESERVED_MS
    const known = rowOf(ctx, request)
    if (!known && one(sql, 'SELECT 1 AS x FROM reservations LIMIT 1 OFFSET ?', RESERVATIONS_MAX - 1))
      return refused(
        'unavailable',
        503,
        `${RESERVATIONS_MAX} direct uploads are open, the most this index keeps for a day: upload without --direct.`,
      )
    const id = known?.id ?? bytesToHex(crypto.getRandomValues(new Uint8Array(16)))
    run(
      sql,
      `INSERT INTO reservations (project, filename, sha256, id, expires) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (project, filename, sha256) DO UPDATE SET expires = max(expires, excluded.expires)`,
      ...[project, filename, sha256, id, expires],
    )
    const { epoch } = place
    if (s3) {
      const url = presignedPut(s3, uploadKey(place, id), now, RESERVED_MS / 1_000)
      return { ok: true, kind: 'reserved', epoch, id, url }
    }
    const ticket = `${expires}.${bytesToHex(ticketOf(custody.macKey(), request, id, expires))}`
    return { ok: true, kind: 'reserved', epoch, id, ticket }
  })
}

/** Where the bytes of a reservation lie, for whoever may upload the file now. Writes nothing. */
export function reserved(ctx: Context, request: BeginRequest): ReservedAnswer {
  const allowed = begin(ctx, { ...request, peek: true })
  if (!allowed.ok || allowed.kind === 'duplicate') return allowed
  const row = rowOf(ctx, request)
  if (row) return { ok: true, kind: 'reserved', epoch: ctx.place.epoch, id: row.id }
  return refused('invalid', 400, `No direct upload of ${request.filename} with this digest is open: reserve one.`)
}

/** Whether bytes may be put. Writes nothing. */
export function mayPut(ctx: Context, request: TicketRequest): TicketAnswer {
  const { ticket, size, project, filename } = request
  const bad = malformed({ ...request, token: '' })
  if (bad) return bad
  const row = rowOf(ctx, request)
  const [, until = '', mac = ''] = (typeof ticket === 'string' && /^(\d{1,15})\.([0-9a-f]{64})$/.exec(ticket)) || []
  const expires = Number(until)
  if (!row || !mac || !timingSafeEqual(ticketOf(ctx.custody.macKey(), request, row.id, expires), hexToBytes(mac)))
    return refused('unauthorised', 401, UNAUTHENTICATED)
  if (expires <= ctx.now())
    return refused('forbidden', 403, `The hour in which ${filename} could be put is over: publish it again.`)
  if (findFile(ctx.sql, project, filename))
    return refused('conflict', 409, `${filename} was taken already: there is nothing more to put.`)
  if (!Number.isSafeInteger(size) || size < 1) return refused('invalid', 400, 'The size of the file is malformed.')
  return overQuota(ctx.sql, project, size) ?? { ok: true, epoch: ctx.place.epoch, id: row.id }
}

/** Nobody may put there any more, nor has for a day: what is there, or came too late, goes. */
export function giveUpReservations(ctx: Context): void {
  const { sql, storage, place, now } = ctx
  const query = 'SELECT id FROM reservations WHERE expires <= ? LIMIT ?'
  const over = all<{ id: string }>(sql, query, now() - ORPHAN_MS, GIVEN_UP_MAX)
  if (over.length === 0) return
  storage.transactionSync(() => {
    for (const { id } of over) {
      addGarbage(sql, uploadKey(place, id), now(), 'upload', 'a direct upload that is over')
      run(sql, 'DELETE FROM reservations WHERE id = ?', id)
    }
  })
}

const ticketOf = (macKey: Uint8Array, { project, filename, sha256 }: File, id: string, expires: number): Uint8Array =>
  macOf(macKey, [project, filename, sha256, id, expires], 'reservations')

const rowOf = ({ sql }: Context, { project, filename, sha256 }: File): Row | undefined =>
  one<Row>(
    sql,
    'SELECT id, expires FROM reservations WHERE project = ? AND filename = ? AND sha256 = ?',
    ...[project, filename, sha256],
  )
