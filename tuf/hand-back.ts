// The last two roots of a repository whose snapshot and timestamp were signed here: the owner takes both back. N+1 names
// the owner's keys beside ours, N+2 the owner's alone, so that no client meets both changes in one run.
//
// Both pass the gate (gate.ts) first; this says only what the gate does not know about: that they are these two.
import { GateError } from './gate.ts'
import type { Root } from './root.ts'

const ROLES = ['snapshot', 'timestamp'] as const

/** @param online keyids of ours, which `both` names. @throws {GateError} */
export function mustHandBack(both: Root, theirs: Root, online: Readonly<Record<(typeof ROLES)[number], string>>): void {
  for (const role of ROLES) {
    const ours = both.keys.get(online[role])?.identity
    const before = identitiesOf(both, role)
    const after = identitiesOf(theirs, role)
    // A key is what it is, under whatever keyid.
    if (after.includes(ours))
      throw new GateError(
        'online-keys',
        `root ${theirs.version} names the key ${online[role]} for ${role} still: leave it out.`,
      )
    for (const key of after)
      if (key !== undefined && !before.includes(key))
        throw new GateError(
          'online-keys',
          `root ${both.version} has to name every key that root ${theirs.version} names for ${role}: clients meet the two in different runs.`,
        )
  }
}

const identitiesOf = ({ roles, keys }: Root, role: (typeof ROLES)[number]): (string | undefined)[] =>
  roles[role].keyids.map((keyid) => keys.get(keyid)?.identity)
