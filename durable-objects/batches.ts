// A batch that is too large for one call: it comes in parts, each of which is read and kept, and is taken by one call that
// names it. The gate is the same for all (tuf/gate.ts); of a batch in parts it has the names and what each file says, and
// the bytes of one file at a time. State: the tables `batches`, `staged` and `voices` (ledger/batches.ts).
//
// Invariants: a part changes nothing that anybody sees; who took no part in the end is forgotten after a day. What was
// verified is remembered by digest and key, so a call that runs out of its share is repeated and goes on where it was.
// Cost of a part: its files are read once, 4 rows each. Of the call that takes the batch: its rows, and CHECKED_BYTES.

import type { Walked } from '../tuf/client-walk.ts'
import { sha256Hex, sha256HexSync } from '../tuf/digest.ts'
import { BATCH_BYTES_MAX, BATCH_MAX, GateError, readRole, readRoot, type SignedFile, type Voices } from '../tuf/gate.ts'
import { ORPHAN_MS } from './freshness.ts'
import { gateAnswer, mayHandOver } from './handed-over.ts'
import {
  digestsOf,
  dropAbandoned,
  dropBatch,
  findBatch,
  type StagedRow,
  setVoices,
  stagedFiles,
  stagedLength,
  stageFile,
  touchBatch,
  uncheckedCount,
  voicesOf,
} from './ledger/batches.ts'
import { getFact, isInitialised } from './ledger/facts.ts'
import { offlineBytes } from './ledger/offline.ts'
import type { Context } from './publication/context.ts'
import { type Done, type Refused, refused } from './rpc.ts'
import type { BatchAnswer, BatchRequest, HandedOver, PartAnswer, PartRequest } from './rpc-adopt.ts'

/** Reading is 10 MB a second and verifying as much again: two seconds of the 30 that a call has (platform limit). */
const CHECKED_BYTES = 20_000_000
/** One call: what a message between the scripts carries (32 MiB, platform limit), read in two seconds. */
const PART_BYTES_MAX = 20_000_000

/** Who may leave parts here: of a repository that is not adopted yet, who proved the bootstrap secret. */
type Bearer = string | { bootstrap: true }

/** Keeps one part. */
export async function stagePart(ctx: Context, request: PartRequest, bearer: Bearer): Promise<PartAnswer> {
  const { sql, storage, custody } = ctx
  const { batch, files } = request
  const denied = mayStage(ctx, bearer, files)
  if (denied) return denied
  if (files.reduce((sum, { bytes }) => sum + bytes.length, 0) > PART_BYTES_MAX)
    return refused('invalid', 400, `size: A part has at most ${PART_BYTES_MAX} bytes of metadata.`)
  const rows: StagedRow[] = []
  try {
    for (const file of files) rows.push(await rowOf(file))
  } catch (error) {
    return gateAnswer(error)
  }
  return storage.transactionSync((): PartAnswer => {
    // The token may have been revoked while files were read.
    const gone = mayStage(ctx, bearer, files)
    if (gone) return gone
    dropAbandoned(sql, ctx.now() - ORPHAN_MS)
    const before = findBatch(sql, batch)
    const length = rows.reduce((sum, row) => sum + row.length, 0)
    if ((before?.files ?? 0) + rows.length > BATCH_MAX)
      return refused('invalid', 400, `size: A batch has at most ${BATCH_MAX} files.`)
    if (stagedLength(sql) + length > BATCH_BYTES_MAX)
      return refused(
        'conflict',
        409,
        `size: Batches that are not finished have at most ${BATCH_BYTES_MAX} bytes together: finish or delete one, or wait a day.`,
      )
    touchBatch(sql, batch, ctx.now())
    for (const [i, row] of rows.entries()) stageFile(sql, custody.macKey(), batch, row, files[i]!.bytes)
    return counted(ctx, batch)
  })
}

/** What of a batch is here, for whoever goes on with it. */
export function lookAtBatch(ctx: Context, { batch }: BatchRequest, bearer: Bearer): BatchAnswer {
  const denied = mayStage(ctx, bearer, [])
  return denied ?? { ...counted(ctx, batch), digests: digestsOf(ctx.sql, batch) }
}

