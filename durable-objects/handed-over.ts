// What people handed over, between the gate (tuf/gate.ts) and the ledger: what is held now, whether a batch may follow it,
// and how it is kept. State: the ledger's tables `offline` (every file that passed), `roles` (the newest of each) and
// `unpublished` (what no live publication holds yet).
//
// Invariant: nothing is in `offline` that did not pass, so nothing is served that the owner's keys did not sign.
// Cost: two rows a file.
import { formatDate } from '../tuf/dates.ts'
import { timingSafeEqual } from '../tuf/digest.ts'
import {
  type Admitted,
  type AdmittedRoot,
  admit,
  GateError,
  type GateOptions,
  type Held,
  type SignedFile,
} from '../tuf/gate.ts'
import { isTopLevelRole, parseRoot, type Root } from '../tuf/root.ts'
import { parseTargets } from '../tuf/targets.ts'
import type { InParts } from './batches.ts'
import { getFact } from './ledger/facts.ts'
import {
  addUnpublished,
  insertOffline,
  lastUnpublished,
  newestOfEach,
  newestOffline,
  offlineFile,
  unpublishedRoots,
} from './ledger/offline.ts'
import { liveRoles, setLiveRole } from './ledger/roles.ts'
import { permitted } from './operator.ts'
import { type Context, Halt } from './publication/context.ts'
import { type Refused, refused, type Scope } from './rpc.ts'
import type { HandedOver, TargetsSeen } from './rpc-adopt.ts'
import { type Bearer, bearerOf } from './tokens.ts'

/** Longer than a client's run: a root that drops keys goes out so long after the one that names old and new. */
const RUN_MS = 3_600_000
const DAY_MS = 86_400_000
const WARN_DAYS = 30
/** Roles that are warned of in an answer: those that expire first. */
const WARNED_MAX = 100

export type Taken = {
  ok: true
  accepted: string[]
  held: { root: number; notBefore: number }[]
  targets?: TargetsSeen
  warnings: string[]
}

/** What the repository is now: names and digests of its roles; their files are read when they are asked for. */
export function heldNow(ctx: Context): Held {
  const { sql, custody } = ctx
  const macKey = custody.macKey()
  const isAdopted = getFact(sql, 'kind') === 'adopted'
  const newest = newestOffline(sql, macKey, 'root')
  if (!newest) throw new Halt('No root in the ledger can be read with this WRAPPING_SECRET. Put the old one back.')
  const load = async (role: string): Promise<Uint8Array> => {
    const version = roles.get(role)?.version
    const row = version === undefined ? undefined : offlineFile(sql, macKey, role, version)
    if (!row && !isAdopted && role !== 'targets' && role !== 'bins')
      throw new GateError('online-keys', `"${role}" is signed here: its delegation must name the same keys as before.`)
    if (!row) throw new Halt(`The file of "${role}" in the ledger was changed by somebody else. Restore the ledger.`)
    return row.bytes
  }
  const roles = new Map(newestOfEach(sql, macKey).map(({ role, ...row }) => [role, row]))
  roles.delete('root')
  // Of an index the bins are signed here; that they are delegated to as before is seen to elsewhere (index-roles.ts).
  if (!isAdopted)
    for (const { name, version, sha256 } of liveRoles(sql))
      if (!isTopLevelRole(name) && !roles.has(name)) roles.set(name, { version, sha256, delegates: false })
  return { root: parseRoot(newest.bytes), roles, load }
}

/**
 * The answer to a batch all of which was taken before, as whoever lost the first answer repeats it; undefined: something of
 * it is new, or other.
 */
export function takenBefore(ctx: Context, files: readonly HandedOver[]): Taken | undefined {
  const { sql, custody, now } = ctx
  if (!Array.isArray(files) || files.length === 0) return undefined
  for (const { role, bytes } of files) {
    const version = versionOf(role, bytes)
    const row = version === undefined ? undefined : offlineFile(sql, custody.macKey(), role, version)
    if (!row || !timingSafeEqual(row.bytes, bytes)) return undefined
  }
  const waiting = unpublishedRoots(sql).filter(({ notBefore }) => notBefore > now())
  const held = waiting.map(({ version, notBefore }) => ({ root: version, notBefore }))
  return { ok: true, accepted: [], held, warnings: [] }
}

