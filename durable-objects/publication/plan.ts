// Step 1, plan: what the next publication contains, read from the ledger in one go (no await, so nothing moves under it).
//
// The unit is the bin. A planned bin is rendered whole from accepted rows whose MAC holds; a row that fails is left out
// and named for quarantine. Files accepted after this moment, and staged files of projects that are not planned, belong
// to a later publication. Cost: the rows of the planned bins, never the repository.
import {
  type PageFile,
  provenancePath,
  renderListHtml,
  renderListJson,
  renderProjectHtml,
  renderProjectJson,
} from '../../pypi/simple.ts'
import { shardOf } from '../../tuf/bins.ts'
import { sha256HexSync } from '../../tuf/digest.ts'
import { dueRoles, freshnessOf, listDue } from '../freshness.ts'
import { getFact } from '../ledger/facts.ts'
import { type FileRow, fileMacHolds, filesOfBin, filesOfProject } from '../ledger/files.ts'
import { nextUnpublished, offlineRow, offlineVersions, readyUnpublished } from '../ledger/offline.ts'
import { findPage, type PageRow, pageMacHolds, pagesOfBin } from '../ledger/pages.ts'
import { objectBytes } from '../ledger/publications.ts'
import { waitingCount, waitingProjects } from '../ledger/queue.ts'
import { highestVersion, liveRole } from '../ledger/roles.ts'
import { findSetting } from '../ledger/settings.ts'
import { all, one, type Sql } from '../ledger/sql.ts'
import { type StatusFacts, statusesOfBin } from '../ledger/statuses.ts'
import { Halt } from './context.ts'

/** Projects taken into one publication: at ≤ 6 puts at a time and ~10 ms a put, about a second of applying. */
const PROJECTS_MAX = 200
/** Bins re-signed for freshness alone in one publication; an upload never waits behind all of a large index. */
const DUE_BINS_MAX = 256
/**
 * Bytes of bins and pages rendered for one publication. A bin being rendered is 4.4 times its bytes (rows, paths, objects),
 * its text and the signed copy two times more: 6 MB × 6.4 = 38 MB of the 128 MB that all objects of a class share. A
 * plan takes at least one project or bin, the largest being 1.5 MB and two pages of 5,000 files (4.5 MB).
 */
const PLAN_BYTES_MAX = 6_000_000

export interface PlannedPage {
  path: string
  bin: string
  text: string
}

export interface Target {
  path: string
  length: number
  sha256: string
  /** Store counter of the blob, absent for pages and for the first store. */
  n?: number
}

export interface Plan {
  /**
   * Number of its snapshot, and the serial written into its pages. It is burned with the bytes, so no page is ever
   * written twice with the same bytes, and a page's key that was deleted is never used again.
   */
  snapshot: number
  /** Planned projects with the newest queue row each of them includes. */
  projects: { project: string; seq: number }[]
  pages: PlannedPage[]
  /** Signed content of every planned bin, and of `index`, but for the planned pages, whose digests are not known yet. */
  bins: Map<string, Target[]>
  /** Whether the project list is among the pages. */
  list: boolean
  quarantine: { project: string; filename: string; reason: string }[]
  /** Rows of pages that somebody else wrote, and that no project of ours could have. */
  strangers: string[]
  /** What people signed and the bucket does not have yet. */
  offline: { role: string; version: number; sha256: string }[]
}

const OFFLINE_ROLES = ['root', 'targets', 'bins']

export const filePath = (shard: string, project: string, filename: string): string =>
  `files/${shard}/${project}/${filename}`
export const pagePath = (shard: string, project: string, form: 'json' | 'html'): string =>
  `simple/${shard}/${project}/vnd.pypi.simple.v1.${form}`
export const listPath = (form: 'json' | 'html'): string => `simple/vnd.pypi.simple.v1.${form}`

