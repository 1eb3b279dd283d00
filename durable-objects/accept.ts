// Accepting files: what `begin` promises and `stage` makes durable. Each runs in one transaction and authorises in it.
// A refusal writes nothing but that the token was used. (repository, filename, sha256) is the idempotency key: repeating either call is harmless.
import { checkFilename, isValidName, normalizeName } from '../pypi/names.ts'
import { shardOf } from '../tuf/bins.ts'
import { condemnBlob } from './collection.ts'
import { binOfShard } from './ledger/bins.ts'
import { beginBlob, blobState, setBlobState } from './ledger/blobs.ts'
import { setFact } from './ledger/facts.ts'
import { type FileRow, findFile, insertFile } from './ledger/files.ts'
import { appendJournal } from './ledger/journal.ts'
import { enqueue, pendingChange, queueHolds } from './ledger/queue.ts'
import { liveRole } from './ledger/roles.ts'
import { one, run, type Sql } from './ledger/sql.ts'
import { findStatus } from './ledger/statuses.ts'
import type { Context } from './publication/context.ts'
import { projectCreated } from './publishers.ts'
import { overQuota } from './quotas.ts'
import { type BeginAnswer, type BeginRequest, type Refused, refused, type StageRequest } from './rpc.ts'
import { type Bearer, bearerOf, mayTouch } from './tokens.ts'

/** Clients cap a bin without a signed length at 2,000,000 bytes (sigstore-java) and more; snapshot rows hold ≤ 2 MB. */
const BIN_BYTES_MAX = 1_500_000
/** Bytes one more file adds to its bin: a path of ≤ 255 and ~110 of JSON, digest and length, rounded up. */
const ENTRY_BYTES_MAX = 400

/**
 * Changes that may wait for publication. A publication takes 200 projects and about two seconds (a flip a second, 400 pages
 * six at a time), so 2,000 are ten of them, 20 s: whoever comes later is told to come back instead of waiting longer than
 * any uploader does. Every one may hold an answer open (≈ 2 kB each): 4 MB.
 */
export const STAGED_MAX = 2_000

const SHA256 = /^[0-9a-f]{64}$/

/** How far the clock of another index may be ahead of ours: whoever keeps his by NTP is within a second. */
const CLOCK_SKEW_MS = 60_000
/** Upload dates are four digits of a year on a page; PyPI's own first one is of 2003. */
const DATE_MIN_MS = Date.UTC(1990, 0, 1)

/** What a publication has to reach before the caller can be answered: a queue row, or nothing when all is live. */
export type Accepted = { ok: true; seq?: number } | Refused

export function begin(ctx: Context, request: BeginRequest): BeginAnswer {
  const bad = malformed(request)
  if (bad) return bad
  const { sql } = ctx
  const { project, filename, sha256 } = request
  const bearer = authoriseUpload(ctx, request)
  if ('ok' in bearer) return bearer
  const known = findFile(sql, project, filename)
  if (known) return answerKnown(sql, known, sha256)
  if (queueHolds(sql, STAGED_MAX))
    return refused('unavailable', 503, `${STAGED_MAX} files wait for publication: upload this one again in a moment.`)
  const full = noRoom(sql, project, request.size ?? 0)
  if (full) return full
  if (request.peek) return { ok: true, kind: 'store', epoch: ctx.place.epoch, n: 0 }
  const n = ctx.storage.transactionSync(() => beginBlob(sql, sha256, ctx.now()))
  return { ok: true, kind: 'store', epoch: ctx.place.epoch, n }
}

/** What a duplicate waits for: the change that shows the file accepted before. Writes nothing. */
export function acceptedBefore(ctx: Context, request: BeginRequest): Accepted {
  const bad = malformed(request)
  if (bad) return bad
  const { sql } = ctx
  const { project, filename, sha256 } = request
  const bearer = authoriseUpload(ctx, request)
  if ('ok' in bearer) return bearer
  const known = findFile(sql, project, filename)
  if (!known) return refused('unavailable', 503, `${filename} is no longer stored; upload the file again.`)
  const answer = answerKnown(sql, known, sha256)
  return answer.ok ? { ok: true, ...waitingFor(sql, project, filename) } : answer
}