function versionOf(role: string, bytes: Uint8Array): number | undefined {
  try {
    return (role === 'root' ? parseRoot(bytes) : parseTargets(bytes)).signed.version
  } catch {
    return undefined
  }
}

/** The gate compares with the newest root alone; the older ones are compared here. */
export function rootsHeldDifferently({ sql, custody }: Context, files: readonly SignedFile[]): Refused | undefined {
  for (const { role, bytes } of files) {
    if (role !== 'root') continue
    let version: number
    try {
      version = parseRoot(bytes).signed.version
    } catch {
      return undefined
    }
    const row = offlineFile(sql, custody.macKey(), 'root', version)
    if (row && !timingSafeEqual(row.bytes, bytes))
      return refused('conflict', 409, `two-contents: root ${version} was published with other bytes.`)
  }
  return undefined
}

/** What the newest root has to name, alone enough. */
export function gateKeys({ custody }: Context): { snapshot: string; timestamp: string } {
  return { snapshot: custody.key('snapshot').keyid, timestamp: custody.key('timestamp').keyid }
}

/**
 * @param online undefined: of a root that takes the repository back, which names none of ours
 * @param parts where `files` came from, if they did not come with the call. @throws ShareUsed: it is to be repeated
 */
export async function passGate(
  ctx: Context,
  files: readonly HandedOver[],
  held: Held,
  online: GateOptions['online'],
  parts?: InParts,
): Promise<Admitted | Refused> {
  if (!Array.isArray(files) || files.length === 0) return refused('invalid', 400, 'A batch holds at least one file.')
  // What came in parts was looked at when it came, and is not read here: see batches.ts.
  for (const file of parts ? [] : files)
    if (typeof file.role !== 'string' || !(file.bytes instanceof Uint8Array))
      return refused('invalid', 400, 'Each file of a batch has the name of its role and its bytes.')
  try {
    const admitted = await admit(files, held, {
      now: ctx.now(),
      ...(online ? { online } : {}),
      ...(parts ? { voices: parts.voices } : {}),
    })
    mustGoOutTogether(ctx, admitted, held.root?.signed)
    return admitted
  } catch (error) {
    return gateAnswer(error)
  }
}

/**
 * A root that waits leaves clients under the one before it, and `targets` does not wait: who signs it may not change there.
 */
function mustGoOutTogether(ctx: Context, { roots }: Admitted, before: Root | undefined): void {
  const ours = gateKeys(ctx)
  let waits = (lastUnpublished(ctx.sql, 'root') ?? 0) > ctx.now()
  let former = before
  for (const { version, envelope } of roots) {
    const { signed } = envelope
    waits ||= former !== undefined && namesKeys(former, ours) && dropsKeys(former, signed)
    if (waits && former && !sameTargetsKeys(former, signed))
      throw new GateError(
        'next-root',
        `root ${version} goes out an hour later than the root before it and changes who signs targets: change that in a root that waits for nothing.`,
      )
    former = signed
  }
}

/** A token for `metadata:ROLE` hands over this role alone; whoever names no file yet needs one of these scopes. */
export function mayHandOver(ctx: Context, token: string, files: readonly { role: string }[]): Bearer | Refused {
  const roles = new Set(files.map(({ role }) => role))
  let bearer = permitted(ctx, token, ['admin'])
  if (!('ok' in bearer)) return bearer
  if (roles.size === 0) return bearerForAny(ctx, token)
  for (const role of roles) {
    bearer = permitted(ctx, token, ['admin', `metadata:${encodeURIComponent(role)}` as Scope])
    if ('ok' in bearer) return bearer
  }
  return bearer
}

function bearerForAny(ctx: Context, token: string): Bearer | Refused {
  const bearer = bearerOf(ctx.sql, ctx.custody.macKey(), token, ctx.now())
  const scope = 'ok' in bearer ? undefined : bearer.scopes.find((each) => each.startsWith('metadata:'))
  return permitted(ctx, token, scope === undefined ? ['admin'] : [scope])
}

