// Going on after a halt. Plain: forgets the halt, and the next pass checks its cause again before it writes anything.
// From public: takes over what the public repository says where this ledger does not know it (a restored older database,
// a second writer, an emptied object), and goes on above every version that was ever public. State: none.
//
// Invariants
// - Nothing is taken over that does not verify under the pinned root chain (`public-repository.ts`).
// - What is applied is what was shown: the caller sends the digest of the difference back, and it is computed again.
// - `roles.highest` only rises; the public versions and every number found used in the bucket count as burned.
import { shardOf } from '../tuf/bins.ts'
import { blobKeys, metadataKey, pageKey } from '../tuf/layout.ts'
import { parseSnapshot, parseTimestamp } from '../tuf/metadata.ts'
import { type Changes, compareWithPublic } from './difference.ts'
import { type Checked, checkCeremony, recordCeremony, recordOffline } from './initialise.ts'
import { clearFact, getFact, setFact } from './ledger/facts.ts'
import { type FileFacts, fileMac, findFile, insertFile, setFileState } from './ledger/files.ts'
import { removeGarbage } from './ledger/garbage.ts'
import { appendJournal } from './ledger/journal.ts'
import { insertOffline, offlineVersions } from './ledger/offline.ts'
import { pageMac, setLivePage } from './ledger/pages.ts'
import { dropObject, endPublication, insertObject, insertPublication, openPublication } from './ledger/publications.ts'
import { enqueue } from './ledger/queue.ts'
import { burnVersion, highestVersion, liveRole, setLiveRole } from './ledger/roles.ts'
import { one, run } from './ledger/sql.ts'
import { insertTimestamp } from './ledger/timestamps.ts'
import { freshnessFrom, NO_FRESHNESS } from './profiles.ts'
import { PublicError, type PublicRepository, readPublic } from './public-repository.ts'
import { retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'
import { supersede } from './publication/finish.ts'
import { type Freshness, type Refused, type ResumeRequest, refused } from './rpc.ts'

/** Numbers skipped at most because the bucket holds something under them; more than that is somebody filling it. */
const PROBES_MAX = 100
/** Simultaneous open connections of one Worker invocation (Cloudflare limit). */
const CONNECTIONS = 6

export type Resumed = { applied: boolean; changes?: Changes } | Refused

/** Forgets a halt; whether its cause is gone, the next pass finds out before it writes. */
export function forgetHalt(ctx: Context, by: string): Resumed {
  const halted = getFact(ctx.sql, 'halted')
  if (halted === undefined) return { applied: false }
  ctx.storage.transactionSync(() => {
    clearHalt(ctx)
    appendJournal(ctx.sql, ctx.now(), { event: 'resumed', halted, token: by })
  })
  return { applied: true }
}

/** Shows the difference, or applies exactly the one that was shown. */
export async function resumeFromPublic(ctx: Context, by: string, request: ResumeRequest): Promise<Resumed> {
  const empty = getFact(ctx.sql, 'state') !== 'live'
  const { ceremony } = request
  if (empty !== (ceremony !== undefined))
    return empty
      ? refused('invalid', 400, 'This ledger is empty: send a ceremony that names its new online keys along.')
      : refused('invalid', 400, 'This ledger has its roots and keys: a ceremony is for an empty one alone.')
  const freshness = ceremony && freshnessFrom(ceremony.freshness)
  if (ceremony && !freshness) return refused('invalid', 400, NO_FRESHNESS)
  try {
    const pinned = ceremony
      ? await publishedRoots(ctx, ceremony.roots)
      : offlineVersions(ctx.sql, ctx.custody.macKey(), 'root').map(bytesOf)
    const repository = await readPublic(ctx, pinned)
    const checked = await checkedOffline(ctx, repository, ceremony)
    const live = liveRole(ctx.sql, 'timestamp')
    if (live && repository.timestamp.version < live.version)
      throw new PublicError(
        `The public timestamp is version ${repository.timestamp.version}, older than ${live.version}, which this ledger ` +
          'has live: there is nothing to take over. Run `tuf-edge resume`, which replaces it.',
      )
    const changes = await compareWithPublic(ctx, repository)
    if (request.confirm === undefined) return { applied: false, changes }
    if (request.confirm !== confirmOf(changes, request))
      return refused('conflict', 409, 'The difference is not the one that was shown: look at it again.')
    const used = await usedVersions(ctx, repository)
    ctx.storage.transactionSync(() => apply(ctx, by, { repository, checked, changes, used, request, freshness }))
    return { applied: true, changes }
  } catch (error) {
    if (error instanceof PublicError) return refused('conflict', 409, error.message)
    throw error
  }
}

/** What the caller sends back: the difference, and what he wants done with the files that are missing in public. */
export const confirmOf = (changes: Changes, { withdrawMissing }: ResumeRequest): string =>
  `${changes.digest}${withdrawMissing === true ? '-withdraw' : ''}`

const bytesOf = ({ bytes }: { bytes: Uint8Array }): Uint8Array => bytes

/** Of the roots of a ceremony, those that are public already: the present view verifies under the last of them. */
async function publishedRoots(ctx: Context, roots: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const published: Uint8Array[] = []
  for (const [index, bytes] of roots.entries()) {
    const object = await retrying(ctx, () => ctx.bucket.get(metadataKey(ctx.place, index + 1, 'root')))
    if (!object) break
    const found = new Uint8Array(await object.arrayBuffer())
    if (found.length !== bytes.length || found.some((byte, at) => byte !== bytes[at]))
      throw new PublicError(`Root ${index + 1} in the bucket is not the one of the ceremony.`)
    published.push(bytes)
  }
  if (published.length === roots.length)
    throw new PublicError('The ceremony must add a root that names the new online keys to the public chain.')
  return published
}

/** Root, targets and bins that the next publication goes out under must name the keys this ledger holds. */
async function checkedOffline(
  ctx: Context,
  { roots, targets, bins }: PublicRepository,
  ceremony: ResumeRequest['ceremony'],
): Promise<Checked> {
  let checked: Checked
  try {
    checked = await checkCeremony(
      ctx,
      ceremony ?? { roots: roots.map(bytesOf), targets: targets.bytes, bins: bins.bytes },
    )
  } catch (error) {
    throw new PublicError(error instanceof Error ? error.message : String(error))
  }
  if (ceremony && (checked.targets.version <= targets.version || checked.bins.version <= bins.version))
    throw new PublicError(
      `targets and bins of the ceremony must be newer than the public versions ${targets.version} and ${bins.version}.`,
    )
  return checked
}

/**
 * Highest number of each online role that something in the bucket carries, counted on from the public one: another ledger
 * with our keys may have signed it, and its next publication of any role would halt on it. A head for each role.
 */
async function usedVersions(ctx: Context, { set, snapshot }: PublicRepository): Promise<Map<string, number>> {
  const used = new Map<string, number>()
  const queue = [...set.snapshot!.signed.meta.keys(), 'snapshot'].filter(
    (name) => name !== 'targets' && name !== 'bins',
  )
  const lane = async () => {
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      const published = name === 'snapshot' ? snapshot.version : set.metaOf(name).version
      const first = Math.max(published, highestVersion(ctx.sql, name))
      let version = first
      while (version < first + PROBES_MAX) {
        const next = metadataKey(ctx.place, version + 1, name)
        if (!(await retrying(ctx, () => ctx.bucket.head(next)))) break
        version++
      }
      used.set(name, version)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, lane))
  return used
}

