// How an index divides its target paths among roles: the profiles of `bins`, and the delegations of `targets` above it.
//
// Invariant: the three profiles hold the same target paths and differ only in which bin a path is in. Patterns consist
// of literal segments, a trailing `*` and whole-segment `*` only; everything else means different things to different
// clients.
import { type Extra, keyTable, roleKeys } from './build.ts'
import type { Canonical } from './canonical.ts'
import { sha256HexSync } from './digest.ts'
import { FormatError } from './errors.ts'
import type { Key } from './keys.ts'
import { binName, pathHash, succinctName } from './succinct.ts'

/** Bins by the shard inside the path, delegated by `paths`: read by every client that follows delegations. */
export interface ShardedProfile {
  readonly kind: 'sharded'
  /** A power of two, 2 … 65,536 (a shard has 16 bits). */
  readonly bins: number
  /** Role names are `{prefix}-{hex}`. A new generation of bins takes a new prefix. */
  readonly prefix: string
}

/** Bins by the path's hash, delegated by TAP 15's `succinct_roles`: tiny whatever the number of bins. */
export interface SuccinctProfile {
  readonly kind: 'succinct'
  /** 2^bitLength bins, 1 … 16. */
  readonly bitLength: number
  readonly prefix: string
}

/** Bins by the path's hash, delegated by `path_hash_prefixes`: the letter of PEP 458. */
export interface HashedProfile {
  readonly kind: 'hashed'
  /** A power of two, 2 … 65,536. */
  readonly bins: number
  readonly prefix: string
}

export type Profile = ShardedProfile | SuccinctProfile | HashedProfile

/** The role between `targets` and the bins, and the online role of the project list. */
export const BINS_ROLE = 'bins'
export const INDEX_ROLE = 'index'

/** The two target paths of the project list. No bin pattern has their depth, so they are a role of their own. */
export const INDEX_PATHS: readonly string[] = ['simple/vnd.pypi.simple.v1.json', 'simple/vnd.pypi.simple.v1.html']

/**
 * What `targets` lets `bins` hold: pages and files, and two depths reserved for later. Reserved from the first version
 * because changing this needs the offline keys.
 */
export const BINS_PATHS: readonly string[] = ['simple/*/*/*', 'files/*/*/*', 'index/*', 'meta/*/*/*']

/** 65,536 bins: a shard has 16 bits, and beyond it even a snapshot without digests is over 2,000,000 bytes. */
const BIN_BITS_MAX = 16

/** The shard of a project: first four hex digits of the SHA-256 of its normalised name. */
export function shardOf(normalizedProject: string): string {
  return sha256HexSync(normalizedProject).slice(0, 4)
}

/** Names of all bins of a profile, in order. */
export function binNames(profile: Profile): string[] {
  const { bins, digits } = binning(profile)
  return Array.from({ length: bins }, (_, bin) => binName(profile.prefix, bin, digits))
}

/**
 * The bin that holds a target path.
 *
 * @throws {FormatError} if none does: for `sharded`, a path that is not `simple|files/{shard}/{project}/{name}`
 */
export function binOfPath(profile: Profile, path: string): string {
  const { bits } = binning(profile)
  return succinctName(
    { namePrefix: profile.prefix, bitLength: bits },
    profile.kind === 'sharded' ? shardIn(path) : pathHash(path),
  )
}

/** The `delegations` of the role `bins`: every bin under one online key. */
export function binDelegations(profile: Profile, onlineKey: Key): Extra {
  const keys = keyTable([onlineKey])
  const role = roleKeys({ keyids: [onlineKey.keyid], threshold: 1 }, keys, BINS_ROLE)
  if (profile.kind === 'succinct') {
    binning(profile)
    return { keys, succinct_roles: { ...role, bit_length: profile.bitLength, name_prefix: profile.prefix } }
  }
  const names = binNames(profile)
  const roles = names.map((name, bin): Canonical => {
    const prefixes = prefixesOf(bin, names.length)
    const patterns = ['simple', 'files'].flatMap((kind) => prefixes.map((prefix) => `${kind}/${prefix}*/*/*`))
    const base = { name, ...role, terminating: false }
    return profile.kind === 'hashed' ? { ...base, path_hash_prefixes: prefixes } : { ...base, paths: patterns }
  })
  return { keys, roles }
}