/** Whether a publication is needed: something waits, something is due, or there has been none yet. */
export const planNeeded = (sql: Sql, now: number): boolean =>
  liveRole(sql, 'snapshot') === undefined ||
  waitingCount(sql) > 0 ||
  (nextUnpublished(sql) ?? Number.POSITIVE_INFINITY) <= now ||
  listDue(sql, now) ||
  dueRoles(sql, freshnessOf(sql), now).length > 0

export function makePlan(sql: Sql, macKey: Uint8Array, now: number): Plan {
  return getFact(sql, 'kind') === 'adopted' ? planAdopted(sql, macKey, now) : planIndex(sql, macKey, now)
}

/** What people signed and may go out, under a new snapshot. Cost: the rows of those files. */
function planAdopted(sql: Sql, macKey: Uint8Array, now: number): Plan {
  const offline = readyOffline(sql, macKey, now)
  const snapshot = nextVersion(sql, 'snapshot')
  return { snapshot, projects: [], pages: [], bins: new Map(), list: false, quarantine: [], strangers: [], offline }
}

/** Accepted from people, and to go out now. @throws Halt if somebody else wrote into it */
const readyOffline = (sql: Sql, macKey: Uint8Array, now: number): Plan['offline'] =>
  readyUnpublished(sql, now).map(({ role, version }) => {
    const row = offlineRow(sql, macKey, role, version)
    if (!row) throw new Halt(`${version}.${role}.json in the ledger was changed by somebody else. Restore the ledger.`)
    return { role, ...row }
  })

function planIndex(sql: Sql, macKey: Uint8Array, now: number): Plan {
  const first = liveRole(sql, 'snapshot') === undefined
  const due = dueRoles(sql, freshnessOf(sql), now)
  const dueBins = due.filter((role) => role !== 'snapshot' && role !== 'index').slice(0, DUE_BINS_MAX)
  // All bins exist, even empty, before the delegator that names them is readable.
  const { waiting, bins } = affordable(sql, waitingProjects(sql, PROJECTS_MAX), first ? unpublishedBins(sql) : dueBins)
  const index = pagesOfBin(sql, 'index')
  const list =
    first || listDue(sql, now) || (due.includes('index') && !index.every((page) => pageMacHolds(macKey, page)))
  const { pages, spoilt, strangers } = livePages(sql, macKey, bins)
  // A page whose row does not hold is not signed again but rendered again, in this very publication.
  for (const row of spoilt) if (!waiting.some(({ project }) => project === row.project)) waiting.push(row)
  const plan: Plan = {
    snapshot: nextVersion(sql, 'snapshot'),
    projects: waiting.map(({ project, seq }) => ({ project, seq })),
    pages: [],
    bins: new Map(),
    list,
    quarantine: [],
    strangers,
    offline: first
      ? OFFLINE_ROLES.flatMap((role) =>
          offlineVersions(sql, macKey, role).map(({ version, sha256 }) => ({ role, version, sha256 })),
        )
      : readyOffline(sql, macKey, now),
  }
  const origin = findSetting(sql, macKey, 'attestations')?.origin
  const planned = new Map<string, FileRow[]>(waiting.map((row) => [row.project, []]))
  const statuses = new Map([...bins].map((bin) => [bin, statusesOfBin(sql, macKey, bin)]))
  for (const bin of bins)
    plan.bins.set(bin, binTargets(sql, macKey, bin, pages.get(bin)!, planned, statuses.get(bin)!, plan.quarantine))
  for (const { project, bin } of waiting) {
    const rows = planned.get(project)!
    const status = statuses.get(bin)!.get(project)
    // A project without files is not listed, but keeps the page it had.
    if (rows.length === 0) planned.delete(project)
    const had = pages.get(bin)!.some((page) => page.path === pagePath(shardOf(project), project, 'json'))
    // A project none of whose files holds, and that had no page, is none; of a deleted one the pages go.
    if ((rows.length > 0 || had) && status?.status !== 'deleted')
      plan.pages.push(...projectPages(project, bin, rows, status, plan.snapshot, origin))
  }
  if (list) {
    plan.bins.set('index', [])
    plan.pages.push(...listPages(sql, macKey, new Set(planned.keys()), plan.snapshot))
  } else if (due.includes('index')) plan.bins.set('index', index.map(targetOf))
  return plan
}

