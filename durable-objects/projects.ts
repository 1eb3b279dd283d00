// What becomes of projects and files that are there: yanked, deleted, purged, archived, quarantined. State: none. Each call
// authorises in the transaction of its change, and every change is journalled with the token that made it.
//
// Invariant: a deleted file's row stays, so its name is never taken again. Its bytes are condemned by the flip that
// un-names it (finish.ts), never before: what the live publication names exists. Cost: the rows of one project, at most
// FILES_PER_PROJECT_MAX, each one write and one row of the journal.
import type { ProjectStatus } from '../pypi/page.ts'
import { shardOf } from '../tuf/bins.ts'
import { type Accepted, isReason, REASON_LENGTH_MAX, STAGED_MAX, waitingFor } from './accept.ts'
import { condemnBlob, hastenBlob } from './collection.ts'
import { binOfProject } from './ledger/bins.ts'
import { blobState } from './ledger/blobs.ts'
import { type FileRow, markPurged, purgedFiles, removeFile, setFileState, setYanked } from './ledger/files.ts'
import { appendJournal } from './ledger/journal.ts'
import { enqueue, pendingOfProject, queueHolds } from './ledger/queue.ts'
import { all, one, type Sql } from './ledger/sql.ts'
import { findStatus, putStatus } from './ledger/statuses.ts'
import type { Context } from './publication/context.ts'
import { type Refused, refused, type Scope, type YankRequest } from './rpc.ts'
import type { RemoveRequest, StatusRequest } from './rpc-projects.ts'
import { type Bearer, bearerOf, forgetProject, mayTouch } from './tokens.ts'

const STATUSES: readonly ProjectStatus[] = ['active', 'archived', 'quarantined', 'deprecated']

type Selection = Pick<RemoveRequest, 'project' | 'filename' | 'release'>

/** The files that a change took away, beside what it waits for. */
export type Removed = (Accepted & { ok: true; files: { sha256: string; n: number }[] }) | Refused

/** PEP 592: the page changes, the files stay signed and downloadable. */
export function yank(ctx: Context, request: YankRequest): Accepted {
  const { sql } = ctx
  const now = ctx.now()
  const { project, filename, yanked } = request
  return ctx.storage.transactionSync(() => {
    const bearer = authorise(ctx, request, 'yank', `yank files of project '${project}'`)
    if ('ok' in bearer) return bearer
    const rows = select(sql, request).filter(({ state }) => state === 'live' || state === 'staged')
    if (rows.length === 0) return missing(request)
    if (typeof yanked === 'string' && !isReason(yanked))
      return refused('invalid', 400, `A yank reason is one line of at most ${REASON_LENGTH_MAX} characters.`)
    const value = yanked === false ? null : yanked === true ? '' : yanked
    const changed = rows.filter((row) => row.yanked !== value)
    if (changed.length === 0)
      return { ok: true, ...(filename === undefined ? pending(sql, project) : waitingFor(sql, project, filename)) }
    const busy = tooMuchWaits(sql)
    if (busy) return busy
    for (const row of changed) {
      setYanked(sql, ctx.custody.macKey(), row, value)
      appendJournal(sql, now, { event: 'yank', project, filename: row.filename, yanked: value, token: bearer.id })
    }
    return { ok: true, seq: enqueue(sql, project, filename ?? '') }
  })
}

/** Takes a file, a release or a project out of the index. A purge may also name what was deleted before. */
export function remove(ctx: Context, request: RemoveRequest): Removed {
  const { sql } = ctx
  const { project, filename, release, reason } = request
  const purge = request.purge === true
  return ctx.storage.transactionSync(() => {
    const bearer = authorise(
      ctx,
      request,
      purge ? 'admin' : 'delete',
      `${purge ? 'purge' : 'delete'} from '${project}'`,
    )
    if ('ok' in bearer) return bearer
    if (reason !== undefined && !isReason(reason))
      return refused('invalid', 400, `The reason is one line of at most ${REASON_LENGTH_MAX} characters.`)
    if (purge && !reason) return refused('invalid', 400, 'A purge cannot be undone: give a reason for it.')
    const whole = filename === undefined && release === undefined
    const exists = one(sql, 'SELECT 1 AS x FROM projects WHERE name = ?', project) !== undefined
    const rows = select(sql, request).filter((row) => purge || row.state !== 'deleted')
    if (whole ? !exists && rows.length === 0 : rows.length === 0) return missing(request)
    const busy = tooMuchWaits(sql)
    if (busy) return busy
    const published = rows.some(({ state }) => state === 'live' || state === 'staged')
    const ends = whole && exists && findStatus(sql, ctx.custody.macKey(), project)?.status !== 'deleted'
    const seq = published || ends ? enqueue(sql, project, filename ?? '') : undefined
    for (const row of rows) removeOne(ctx, row, seq, request, bearer)
    if (ends) end(ctx, request, seq!, bearer)
    return { ok: true, ...(seq === undefined ? pending(sql, project) : { seq }), files: rows }
  })
}