interface Application {
  repository: PublicRepository
  checked: Checked
  changes: Changes
  used: Map<string, number>
  request: ResumeRequest
  freshness: Freshness | undefined
}

function apply(ctx: Context, by: string, application: Application): void {
  const { sql } = ctx
  const { repository, checked, changes, used, request, freshness } = application
  const open = openPublication(sql)
  if (open) supersede(ctx, open.id, 'the ledger was resumed from the public repository')
  if (freshness) recordCeremony(ctx, checked, freshness)
  else adoptRoles(ctx, application)
  for (const [name, { version }] of repository.set.snapshot!.signed.meta) burnVersion(sql, name, version)
  for (const file of [repository.timestamp, repository.snapshot]) burnVersion(sql, file.name, file.version)
  for (const [name, version] of used) burnVersion(sql, name, version)
  // A timestamp of ours that is still on its way must not be recognised, nor put again: its view is given up.
  run(sql, 'DELETE FROM timestamps WHERE version > ?', repository.timestamp.version)
  setFact(sql, 'pointerEtag', repository.etag)
  setFact(sql, 'pointerVersion', repository.timestamp.version)
  // A new ledger must not open what was closed.
  if (parseTimestamp(repository.timestamp.bytes).signed.private) setFact(sql, 'private', 1)

  for (const facts of changes.added) importFile(ctx, facts)
  for (const facts of changes.updated) updateFile(ctx, facts)
  for (const page of changes.pages) {
    removeGarbage(sql, [pageKey(ctx.place, page.path, page.sha256)])
    setLivePage(sql, page, null, pageMac(ctx.custody.macKey(), page))
  }
  if (request.withdrawMissing)
    for (const { project, filename } of changes.missing)
      setFileState(sql, project, filename, 'deleted', 'not public any more when the ledger was resumed')
  for (const [project, { bin, filename }] of changes.projects) {
    const known = one(sql, 'SELECT 1 AS x FROM projects WHERE name = ?', project)
    if (!known && !changes.added.some((facts) => facts.project === project)) continue
    run(
      sql,
      'INSERT INTO projects (name, shard, bin, created, owner) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      project,
      shardOf(project),
      bin,
      ctx.now(),
      by,
    )
    enqueue(sql, project, filename)
  }
  setFact(sql, 'listDirty', 1)
  setFact(sql, 'listedAt', 0)
  clearHalt(ctx)
  const { timestamp, snapshot } = repository
  appendJournal(sql, ctx.now(), {
    event: 'resumed-from-public',
    timestamp: timestamp.version,
    snapshot: snapshot.version,
    added: changes.added.map(({ project, filename, sha256 }) => ({ project, filename, sha256 })),
    updated: changes.updated.length,
    missing: changes.missing.length,
    withdrawn: request.withdrawMissing === true,
    difference: changes.digest,
    publicJournal: journalOf(snapshot.bytes),
    token: by,
  })
}

