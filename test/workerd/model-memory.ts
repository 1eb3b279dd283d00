// What the clients of the model test remember within a sequence. After every write two of them take the same root, targets
// and snapshot again, and a signature costs 2 ms: what a pure function says of bytes is worked out once. The question that
// an answer is kept under is everything it depends on, none of it hashed, so other bytes never get it; what is refused is
// judged again. Only `tuf/trusted.ts` and `tuf/search.ts` import from here (test/unit.config.ts): what they decide of dates,
// versions, order and delegation, and all that the publisher does, is done anew each time.
import { type Delegations, rolesForTarget as searchRoles } from '../../tuf/delegations.ts'
import type { Key } from '../../tuf/keys.ts'
import { checkBytes as check } from '../../tuf/meta-file.ts'
import { parseRoot as readRoot } from '../../tuf/root.ts'
import { parseSnapshot as readSnapshot } from '../../tuf/snapshot.ts'
import { parseTargets as readTargets } from '../../tuf/targets.ts'
import { parseTimestamp as readTimestamp } from '../../tuf/timestamp.ts'
import { type RoleKeys, type Signed, verifyRole as verify } from '../../tuf/verify.ts'

export { keysOfRole } from '../../tuf/delegations.ts'

/** A byte a character: no two lists of bytes give one text. */
const LATIN = new TextDecoder('latin1')

const files = new Map<string, unknown>()
const named = new Set<string>()
const signed = new Set<string>()
let searched = new WeakMap<Delegations, Map<string, ReturnType<typeof searchRoles>>>()

/** Bounds what is kept: the next sequence signs files of its own. */
export function forgetAll(): void {
  files.clear()
  named.clear()
  signed.clear()
  searched = new WeakMap()
}

const once =
  <T>(type: string, read: (bytes: Uint8Array) => T) =>
  (bytes: Uint8Array): T => {
    const question = type + LATIN.decode(bytes)
    if (!files.has(question)) files.set(question, read(bytes))
    return files.get(question) as T
  }

export const parseRoot = once('root', readRoot)
export const parseTimestamp = once('timestamp', readTimestamp)
export const parseSnapshot = once('snapshot', readSnapshot)
export const parseTargets = once('targets', readTargets)

export const checkBytes: typeof check = async (bytes, expected, what) => {
  const question = JSON.stringify([expected.length, ...(expected.hashes ?? [])]) + LATIN.decode(bytes)
  if (named.has(question)) return
  await check(bytes, expected, what)
  named.add(question)
}

export async function verifyRole(
  envelope: Signed,
  role: RoleKeys,
  keys: ReadonlyMap<string, Key>,
  name: string,
): Promise<void> {
  const { keyids, threshold } = role
  const voices = keyids.map((keyid) => [keyid, keys.get(keyid)?.scheme, keys.get(keyid)?.identity])
  const question = JSON.stringify([envelope.signatures, voices, threshold]) + LATIN.decode(envelope.payload)
  if (signed.has(question)) return
  await verify(envelope, role, keys, name)
  signed.add(question)
}

export function rolesForTarget(delegations: Delegations, path: string): ReturnType<typeof searchRoles> {
  const known = searched.get(delegations) ?? new Map()
  searched.set(delegations, known)
  const roles = known.get(path) ?? searchRoles(delegations, path)
  known.set(path, roles)
  return roles
}