export function stage(ctx: Context, request: StageRequest): Accepted {
  const bad = malformed(request) ?? malformedStage(request)
  if (bad) return bad
  const { sql } = ctx
  const now = ctx.now()
  const { project, filename, sha256, size, n, version, release, filetype, imported } = request
  return ctx.storage.transactionSync(() => {
    const bearer = authoriseUpload(ctx, request)
    if ('ok' in bearer) return bearer
    const known = findFile(sql, project, filename)
    if (known) {
      const answer = answerKnown(sql, known, sha256)
      if (!answer.ok) return answer
      if (known.n !== n && blobState(sql, sha256, n) === 'begun')
        condemnBlob(ctx, sha256, n, 'a second upload of the same file')
      return { ok: true, ...waitingFor(sql, project, filename) }
    }
    if (blobState(sql, sha256, n) !== 'begun')
      return refused(
        'unavailable',
        503,
        'The stored bytes of this upload were given up meanwhile; upload the file again.',
      )
    const second =
      filetype === 'sdist' &&
      one(
        sql,
        "SELECT 1 AS x FROM files WHERE project = ? AND release = ? AND filetype = 'sdist' AND state IN ('staged', 'live')",
        project,
        release,
      )
    if (second)
      return refused(
        'invalid',
        400,
        `Only one sdist may be uploaded per release: ${project} ${version} has one already.`,
      )
    const full = noRoom(sql, project, size)
    if (full) return full

    const shard = shardOf(project)
    const bin = binOfShard(shard)
    const created = run(
      sql,
      'INSERT INTO projects (name, shard, bin, created, owner) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      project,
      shard,
      bin,
      now,
      bearer.id,
    )
    if (created > 0) projectCreated(ctx, project, bearer.id)
    // Also a project that is known and lost its last file is in no list.
    const shown = one(sql, "SELECT 1 AS x FROM files WHERE project = ? AND state = 'live' LIMIT 1", project)
    if (!shown) setFact(sql, 'listDirty', 1)
    insertFile(sql, ctx.custody.macKey(), {
      project,
      filename,
      bin,
      sha256,
      size,
      n,
      version,
      release,
      filetype,
      uploaded: imported?.uploaded ?? now,
      requires_python: request.requiresPython ?? null,
      metadata_sha256: request.metadata?.sha256 ?? null,
      metadata_size: request.metadata?.size ?? null,
      yanked: imported?.yanked ?? null,
      provenance_sha256: request.provenance?.sha256 ?? null,
    })
    setBlobState(sql, sha256, n, 'referenced')
    const said = imported === undefined ? {} : { imported }
    appendJournal(sql, now, { event: 'accepted', project, filename, sha256, size, n, ...said, token: bearer.id })
    return { ok: true, seq: enqueue(sql, project, filename, bearer.id) }
  })
}

/** Reasons stand on signed pages, which everybody downloads. */
export const REASON_LENGTH_MAX = 500
export const isReason = (text: string): boolean => text.length <= REASON_LENGTH_MAX && /^[^\p{Cc}]*$/u.test(text)

export function authoriseUpload(
  { sql, custody, now }: Context,
  { token, project, imported }: BeginRequest,
): Bearer | Refused {
  const bearer = bearerOf(sql, custody.macKey(), token, now())
  if ('ok' in bearer) return bearer
  if (!mayTouch(bearer, 'upload', project))
    return refused('forbidden', 403, `The given token isn't allowed to upload to project '${project}'.`)
  const exists = one(sql, 'SELECT 1 AS x FROM projects WHERE name = ?', project) !== undefined
  if (!exists && !mayTouch(bearer, 'create', project))
    return refused('forbidden', 403, `The given token isn't allowed to create project '${project}'.`)
  // A date of its own choosing would let an uploader past everybody's cooldown.
  if (imported !== undefined && !mayTouch(bearer, 'admin', project))
    return refused(
      'forbidden',
      403,
      "The given token isn't allowed to set upload dates and yanks of an import: that takes the scope admin.",
    )
  if (imported?.uploaded !== undefined && imported.uploaded > now() + CLOCK_SKEW_MS)
    return refused('invalid', 400, 'The upload date of the import is in the future.')
  const status = findStatus(sql, custody.macKey(), project)?.status
  if (status === 'archived' || status === 'quarantined')
    return refused('forbidden', 403, `Project '${project}' is ${status} and takes no uploads: ask its operators.`)
  if (status === 'deleted')
    return refused('unavailable', 503, `Project '${project}' is being deleted: upload again in a moment.`)
  return bearer
}