function removeOne(ctx: Context, row: FileRow, seq: number | undefined, request: RemoveRequest, by: Bearer): void {
  const { sql } = ctx
  const { project, filename, sha256, n, state } = row
  const { purge, reason = '' } = request
  if (state === 'live' || state === 'staged') removeFile(sql, row, seq!, reason, purge)
  else if (state === 'quarantined') {
    // Nothing published names it, so nothing is waited for.
    setFileState(sql, project, filename, 'deleted', reason)
    condemnBlob(ctx, sha256, n, purge ? 'purged' : 'deleted')
  } else if (!purge) return
  else if (state !== 'deleted') {
    removeFile(sql, { ...row, state: state === 'dropping' ? 'staged' : 'live' }, row.removal!, reason, true)
  }
  if (purge) markPurged(sql, project, filename)
  if (purge && blobState(sql, sha256, n) === 'condemned') hastenBlob(ctx, sha256, n)
  const event = purge ? 'purged' : 'deleted'
  appendJournal(sql, ctx.now(), { event, project, filename, sha256, reason, token: by.id })
}

/** From the next flip on the project is none, and its name may be taken by whoever may create projects. */
function end(ctx: Context, { project, reason }: RemoveRequest, seq: number, by: Bearer): void {
  const { sql } = ctx
  const macKey = ctx.custody.macKey()
  const live = findStatus(sql, macKey, project)?.live ?? 'active'
  const bin = binOfProject(project)
  putStatus(sql, macKey, { project, bin, status: 'deleted', reason: reason ?? null, live, seq })
  appendJournal(sql, ctx.now(), { event: 'project-deleted', project, reason: reason ?? '', token: by.id })
  for (const { id, ended } of forgetProject(sql, macKey, project, ctx.now()))
    appendJournal(sql, ctx.now(), { event: ended ? 'revoked' : 'narrowed', token: id, project, by: by.id })
}

/** PEP 792. Archived and quarantined projects take no uploads; a quarantined one offers and signs no file. */
export function setStatus(ctx: Context, request: StatusRequest): Accepted {
  const { sql } = ctx
  const { project, status } = request
  return ctx.storage.transactionSync(() => {
    const bearer = authorise(ctx, request, 'admin', `change the status of project '${project}'`)
    if ('ok' in bearer) return bearer
    if (!STATUSES.includes(status)) return refused('invalid', 400, `A status is one of: ${STATUSES.join(', ')}.`)
    if (request.reason !== undefined && !isReason(request.reason))
      return refused('invalid', 400, `The reason is one line of at most ${REASON_LENGTH_MAX} characters.`)
    const macKey = ctx.custody.macKey()
    const known = findStatus(sql, macKey, project)
    if (known?.status === 'deleted' || one(sql, 'SELECT 1 AS x FROM projects WHERE name = ?', project) === undefined)
      return missing({ project })
    const reason = request.reason || null
    if ((known?.status ?? 'active') === status && (known?.reason ?? null) === reason)
      return { ok: true, ...pending(sql, project) }
    const busy = tooMuchWaits(sql)
    if (busy) return busy
    const seq = enqueue(sql, project, '')
    putStatus(sql, macKey, { project, bin: binOfProject(project), status, reason, live: known?.live ?? 'active', seq })
    appendJournal(sql, ctx.now(), { event: 'status', project, status, reason, token: bearer.id })
    return { ok: true, seq }
  })
}

/** How many of the blobs are in the bucket no more. */
export const erasedOf = (sql: Sql, blobs: readonly { sha256: string; n: number }[]): number =>
  blobs.filter(({ sha256, n }) => blobState(sql, sha256, n) === 'gone').length

/** Of the list that readers are told: 1,000 of ≤ 330 bytes; what was purged before them answers as what never was. */
const PURGED_TOLD_MAX = 1_000

/** `target path` and digest of what was purged, newest first. */
export const purged = ({ sql }: Context): string[] =>
  purgedFiles(sql, PURGED_TOLD_MAX).map(
    ({ project, filename, sha256 }) => `files/${shardOf(project)}/${project}/${filename} ${sha256}`,
  )

function authorise(
  { sql, custody, now }: Context,
  { token, project }: { token: string; project: string },
  scope: Scope,
  what: string,
): Bearer | Refused {
  const bearer = bearerOf(sql, custody.macKey(), token, now())
  if ('ok' in bearer || mayTouch(bearer, scope, project)) return bearer
  return refused('forbidden', 403, `The given token isn't allowed to ${what}: it takes the scope ${scope}.`)
}

function select(sql: Sql, { project, filename, release }: Selection): FileRow[] {
  const files = 'SELECT * FROM files WHERE project = ?'
  if (filename !== undefined) return all<FileRow>(sql, `${files} AND filename = ?`, project, filename)
  if (release !== undefined) return all<FileRow>(sql, `${files} AND release = ?`, project, release)
  return all<FileRow>(sql, files, project)
}

function pending(sql: Sql, project: string): { seq?: number } {
  const seq = pendingOfProject(sql, project)
  return seq === undefined ? {} : { seq }
}

const tooMuchWaits = (sql: Sql): Refused | undefined =>
  queueHolds(sql, STAGED_MAX)
    ? refused('unavailable', 503, `${STAGED_MAX} changes wait for publication: repeat this one in a moment.`)
    : undefined

function missing({ project, filename, release }: Selection): Refused {
  if (filename !== undefined) return refused('missing', 404, `Project '${project}' has no file '${filename}'.`)
  if (release !== undefined) return refused('missing', 404, `Project '${project}' has no such release.`)
  return refused('missing', 404, `There is no project '${project}'.`)
}
