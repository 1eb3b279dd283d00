// What an adoption finds: the numbers that were served, and what clients hold that come from the former signer. State: none.
import { FormatError, TufError } from '../tuf/errors.ts'
import type { Admitted, AdmittedRoot } from '../tuf/gate.ts'
import { parseSnapshot } from '../tuf/snapshot.ts'
import { verifyRole } from '../tuf/verify.ts'
import { gateKeys, namesKeys } from './handed-over.ts'
import type { Context } from './publication/context.ts'
import { type Freshness, type Refused, refused } from './rpc.ts'
import type { AdoptRequest } from './rpc-adopt.ts'

/** Above everything the former signer served, and room for what it signs until it is switched off: 1,000 versions. */
export const VERSIONS_APART = 1_000

/** What a repository has before its first publication. */
export interface Beginning {
  freshness: Freshness
  /** Our numbers begin above these. */
  served: { snapshot: number; timestamp: number }
  /** Role → version, of roles that are listed and have no file. */
  former: Readonly<Record<string, number>>
  /** What a client holds, by role, that is warm under the former signer; undefined: there is none. */
  warm: Readonly<Record<string, Uint8Array>> | undefined
}

/**
 * The former signer's snapshot may list roles that nobody delegates to any more: a client that saw them there refuses a
 * snapshot without them (TUF 1.0.34, 5.5.5), so ours list their versions. No file of them is served, because no keys say
 * whose it would be.
 */
export async function beginningOf(
  ctx: Context,
  { served, last }: AdoptRequest,
  freshness: Freshness,
  { roots, roles }: Admitted,
): Promise<Beginning | Refused> {
  const apart = {
    snapshot: served.snapshot + VERSIONS_APART,
    timestamp: served.timestamp + VERSIONS_APART,
  }
  if (!last) return { freshness, served: apart, former: {}, warm: undefined }
  try {
    const snapshot = parseSnapshot(last.snapshot)
    if (snapshot.signed.version !== served.snapshot)
      throw new FormatError(`It has version ${snapshot.signed.version} instead of ${served.snapshot}.`)
    const theirs = roots.filter(({ envelope }) => !namesKeys(envelope.signed, gateKeys(ctx)))
    const root = await newestThatNames(theirs.length > 0 ? theirs : roots, snapshot)
    const listed = new Map([...snapshot.signed.meta].map(([role, { version }]) => [role, version]))
    for (const { role } of [{ role: 'root' }, ...roles]) listed.delete(role)
    const targets = roles.find(({ role }) => role === 'targets')!.bytes
    return { freshness, served: apart, former: Object.fromEntries(listed), warm: { root, ...last, targets } }
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    return refused('invalid', 400, `The snapshot that was served last is none: ${error.message}`)
  }
}

/** The newest of `roots` whose keys signed the snapshot: where its clients are. */
async function newestThatNames(
  roots: readonly AdmittedRoot[],
  snapshot: ReturnType<typeof parseSnapshot>,
): Promise<Uint8Array> {
  for (const { envelope } of roots.toReversed())
    try {
      await verifyRole(snapshot, envelope.signed.roles.snapshot, envelope.signed.keys, 'snapshot')
      return envelope.bytes
    } catch (error) {
      if (!(error instanceof TufError)) throw error
    }
  throw new FormatError('It is signed by the keys of no root of the batch.')
}