/** A refusal of the gate's, or the error again. */
export function gateAnswer(error: unknown): Refused {
  if (!(error instanceof GateError)) throw error
  const conflict = error.rule === 'rollback' || error.rule === 'two-contents' || error.rule === 'next-root'
  const message = `${error.rule}: ${error.message}`
  return conflict ? refused('conflict', 409, message) : refused('invalid', 400, message)
}

/** When each new root goes out, Unix milliseconds, and whether it waits longer than the one before it. */
export function rootsGoOut(ctx: Context, roots: readonly AdmittedRoot[], before: Root | undefined, now: number) {
  const ours = gateKeys(ctx)
  let former = before
  // A root that waits already goes first.
  let notBefore = Math.max(now, lastUnpublished(ctx.sql, 'root') ?? 0)
  return roots.map((root) => {
    const { signed } = root.envelope
    // N+1 names the former keys beside ours, N+2 ours alone: no client may meet both changes in one run. What was rotated
    // before ours were named is history: it is public elsewhere, and nothing of ours holds under those roots.
    const waits = former !== undefined && namesKeys(former, ours) && dropsKeys(former, signed)
    if (waits) notBefore += RUN_MS
    former = signed
    return { root, notBefore, waits }
  })
}

/** Keeps what passed. To be called inside a transaction. */
export function record(ctx: Context, { roots, roles }: Admitted, before: Root | undefined): Taken {
  const { sql, custody } = ctx
  const now = ctx.now()
  const macKey = custody.macKey()
  const held: Taken['held'] = []
  for (const { root, notBefore, waits } of rootsGoOut(ctx, roots, before, now)) {
    const { version, sha256, expiresMs, envelope } = root
    const { bytes } = envelope
    if (waits) held.push({ root: version, notBefore })
    insertOffline(sql, macKey, 'root', { version, sha256, bytes })
    addUnpublished(sql, 'root', version, notBefore)
    setLiveRole(sql, { name: 'root', version, sha256, length: bytes.length, expires: expiresMs, publication: null })
  }
  // Never taken apart: `bytes` may be a getter, and those of a batch in parts lie in the ledger already.
  for (const file of roles) {
    const { role: name, version, sha256, length, expiresMs, delegates } = file
    insertOffline(sql, macKey, name, file, delegates)
    addUnpublished(sql, name, version, now)
    setLiveRole(sql, { name, version, sha256, length, expires: expiresMs, publication: null })
  }
  const accepted = [
    ...roots.map(({ version }) => `${version}.root`),
    ...roles.map((role) => `${role.version}.${role.role}`),
  ]
  const dates = [
    ...roots.slice(-1).map(({ expiresMs }) => ({ role: 'root', expiresMs })),
    ...roles.map(({ role, expiresMs }) => ({ role, expiresMs })),
  ]
  const warnings = dates
    .filter(({ expiresMs }) => expiresMs - now < WARN_DAYS * DAY_MS)
    .sort((a, b) => a.expiresMs - b.expiresMs)
    .slice(0, WARNED_MAX)
    .map(({ role, expiresMs }) => `${role} expires at ${formatDate(expiresMs)}: clients refuse it from then on.`)
  return { ok: true, accepted, held, warnings }
}

export const namesKeys = (root: Root, ours: ReturnType<typeof gateKeys>): boolean =>
  root.roles.timestamp.keyids.includes(ours.timestamp) && root.roles.snapshot.keyids.includes(ours.snapshot)

/** Whether `next` no longer names a key that signs timestamp or snapshot under `root`. */
const dropsKeys = (root: Root, next: Root): boolean =>
  (['timestamp', 'snapshot'] as const).some((role) =>
    root.roles[role].keyids.some((keyid) => !next.roles[role].keyids.includes(keyid)),
  )

function sameTargetsKeys(root: Root, next: Root): boolean {
  const said = ({ roles: { targets } }: Root) => `${targets.threshold} ${[...targets.keyids].sort().join(' ')}`
  return said(root) === said(next)
}