/** A delegation of whole projects to the people who make them. */
export interface TeamInput {
  name: string
  keys: readonly Key[]
  threshold: number
  /** Normalised names; pages and files of each are this role's alone. */
  projects: readonly string[]
}

/**
 * The `delegations` of the top-level `targets`: teams first, then the project list, then the bins.
 *
 * A team's role comes before `bins` and is terminating, so that whoever holds the online key cannot add to its projects;
 * it holds the page as well as the files, so that he cannot point the page elsewhere either.
 */
export function topDelegations(input: {
  indexKey: Key
  binsKeys: readonly Key[]
  binsThreshold: number
  teams?: readonly TeamInput[]
}): Extra {
  const teams = input.teams ?? []
  const all = [...teams.flatMap((team) => team.keys), input.indexKey, ...input.binsKeys]
  // The same key may serve several roles; it is listed once.
  const keys = keyTable(new Map(all.map((key) => [key.keyid, key])).values())
  const role = (
    name: string,
    roleKeysOf: readonly Key[],
    threshold: number,
    terminating: boolean,
    paths: readonly string[],
  ): Canonical => {
    checkRoleName(name)
    return {
      name,
      ...roleKeys({ keyids: roleKeysOf.map(({ keyid }) => keyid), threshold }, keys, name),
      terminating,
      paths,
    }
  }
  return {
    keys,
    roles: [
      ...teams.map((team) => role(team.name, team.keys, team.threshold, true, team.projects.flatMap(projectPaths))),
      role(INDEX_ROLE, [input.indexKey], 1, true, INDEX_PATHS),
      role(BINS_ROLE, input.binsKeys, input.binsThreshold, false, BINS_PATHS),
    ],
  }
}

/** Refuses names that some client mangles: integer-like ones reorder in JavaScript, `/` has three URL encodings. */
export function checkRoleName(name: string): void {
  if (!/^[a-z][a-z0-9-]*$/.test(name))
    throw new FormatError(
      `"${name}" cannot be a role's name: use a lower-case letter, then letters, digits and hyphens.`,
    )
}

function projectPaths(project: string): string[] {
  // A wildcard in a name would give away other projects too.
  if (!/^[a-z0-9][a-z0-9-]*$/.test(project)) throw new FormatError(`"${project}" is not a normalised project name.`)
  const shard = shardOf(project)
  return [`simple/${shard}/${project}/*`, `files/${shard}/${project}/*`]
}

/** Number of bins, the bits that choose one, and the hex digits of its name; refuses a profile that has none. */
function binning(profile: Profile): { bins: number; bits: number; digits: number } {
  checkRoleName(profile.prefix)
  const bits = profile.kind === 'succinct' ? profile.bitLength : Math.log2(profile.bins)
  if (!Number.isInteger(bits) || bits < 1 || bits > BIN_BITS_MAX)
    throw new FormatError(`A ${profile.kind} profile needs a power of two of bins, 2 to 2^${BIN_BITS_MAX}.`)
  return { bins: 2 ** bits, bits, digits: Math.ceil(bits / 4) }
}

/** The hex prefixes of bin number `bin`: one if the number of bins is a power of 16, else 2, 4 or 8. */
function prefixesOf(bin: number, bins: number): string[] {
  const digits = Math.ceil(Math.log2(bins) / 4)
  const each = 16 ** digits / bins
  return Array.from({ length: each }, (_, i) => (bin * each + i).toString(16).padStart(digits, '0'))
}

/** The shard inside a path, filled up to the eight hex digits that `succinctName` reads. */
function shardIn(path: string): string {
  const match = /^(?:simple|files)\/([0-9a-f]{4})\/[^/]+\/[^/]+$/.exec(path)
  if (!match) throw new FormatError(`No bin holds "${path}": it is not simple or files/SHARD/PROJECT/NAME.`)
  return `${match[1]}0000`
}
