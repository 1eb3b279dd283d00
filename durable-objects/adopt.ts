// What people sign, for a repository that is signed elsewhere and for the root, targets and bins of an index: what they hand over passes the gate (tuf/gate.ts) as a whole or not at all,
// is kept byte for byte, and goes out in the next publication under a snapshot of ours. State: the ledger's tables
// `offline` (every file that passed), `roles` (the newest of each) and `unpublished` (what no live publication holds yet).
//
// Invariant: nothing is in `offline` that did not pass, so nothing is served that the owner's keys did not sign.
// To be called where no pass runs: the gate waits for WebCrypto, and what it compared with must not move meanwhile.
// Cost: two rows a file; one publication a batch, however large.
import { formatDate } from '../tuf/dates.ts'
import { type Admitted, admit, GateError, type Held, type SignedFile } from '../tuf/gate.ts'
import { metadataKey, timestampKey } from '../tuf/layout.ts'
import { isTopLevelRole, parseRoot, type Root } from '../tuf/root.ts'
import { parseTargets } from '../tuf/targets.ts'
import { checkDelegations } from './initialise.ts'
import { getFact, setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import { addUnpublished, insertOffline, newestOfEach, newestOffline, offlineFile } from './ledger/offline.ts'
import { burnVersion, liveRoles, setLiveRole } from './ledger/roles.ts'
import { permitted } from './operator.ts'
import { freshnessFrom, NO_FRESHNESS } from './profiles.ts'
import { retrying } from './publication/apply.ts'
import { type Context, Halt } from './publication/context.ts'
import { type Refused, refused, type Scope } from './rpc.ts'
import type { AdoptRequest, HandedOver, OriginRequest, PushRequest } from './rpc-adopt.ts'

/** Above everything the former signer served, and room for what it signs until it is switched off: 1,000 versions. */
const VERSIONS_APART = 1_000
/** Longer than a client's run: a root that drops the former keys goes out so long after the one that names both. */
const RUN_MS = 3_600_000
/** A row of the ledger has at most 2 MB (platform limit); its names and digests are a few hundred bytes of them. */
const FILE_BYTES_MAX = 1_990_000
const DAY_MS = 86_400_000
const WARN_DAYS = 30

export type Taken = { ok: true; accepted: string[]; held: { root: number; notBefore: number }[]; warnings: string[] }

/** The first batch: the whole repository. `arm` sets the alarm in the transaction that makes it. */
export async function adopt(ctx: Context, request: AdoptRequest, arm: () => void): Promise<Taken | Refused> {
  const { sql, place } = ctx
  const freshness = freshnessFrom(request.freshness)
  if (!freshness) return refused('invalid', 400, NO_FRESHNESS)
  const { snapshot, timestamp } = request.served
  for (const version of [snapshot, timestamp])
    if (!Number.isSafeInteger(version) || version < 0 || version > 2 ** 31 - 1 - VERSIONS_APART)
      return refused('invalid', 400, 'The versions served so far are whole numbers below 2^31 - 1,001.')
  if (await retrying(ctx, () => ctx.bucket.head(timestampKey(place))))
    return refused('conflict', 409, 'The bucket holds a timestamp.json of this repository, and this ledger is new.')
  const admitted = await passGate(ctx, request.files, { root: undefined, roles: new Map(), load: nothingHeld })
  if ('ok' in admitted) return admitted
  for (const { version } of admitted.roots)
    if (await retrying(ctx, () => ctx.bucket.head(metadataKey(place, version, 'root'))))
      return refused('conflict', 409, `The bucket holds a ${version}.root.json already: use another repository name.`)
  return ctx.storage.transactionSync(() => {
    setFact(sql, 'freshness', JSON.stringify(freshness))
    setFact(sql, 'development', 0)
    burnVersion(sql, 'snapshot', snapshot + VERSIONS_APART)
    burnVersion(sql, 'timestamp', timestamp + VERSIONS_APART)
    const taken = record(ctx, admitted, undefined)
    setFact(sql, 'state', 'live')
    appendJournal(sql, ctx.now(), { event: 'adopted', served: { snapshot, timestamp }, files: taken.accepted.length })
    arm()
    return taken
  })
}

/** Any later batch. A token for `metadata:ROLE` hands over this role alone. */
export async function push(ctx: Context, { token, files }: PushRequest, arm: () => void): Promise<Taken | Refused> {
  const { sql } = ctx
  const allowed = mayHandOver(ctx, token, files)
  if ('ok' in allowed) return allowed
  const root = newestOffline(sql, ctx.custody.macKey(), 'root')
  if (!root) throw new Halt('No root in the ledger can be read with this WRAPPING_SECRET. Put the old one back.')
  const held = heldOf(ctx, parseRoot(root.bytes))
  const older = rootsHeldDifferently(ctx, files)
  if (older) return older
  const admitted = await passGate(ctx, files, held)
  if ('ok' in admitted) return admitted
  const wrong = getFact(sql, 'kind') === 'adopted' ? undefined : await complaintOfIndex(ctx, admitted, held)
  if (wrong !== undefined) return refused('invalid', 400, `index: ${wrong}`)
  return ctx.storage.transactionSync(() => {
    // The token may have been revoked while signatures were checked.
    const bearer = mayHandOver(ctx, token, files)
    if ('ok' in bearer) return bearer
    const taken = record(ctx, admitted, held.root?.signed)
    if (taken.accepted.length > 0) {
      appendJournal(sql, ctx.now(), { event: 'pushed', files: taken.accepted, token: bearer.id })
      arm()
    }
    return taken
  })
}

/** Sets where target files are fetched that the bucket lacks. */
export function setOrigin(ctx: Context, { token, origin }: OriginRequest): { ok: true } | Refused {
  return ctx.storage.transactionSync(() => {
    const bearer = permitted(ctx, token, ['admin'])
    if ('ok' in bearer) return bearer
    if (getFact(ctx.sql, 'kind') !== 'adopted')
      return refused('invalid', 400, 'Only a repository that is signed elsewhere has an origin.')
    if (origin !== null && !isOrigin(origin))
      return refused(
        'invalid',
        400,
        'The origin is an https URL without a password, query or fragment, ending with a slash.',
      )
    setFact(ctx.sql, 'origin', origin ?? '')
    appendJournal(ctx.sql, ctx.now(), { event: 'origin', origin, token: bearer.id })
    return { ok: true }
  })
}

const LOOPBACK: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

function isOrigin(text: string): boolean {
  if (typeof text !== 'string' || text.length > 2_000 || !URL.canParse(text)) return false
  const { protocol, hostname, username, password, search, hash, pathname } = new URL(text)
  const plain = username === '' && password === '' && search === '' && hash === '' && pathname.endsWith('/')
  return plain && (protocol === 'https:' || (protocol === 'http:' && LOOPBACK.includes(hostname)))
}

function mayHandOver(ctx: Context, token: string, files: readonly HandedOver[]) {
  const roles = new Set(files.map(({ role }) => role))
  let bearer = permitted(ctx, token, ['admin'])
  if (!('ok' in bearer)) return bearer
  for (const role of roles) {
    bearer = permitted(ctx, token, ['admin', `metadata:${encodeURIComponent(role)}` as Scope])
    if ('ok' in bearer) return bearer
  }
  return bearer
}

const nothingHeld = (role: string): Promise<never> => Promise.reject(new Error(`"${role}" is not held.`))

/** What the repository is now: names and digests of its roles; their files are read when they are asked for. */
function heldOf(ctx: Context, root: Held['root']): Held {
  const { sql, custody } = ctx
  const macKey = custody.macKey()
  const load = async (role: string): Promise<Uint8Array> => {
    const version = roles.get(role)?.version
    const row = version === undefined ? undefined : offlineFile(sql, macKey, role, version)
    if (!row && getFact(sql, 'kind') !== 'adopted' && role !== 'targets' && role !== 'bins')
      throw new GateError('online-keys', `"${role}" is signed here: its delegation must name the same keys as before.`)
    if (!row) throw new Halt(`The file of "${role}" in the ledger was changed by somebody else. Restore the ledger.`)
    return row.bytes
  }
  const roles = new Map(newestOfEach(sql, macKey).map(({ role, ...row }) => [role, row]))
  roles.delete('root')
  // Of an index the bins are signed here; that they are delegated to as before is `complaintOfIndex`'s to see.
  if (getFact(sql, 'kind') !== 'adopted')
    for (const { name, version, sha256 } of liveRoles(sql))
      if (!isTopLevelRole(name) && !roles.has(name)) roles.set(name, { version, sha256, delegates: false })
  return { root, roles, load }
}

/** What people may change of an index made here: dates, their own keys, teams; never who signs the bins and the list. */
async function complaintOfIndex(ctx: Context, { roots, roles }: Admitted, held: Held): Promise<string | undefined> {
  const stranger = roles.find(({ role }) => role !== 'targets' && role !== 'bins')
  if (stranger) return `people sign root, targets and bins, not "${stranger.role}".`
  const signed = async (name: string) =>
    (roles.find(({ role }) => role === name)?.envelope ?? parseTargets(await held.load(name))).signed
  try {
    checkDelegations(ctx, await signed('targets'), await signed('bins'))
  } catch (error) {
    if (error instanceof Halt) throw error
    return error instanceof Error ? error.message : String(error)
  }
  const development = getFact(ctx.sql, 'development') === 1
  if (roots.some(({ envelope }) => (envelope.signed.raw.get('x-tuf-edge-development') === true) !== development))
    return 'a development index stays one, and a real one does not become one.'
  return undefined
}

/** The gate compares with the newest root alone; the older ones are compared here. */
function rootsHeldDifferently({ sql, custody }: Context, files: readonly SignedFile[]): Refused | undefined {
  for (const { role, bytes } of files) {
    if (role !== 'root') continue
    let version: number
    try {
      version = parseRoot(bytes).signed.version
    } catch {
      return undefined
    }
    const row = offlineFile(sql, custody.macKey(), 'root', version)
    if (row && !(row.bytes.length === bytes.length && row.bytes.every((byte, i) => byte === bytes[i])))
      return refused('conflict', 409, `two-contents: root ${version} was published with other bytes.`)
  }
  return undefined
}

async function passGate(ctx: Context, files: readonly HandedOver[], held: Held): Promise<Admitted | Refused> {
  if (!Array.isArray(files) || files.length === 0) return refused('invalid', 400, 'A batch holds at least one file.')
  for (const file of files)
    if (typeof file.role !== 'string' || !(file.bytes instanceof Uint8Array))
      return refused('invalid', 400, 'Each file of a batch has the name of its role and its bytes.')
    else if (file.bytes.length > FILE_BYTES_MAX)
      return refused(
        'invalid',
        400,
        `size: ${file.role} has ${file.bytes.length} bytes, and a file has at most ${FILE_BYTES_MAX}: divide it by delegations.`,
      )
  const { custody } = ctx
  const online = { snapshot: custody.key('snapshot').keyid, timestamp: custody.key('timestamp').keyid }
  try {
    return await admit(files, held, { now: ctx.now(), online })
  } catch (error) {
    if (!(error instanceof GateError)) throw error
    const conflict = error.rule === 'rollback' || error.rule === 'two-contents' || error.rule === 'next-root'
    return conflict
      ? refused('conflict', 409, `${error.rule}: ${error.message}`)
      : refused('invalid', 400, `${error.rule}: ${error.message}`)
  }
}

/** Keeps what passed. To be called inside a transaction. */
function record(ctx: Context, { roots, roles }: Admitted, before: Root | undefined): Taken {
  const { sql, custody } = ctx
  const now = ctx.now()
  const macKey = custody.macKey()
  const held: Taken['held'] = []
  let [former, notBefore] = [before, now]
  for (const { version, sha256, expiresMs, envelope } of roots) {
    const { bytes, signed } = envelope
    // N+1 names the former keys beside ours, N+2 ours alone: no client may meet both changes in one run.
    if (former && dropsKeys(former, signed)) {
      notBefore += RUN_MS
      held.push({ root: version, notBefore })
    }
    insertOffline(sql, macKey, 'root', { version, sha256, bytes })
    addUnpublished(sql, 'root', version, notBefore)
    setLiveRole(sql, { name: 'root', version, sha256, length: bytes.length, expires: expiresMs, publication: null })
    former = signed
  }
  for (const { role: name, version, sha256, expiresMs, delegates, envelope } of roles) {
    const { bytes } = envelope
    insertOffline(sql, macKey, name, { version, sha256, bytes }, delegates)
    addUnpublished(sql, name, version, now)
    setLiveRole(sql, { name, version, sha256, length: bytes.length, expires: expiresMs, publication: null })
  }
  const accepted = [
    ...roots.map(({ version }) => `${version}.root`),
    ...roles.map((role) => `${role.version}.${role.role}`),
  ]
  const dates = [...roots.slice(-1).map(({ expiresMs }) => ({ role: 'root', expiresMs })), ...roles]
  const warnings = dates
    .filter(({ expiresMs }) => expiresMs - now < WARN_DAYS * DAY_MS)
    .map(({ role, expiresMs }) => `${role} expires at ${formatDate(expiresMs)}: clients refuse it from then on.`)
  return { ok: true, accepted, held, warnings }
}

/** Whether `next` no longer names a key that signs timestamp or snapshot under `root`. */
const dropsKeys = (root: Root, next: Root): boolean =>
  (['timestamp', 'snapshot'] as const).some((role) =>
    root.roles[role].keyids.some((keyid) => !next.roles[role].keyids.includes(keyid)),
  )
