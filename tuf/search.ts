// The search for a target through the delegations (TUF 1.0.34, 5.6.7): depth first, in the order of each file, the first
// role that lists the target wins, a terminating delegation that holds the path ends everything after it.
import { rolesForTarget } from './delegations.ts'
import { LimitError } from './errors.ts'
import type { TargetFile, Targets } from './targets.ts'

/** A target and the role that lists it. */
export interface TargetInfo extends TargetFile {
  readonly path: string
  readonly role: string
}

/**
 * Finds a target; undefined means that the repository says it does not exist.
 *
 * A role that cannot be loaded ends the search with its error: going on would let whoever blocks one file choose which
 * of two roles is believed.
 *
 * @param load the verified file of `role` as `delegator` delegates to it
 * @throws {LimitError} if more than `maxRoles` roles would have to be read: that proves nothing about the target
 */
export async function findTarget(
  path: string,
  load: (role: string, delegator: string) => Promise<Targets>,
  maxRoles: number,
): Promise<TargetInfo | undefined> {
  const visited = new Set<string>()
  // A stack: what is to be searched next is last.
  let pending: { role: string; delegator: string }[] = [{ role: 'targets', delegator: 'root' }]
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { role, delegator } = next
    if (visited.has(role)) continue
    if (visited.size >= maxRoles) throw new LimitError(`The search for "${path}" was given up after ${maxRoles} roles.`)
    visited.add(role)

    const { targets, delegations } = await load(role, delegator)
    const file = targets.get(path)
    if (file) return { ...file, path, role }

    const children: typeof pending = []
    for (const { name, terminating } of delegations ? rolesForTarget(delegations, path) : []) {
      children.push({ role: name, delegator: role })
      if (terminating) {
        pending = []
        break
      }
    }
    for (const child of children.reverse()) pending.push(child)
  }
  return undefined
}
