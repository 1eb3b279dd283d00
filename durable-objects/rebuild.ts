// Fills a lost or damaged bucket again from the ledger's own bytes: offline metadata, live roles, live pages, and last the
// live timestamp. Byte for byte: nothing is signed or rendered here. State: none; a cursor says where the next batch goes
// on, so a rebuild may be interrupted and repeated.
//
// Invariant: what is absent is put if absent; what differs under an immutable name of ours is replaced on the etag found.
// Files are not in the ledger: one that is missing comes from the second bucket, if there is one, or is named.
import { sha256Hex } from '../tuf/digest.ts'
import { blobKey, blobMetadataKey, blobProvenanceKey, metadataKey, pageKey, timestampKey } from '../tuf/layout.ts'
import { restoreObject } from './copy.ts'
import { setFact } from './ledger/facts.ts'
import { appendJournal } from './ledger/journal.ts'
import { offlineBytes } from './ledger/offline.ts'
import { objectBytes } from './ledger/publications.ts'
import { liveRole } from './ledger/roles.ts'
import { all, one } from './ledger/sql.ts'
import { timestampByDigest } from './ledger/timestamps.ts'
import { retrying } from './publication/apply.ts'
import { type Context, RetryableFault } from './publication/context.ts'
import { type RebuildAnswer, type Refused, refused } from './rpc.ts'

/** Objects of one batch: ≤ 3 bucket calls each stay below the 1,000 of one invocation. */
export const BATCH_MAX = 250
/** Simultaneous open connections of one Worker invocation (Cloudflare limit). */
const CONNECTIONS = 6

/** Order matters: the timestamp goes back when everything it reaches is there. */
const PHASES = ['offline', 'roles', 'pages', 'files'] as const
type Phase = (typeof PHASES)[number]

interface Kept {
  /** Where the next batch goes on after this one, inside its phase. */
  after: string
  key: string
  sha256: string
  html: boolean
  bytes: () => Uint8Array | undefined
}

type Report = Pick<Extract<RebuildAnswer, { ok: true }>, 'restored' | 'replaced' | 'missing'>

/** One batch. Without a cursor it begins; an answer without one is the last. */
export async function rebuildBatch(
  ctx: Context,
  by: string,
  cursor: string | undefined,
  limit: number,
): Promise<RebuildAnswer> {
  const start = parseCursor(cursor)
  if (!start) return refused('invalid', 400, 'That cursor is none of ours: send the one of the last answer, or none.')
  if (!Number.isInteger(limit) || limit < 1 || limit > BATCH_MAX)
    return refused('invalid', 400, `A batch has between 1 and ${BATCH_MAX} objects.`)
  const { phase, after } = start
  const report: Report = { restored: [], replaced: [], missing: [] }
  const count =
    phase === 'files' ? await checkFiles(ctx, after, limit, report) : await putKept(ctx, phase, after, limit, report)
  const next = count.last === undefined ? PHASES[PHASES.indexOf(phase) + 1] : phase
  const done = next === undefined
  if (done) await restoreTimestamp(ctx, report)
  if (report.restored.length + report.replaced.length > 0)
    appendJournal(ctx.sql, ctx.now(), {
      event: 'rebuilt',
      restored: report.restored.length,
      replaced: report.replaced,
      token: by,
    })
  return {
    ok: true,
    checked: count.checked,
    total: total(ctx),
    ...report,
    ...(done ? {} : { cursor: `${next}:${count.last ?? ''}` }),
  }
}

async function putKept(ctx: Context, phase: Exclude<Phase, 'files'>, after: string, limit: number, report: Report) {
  const kept = LISTS[phase](ctx, after, limit)
  const queue = [...kept]
  const lane = async () => {
    for (let next = queue.pop(); next; next = queue.pop()) await putBack(ctx, next, report)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, lane))
  return { checked: kept.length, last: kept.length < limit ? undefined : kept.at(-1)!.after }
}

async function putBack(ctx: Context, { key, sha256, html, bytes: load }: Kept, report: Report): Promise<void> {
  const found = await retrying(ctx, () => ctx.bucket.get(key))
  const foundDigest = found && (await sha256Hex(new Uint8Array(await found.arrayBuffer())))
  if (foundDigest === sha256) return
  const bytes = load()
  if (!bytes || (await sha256Hex(bytes)) !== sha256) {
    report.missing.push({ key, why: 'the ledger has not kept its bytes; the next publication of its role replaces it' })
    return
  }
  const put = await retrying(ctx, () =>
    ctx.bucket.put(key, bytes, {
      sha256,
      httpMetadata: { contentType: html ? 'text/html; charset=utf-8' : 'application/json' },
      onlyIf: found ? { etagMatches: found.etag } : { etagDoesNotMatch: '*' },
    }),
  )
  if (put === null) throw new RetryableFault(`${key} changed while it was restored: repeat the rebuild.`)
  report[found ? 'replaced' : 'restored'].push(key)
}