/** The public files become the live ones; their bytes are kept as those of a publication of our own are. */
function adoptRoles(ctx: Context, { repository, checked, changes }: Application): void {
  const { sql, place, custody } = ctx
  for (const role of ['root', 'targets', 'bins'] as const) {
    const known = new Set(offlineVersions(sql, custody.macKey(), role).map(({ version }) => version))
    for (const file of role === 'root' ? checked.roots : [checked[role]])
      if (!known.has(file.version)) insertOffline(sql, custody.macKey(), role, file, role !== 'root')
  }
  recordOffline(sql, checked)
  if (changes.roles.length === 0) return
  const id = insertPublication(sql, repository.snapshot.version, ctx.now(), 0)
  endPublication(sql, id, 'live', 'taken over from the public repository')
  for (const { name, version, sha256, expires, bytes } of changes.roles) {
    // Somebody else signed it, and the journal of who signed what must have it all the same.
    appendJournal(sql, ctx.now(), { event: 'adopted', role: name, version, sha256 })
    const old = liveRole(sql, name)
    if (name === 'timestamp') {
      const { snapshot, private: isPrivate } = parseTimestamp(bytes).signed
      run(sql, 'DELETE FROM timestamps WHERE version = ?', version)
      insertTimestamp(sql, {
        version,
        bytes,
        sha256,
        snapshot: snapshot.version,
        publication: null,
        signed: ctx.now(),
        expires,
        private: isPrivate ? 1 : 0,
      })
    } else {
      const key = metadataKey(place, version, name)
      if (old) dropObject(sql, old.publication, metadataKey(place, old.version, name))
      removeGarbage(sql, [key])
      insertObject(sql, id, { key, kind: 'metadata', name, bin: null, version, expires, sha256, bytes })
    }
    setLiveRole(sql, {
      name,
      version,
      sha256,
      length: bytes.length,
      expires,
      publication: name === 'timestamp' ? null : id,
    })
  }
}

function importFile(ctx: Context, facts: FileFacts): void {
  const { sql } = ctx
  const { project, filename } = facts
  // Accepted while the difference was computed: then it is no longer lacking.
  if (findFile(sql, project, filename)) return
  insertFile(sql, ctx.custody.macKey(), facts)
  setFileState(sql, project, filename, 'live')
  keepBlob(ctx, facts)
}

function keepBlob({ sql, place, now }: Context, { sha256, n }: FileFacts): void {
  run(
    sql,
    `INSERT INTO blobs (sha256, n, state, created) VALUES (?, ?, 'referenced', ?)
     ON CONFLICT (sha256, n) DO UPDATE SET state = 'referenced'`,
    sha256,
    n,
    now(),
  )
  removeGarbage(sql, blobKeys(place, sha256, n))
}

function updateFile(ctx: Context, facts: FileFacts): void {
  keepBlob(ctx, facts)
  run(
    ctx.sql,
    `UPDATE files SET n = ?, uploaded = ?, requires_python = ?, metadata_sha256 = ?, metadata_size = ?, yanked = ?, provenance_sha256 = ?, mac = ?,
       size = ?, version = ?, release = ?, filetype = ?, bin = ? WHERE project = ? AND filename = ?`,
    facts.n,
    facts.uploaded,
    facts.requires_python,
    facts.metadata_sha256,
    facts.metadata_size,
    facts.yanked,
    facts.provenance_sha256,
    fileMac(ctx.custody.macKey(), facts),
    facts.size,
    facts.version,
    facts.release,
    facts.filetype,
    facts.bin,
    facts.project,
    facts.filename,
  )
}

function clearHalt({ sql }: Context): void {
  for (const fact of ['halted', 'foreignWrites', 'failures', 'lastError'] as const) clearFact(sql, fact)
}

/** The journal head that the public snapshot names: where another ledger's history went on. */
function journalOf(snapshot: Uint8Array): { seq: number; sha256: string } | null {
  const head = parseSnapshot(snapshot).signed.raw.get('x-tuf-edge-journal')
  if (!(head instanceof Map)) return null
  return { seq: Number(head.get('seq')), sha256: String(head.get('sha256')) }
}
