// root: which keys may sign the four top-level roles, and how many of them must (TUF 1.0.34, 4.3).
import { type Common, type Envelope, parseEnvelope } from './envelope.ts'
import { FormatError } from './errors.ts'
import { asBoolean, asInteger, asObject, asStrings } from './fields.ts'
import type { Json } from './json.ts'
import { type Key, parseKey } from './keys.ts'
import type { RoleKeys } from './verify.ts'

/** The four roles that root names, in the order a client loads them. */
export const TOP_LEVEL_ROLES = ['root', 'timestamp', 'snapshot', 'targets'] as const

export type TopLevelRole = (typeof TOP_LEVEL_ROLES)[number]

export interface Root extends Common {
  /** Whether files are named by version and digest. Absent means no, as python-tuf reads it. */
  readonly consistentSnapshot: boolean
  readonly keys: ReadonlyMap<string, Key>
  readonly roles: Readonly<Record<TopLevelRole, RoleKeys>>
}

/** How keys are read; see `parseKey`. */
export interface KeyPolicy {
  readonly strict?: boolean
}

/** Whether `name` is one of the four roles that root names. */
export function isTopLevelRole(name: string): name is TopLevelRole {
  return (TOP_LEVEL_ROLES as readonly string[]).includes(name)
}

/**
 * Reads a root file.
 *
 * @param policy `strict` refuses keys that could not be used, instead of keeping them as unusable
 * @throws {FormatError} if it is not one; see `parseEnvelope`
 */
export function parseRoot(bytes: Uint8Array, policy: KeyPolicy = {}): Envelope<Root> {
  return parseEnvelope(bytes, 'root', (common) => {
    const consistent = common.raw.get('consistent_snapshot')
    const roles = asObject(common.raw.get('roles'), '"roles" of root')
    if (roles.size !== TOP_LEVEL_ROLES.length)
      throw new FormatError('"roles" of root must be exactly root, snapshot, targets and timestamp.')
    const roleKeys = (name: TopLevelRole): RoleKeys => readRoleKeys(roles.get(name), `"${name}" in root`)
    return {
      ...common,
      consistentSnapshot: consistent === undefined ? false : asBoolean(consistent, '"consistent_snapshot" of root'),
      keys: readKeys(common.raw.get('keys'), '"keys" of root', policy),
      roles: {
        root: roleKeys('root'),
        timestamp: roleKeys('timestamp'),
        snapshot: roleKeys('snapshot'),
        targets: roleKeys('targets'),
      },
    }
  })
}

/** Reads a `keys` object: keyid → key. */
export function readKeys(json: Json | undefined, what: string, policy: KeyPolicy): Map<string, Key> {
  const keys = new Map<string, Key>()
  for (const [keyid, key] of asObject(json, what)) keys.set(keyid, parseKey(key, { keyid, ...policy }))
  return keys
}

/** Reads `{keyids, threshold}`. A keyid that `keys` does not list is legal and counts for nothing. */
export function readRoleKeys(json: Json | undefined, what: string): RoleKeys {
  const role = asObject(json, what)
  const keyids = asStrings(role.get('keyids'), `"keyids" of ${what}`)
  if (new Set(keyids).size !== keyids.length) throw new FormatError(`"keyids" of ${what} names a key twice.`)
  return { keyids, threshold: asInteger(role.get('threshold'), 1, `"threshold" of ${what}`) }
}
