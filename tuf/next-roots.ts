// The two roots by which a repository passes from one pair of keys of snapshot and timestamp to another: the first names
// both, the second the new ones alone. A client that is warm under the old keys meets one change in a run, never two.
//
// Invariant: nothing else of the root moves: unknown fields, other roles, keys that nobody uses, their order. They are
// changed as JSON, because what a reader of roots does not know would be lost on the way.
import { FormatError } from './errors.ts'
import { asObject } from './fields.ts'
import type { Json, JsonObject } from './json.ts'
import { type Key, keyObject } from './keys.ts'
import type { Root } from './root.ts'

/** What passes on. Root and targets stay with whoever has them. */
const PASSED = ['snapshot', 'timestamp'] as const
type Passed = (typeof PASSED)[number]

/** Who signs from now on, one key a role. */
export type NewKeys = Readonly<Record<Passed, Key>>

/**
 * `signed` of the two roots that follow `root`; nobody has signed them yet.
 *
 * @param expires `YYYY-MM-DDTHH:MM:SSZ` of both; left out: as it was
 */
export function nextRoots(root: Root, keys: NewKeys, expires: string = root.expires): [JsonObject, JsonObject] {
  const both = changed(root, keys, { version: root.version + 1, expires, former: true })
  return [both, changed(root, keys, { version: root.version + 2, expires, former: false })]
}

/** Why `next` is not the root that names both, or the new keys alone; undefined if it is. */
export function whyNotNext(root: Root, next: Root, keys: NewKeys, former: boolean): string | undefined {
  const version = root.version + (former ? 1 : 2)
  if (next.version !== version) return `it has version ${next.version} instead of ${version}`
  if (next.consistentSnapshot !== root.consistentSnapshot) return 'it changes consistent_snapshot'
  for (const role of PASSED) {
    const { keyids, threshold } = next.roles[role]
    const wanted = [keys[role].keyid, ...(former ? root.roles[role].keyids : [])]
    const missing = wanted.find((keyid) => !keyids.includes(keyid))
    if (missing !== undefined) return `it does not name the key ${missing} for ${role}`
    if (threshold !== 1) return `it wants ${threshold} signatures of ${role}, and one is made`
    if (!former && keyids.length > 1) return `it names other keys beside ${keys[role].keyid} for ${role}`
  }
  return undefined
}

function changed(
  root: Root,
  keys: NewKeys,
  { version, expires, former }: { version: number; expires: string; former: boolean },
): JsonObject {
  const roles = new Map(asObject(root.raw.get('roles'), '"roles" of root'))
  for (const role of PASSED) {
    const before = former ? root.roles[role].keyids : []
    const keyids = [...before.filter((keyid) => keyid !== keys[role].keyid), keys[role].keyid]
    const entry: [string, Json][] = [...asObject(roles.get(role), `"${role}" in root`)]
    roles.set(role, new Map<string, Json>([...entry, ['keyids', keyids], ['threshold', 1]]))
  }
  const listed = new Map(asObject(root.raw.get('keys'), '"keys" of root'))
  for (const role of PASSED) {
    const { keyid } = keys[role]
    if (root.keys.has(keyid) && root.keys.get(keyid)!.identity !== keys[role].identity)
      throw new FormatError(`Root ${root.version} lists another key under the keyid ${keyid}.`)
    if (!listed.has(keyid)) listed.set(keyid, keyObject(keys[role]))
  }
  if (!former) for (const keyid of unused(root, roles)) listed.delete(keyid)
  return new Map<string, Json>([
    ...root.raw,
    ['version', version],
    ['expires', expires],
    ['keys', listed],
    ['roles', roles],
  ])
}

/** The former keys that no role names any more. */
function unused(root: Root, roles: JsonObject): string[] {
  const named = new Set<Json>()
  for (const role of roles.values())
    for (const keyid of asObject(role, 'A role').get('keyids') as Json[]) named.add(keyid)
  return PASSED.flatMap((role) => root.roles[role].keyids).filter((keyid) => !named.has(keyid))
}