const LISTS: Record<Exclude<Phase, 'files'>, (ctx: Context, after: string, limit: number) => Kept[]> = {
  offline: ({ sql, place }, after, limit) => {
    // A role's name may hold anything, its version cannot.
    const bar = after.lastIndexOf('|')
    const [role, version] = [after.slice(0, Math.max(bar, 0)), after.slice(bar + 1)]
    return all<{ role: string; version: number; sha256: string }>(
      sql,
      `SELECT role, version, sha256 FROM offline WHERE (role, version) > (?, ?)
       AND (role, version) NOT IN (SELECT role, version FROM unpublished) ORDER BY role, version LIMIT ?`,
      role,
      Number(version),
      limit,
    ).map((row) => ({
      after: `${row.role}|${row.version}`,
      key: metadataKey(place, row.version, row.role),
      sha256: row.sha256,
      html: false,
      bytes: () => offlineBytes(sql, row.sha256),
    }))
  },
  roles: ({ sql, place }, after, limit) =>
    all<{ name: string; version: number; sha256: string; publication: number | null }>(
      sql,
      `SELECT name, version, sha256, publication FROM roles WHERE name > ? AND version IS NOT NULL
       AND name <> 'timestamp' AND name NOT IN (SELECT role FROM offline) ORDER BY name LIMIT ?`,
      after,
      limit,
    ).map(({ name, version, sha256, publication }) => {
      const key = metadataKey(place, version, name)
      return { after: name, key, sha256, html: false, bytes: () => keptBytes(sql, publication, key) }
    }),
  pages: ({ sql, place }, after, limit) =>
    all<{ path: string; sha256: string; publication: number | null }>(
      sql,
      'SELECT path, sha256, publication FROM pages WHERE path > ? ORDER BY path LIMIT ?',
      after,
      limit,
    ).map(({ path, sha256, publication }) => {
      const key = pageKey(place, path, sha256)
      return { after: path, key, sha256, html: path.endsWith('.html'), bytes: () => keptBytes(sql, publication, key) }
    }),
}

function keptBytes(sql: Context['sql'], publication: number | null, key: string): Uint8Array | undefined {
  const bytes = publication === null ? undefined : objectBytes(sql, publication, key)
  return bytes && bytes.length > 0 ? bytes : undefined
}

type FileHead = {
  project: string
  filename: string
  sha256: string
  n: number
  size: number
  state: string
  meta: string | null
  provenance: string | null
}

/** Heads every live file, its metadata and its provenance; what is missing is somebody's to upload from a copy. */
async function checkFiles(ctx: Context, after: string, limit: number, report: Report) {
  const [project = '', filename = ''] = after.split('|')
  const files = all<FileHead>(
    ctx.sql,
    `SELECT project, filename, sha256, n, size, state, metadata_sha256 AS meta,
       provenance_sha256 AS provenance FROM files
     WHERE (project, filename) > (?, ?) ORDER BY project, filename LIMIT ?`,
    project,
    filename,
    limit,
  )
  const queue = files.filter((file) => file.state === 'live')
  const lane = async () => {
    for (let file = queue.pop(); file; file = queue.pop()) {
      const { sha256, n, size, meta, provenance, filename: name } = file
      const key = blobKey(ctx.place, sha256, n)
      const head = await retrying(ctx, () => ctx.bucket.head(key))
      const why = `${name} of ${file.project}, sha256 ${sha256}: put a copy of it back under this key`
      if (head?.size !== size)
        if (await restoreObject(ctx, key, sha256)) report.restored.push(key)
        else report.missing.push({ key, why })
      const beside: [string, string | null, string][] = [
        ['METADATA', meta, blobMetadataKey(ctx.place, sha256, n)],
        ['provenance', provenance, blobProvenanceKey(ctx.place, sha256, n)],
      ]
      for (const [what, digest, under] of beside) {
        if (digest === null || (await retrying(ctx, () => ctx.bucket.head(under)))) continue
        if (await restoreObject(ctx, under, digest)) report.restored.push(under)
        else
          report.missing.push({
            key: under,
            why: `the ${what} of ${name}, sha256 ${digest}: put it back under this key`,
          })
      }
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, lane))
  const last = files.at(-1)
  return { checked: files.length, last: files.length < limit || !last ? undefined : `${last.project}|${last.filename}` }
}

/** The live timestamp, if there is none. Anything else under its name is the fence's to judge. */
async function restoreTimestamp(ctx: Context, report: Report): Promise<void> {
  const { sql } = ctx
  const key = timestampKey(ctx.place)
  const live = liveRole(sql, 'timestamp')
  const row = live && timestampByDigest(sql, live.sha256)
  if (!row || (await retrying(ctx, () => ctx.bucket.head(key)))) return
  const put = await retrying(ctx, () =>
    ctx.bucket.put(key, row.bytes, {
      sha256: row.sha256,
      httpMetadata: { contentType: 'application/json' },
      onlyIf: { etagDoesNotMatch: '*' },
    }),
  )
  if (put === null) return
  report.restored.push(key)
  // A flip may have happened meanwhile; then the fence finds an older one of ours and replaces it.
  if (liveRole(sql, 'timestamp')?.version === row.version) setFact(sql, 'pointerEtag', put.etag)
}

function parseCursor(cursor: string | undefined): { phase: Phase; after: string } | undefined {
  if (cursor === undefined) return { phase: 'offline', after: '' }
  const colon = cursor.indexOf(':')
  const phase = PHASES.find((name) => name === cursor.slice(0, colon))
  return phase && { phase, after: cursor.slice(colon + 1) }
}

const total = ({ sql }: Context): number =>
  one<{ n: number }>(
    sql,
    `SELECT (SELECT count(*) FROM offline) + (SELECT count(*) FROM pages) + (SELECT count(*) FROM files)
     + (SELECT count(*) FROM roles WHERE version IS NOT NULL AND name NOT IN ('root', 'targets', 'bins', 'timestamp')) AS n`,
  )!.n

export const notLive = (): Refused =>
  refused('conflict', 409, 'This ledger is empty: run `tuf-edge resume --from-public` with a new ceremony first.')
