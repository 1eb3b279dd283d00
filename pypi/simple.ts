// Simple pages (PEP 503, 592, 629, 691, 700, 714, 792; API version 1.4): rendered once per change, stored and signed.
// Invariant: the same input gives the same bytes, in any order it is given; a page's links stay inside its project's
// folder. The publisher's bundle contains this file: no third-party imports.
import { encodeSegment } from './names.ts'
import { API_VERSION, isPageFile, type PageFile, type ProjectPage } from './page.ts'

export { API_VERSION, type PageFile, type ProjectPage, type ProjectStatus } from './page.ts'
export { PageError, parseProjectJson } from './simple-reader.ts'

// Order by UTF-16 units, not by locale: it must be the same on every machine for ever.
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function sortedUnique(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort(byText)
}

// The files a page offers, by name. A quarantined project offers none (PEP 792): pip and poetry do not read the status.
function offered(page: ProjectPage): PageFile[] {
  if (page.status === 'quarantined') return []
  const files = new Map<string, PageFile>()
  for (const file of page.files) {
    if (!isPageFile(file)) throw new TypeError(`page of ${page.project}: bad entry for ${file.filename}`)
    if (files.has(file.filename)) throw new TypeError(`page of ${page.project}: ${file.filename} is there twice`)
    files.set(file.filename, file)
  }
  return [...files.values()].sort((a, b) => byText(a.filename, b.filename))
}

/** A file's URL relative to `{index}/simple/{project}/`: no query string, since pip appends `.metadata` to it. */
function fileUrl(page: ProjectPage, filename: string): string {
  return `../../files/${page.shard}/${page.project}/${encodeSegment(filename)}`
}

/** Path of the provenance object (PyPI's Integrity API). */
export const provenancePath = (file: { project: string; version: string; filename: string }): string =>
  `/integrity/${file.project}/${encodeSegment(file.version)}/${encodeSegment(file.filename)}/provenance`

// An empty reason is no reason: PEP 592's attribute without a value, and JSON's plain true.
function yankedValue(yanked: boolean | string): boolean | string {
  return yanked === '' ? true : yanked
}

// Warehouse's name for it; bandersnatch and pypi-simple know it, and PEP 691 leaves what begins with `_` to each index.
function metaOf(serial: number | undefined): Record<string, unknown> {
  return { ...(serial === undefined ? {} : { '_last-serial': serial }), 'api-version': API_VERSION }
}

/** `simple/{shard}/{project}/vnd.pypi.simple.v1.json`: the JSON form of a project page. */
export function renderProjectJson(page: ProjectPage): string {
  const { status, statusReason, serial } = page
  return JSON.stringify({
    meta: metaOf(serial),
    name: page.project,
    // A top-level object, as Warehouse writes and uv reads it; other clients ignore it.
    ...(status && status !== 'active'
      ? { 'project-status': { status, ...(statusReason ? { reason: statusReason } : {}) } }
      : {}),
    versions: sortedUnique(page.versions),
    files: offered(page).map((file) => ({
      filename: file.filename,
      url: fileUrl(page, file.filename),
      hashes: { sha256: file.sha256 },
      size: file.size,
      'upload-time': file.uploadTime,
      ...(file.requiresPython ? { 'requires-python': file.requiresPython } : {}),
      // Never `dist-info-metadata` here: pip 22.3 to 23.1 crash on it (pip#12042).
      ...(file.coreMetadataSha256 ? { 'core-metadata': { sha256: file.coreMetadataSha256 } } : {}),
      // The digest is for this index itself, which serves what was signed: PEP 691 leaves `_` to each.
      ...(file.provenance ? { provenance: file.provenance.url, '_provenance-sha256': file.provenance.sha256 } : {}),
      yanked: yankedValue(file.yanked),
    })),
  })
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

// `>` too: hatch finds anchors with `<a [^>]+>`.
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => ESCAPES[c]!)
}

function htmlPage(
  title: string,
  metas: readonly (readonly [string, string])[],
  body: readonly string[],
  serial: number | undefined,
): string {
  return [
    '<!DOCTYPE html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    ...metas.map(([name, content]) => `<meta name="${name}" content="${escapeHtml(content)}">`),
    `<title>${escapeHtml(title)}</title>`,
    '</head>',
    '<body>',
    `<h1>${escapeHtml(title)}</h1>`,
    ...body,
    '</body>',
    '</html>',
    // As Warehouse has it.
    ...(serial === undefined ? [] : [`<!--SERIAL ${serial}-->`]),
    '',
  ].join('\n')
}

const VERSION_META = ['pypi:repository-version', API_VERSION] as const

function anchor(page: ProjectPage, file: PageFile): string {
  const metadata = file.coreMetadataSha256 && `sha256=${file.coreMetadataSha256}`
  const attributes: [string, string | undefined][] = [
    ['href', `${fileUrl(page, file.filename)}#sha256=${file.sha256}`],
    ['data-requires-python', file.requiresPython || undefined],
    // Both spellings, the old one for pip before 23.2 (PEP 714).
    ['data-dist-info-metadata', metadata],
    ['data-core-metadata', metadata],
    ['data-provenance', file.provenance?.url],
    ['data-yanked', file.yanked === false ? undefined : file.yanked === true ? '' : file.yanked],
  ]
  const written = attributes.flatMap(([name, value]) => (value === undefined ? [] : [`${name}="${escapeHtml(value)}"`]))
  return `<a ${written.join(' ')}>${escapeHtml(file.filename)}</a><br>`
}

/** `simple/{shard}/{project}/vnd.pypi.simple.v1.html`: the HTML form of a project page (frozen by PEP 833). */
export function renderProjectHtml(page: ProjectPage): string {
  const { status, statusReason } = page
  const metas: (readonly [string, string])[] = [VERSION_META]
  if (status && status !== 'active') {
    metas.push(['pypi:project-status', status])
    if (statusReason) metas.push(['pypi:project-status-reason', statusReason])
  }
  return htmlPage(
    `Links for ${page.project}`,
    metas,
    offered(page).map((file) => anchor(page, file)),
    page.serial,
  )
}

/** `simple/vnd.pypi.simple.v1.json`: the project list. `projects` are normalised names. */
export function renderListJson(projects: readonly string[], serial?: number): string {
  return JSON.stringify({
    meta: metaOf(serial),
    projects: sortedUnique(projects).map((name) => ({ name })),
  })
}

/** `simple/vnd.pypi.simple.v1.html`: the project list as HTML. Links are relative to `{index}/simple/`. */
export function renderListHtml(projects: readonly string[], serial?: number): string {
  return htmlPage(
    'Simple index',
    [VERSION_META],
    sortedUnique(projects).map((name) => `<a href="${encodeSegment(name)}/">${escapeHtml(name)}</a><br>`),
    serial,
  )
}