/** The live pages of the planned bins whose MAC holds; the projects of those whose MAC does not; and what is nobody's. */
function livePages(sql: Sql, macKey: Uint8Array, bins: Set<string>) {
  const pages = new Map<string, PageRow[]>()
  const spoilt: Waiting[] = []
  const strangers: string[] = []
  for (const bin of bins) {
    const held: PageRow[] = []
    for (const page of pagesOfBin(sql, bin)) {
      const project = /^simple\/[^/]+\/([^/]+)\//.exec(page.path)?.[1]
      if (pageMacHolds(macKey, page)) held.push(page)
      else if (project !== undefined && hasFiles(sql, macKey, project)) spoilt.push({ project, bin, seq: 0 })
      else strangers.push(page.path)
    }
    pages.set(bin, held)
  }
  return { pages, spoilt, strangers }
}

interface Waiting {
  project: string
  bin: string
  seq: number
}

/** As much of what waits and is due as fits into memory, in its order; the rest is the next round's. */
function affordable(sql: Sql, waiting: Waiting[], due: string[]): { waiting: Waiting[]; bins: Set<string> } {
  const bins = new Set<string>()
  const taken: Waiting[] = []
  let bytes = 0
  const take = (bin: string, pages: number): boolean => {
    const more = pages + (bins.has(bin) ? 0 : (liveRole(sql, bin)?.length ?? 0))
    if (bins.size > 0 && bytes + more > PLAN_BYTES_MAX) return false
    bytes += more
    bins.add(bin)
    return true
  }
  for (const row of waiting) {
    if (!take(row.bin, pageBytes(sql, row.project))) return { waiting: taken, bins }
    taken.push(row)
  }
  for (const bin of due) if (!take(bin, 0)) break
  return { waiting: taken, bins }
}

/** Of the project's two live pages. What is staged adds less than 1 kB a file, and the queue is bounded. */
function pageBytes(sql: Sql, project: string): number {
  const shard = shardOf(project)
  return (
    one<{ n: number | null }>(
      sql,
      'SELECT sum(length) AS n FROM pages WHERE path IN (?, ?)',
      pagePath(shard, project, 'json'),
      pagePath(shard, project, 'html'),
    )!.n ?? 0
  )
}

/** The bins that `bins` delegates to: rows made at initialisation, without a live version yet. */
const unpublishedBins = (sql: Sql): string[] =>
  all<{ name: string }>(sql, "SELECT name FROM roles WHERE version IS NULL AND name LIKE 'bin-%'").map(
    (row) => row.name,
  )

function binTargets(
  sql: Sql,
  macKey: Uint8Array,
  bin: string,
  pages: PageRow[],
  planned: Map<string, FileRow[]>,
  statuses: Map<string, StatusFacts>,
  quarantine: Plan['quarantine'],
): Target[] {
  const targets: Target[] = []
  // Of one project after the other, as the primary key has them: its shard, a hash, is computed once.
  let [project, shard] = ['', '']
  for (const row of filesOfBin(sql, bin)) {
    const inPlan = planned.get(row.project)
    // The bin says what the pages say: of a project that is not planned, what its live page says.
    if (row.state === (inPlan ? 'deleting' : 'staged')) continue
    if (!fileMacHolds(macKey, row)) {
      const reason = 'The accepted row does not match its MAC: it was changed outside the ledger.'
      quarantine.push({ project: row.project, filename: row.filename, reason })
      continue
    }
    inPlan?.push(row)
    const status = statuses.get(row.project)
    if ((inPlan ? status?.status : status?.live) === 'quarantined') continue
    if (row.project !== project) [project, shard] = [row.project, shardOf(row.project)]
    const target: Target = {
      path: filePath(shard, project, row.filename),
      length: row.size,
      sha256: row.sha256,
    }
    if (row.n !== 1) target.n = row.n
    targets.push(target)
  }
  const rendered = new Set<string>()
  for (const project of planned.keys()) {
    for (const form of ['json', 'html'] as const) rendered.add(pagePath(shardOf(project), project, form))
  }
  for (const page of pages) if (!rendered.has(page.path)) targets.push(targetOf(page))
  return targets
}

