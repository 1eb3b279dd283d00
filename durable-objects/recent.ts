// What is new: the last releases and the last projects, for feeds. State: none.
//
// Only what a live publication names is told, and only rows whose MAC holds; a project in quarantine is left out. Cost:
// at most FILES_READ rows by an index, and once for each project among them its live files (FILES_PER_PROJECT_MAX).
import { type FileRow, fileMacHolds } from './ledger/files.ts'
import { all, one } from './ledger/sql.ts'
import { findStatus } from './ledger/statuses.ts'
import type { Context } from './publication/context.ts'
import type { RecentAnswer, RecentProject, RecentRelease } from './rpc-projects.ts'

/** As many as PyPI's feed of releases had for years; a reader that asks every hour misses nothing below 40 an hour. */
const RECENT_MAX = 40
/** Ten files a release: the newest files are looked at until there are enough releases, and no further than this. */
const FILES_READ = 10 * RECENT_MAX

export function recent(ctx: Context): Extract<RecentAnswer, { ok: true }> {
  const shown = new Map<string, boolean>()
  const isShown = (project: string): boolean => {
    const known = shown.get(project) ?? findStatus(ctx.sql, ctx.custody.macKey(), project)?.live !== 'quarantined'
    shown.set(project, known)
    return known
  }
  return { ok: true, releases: newestReleases(ctx, isShown), projects: newestProjects(ctx, isShown) }
}

/** A release is as old as its first file: one more wheel does not make it new. */
function newestReleases({ sql, custody }: Context, isShown: (project: string) => boolean): RecentRelease[] {
  const newest = "SELECT * FROM files WHERE state = 'live' ORDER BY uploaded DESC LIMIT ?"
  const begun = new Map<string, Map<string, number>>()
  const begunOf = (project: string): Map<string, number> => {
    const first = "SELECT release, min(uploaded) AS t FROM files WHERE project = ? AND state = 'live' GROUP BY release"
    const known =
      begun.get(project) ??
      new Map(all<{ release: string; t: number }>(sql, first, project).map((r) => [r.release, r.t]))
    begun.set(project, known)
    return known
  }
  const releases = new Map<string, RecentRelease>()
  for (const row of all<FileRow>(sql, newest, FILES_READ)) {
    if (releases.size === RECENT_MAX) break
    const { project, version, release, uploaded } = row
    if (!isShown(project) || begunOf(project).get(release) !== uploaded) continue
    if (fileMacHolds(custody.macKey(), row)) releases.set(`${project} ${release}`, { project, version, uploaded })
  }
  return [...releases.values()]
}

/** Those that were made last and have a file that can be downloaded. */
function newestProjects({ sql }: Context, isShown: (project: string) => boolean): RecentProject[] {
  const rows = all<RecentProject & Record<string, string | number>>(
    sql,
    'SELECT name AS project, created FROM projects ORDER BY created DESC LIMIT ?',
    2 * RECENT_MAX,
  )
  const live = "SELECT 1 AS x FROM files WHERE project = ? AND state = 'live' LIMIT 1"
  return rows.filter(({ project }) => isShown(project) && one(sql, live, project) !== undefined).slice(0, RECENT_MAX)
}
