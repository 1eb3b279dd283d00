// `/pypi/{project}/json` and `/pypi/{project}/{version}/json`: Warehouse's shape, as far as signed data goes. State: none.
// The page says which files there are, and its digest of a METADATA what the release says of itself; fields nobody signed
// (downloads, MD5, comments) are what Warehouse writes for "unknown".
// Bucket reads: 1 warm; cold those of `publication.ts`, the page and one METADATA.

import { type CoreMetadata, parseCoreMetadata } from '../pypi/core-metadata.ts'
import { parseFilename } from '../pypi/filenames.ts'
import { encodeSegment, isValidName, normalizeName } from '../pypi/names.ts'
import type { PageFile, ProjectPage } from '../pypi/page.ts'
import { Refusal } from '../pypi/refusal.ts'
import { parseVersion, releaseKey } from '../pypi/versions.ts'
import { baseOf } from '../tuf/layout.ts'
import { urlOf } from './addresses.ts'
import type { Env } from './env.ts'
import { metadataOf } from './files.ts'
import { segmentsBehind } from './paths.ts'
import { findRelease, isYanked, latestOf, type ProjectData, readProject } from './project-data.ts'
import type { Publication } from './publication.ts'
import type { Reader } from './reader.ts'

type Release = ProjectData['releases'][number]

/** @param path raw, beginning with `/pypi/` */
export async function answerPypiJson(env: Env, reader: Reader, request: Request, path: string): Promise<Response> {
  const publication = await reader.current(env)
  const segments = segmentsBehind('/pypi/', path)
  if (segments?.at(-1) !== 'json' || segments.length < 2 || segments.length > 3) return notFound()
  const [name, version] = segments.length === 3 ? (segments as [string, string]) : [segments[0]!, undefined]
  if (!isValidName(name) || (version !== undefined && !parseVersion(version))) return notFound()
  const project = normalizeName(name)
  if (project !== name) {
    const rest = version === undefined ? '' : `/${encodeSegment(version)}`
    return new Response(null, {
      status: 301,
      headers: { Location: `${baseOf(reader.repository)}/pypi/${project}${rest}/json` },
    })
  }
  const data = await readProject(env, reader, publication, project)
  if (!data) return notFound()
  const release = version === undefined ? latestOf(data.releases) : findRelease(data.releases, releaseKey(version))
  if (!release) return notFound()
  const index = urlOf(reader.repository, request)
  const metadata = await aboutRelease(env, reader, publication, data.page, release)
  const urls = (files: readonly PageFile[]) => files.map((file) => fileOf(index, data.page, file))
  const body = {
    info: infoOf(index, project, release, metadata),
    last_serial: data.serial,
    ...(version === undefined
      ? { releases: Object.fromEntries(data.releases.map((each) => [each.version, urls(each.files)])) }
      : {}),
    urls: urls(release.files),
    vulnerabilities: [],
  }
  return new Response(JSON.stringify(body), {
    headers: {
      'Content-Type': 'application/json',
      'Cache-Control': request.headers.has('Authorization') ? 'private, no-cache' : 'public, no-cache',
      'X-PyPI-Last-Serial': String(data.serial),
    },
  })
}

/** As Warehouse answers; clients of this API look for `message`. */
const notFound = (): Response =>
  new Response('{"message": "Not Found"}', {
    status: 404,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
  })

async function aboutRelease(
  env: Env,
  reader: Reader,
  publication: Publication,
  page: ProjectPage,
  { files }: Release,
): Promise<CoreMetadata | undefined> {
  const file = files.find(({ coreMetadataSha256 }) => coreMetadataSha256 !== undefined)
  if (!file) return undefined
  const target = await publication.find(env, `files/${page.shard}/${page.project}/${file.filename}`)
  const held = target && (await metadataOf(env, reader, publication, page.project, target))
  try {
    return held && parseCoreMetadata(held.bytes)
  } catch (error) {
    // Accepted by an earlier release's rules: the files are shown, and what they say of themselves is not.
    if (error instanceof Refusal) return undefined
    throw error
  }
}

function infoOf(index: string, project: string, { version, files }: Release, about: CoreMetadata | undefined) {
  const field = (name: string): string | null => about?.fields.get(name)?.[0] ?? null
  const list = (values: readonly string[] | undefined) => (values && values.length > 0 ? values : null)
  const yanked = isYanked(files)
  const reason = files.map((file) => file.yanked).find((text) => typeof text === 'string')
  const urls = about?.projectUrls ?? []
  return {
    author: field('author'),
    author_email: field('author-email'),
    bugtrack_url: null,
    classifiers: about?.classifiers ?? [],
    description: about?.description ?? null,
    description_content_type: about?.descriptionContentType ?? null,
    docs_url: null,
    download_url: field('download-url'),
    downloads: { last_day: -1, last_month: -1, last_week: -1 },
    dynamic: list(about?.dynamic),
    home_page: field('home-page'),
    keywords: about?.keywords ?? null,
    license: about?.license ?? null,
    license_expression: about?.licenseExpression ?? null,
    license_files: list(about?.licenseFiles),
    maintainer: field('maintainer'),
    maintainer_email: field('maintainer-email'),
    name: about?.name ?? project,
    package_url: `${index}/simple/${project}/`,
    platform: field('platform'),
    project_url: `${index}/simple/${project}/`,
    project_urls: urls.length > 0 ? Object.fromEntries(urls) : null,
    provides_extra: list(about?.providesExtra),
    release_url: `${index}/pypi/${project}/${encodeSegment(version)}/json`,
    requires_dist: list(about?.requiresDist),
    requires_python: about?.requiresPython ?? files[0]?.requiresPython ?? null,
    summary: about?.summary ?? null,
    version,
    yanked,
    yanked_reason: yanked && reason ? reason : null,
  }
}

function fileOf(index: string, { shard, project }: ProjectPage, file: PageFile) {
  const parsed = parseFilename(file.filename)
  const time = file.uploadTime.replace(/Z$/, '')
  return {
    comment_text: null,
    digests: { sha256: file.sha256 },
    downloads: -1,
    filename: file.filename,
    has_sig: false,
    packagetype: parsed.kind,
    python_version: parsed.kind === 'sdist' ? 'source' : parsed.python.join('.'),
    requires_python: file.requiresPython ?? null,
    size: file.size,
    upload_time: time.replace(/\.\d+$/, ''),
    upload_time_iso_8601: file.uploadTime,
    url: `${index}/files/${shard}/${project}/${encodeSegment(file.filename)}`,
    yanked: file.yanked !== false,
    yanked_reason: typeof file.yanked === 'string' ? file.yanked : null,
  }
}
