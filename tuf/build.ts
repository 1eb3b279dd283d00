// The `signed` objects this project publishes, as pure functions of what is to be said. Everything a client we support
// could trip over is decided here: dates without milliseconds, sha256 only, no empty optional objects, versions that fit
// 32 bits, no public key twice.
import type { Canonical } from './canonical.ts'
import { formatDate } from './dates.ts'
import { FormatError } from './errors.ts'
import type { Json, JsonObject } from './json.ts'
import { type Key, keyObject } from './keys.ts'
import { checkTargetPath } from './paths.ts'
import { TOP_LEVEL_ROLES, type TopLevelRole } from './root.ts'
import type { RoleKeys } from './verify.ts'

/** Understood by every client; rust-tuf takes no other. */
const SPEC_VERSION = '1.0.0'

/** sigstore-java reads versions as signed 32-bit integers. */
export const VERSION_MAX = 2 ** 31 - 1

/** Unknown fields to be signed along, by name. */
export type Extra = Readonly<Record<string, Canonical>>

/** A `signed` object: what `signRole` takes. */
export type SignedObject = ReadonlyMap<string, Canonical>

interface CommonInput {
  version: number
  /** Milliseconds since 1970; cut to the second. */
  expiresMs: number
}

export interface RootInput extends CommonInput {
  keys: readonly Key[]
  roles: Readonly<Record<TopLevelRole, RoleKeys>>
  extra?: Extra
}

/**
 * A root that names `keys` for the four roles, with consistent snapshots.
 *
 * @throws {FormatError} if a role names a key that is not given, wants more keys than it has, or one public key appears
 * under two keyids
 */
export function rootSigned({ version, expiresMs, keys, roles, extra = {} }: RootInput): SignedObject {
  const known = keyTable(keys)
  const roleTable = new Map<string, Canonical>()
  for (const name of TOP_LEVEL_ROLES) roleTable.set(name, roleKeys(roles[name], known, name))
  return signed('root', { version, expiresMs }, extra, [
    ['consistent_snapshot', true],
    ['keys', known],
    ['roles', roleTable],
  ])
}

/** A file as it is to be listed. */
export interface TargetInput {
  /** Bytes. */
  length: number
  /** 64 lower-case hex digits. */
  sha256: string
  custom?: JsonObject | Extra
}

export interface TargetsInput extends CommonInput {
  targets: Iterable<readonly [path: string, file: TargetInput]>
  /** From `binDelegations` or `topDelegations`; left out when there are none. */
  delegations?: Canonical
}

/**
 * A targets role (top-level or delegated).
 *
 * @throws {FormatError} for a path of another form than `checkTargetPath` allows, or one given twice
 */
export function targetsSigned({ version, expiresMs, targets, delegations }: TargetsInput): SignedObject {
  const table = new Map<string, Canonical>()
  for (const [path, { length, sha256, custom }] of targets) {
    checkTargetPath(path)
    if (table.has(path)) throw new FormatError(`The target "${path}" is given twice.`)
    table.set(path, {
      length: checkInteger(length, 0, `The length of "${path}"`),
      hashes: { sha256: checkSha256(sha256, path) },
      ...(custom !== undefined && { custom }),
    })
  }
  return signed('targets', { version, expiresMs }, {}, [
    ['targets', table],
    ...(delegations === undefined ? [] : [['delegations', delegations] as const]),
  ])
}

/** A role's file as snapshot lists it. */
export interface MetaInput {
  version: number
  /** Bytes. */
  length?: number
  sha256?: string
}

export interface SnapshotInput extends CommonInput {
  /** `targets` and every delegated role; never root. */
  meta: Iterable<readonly [role: string, file: MetaInput]>
  extra?: Extra
}

/**
 * A snapshot. What is given is listed, but for the length of `targets`: tough 0.19 takes it as the largest size of every
 * delegated role, and each of them would fail.
 */