const targetOf = ({ path, sha256, length }: PageRow): Target => ({ path, sha256, length })

function projectPages(
  project: string,
  bin: string,
  rows: FileRow[],
  standing: StatusFacts | undefined,
  serial: number,
  origin: string | undefined,
): PlannedPage[] {
  const shard = shardOf(project)
  const files: PageFile[] = rows.map((row) => ({
    filename: row.filename,
    sha256: row.sha256,
    size: row.size,
    uploadTime: new Date(row.uploaded).toISOString(),
    ...(row.requires_python ? { requiresPython: row.requires_python } : {}),
    ...(row.metadata_sha256 ? { coreMetadataSha256: row.metadata_sha256 } : {}),
    ...provenanceOf(row, origin),
    yanked: row.yanked === null ? false : row.yanked === '' ? true : row.yanked,
  }))
  const status = standing && standing.status !== 'deleted' ? standing.status : 'active'
  const reason = standing?.reason ? { statusReason: standing.reason } : {}
  const versions = [...new Set(rows.map((row) => row.version))]
  const page = { project, shard, versions, files, status, ...reason, serial }
  return [
    { path: pagePath(shard, project, 'json'), bin, text: renderProjectJson(page) },
    { path: pagePath(shard, project, 'html'), bin, text: renderProjectHtml(page) },
  ]
}

/** Where provenance is has to be said with its host (PEP 740). */
const provenanceOf = (row: FileRow, origin: string | undefined): Pick<PageFile, 'provenance'> =>
  row.provenance_sha256 === null || origin === undefined
    ? {}
    : { provenance: { url: `${origin}${provenancePath(row)}`, sha256: row.provenance_sha256 } }

function listPages(sql: Sql, macKey: Uint8Array, planned: Set<string>, serial: number): PlannedPage[] {
  const names = all<{ name: string }>(
    sql,
    "SELECT name FROM projects WHERE EXISTS (SELECT 1 FROM files WHERE project = name AND state = 'live')",
  ).map((row) => row.name)
  // The names of the list that is live were looked at before; of the others the files decide.
  const listed = namesOnList(sql, macKey)
  const proven = names.filter((name) => listed.has(name) || hasFiles(sql, macKey, name))
  const projects = [...new Set([...proven, ...planned])].sort()
  return [
    { path: listPath('json'), bin: 'index', text: renderListJson(projects, serial) },
    { path: listPath('html'), bin: 'index', text: renderListHtml(projects, serial) },
  ]
}

function namesOnList(sql: Sql, macKey: Uint8Array): Set<string> {
  const page = findPage(sql, listPath('json'))
  if (!page || page.publication === null || !pageMacHolds(macKey, page)) return new Set()
  const query = 'SELECT key FROM objects WHERE publication = ? AND name = ? AND chunk = 0'
  const object = one<{ key: string }>(sql, query, page.publication, page.path)
  const bytes = object && objectBytes(sql, page.publication, object.key)
  if (!bytes || sha256HexSync(bytes) !== page.sha256) return new Set()
  const { projects } = JSON.parse(new TextDecoder().decode(bytes)) as { projects: { name: string }[] }
  return new Set(projects.map(({ name }) => name))
}

const hasFiles = (sql: Sql, macKey: Uint8Array, project: string): boolean =>
  filesOfProject(sql, project).some((row) => fileMacHolds(macKey, row))

/** Next number of a role: one above everything ever signed under its name. */
export const nextVersion = (sql: Sql, role: string): number => highestVersion(sql, role) + 1
