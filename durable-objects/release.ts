// The owner takes an adopted repository back: two roots, the first beside our keys, the second without them. The first
// goes out at once, the second after a client's run, and with it the last publication: from then on nothing is signed.
//
// Invariant: the state becomes `released` in the transaction that finds the second root public (publication/finish.ts),
// so no crash lets this ledger sign after it, and none stops it before. Until then freshness goes on, and nothing new is
// taken: what passed the gate under our keys could not be published under the owner's.
import { GateError, type Held } from '../tuf/gate.ts'
import { mustHandBack } from '../tuf/hand-back.ts'
import { parseRoot } from '../tuf/root.ts'
import { refusedByClients } from './client-walk.ts'
import { gateAnswer, gateKeys, heldNow, passGate, record, type Taken, takenBefore } from './handed-over.ts'
import { getFact, setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import type { Sql } from './ledger/sql.ts'
import { permitted } from './operator.ts'
import type { Context } from './publication/context.ts'
import { type Refused, refused } from './rpc.ts'
import type { PushRequest } from './rpc-adopt.ts'

/** To be called where no pass runs. */
export async function release(ctx: Context, { token, files }: PushRequest, arm: () => void): Promise<Taken | Refused> {
  const { sql } = ctx
  const bearer = mayAsk(ctx, token)
  if ('ok' in bearer) return bearer
  if (!Array.isArray(files) || files.length !== 2 || files.some((file) => file?.role !== 'root'))
    return refused(
      'invalid',
      400,
      'To hand a repository back takes two roots: one with both keys, one with yours alone.',
    )
  const back = handedBack(sql)
  if (back) return takenBefore(ctx, files) ?? back
  const held = heldNow(ctx)
  const sorted = await inOrder(files)
  if ('ok' in sorted) return sorted
  const [first, second] = sorted
  const both = await passGate(ctx, [first], held, gateKeys(ctx))
  if ('ok' in both) return both
  const next: Held = { ...held, root: both.roots[0]?.envelope ?? held.root }
  const theirs = await passGate(ctx, [second], next, undefined)
  if ('ok' in theirs) return theirs
  const roots = [...both.roots, ...theirs.roots]
  try {
    if (roots.length !== 2)
      throw new GateError('next-root', 'Both roots have to be new: the next one, and the one after it.')
    mustHandBack(roots[0]!.envelope.signed, roots[1]!.envelope.signed, gateKeys(ctx))
  } catch (error) {
    return gateAnswer(error)
  }
  const refusal = await refusedByClients(ctx, { roots, roles: [] }, held, { handsBack: true })
  if (refusal) return refusal
  return ctx.storage.transactionSync(() => {
    const bearer = mayRelease(ctx, token)
    if ('ok' in bearer) return bearer
    const taken = record(ctx, { roots, roles: [] }, held.root?.signed)
    const root = roots[1]!.version
    setFact(sql, 'releasing', root)
    appendJournal(sql, ctx.now(), { event: 'releasing', root, held: taken.held, token: bearer.id })
    arm()
    return taken
  })
}

/** Why nothing new is taken, or undefined. */
export function handedBack(sql: Sql): Refused | undefined {
  const root = getFact(sql, 'releasing')
  if (root === undefined) return undefined
  const message =
    getFact(sql, 'state') === 'released'
      ? `This repository was handed back to its owner with root ${root}: nothing is signed here any more.`
      : `This repository is being handed back to its owner with root ${root}: nothing new is taken.`
  return refused('conflict', 409, message)
}

function mayAsk(ctx: Context, token: string) {
  const bearer = permitted(ctx, token, ['admin'])
  if ('ok' in bearer) return bearer
  if (getFact(ctx.sql, 'kind') !== 'adopted')
    return refused('invalid', 400, 'Only a repository that is signed elsewhere can be handed back.')
  return bearer
}

const mayRelease = (ctx: Context, token: string) => handedBack(ctx.sql) ?? mayAsk(ctx, token)

async function inOrder(
  files: PushRequest['files'],
): Promise<[PushRequest['files'][0], PushRequest['files'][0]] | Refused> {
  try {
    const [a, b] = files.map((file) => ({ file, version: parseRoot(file.bytes).signed.version }))
    return a!.version < b!.version ? [a!.file, b!.file] : [b!.file, a!.file]
  } catch {
    return refused('invalid', 400, 'format: One of the files is not a root.')
  }
}
