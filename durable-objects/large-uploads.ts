// Uploads in parts: which are open, and what of them is in the bucket. The rows decide nothing that is signed: the face
// compares the whole with its digest and checks the archive before it is staged, and `stage` asks for the blob as ever.
//
// Invariants: one open upload a (project, filename, sha256), so whoever comes again goes on with it, from any machine; its
// blob is `begun` and ends as every orphan does, a day later, the bucket's upload with it.
import { blobKey } from '../tuf/layout.ts'
import { acceptedBefore, begin } from './accept.ts'
import { condemnBlob } from './collection.ts'
import { all, one, run } from './ledger/sql.ts'
import type { Context } from './publication/context.ts'
import { type BeginRequest, type Done, refused } from './rpc.ts'
import type { LargeAnswer, LargeRequest, StoredPart } from './rpc-large.ts'

type Row = {
  sha256: string
  n: number
  size: number
  upload_id: string | null
  parts: string
}

/** Parts of the largest file, four times over: a row stays below 64 kB. */
const PARTS_MAX = 256
/** Bytes of what a bucket calls an upload or a part; R2's are below 500. */
const ID_LENGTH_MAX = 2_000
/** Bucket calls of one pass of the collector for what was given up. */
const ABORTS_MAX = 20

/** Opens, goes on with or notes: authorised anew each time. Rows: 2 to open, 1 a part. */
export function largeUpload(ctx: Context, request: LargeRequest): LargeAnswer {
  const { sql, storage, place } = ctx
  return storage.transactionSync(() => {
    const { project, filename, sha256, size, uploadId, part } = request
    let row = openUpload(ctx, request)
    if (!row) {
      if (size === undefined) {
        const done = acceptedBefore(ctx, request)
        if (done.ok) return { ok: true, kind: 'duplicate', visible: done.seq === undefined }
        return done.code === 'unavailable'
          ? refused('missing', 404, `No upload of ${filename} is open: begin one.`)
          : done
      }
      if (!Number.isSafeInteger(size) || size < 1) return refused('invalid', 400, 'The size of the file is malformed.')
      const begun = begin(ctx, request)
      if (!begun.ok || begun.kind === 'duplicate') return begun
      run(
        sql,
        "INSERT INTO multiparts (sha256, n, project, filename, size, parts) VALUES (?, ?, ?, ?, ?, '[]')",
        ...[sha256, begun.n, project, filename, size],
      )
      row = { sha256, n: begun.n, size, upload_id: null, parts: '[]' }
    } else {
      const allowed = begin(ctx, { ...request, peek: true })
      if (!allowed.ok || allowed.kind === 'duplicate') return allowed
      if (size !== undefined && size !== row.size)
        return refused('conflict', 409, `The open upload of ${filename} has ${row.size} bytes, not ${size}.`)
    }
    let parts = JSON.parse(row.parts) as StoredPart[]
    if (uploadId !== undefined && row.upload_id === null) {
      if (typeof uploadId !== 'string' || uploadId.length > ID_LENGTH_MAX) return malformed()
      run(sql, 'UPDATE multiparts SET upload_id = ? WHERE sha256 = ? AND n = ?', uploadId, sha256, row.n)
      row.upload_id = uploadId
    }
    if (part !== undefined) {
      const { number, etag } = part
      const good = Number.isSafeInteger(number) && number >= 1 && number <= PARTS_MAX
      if (!good || typeof etag !== 'string' || etag.length > ID_LENGTH_MAX) return malformed()
      parts = [...parts.filter((each) => each.number !== number), { number, etag }].sort((a, b) => a.number - b.number)
      run(sql, 'UPDATE multiparts SET parts = ? WHERE sha256 = ? AND n = ?', JSON.stringify(parts), sha256, row.n)
    }
    const { n, upload_id } = row
    return {
      ...{ ok: true, kind: 'open', epoch: place.epoch, n, size: row.size, parts },
      ...(upload_id === null ? {} : { uploadId: upload_id }),
    }
  })
}

const malformed = () => refused('invalid', 400, 'The description of the part is malformed.')

/** Gives up an upload whose bytes are not what they should be: the same digest begins anew, under another key. */
export function abandonLarge(ctx: Context, request: BeginRequest): Done {
  return ctx.storage.transactionSync(() => {
    const allowed = begin(ctx, { ...request, peek: true })
    if (!allowed.ok) return allowed
    const row = openUpload(ctx, request)
    if (row) condemnBlob(ctx, row.sha256, row.n, 'not what its digest says, or no archive')
    return { ok: true }
  })
}

/** Ends the bucket's half of uploads that were given up, and forgets those that are over. Never throws. */
export async function abortAbandoned({ sql, bucket, place }: Context): Promise<void> {
  const over = all<Row & { state: string }>(
    sql,
    "SELECT m.*, b.state FROM multiparts m JOIN blobs b USING (sha256, n) WHERE b.state != 'begun' LIMIT ?",
    ABORTS_MAX,
  )
  for (const { sha256, n, upload_id, state } of over) {
    if (state !== 'referenced' && upload_id !== null)
      // Completed before, or gone already: then the bucket knows no such upload. It drops each after 7 days by itself.
      await bucket
        .resumeMultipartUpload(blobKey(place, sha256, n), upload_id)
        .abort()
        .catch(() => undefined)
    run(sql, 'DELETE FROM multiparts WHERE sha256 = ? AND n = ?', sha256, n)
  }
}

const openUpload = ({ sql }: Context, { project, filename, sha256 }: BeginRequest): Row | undefined =>
  one<Row>(
    sql,
    `SELECT m.* FROM multiparts m JOIN blobs b USING (sha256, n)
     WHERE m.project = ? AND m.filename = ? AND m.sha256 = ? AND b.state = 'begun'`,
    ...[project, filename, sha256],
  )
