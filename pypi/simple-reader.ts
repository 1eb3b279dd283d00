// Reads a JSON project page, ours or a mirror's copy of it. Strict: what does not say all that a page must say, or links
// out of its project's folder, is no page. Unknown keys are ignored (PEP 629: minor versions add). No third-party imports.
import { API_VERSION, isPageFile, type PageFile, type ProjectPage, type ProjectStatus } from './page.ts'

/** The bytes are not a project page of this index; the message says what is wrong first. */
export class PageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'PageError'
  }
}

type Json = Record<string, unknown>

function object(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  throw new PageError(`${what} is not an object`)
}

function list(value: unknown, what: string): unknown[] {
  if (Array.isArray(value)) return value
  throw new PageError(`${what} is not a list`)
}

function text(value: unknown, what: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw new PageError(`${what} is not a text`)
}

/** Optional texts: null means absent, which the specification allows for them. */
function optionalText(value: unknown, what: string): string | undefined {
  return value === undefined || value === null ? undefined : text(value, what)
}

/** The name a link leads to, if it is the link to a file of this project's folder and nothing else. */
function linkedName(url: string, shard: string, project: string): string | null {
  const folder = `../../files/${shard}/${project}/`
  if (!url.startsWith(folder)) return null
  const segment = url.slice(folder.length)
  if (!/^(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})+$/.test(segment) || segment === '.' || segment === '..') return null
  try {
    const name = decodeURIComponent(segment)
    return /[/\\]/.test(name) || name === '.' || name === '..' ? null : name
  } catch {
    return null
  }
}

function parseFile(value: unknown, shard: string, project: string): PageFile {
  const file = object(value, 'a file')
  const filename = text(file.filename, 'filename')
  if (linkedName(text(file.url, `${filename}: url`), shard, project) !== filename)
    throw new PageError(`${filename}: url does not lead to files/${shard}/${project}/`)
  const yanked = file.yanked ?? false
  if (typeof yanked !== 'boolean' && typeof yanked !== 'string') throw new PageError(`${filename}: bad yanked`)
  const metadata = file['core-metadata']
  const requiresPython = optionalText(file['requires-python'], `${filename}: requires-python`)
  const coreMetadataSha256 =
    metadata === undefined || metadata === null || metadata === false
      ? undefined
      : text(object(metadata, `${filename}: core-metadata`).sha256, `${filename}: core-metadata sha256`)
  const url = optionalText(file.provenance, `${filename}: provenance`)
  // Of another index's page, or one that names no digest, nothing is known of the object.
  const provenanceSha256 = optionalText(file['_provenance-sha256'], `${filename}: _provenance-sha256`)
  const parsed: PageFile = {
    filename,
    sha256: text(object(file.hashes, `${filename}: hashes`).sha256, `${filename}: sha256`),
    size: file.size as number,
    uploadTime: text(file['upload-time'], `${filename}: upload-time`),
    ...(requiresPython === undefined ? {} : { requiresPython }),
    ...(coreMetadataSha256 === undefined ? {} : { coreMetadataSha256 }),
    ...(url === undefined || provenanceSha256 === undefined ? {} : { provenance: { url, sha256: provenanceSha256 } }),
    yanked: yanked === '' ? true : yanked,
  }
  if (!isPageFile(parsed)) throw new PageError(`${filename}: bad size, upload-time or digest`)
  return parsed
}

const STATUSES: readonly string[] = ['active', 'archived', 'quarantined', 'deprecated'] satisfies ProjectStatus[]

/**
 * The page in `bytes`, which must be about `project`, linking to `files/{shard}/{project}/` only.
 * Throws PageError for anything else. The caller has already checked the bytes against their signed digest.
 */
export function parseProjectJson(bytes: Uint8Array, project: string, shard: string): ProjectPage {
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    throw new PageError('not JSON')
  }
  const page = object(parsed, 'the page')
  const version = text(object(page.meta, 'meta')['api-version'], 'api-version')
  if (!/^1\.\d+$/.test(version)) throw new PageError(`api-version is ${version}, not ${API_VERSION}`)
  if (page.name !== project) throw new PageError(`the page is not about ${project}`)
  const files = list(page.files, 'files').map((file) => parseFile(file, shard, project))
  if (new Set(files.map((file) => file.filename)).size !== files.length) throw new PageError('a file is there twice')
  const status = page['project-status'] === undefined ? undefined : object(page['project-status'], 'project-status')
  const statusText = status && text(status.status, 'project-status')
  if (statusText !== undefined && !STATUSES.includes(statusText)) throw new PageError(`unknown status ${statusText}`)
  const statusReason = status && optionalText(status.reason, 'reason')
  return {
    project,
    shard,
    versions: list(page.versions, 'versions').map((each) => text(each, 'a version')),
    files,
    ...(statusText === undefined ? {} : { status: statusText as ProjectStatus }),
    ...(statusReason === undefined ? {} : { statusReason }),
  }
}
