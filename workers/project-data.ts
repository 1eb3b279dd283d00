// What the index knows of a project, read from signed bytes alone: its JSON page and the METADATA of its files. State:
// none. Invariant: everything returned belongs to the one publication that is passed in.
// Bucket reads beside the timestamp's: the page 1, a METADATA 1; none when in memory.
import { parseFilename } from '../pypi/filenames.ts'
import type { PageFile, ProjectPage } from '../pypi/page.ts'
import { PageError, parseProjectJson } from '../pypi/simple.ts'
import { compareVersions, isPrerelease, releaseKey, sortVersions } from '../pypi/versions.ts'
import { shardOf } from '../tuf/bins.ts'
import { objectOf } from './content.ts'
import type { Env } from './env.ts'
import { Corrupt } from './errors.ts'
import type { Publication } from './publication.ts'
import type { Reader } from './reader.ts'
import { serialOf } from './serial.ts'
import { listTarget, projectTarget } from './simple.ts'

export interface ProjectData {
  page: ProjectPage
  /** Number of the snapshot that first named this page. */
  serial: number
  /** Versions with their files, newest first. */
  releases: { version: string; files: PageFile[] }[]
}

/** Undefined: the publication has no such project. @param project normalised */
export async function readProject(
  env: Env,
  reader: Reader,
  publication: Publication,
  project: string,
): Promise<ProjectData | undefined> {
  const target = await publication.find(env, projectTarget(project, 'json'))
  if (!target) return undefined
  const bytes = await reader.whole(env, objectOf(publication.trusted.place, target), reader.pages)
  const page = parsed(project, () => parseProjectJson(bytes, project, shardOf(project)))
  return { page, serial: serialOf(bytes) ?? 0, releases: releasesOf(page) }
}

/** Names on the signed list, in its order. */
export async function readNames(env: Env, reader: Reader, publication: Publication): Promise<string[]> {
  const target = await publication.find(env, listTarget('json'))
  if (!target) return []
  const bytes = await reader.whole(env, objectOf(publication.trusted.place, target), reader.pages)
  const { projects } = JSON.parse(new TextDecoder().decode(bytes)) as { projects: { name: string }[] }
  return projects.map(({ name }) => name)
}

function releasesOf(page: ProjectPage): ProjectData['releases'] {
  const byVersion = new Map<string, PageFile[]>()
  for (const file of page.files) {
    const { version } = parsed(page.project, () => parseFilename(file.filename))
    const files = byVersion.get(version) ?? []
    byVersion.set(version, files)
    files.push(file)
  }
  return sortVersions([...byVersion.keys()])
    .reverse()
    .map((version) => ({ version, files: byVersion.get(version)! }))
}

export const isYanked = (files: readonly PageFile[]): boolean => files.every(({ yanked }) => yanked !== false)

/** The release that is shown when none is asked for, as Warehouse has it: neither yanked nor a pre-release, if one is. */
export function latestOf(releases: ProjectData['releases']): ProjectData['releases'][number] | undefined {
  const held = releases.filter(({ files }) => !isYanked(files))
  const among = held.length > 0 ? held : releases
  return [...among].sort((a, b) => {
    const [pre, other] = [isPrerelease(a.version), isPrerelease(b.version)]
    return pre === other ? compareVersions(b.version, a.version) : Number(pre) - Number(other)
  })[0]
}

/** In any spelling of the version that makes the same release. */
export const findRelease = (releases: ProjectData['releases'], release: string) =>
  releases.find(({ version }) => releaseKey(version) === release)

function parsed<T>(project: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof PageError ? new Corrupt(`the page of ${project} cannot be read: ${error.message}.`) : error
  }
}
