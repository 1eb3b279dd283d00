// What people may change of an index made here: dates, their own keys, teams; never who signs the bins and the list.
// State: none; asked after the gate.
import type { Admitted, Held } from '../tuf/gate.ts'
import { parseTargets } from '../tuf/targets.ts'
import { checkDelegations } from './initialise.ts'
import { getFact } from './ledger/facts.ts'
import { type Context, Halt } from './publication/context.ts'

/** Why the batch cannot be an index's, or undefined. */
export async function complaintOfIndex(
  ctx: Context,
  { roots, roles }: Admitted,
  held: Held,
): Promise<string | undefined> {
  const stranger = roles.find(({ role }) => role !== 'targets' && role !== 'bins')
  if (stranger) return `people sign root, targets and bins, not "${stranger.role}".`
  const signed = async (name: string) =>
    parseTargets(roles.find(({ role }) => role === name)?.bytes ?? (await held.load(name))).signed
  try {
    checkDelegations(ctx, await signed('targets'), await signed('bins'))
  } catch (error) {
    if (error instanceof Halt) throw error
    return error instanceof Error ? error.message : String(error)
  }
  const development = getFact(ctx.sql, 'development') === 1
  if (roots.some(({ envelope }) => (envelope.signed.raw.get('x-tuf-edge-development') === true) !== development))
    return 'a development index stays one, and a real one does not become one.'
  return undefined
}
