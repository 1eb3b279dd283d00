// Target files of a repository that is signed elsewhere: who may put them, and whether those that a batch names are there.
// State: the fact `targets`. The bucket holds each under its digest; what nobody signed has a key and no name.
//
// Cost of a look: the held version of each role in the batch (never the leaves that are not), and one head for each file
// that it did not name with this digest, at most HEADS_MAX.
import { type Admitted, bucketDigest, type Held } from '../tuf/gate.ts'
import { blobKey } from '../tuf/layout.ts'
import { parseTargets, type TargetFile } from '../tuf/targets.ts'
import { getFact, setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import { permitted } from './operator.ts'
import { inLanes, retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'
import { type Done, type Refused, refused } from './rpc.ts'
import type { GateRequest, PutTargetAnswer, PutTargetRequest, TargetsSeen } from './rpc-adopt.ts'

/** 500 heads, six at a time at about 10 ms, are a second; an invocation has 1,000 calls to the bucket (platform limit). */
const HEADS_MAX = 500
/** Of the missing ones, in answers. */
const NAMED_MAX = 20
const MODES = ['required', 'warn', 'ignore'] as const

/** Whether a batch waits for its files: `warn` unless it was set. */
export const targetsMode = ({ sql }: Pick<Context, 'sql'>): (typeof MODES)[number] => getFact(sql, 'targets') ?? 'warn'

export function setGate(ctx: Context, { token, targets }: GateRequest): Done {
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, token, ['admin'])
    if ('ok' in bearer) return bearer
    if (getFact(ctx.sql, 'kind') !== 'adopted')
      return refused('invalid', 400, 'Only a repository that is signed elsewhere has target files that others name.')
    if (!MODES.includes(targets)) return refused('invalid', 400, `targets is one of ${MODES.join(', ')}.`)
    setFact(ctx.sql, 'targets', targets)
    appendJournal(ctx.sql, ctx.now(), { event: 'gate', targets, token: bearer.id })
    return { ok: true }
  })
}

/** Whether a file may be put: asked before its first byte is stored, and journalled, because it may get no name for long. */
export function mayPutTarget(ctx: Context, { token, path, digest, length }: PutTargetRequest): PutTargetAnswer {
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, token, ['upload', 'admin'])
    if ('ok' in bearer) return bearer
    if (getFact(ctx.sql, 'kind') !== 'adopted')
      return refused('invalid', 400, 'Files of an index are uploaded, not put.')
    if (digest !== null)
      appendJournal(ctx.sql, ctx.now(), { event: 'target-put', path, digest, length, token: bearer.id })
    return { ok: true, epoch: ctx.place.epoch }
  })
}

/** What of the files that the batch names for the first time the bucket lacks; a refusal where they are required. */
export async function lookForFiles(ctx: Context, admitted: Admitted, held: Held): Promise<TargetsSeen | Refused> {
  const mode = targetsMode(ctx)
  if (mode === 'ignore') return { fresh: 0, looked: 0, missing: [] }
  const fresh = new Map<string, { path: string; file: TargetFile }>()
  // Of a large batch not every file is read: what is beyond HEADS_MAX is not asked for anyhow.
  for (const { role, bytes } of filesUntil(admitted.roles, () => fresh.size > HEADS_MAX)) {
    const before = held.roles.has(role) ? parseTargets(await held.load(role)).signed.targets : undefined
    for (const [path, file] of parseTargets(bytes).signed.targets) {
      const digest = bucketDigest(file)!
      const known = before?.get(path)
      if (!known || bucketDigest(known) !== digest) fresh.set(digest, { path, file })
    }
  }
  if (mode === 'required' && fresh.size > HEADS_MAX)
    return refused(
      'invalid',
      400,
      `targets: The batch names ${fresh.size} new files, and at most ${HEADS_MAX} are looked for: hand it over in parts, or set targets to warn.`,
    )
  const missing: string[] = []
  const asked = [...fresh].slice(0, HEADS_MAX)
  const looked = asked.length
  await inLanes(asked, async ([digest, { path, file }]) => {
    const head = await retrying(ctx, () => ctx.bucket.head(blobKey(ctx.place, digest, 1)))
    if (head?.size !== file.length) missing.push(path)
    return true
  })
  missing.sort()
  if (mode === 'required' && missing.length > 0)
    return refused(
      'invalid',
      400,
      `targets: The bucket lacks ${named(missing)}: put them first, with their sha256 in the URL.`,
    )
  return { fresh: fresh.size, looked, missing: missing.slice(0, NAMED_MAX) }
}

function* filesUntil<T>(files: readonly T[], enough: () => boolean): Generator<T> {
  for (const file of files) {
    if (enough()) return
    yield file
  }
}

const named = (paths: readonly string[]): string =>
  paths.length <= NAMED_MAX
    ? paths.join(', ')
    : `${paths.slice(0, NAMED_MAX).join(', ')} and ${paths.length - NAMED_MAX} more`
