// Quotas: what is refused for being too much, and who may change how much that is. State: none. Looked at when an upload
// begins and again in the transaction that accepts it, so that two at once cannot both take the last place.
import { FILES_PER_PROJECT_MAX } from '../pypi/limits.ts'
import { heldByRepository } from './ledger/files.ts'
import { appendJournal } from './ledger/journal.ts'
import { findQuota, heldByProject, putQuota, type Quota, REPOSITORY } from './ledger/quotas.ts'
import { one, type Sql } from './ledger/sql.ts'
import { permitted } from './operator.ts'
import type { Context } from './publication/context.ts'
import { type Done, type Refused, refused } from './rpc.ts'
import type { QuotaAnswer, QuotaQuestion, QuotaRequest } from './rpc-projects.ts'
import { mayTouch } from './tokens.ts'

/** Why one more file of `size` bytes is too much, or undefined. `size`: what it has at least; 0 before anything is known. Reads the project's rows. */
export function overQuota(sql: Sql, project: string, size: number): Refused | undefined {
  const held = heldByProject(sql, project)
  if (held.files >= FILES_PER_PROJECT_MAX)
    return refused(
      'invalid',
      400,
      `Project '${project}' has ${FILES_PER_PROJECT_MAX} files, the most this index takes.`,
    )
  return (
    over(findQuota(sql, project), held, size, `Project '${project}'`) ??
    over(findQuota(sql, REPOSITORY), heldByRepository(sql), size, 'This index')
  )
}

function over(quota: Quota, held: { files: number; bytes: number }, size: number, who: string): Refused | undefined {
  const { bytes, files, fileBytes } = quota
  const ask = 'delete some or ask its operators for more.'
  if (fileBytes !== null && size > fileBytes)
    return refused('invalid', 400, `${who} takes files of at most ${fileBytes} bytes, and this one is larger.`)
  if (files !== null && held.files >= files)
    return refused('invalid', 400, `${who} holds ${held.files} files and may hold ${files}: ${ask}`)
  if (bytes !== null && held.bytes + Math.max(size, 1) > bytes)
    return refused('invalid', 400, `${who} holds ${held.bytes} bytes and may hold ${bytes}: ${ask}`)
  return undefined
}

export function setQuota(ctx: Context, request: QuotaRequest): Done {
  const { sql } = ctx
  const { project = REPOSITORY, token, quota } = request
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, token, ['admin'])
    if ('ok' in bearer) return bearer
    if (project === REPOSITORY ? bearer.projects !== null : !mayTouch(bearer, 'admin', project))
      return refused('forbidden', 403, "The given token isn't allowed to change this quota: it is limited to projects.")
    if (project !== REPOSITORY && !exists(sql, project))
      return refused('missing', 404, `There is no project '${project}'.`)
    const limits = [quota.bytes, quota.files, quota.fileBytes]
    if (!limits.every((limit) => limit === null || (Number.isSafeInteger(limit) && limit >= 0)))
      return refused('invalid', 400, 'A quota is a whole number, or null for none.')
    putQuota(sql, project, quota)
    const whose = project === REPOSITORY ? {} : { project }
    const { bytes, files, fileBytes } = quota
    appendJournal(sql, ctx.now(), { event: 'quota', ...whose, bytes, files, fileBytes, token: bearer.id })
    return { ok: true }
  })
}

export function quotaOf(ctx: Context, { project = REPOSITORY, token }: QuotaQuestion): QuotaAnswer {
  const { sql } = ctx
  const bearer = permitted(ctx, token, ['admin', 'audit'])
  if ('ok' in bearer) return bearer
  if (project !== REPOSITORY && !exists(sql, project))
    return refused('missing', 404, `There is no project '${project}'.`)
  const held = project === REPOSITORY ? heldByRepository(sql) : heldByProject(sql, project)
  return { ok: true, quota: findQuota(sql, project), held }
}

const exists = (sql: Sql, project: string): boolean =>
  one(sql, 'SELECT 1 AS x FROM projects WHERE name = ?', project) !== undefined