export function snapshotSigned({ version, expiresMs, meta, extra = {} }: SnapshotInput): SignedObject {
  const table = new Map<string, Canonical>()
  for (const [role, { length, ...file }] of meta) {
    const name = `${role}.json`
    if (table.has(name)) throw new FormatError(`The role "${role}" is given twice.`)
    table.set(name, metaFile(role === 'targets' || length === undefined ? file : { ...file, length }, role))
  }
  if (!table.has('targets.json')) throw new FormatError('A snapshot must list "targets".')
  return signed('snapshot', { version, expiresMs }, extra, [['meta', table]])
}

export interface TimestampInput extends CommonInput {
  /** Length and digest lift every client's limit on the size of the snapshot. */
  snapshot: { version: number; length: number; sha256: string }
  /** Fields of this repository's own; clients skip what they do not know (TUF 1.0.34, 4.2). */
  extra?: Readonly<Record<string, Canonical>>
}

/** A timestamp. */
export function timestampSigned({ version, expiresMs, snapshot, extra = {} }: TimestampInput): SignedObject {
  return signed('timestamp', { version, expiresMs }, extra, [
    ['meta', { 'snapshot.json': metaFile(snapshot, 'snapshot') }],
  ])
}

/**
 * `keys` as metadata lists them, by keyid.
 *
 * @throws {FormatError} if a key is unusable or one public key is given twice
 */
export function keyTable(keys: Iterable<Key>): Map<string, Json> {
  const table = new Map<string, Json>()
  const identities = new Set<string>()
  for (const key of keys) {
    if (key.identity === undefined) throw new FormatError(`The key ${key.keyid} cannot be listed: ${key.problem}`)
    if (!key.keyidMatches) throw new FormatError(`The key ${key.keyid} is not named by its hash.`)
    if (identities.has(key.identity)) throw new FormatError(`The public key of ${key.keyid} is given twice.`)
    identities.add(key.identity)
    table.set(key.keyid, keyObject(key))
  }
  return table
}

/** `{keyids, threshold}` after checking that every key is in `known` and enough of them are there. */
export function roleKeys(role: RoleKeys, known: ReadonlyMap<string, Json>, name: string): Extra {
  const keyids = [...role.keyids]
  if (new Set(keyids).size !== keyids.length) throw new FormatError(`The role "${name}" names a key twice.`)
  for (const keyid of keyids)
    if (!known.has(keyid)) throw new FormatError(`The role "${name}" names the key ${keyid}, which is not given.`)
  const threshold = checkInteger(role.threshold, 1, `The threshold of "${name}"`)
  if (threshold > keyids.length)
    throw new FormatError(`The role "${name}" wants ${threshold} signatures and has ${keyids.length} keys.`)
  return { keyids, threshold }
}

function signed(
  type: string,
  { version, expiresMs }: CommonInput,
  extra: Extra,
  fields: readonly (readonly [string, Canonical])[],
): SignedObject {
  const object = new Map<string, Canonical>([
    ['_type', type],
    ['spec_version', SPEC_VERSION],
    ['version', checkVersion(version, type)],
    ['expires', formatDate(expiresMs)],
    ...fields,
  ])
  for (const [name, value] of Object.entries(extra)) {
    if (object.has(name)) throw new FormatError(`"${name}" is a field of ${type} and cannot be an extra one.`)
    object.set(name, value)
  }
  return object
}

function metaFile({ version, length, sha256 }: MetaInput, role: string): Extra {
  return {
    version: checkVersion(version, role),
    ...(length !== undefined && { length: checkInteger(length, 1, `The length of "${role}"`) }),
    ...(sha256 !== undefined && { hashes: { sha256: checkSha256(sha256, role) } }),
  }
}

function checkVersion(version: number, role: string): number {
  if (checkInteger(version, 1, `The version of "${role}"`) > VERSION_MAX)
    throw new FormatError(`The version of "${role}" is beyond 2^31 - 1, and no client could be updated any more.`)
  return version
}

function checkInteger(value: number, least: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < least)
    throw new FormatError(`${what} must be an integer of at least ${least}.`)
  return value
}

function checkSha256(sha256: string, what: string): string {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new FormatError(`The digest of "${what}" is not 64 lower-case hex digits.`)
  return sha256
}
