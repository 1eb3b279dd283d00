// Delegations: which role may name which target paths, and under which keys (TUF 1.0.34, 4.5; TAP 15).
import { FormatError } from './errors.ts'
import { asArray, asBoolean, asInteger, asObject, asString, asStrings } from './fields.ts'
import type { Json } from './json.ts'
import type { Key } from './keys.ts'
import { matchPattern } from './paths.ts'
import { isTopLevelRole, type KeyPolicy, readKeys, readRoleKeys } from './root.ts'
import { pathHash, succinctName } from './succinct.ts'
import type { RoleKeys } from './verify.ts'

/** A named delegation; exactly one of `paths` and `pathHashPrefixes` is present. */
export interface DelegatedRole extends RoleKeys {
  readonly name: string
  /** Whether a search that reaches this role looks no further when it does not find the target. */
  readonly terminating: boolean
  /** Patterns as `matchPattern` reads them. */
  readonly paths?: readonly string[]
  /** Prefixes of the hex SHA-256 of the target path. */
  readonly pathHashPrefixes?: readonly string[]
}

/** 2^`bitLength` roles that share keys and divide the targets by the first bits of the path's SHA-256 (TAP 15). */
export interface SuccinctRoles extends RoleKeys {
  /** 1 … 32 */
  readonly bitLength: number
  readonly namePrefix: string
}

/** Exactly one of `roles` and `succinct` is present. */
export interface Delegations {
  readonly keys: ReadonlyMap<string, Key>
  readonly roles?: readonly DelegatedRole[]
  readonly succinct?: SuccinctRoles
}

/** TAP 15: `bit_length` "must be between 1 and 32". */
const BIT_LENGTH_MAX = 32

/** Reads a `delegations` object; throws FormatError if it is not one. */
export function readDelegations(json: Json, policy: KeyPolicy): Delegations {
  const object = asObject(json, '"delegations"')
  const keys = readKeys(object.get('keys'), '"keys" of delegations', policy)
  const roles = object.get('roles')
  const succinct = object.get('succinct_roles')
  if ((roles === undefined) === (succinct === undefined))
    throw new FormatError('"delegations" must hold exactly one of "roles" and "succinct_roles".')
  return roles === undefined ? { keys, succinct: readSuccinct(succinct) } : { keys, roles: readRoles(roles) }
}

/**
 * The delegated roles whose paths hold `path`, in the order to be searched. Succinct roles are terminating, as every
 * client treats them although TAP 15's text says otherwise.
 */
export function rolesForTarget(delegations: Delegations, path: string): { name: string; terminating: boolean }[] {
  if (delegations.succinct) return [{ name: succinctName(delegations.succinct, pathHash(path)), terminating: true }]
  let hash: string | undefined
  const holds = (role: DelegatedRole): boolean => {
    if (role.paths) return role.paths.some((pattern) => matchPattern(pattern, path))
    hash ??= pathHash(path)
    return role.pathHashPrefixes!.some((prefix) => hash!.startsWith(prefix))
  }
  return (delegations.roles ?? []).filter(holds).map(({ name, terminating }) => ({ name, terminating }))
}

/** The keys and threshold under which `delegations` lets `role` sign, or undefined if it names no such role. */
export function keysOfRole(delegations: Delegations, role: string): RoleKeys | undefined {
  const { succinct } = delegations
  if (!succinct) return delegations.roles?.find(({ name }) => name === role)
  const digits = Math.ceil(succinct.bitLength / 4)
  const suffix = role.slice(succinct.namePrefix.length + 1)
  const known =
    role === `${succinct.namePrefix}-${suffix}` &&
    suffix.length === digits &&
    /^[0-9a-f]+$/.test(suffix) &&
    Number.parseInt(suffix, 16) < 2 ** succinct.bitLength
  return known ? succinct : undefined
}

function readRoles(json: Json): DelegatedRole[] {
  const names = new Set<string>()
  return asArray(json, '"roles" of delegations').map((item) => {
    const object = asObject(item, 'A delegated role')
    const name = asString(object.get('name'), 'The name of a delegated role')
    const what = `the delegated role "${name}"`
    if (name === '' || isTopLevelRole(name)) throw new FormatError(`"${name}" cannot be the name of a delegated role.`)
    if (names.has(name)) throw new FormatError(`The role "${name}" is delegated twice.`)
    names.add(name)
    const paths = object.get('paths')
    const prefixes = object.get('path_hash_prefixes')
    if ((paths === undefined) === (prefixes === undefined))
      throw new FormatError(`${what} must hold exactly one of "paths" and "path_hash_prefixes".`)
    return {
      name,
      ...readRoleKeys(item, what),
      terminating: asBoolean(object.get('terminating'), `"terminating" of ${what}`),
      ...(paths === undefined
        ? { pathHashPrefixes: asStrings(prefixes, `"path_hash_prefixes" of ${what}`) }
        : { paths: asStrings(paths, `"paths" of ${what}`) }),
    }
  })
}

function readSuccinct(json: Json | undefined): SuccinctRoles {
  const what = '"succinct_roles"'
  const object = asObject(json, what)
  const bitLength = asInteger(object.get('bit_length'), 1, `"bit_length" of ${what}`)
  if (bitLength > BIT_LENGTH_MAX) throw new FormatError(`"bit_length" of ${what} must be at most ${BIT_LENGTH_MAX}.`)
  return {
    ...readRoleKeys(json, what),
    bitLength,
    namePrefix: asString(object.get('name_prefix'), `"name_prefix" of ${what}`),
  }
}
