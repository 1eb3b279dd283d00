// The ceremony's end: the publisher checks what people signed as a client would, and only then becomes a repository.
// Everything is verified before the first row is written; a refusal changes nothing.
import { binNames, type Profile } from '../tuf/bins.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { metadataKey, timestampKey } from '../tuf/layout.ts'
import { type DelegatedRole, parseRoot, parseTargets, type Targets } from '../tuf/metadata.ts'
import { matchPattern } from '../tuf/paths.ts'
import { verifyRole } from '../tuf/verify.ts'
import { setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import { insertOffline } from './ledger/offline.ts'
import { setLiveRole } from './ledger/roles.ts'
import { run, type Sql } from './ledger/sql.ts'
import { freshnessFrom, NO_FRESHNESS } from './profiles.ts'
import { retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'
import { listPath } from './publication/plan.ts'
import { type Freshness, type InitialiseRequest, type Refused, refused } from './rpc.ts'

export const PROFILE: Profile = { kind: 'sharded', bins: 256, prefix: 'bin' }

/** Files of the ceremony stay far below what clients accept (512,000 bytes for a root). */
const FILE_BYTES_MAX = 512_000
const ROOTS_MAX = 256

/** What people signed, verified. */
export interface Checked {
  roots: { version: number; sha256: string; bytes: Uint8Array; expires: number }[]
  targets: { version: number; sha256: string; bytes: Uint8Array; expires: number }
  bins: { version: number; sha256: string; bytes: Uint8Array; expires: number }
  development: boolean
}

/** `arm` sets the alarm in the transaction that makes the repository: the first publication survives a crash here. */
export async function initialise(
  ctx: Context,
  request: InitialiseRequest,
  arm: () => void,
): Promise<{ ok: true } | Refused> {
  const freshness = freshnessFrom(request.freshness)
  if (!freshness) return refused('invalid', 400, NO_FRESHNESS)
  if (await retrying(ctx, () => ctx.bucket.head(timestampKey(ctx.place))))
    return refused(
      'conflict',
      409,
      'The bucket holds a timestamp.json, and this ledger is new. Use an empty bucket, or `tuf-edge resume --from-public`.',
    )
  let checked: Checked
  try {
    checked = await checkCeremony(ctx, request)
  } catch (error) {
    return refused('invalid', 400, error instanceof Error ? error.message : String(error))
  }
  for (const root of checked.roots) {
    const head = await retrying(ctx, () => ctx.bucket.head(metadataKey(ctx.place, root.version, 'root')))
    if (head)
      return refused('conflict', 409, `The bucket holds a ${root.version}.root.json already. Use an empty bucket.`)
  }
  ctx.storage.transactionSync(() => {
    recordCeremony(ctx, checked, freshness)
    const root = checked.roots.at(-1)!
    appendJournal(ctx.sql, ctx.now(), { event: 'initialised', root: root.version, sha256: root.sha256 })
    arm()
  })
  return { ok: true }
}

/** Makes the repository's first rows; to be called inside a transaction. */
export function recordCeremony({ sql, custody }: Context, checked: Checked, freshness: Freshness): void {
  for (const root of checked.roots) insertOffline(sql, custody.macKey(), 'root', root)
  for (const role of ['targets', 'bins'] as const) insertOffline(sql, custody.macKey(), role, checked[role], true)
  recordOffline(sql, checked)
  for (const name of [...binNames(PROFILE), 'index']) run(sql, 'INSERT INTO roles (name, highest) VALUES (?, 0)', name)
  setFact(sql, 'freshness', JSON.stringify(freshness))
  setFact(sql, 'development', checked.development ? 1 : 0)
  setFact(sql, 'state', 'live')
}

/** Makes what people signed last the live files of their roles. */
export function recordOffline(sql: Sql, { roots, targets, bins }: Checked): void {
  for (const [name, file] of [
    ['root', roots.at(-1)!],
    ['targets', targets],
    ['bins', bins],
  ] as const)
    setLiveRole(sql, {
      name,
      version: file.version,
      sha256: file.sha256,
      length: file.bytes.length,
      expires: file.expires,
      publication: null,
    })
}

/** @throws Error that says what is wrong with what was signed */
export async function checkCeremony(
  ctx: Context,
  request: Pick<InitialiseRequest, 'roots' | 'targets' | 'bins'>,
): Promise<Checked> {
  const { roots, targets, bins } = request
  if (!Array.isArray(roots) || roots.length === 0 || roots.length > ROOTS_MAX)
    throw new Error(`The ceremony hands over between 1 and ${ROOTS_MAX} roots.`)
  for (const bytes of [...roots, targets, bins])
    if (!(bytes instanceof Uint8Array) || bytes.length > FILE_BYTES_MAX)
      throw new Error(`A metadata file is missing or larger than ${FILE_BYTES_MAX} bytes.`)

  const chain = roots.map((bytes) => parseRoot(bytes))
  for (const [index, envelope] of chain.entries()) {
    const { version } = envelope.signed
    if (version !== index + 1) throw new Error(`Root number ${index + 1} of the chain has version ${version}.`)
    await verifyRole(envelope, envelope.signed.roles.root, envelope.signed.keys, 'root')
    const before = chain[index - 1]?.signed
    if (before) await verifyRole(envelope, before.roles.root, before.keys, 'root')
  }
  const root = chain.at(-1)!.signed
  if (!root.consistentSnapshot) throw new Error('The root must switch consistent_snapshot on.')
  for (const role of ['timestamp', 'snapshot'] as const) {
    const { keyids, threshold } = root.roles[role]
    if (threshold !== 1 || !keyids.includes(ctx.custody.key(role).keyid))
      throw new Error(`The root must name our key ${ctx.custody.key(role).keyid} for ${role} with threshold 1.`)
  }
  const targetsEnvelope = parseTargets(targets)
  await verifyRole(targetsEnvelope, root.roles.targets, root.keys, 'targets')
  const binsEnvelope = parseTargets(bins)
  const binsRole = checkDelegations(ctx, targetsEnvelope.signed, binsEnvelope.signed)
  await verifyRole(binsEnvelope, binsRole, targetsEnvelope.signed.delegations!.keys, 'bins')

  const now = ctx.now()
  for (const [name, signed] of [
    ['root', root],
    ['targets', targetsEnvelope.signed],
    ['bins', binsEnvelope.signed],
  ] as const)
    if (signed.expiresMs <= now) throw new Error(`${name} expired on ${signed.expires}.`)
  const file = async (signed: { version: number; expiresMs: number }, bytes: Uint8Array) => ({
    version: signed.version,
    sha256: await sha256Hex(bytes),
    bytes,
    expires: signed.expiresMs,
  })
  return {
    roots: await Promise.all(chain.map((envelope) => file(envelope.signed, envelope.bytes))),
    targets: await file(targetsEnvelope.signed, targets),
    bins: await file(binsEnvelope.signed, bins),
    development: root.raw.get('x-tuf-edge-development') === true,
  }
}

/**
 * Whether targets and bins say who signs what as the index needs it: the publisher's keys for `index` and every bin.
 *
 * @returns how targets delegates to bins
 * @throws Error that says what is wrong
 */
export function checkDelegations(ctx: Context, targets: Targets, bins: Targets): DelegatedRole {
  const delegated = (name: string) => {
    const role = targets.delegations?.roles?.find((candidate) => candidate.name === name)
    if (!role) throw new Error(`targets must delegate to '${name}'.`)
    return role
  }
  const index = delegated('index')
  mustNameOurKey(ctx, index)
  if (!index.terminating || index.paths?.join() !== [listPath('json'), listPath('html')].join())
    throw new Error(`'index' must be terminating with exactly the paths ${listPath('json')} and ${listPath('html')}.`)
  checkBins(ctx, bins)
  return delegated('bins')
}

function checkBins(ctx: Context, bins: Targets): void {
  const roles = new Map(bins.delegations?.roles?.map((role) => [role.name, role]) ?? [])
  const names = binNames(PROFILE)
  if (roles.size !== names.length)
    throw new Error(`bins must delegate to exactly ${names.length} roles, not ${roles.size}.`)
  for (const name of names) {
    const role = roles.get(name)
    if (!role) throw new Error(`bins must delegate to '${name}'.`)
    mustNameOurKey(ctx, role)
    const shard = `${name.slice(PROFILE.prefix.length + 1)}00`
    for (const path of [`simple/${shard}/x/y`, `files/${shard}/x/y`])
      if (!role.paths?.some((pattern) => matchPattern(pattern, path))) throw new Error(`'${name}' must cover ${path}.`)
  }
}

function mustNameOurKey(ctx: Context, role: DelegatedRole): void {
  const { keyid } = ctx.custody.key('bin')
  if (role.threshold !== 1 || !role.keyids.includes(keyid))
    throw new Error(`'${role.name}' must name our key ${keyid} with threshold 1.`)
}