function answerKnown(sql: Sql, known: FileRow, sha256: string): Extract<BeginAnswer, { kind: 'duplicate' }> | Refused {
  const { filename, state } = known
  if (state === 'deleted' || state === 'deleting' || state === 'dropping')
    return refused(
      'conflict',
      400,
      `This filename was previously used by a file that has since been deleted (${filename}). Use a different version.`,
    )
  if (state === 'quarantined')
    return refused('conflict', 400, `${filename} is in quarantine: ${known.reason ?? 'ask the operator'}`)
  if (known.sha256 !== sha256)
    return refused(
      'conflict',
      400,
      `File already exists ('${filename}', with sha256 hash '${known.sha256}'): give the new build a version of its own.`,
    )
  return { ok: true, kind: 'duplicate', visible: pendingChange(sql, known.project, filename) === undefined }
}

export function waitingFor(sql: Sql, project: string, filename: string): { seq?: number } {
  const seq = pendingChange(sql, project, filename)
  return seq === undefined ? {} : { seq }
}

/** @param size 0: not known yet */
function noRoom(sql: Sql, project: string, size: number): Refused | undefined {
  const over = overQuota(sql, project, size)
  if (over) return over
  const bin = binOfShard(shardOf(project))
  const staged = one<{ n: number }>(sql, "SELECT count(*) AS n FROM files WHERE bin = ? AND state = 'staged'", bin)!.n
  if ((liveRole(sql, bin)?.length ?? 0) + (staged + 1) * ENTRY_BYTES_MAX > BIN_BYTES_MAX)
    return refused(
      'invalid',
      400,
      `The part of this index that holds '${project}' is full: the operator must add bins.`,
    )
  return undefined
}

export function malformed({ project, filename, sha256, token, imported }: BeginRequest): Refused | undefined {
  if (typeof token !== 'string' || typeof project !== 'string' || typeof filename !== 'string')
    return refused('invalid', 400, 'The request lacks a token, a project or a file name.')
  if (!isValidName(project) || normalizeName(project) !== project)
    return refused('invalid', 400, `'${project}' is not a normalised project name.`)
  try {
    checkFilename(filename)
  } catch (error) {
    return refused('invalid', 400, error instanceof Error ? error.message : 'The file name is not allowed.')
  }
  if (!SHA256.test(sha256)) return refused('invalid', 400, 'The sha256 digest must be 64 lower-case hex digits.')
  const { uploaded = DATE_MIN_MS, yanked = '' } = imported ?? {}
  if (!Number.isSafeInteger(uploaded) || uploaded < DATE_MIN_MS || typeof yanked !== 'string' || !isReason(yanked))
    return refused('invalid', 400, 'The upload date or the yank reason of the import is malformed.')
  return undefined
}

function malformedStage(request: StageRequest): Refused | undefined {
  const { size, n, version, release, filetype, requiresPython, metadata, provenance } = request
  const count = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
  const good =
    count(size) &&
    count(n) &&
    [version, release].every((text) => typeof text === 'string' && /^[0-9a-z.!+]{1,100}$/.test(text)) &&
    (filetype === 'bdist_wheel' || filetype === 'sdist') &&
    (requiresPython === undefined ||
      (typeof requiresPython === 'string' && /^[\x20-\x7e]{1,500}$/.test(requiresPython))) &&
    (metadata === undefined || (SHA256.test(metadata.sha256) && count(metadata.size))) &&
    (provenance === undefined || SHA256.test(provenance.sha256))
  return good ? undefined : refused('invalid', 400, 'The description of the file is malformed.')
}