/** Gives its rows back before the day is over. */
export function forgetBatch(ctx: Context, { batch }: BatchRequest, bearer: Bearer): Done {
  return ctx.storage.transactionSync(() => {
    const denied = mayStage(ctx, bearer, [])
    if (denied) return denied
    dropBatch(ctx.sql, batch)
    return { ok: true }
  })
}

function counted({ sql }: Context, batch: string): PartAnswer & { ok: true } {
  const { files, length } = findBatch(sql, batch) ?? { files: 0, length: 0 }
  return { ok: true, files, bytes: length }
}

function mayStage(ctx: Context, bearer: Bearer, files: readonly HandedOver[]): Refused | undefined {
  if (typeof bearer === 'string') {
    const allowed = mayHandOver(ctx, bearer, files)
    return 'ok' in allowed ? allowed : undefined
  }
  if (getFact(ctx.sql, 'state') === 'keys' && getFact(ctx.sql, 'kind') === 'adopted') return undefined
  if (isInitialised(ctx.sql)) return refused('forbidden', 403, 'This repository is live: use a token.')
  return refused('conflict', 409, 'Ask for the keys of a repository to be adopted first.')
}

/** @throws GateError */
async function rowOf({ role, bytes }: SignedFile): Promise<StagedRow> {
  if (role !== 'root') {
    const { version, sha256, length, expiresMs, delegates } = await readRole({ role, bytes })
    return { role, version, sha256, length, expires: expiresMs, delegates: Number(delegates) }
  }
  const { version, expiresMs } = readRoot(bytes).signed
  const sha256 = await sha256Hex(bytes)
  return { role, version, sha256, length: bytes.length, expires: expiresMs, delegates: 0 }
}

/** The share of one call is used up; what was verified is kept. */
export class ShareUsed extends Error {
  override name = 'ShareUsed'
  /** Files that are still to be verified. */
  readonly left: number

  constructor(left: number) {
    super(`${left} files are still to be verified.`)
    this.left = left
  }
}

export interface InParts {
  files: SignedFile[]
  voices: Voices
  walked: Walked
  /** To be called in the transaction that takes the batch. */
  end(): void
}

/** The batch as the gate reads it. */
export function batchInParts(ctx: Context, batch: string): InParts | Refused {
  const { sql, custody, storage } = ctx
  const macKey = custody.macKey()
  const rows = stagedFiles(sql, macKey, batch)
  if (!rows)
    return refused('conflict', 409, 'A file of this batch was changed by somebody else: delete it and send it again.')
  if (rows.length === 0)
    return refused('missing', 404, 'There is no such batch: it was finished, or forgotten after a day. Send its parts.')
  touchBatch(sql, batch, ctx.now())
  let checked = 0
  const remember = (what: string, words: Iterable<string>, length: number) => {
    storage.transactionSync(() => setVoices(sql, macKey, batch, what, [...words]))
    checked += length
    if (checked >= CHECKED_BYTES) throw new ShareUsed(uncheckedCount(sql, batch))
  }
  return {
    files: rows.map(({ role, version, sha256, length, expires, delegates }) => ({
      role,
      version,
      sha256,
      length,
      expiresMs: expires,
      delegates: delegates === 1,
      get bytes() {
        const bytes = offlineBytes(sql, sha256)
        if (sha256HexSync(bytes) !== sha256)
          throw new GateError('digest', `"${role}" was changed by somebody else: delete the batch and send it again.`)
        return bytes
      },
    })),
    voices: { of: (sha256) => voicesOf(sql, macKey, batch, sha256), add: remember },
    walked: {
      has: (child, delegator) => voicesOf(sql, macKey, batch, `${delegator}>${child}`).length > 0,
      add: (child, delegator, length) => remember(`${delegator}>${child}`, ['walked'], length),
    },
    end: () => dropBatch(sql, batch),
  }
}
