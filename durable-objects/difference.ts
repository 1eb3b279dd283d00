// What the public repository lists and this ledger does not, or the other way round: computed before anything is written,
// and computed again before it is applied. State: none. Files come from verified bins, what a page adds to them (times,
// requirements, yanks) from verified pages; the bucket itself is asked for nothing but whether a file's bytes are there.
import { parseFilename } from '../pypi/filenames.ts'
import { Refusal } from '../pypi/refusal.ts'
import { PageError, type PageFile, parseProjectJson } from '../pypi/simple.ts'
import { releaseKey } from '../pypi/versions.ts'
import { binNames, INDEX_ROLE, shardOf } from '../tuf/bins.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { blobKey, blobMetadataKey } from '../tuf/layout.ts'
import type { TargetFile } from '../tuf/metadata.ts'
import { PROFILE } from './initialise.ts'
import { type FileFacts, type FileRow, filesOfBin, findFile } from './ledger/files.ts'
import { liveRole } from './ledger/roles.ts'
import { one } from './ledger/sql.ts'
import { PublicError, type PublicRepository, readPage, readRole, type SignedFile } from './public-repository.ts'
import { retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'
import { pagePath } from './publication/plan.ts'
import type { Difference } from './rpc.ts'

export interface PublicPage {
  path: string
  bin: string
  sha256: string
  length: number
}

/** Everything `resume` writes; `shown` is the part for people. */
export interface Changes {
  shown: Difference
  /** SHA-256 over everything below and the public versions: two equal digests are the same change. */
  digest: string
  added: FileFacts[]
  /** Facts of files in both that a page states otherwise than the ledger: public is the later word. */
  updated: FileFacts[]
  missing: { project: string; filename: string }[]
  pages: PublicPage[]
  /** Projects to be rendered again. */
  projects: Map<string, { bin: string; filename: string }>
  /** Public files of online roles that are not the ledger's live ones. */
  roles: SignedFile[]
}

/** @throws PublicError, RetryableFault */
export async function compareWithPublic(ctx: Context, repository: PublicRepository): Promise<Changes> {
  const { timestamp, snapshot } = repository
  const changes: Changes = {
    shown: {
      timestamp: timestamp.version,
      snapshot: snapshot.version,
      added: [],
      withoutBytes: [],
      missing: [],
      differing: [],
      roles: [],
    },
    digest: '',
    added: [],
    updated: [],
    missing: [],
    pages: [],
    projects: new Map(),
    roles: [],
  }
  for (const name of [...binNames(PROFILE), INDEX_ROLE]) {
    const { targets, ...file } = await readRole(ctx, repository, name, name === INDEX_ROLE ? 'targets' : 'bins')
    if (liveRole(ctx.sql, name)?.sha256 !== file.sha256) changes.roles.push(file)
    collectPages(ctx, name, targets, changes)
    if (name !== INDEX_ROLE) await compareBin(ctx, name, targets, changes)
  }
  for (const role of [timestamp, snapshot])
    if (liveRole(ctx.sql, role.name)?.sha256 !== role.sha256) changes.roles.push(role)
  changes.shown.roles = changes.roles.map(({ name, version }) => `${name} ${version}`)
  changes.digest = await sha256Hex(
    new TextEncoder().encode(
      JSON.stringify([
        changes.shown,
        timestamp.sha256,
        changes.added,
        changes.updated,
        changes.pages,
        changes.roles.map(({ sha256 }) => sha256),
      ]),
    ),
  )
  return changes
}

function collectPages(ctx: Context, bin: string, targets: ReadonlyMap<string, TargetFile>, changes: Changes): void {
  for (const [path, { length, hashes }] of targets) {
    if (!path.startsWith('simple/')) continue
    const sha256 = hashes.get('sha256') ?? ''
    const known = one<{ sha256: string }>(ctx.sql, 'SELECT sha256 FROM pages WHERE path = ?', path)
    if (known?.sha256 !== sha256) changes.pages.push({ path, bin, sha256, length })
  }
}

async function compareBin(
  ctx: Context,
  bin: string,
  targets: ReadonlyMap<string, TargetFile>,
  changes: Changes,
): Promise<void> {
  const projects = new Map<string, Map<string, TargetFile>>()
  for (const [path, file] of targets) {
    const [kind, , project, filename] = path.split('/') as [string, string, string, string]
    const files = projects.get(project) ?? new Map<string, TargetFile>()
    projects.set(project, files)
    if (kind === 'files') files.set(filename, file)
  }
  for (const row of filesOfBin(ctx.sql, bin)) {
    if (row.state !== 'live' || projects.get(row.project)?.has(row.filename)) continue
    changes.missing.push({ project: row.project, filename: row.filename })
    changes.shown.missing.push(`${row.project}/${row.filename}`)
    changes.projects.set(row.project, { bin, filename: row.filename })
  }
  for (const [project, files] of projects) await compareProject(ctx, bin, project, files, targets, changes)
}

async function compareProject(
  ctx: Context,
  bin: string,
  project: string,
  files: ReadonlyMap<string, TargetFile>,
  targets: ReadonlyMap<string, TargetFile>,
  changes: Changes,
): Promise<void> {
  const shard = shardOf(project)
  const path = pagePath(shard, project, 'json')
  const page = targets.get(path)
  const samePage = !changes.pages.some((changed) => changed.path === path)
  const rows = new Map([...files.keys()].map((filename) => [filename, findFile(ctx.sql, project, filename)]))
  if (samePage && [...rows.values()].every((row) => row?.state === 'live')) return
  if (!page) throw new PublicError(`The public ${bin} lists files of ${project} and no page of it.`)
  const described = new Map(parsePage(await readPage(ctx, path, page), project, shard).map((f) => [f.filename, f]))
  let last = ''
  for (const [filename, target] of files) {
    const file = described.get(filename)
    const row = rows.get(filename)
    const sha256 = target.hashes.get('sha256') ?? ''
    const name = `${project}/${filename}`
    last = filename
    if (row && row.state !== 'live' && row.state !== 'staged')
      changes.shown.differing.push({ file: name, why: `public, and ${row.state} in this ledger: stays ${row.state}` })
    else if (row && row.sha256 !== sha256)
      changes.shown.differing.push({
        file: name,
        why: `public as ${sha256}, accepted here as ${row.sha256}: stays ours`,
      })
    else if (file && file.sha256 === sha256)
      await compareFile(ctx, factsOf(bin, project, target, file, row), row, changes)
    else changes.shown.differing.push({ file: name, why: 'listed as a target and not on its page: left out' })
  }
  if (last !== '') changes.projects.set(project, { bin, filename: last })
}

async function compareFile(ctx: Context, facts: FileFacts, row: FileRow | undefined, changes: Changes): Promise<void> {
  const { project, filename, sha256, n, size } = facts
  if (row) {
    const fields = (
      ['n', 'uploaded', 'requires_python', 'metadata_sha256', 'provenance_sha256', 'yanked'] as const
    ).filter((field) => row[field] !== facts[field])
    if (fields.length === 0) return
    changes.updated.push(facts)
    changes.shown.differing.push({
      file: `${project}/${filename}`,
      why: `public has other ${fields.join(', ')}: taken`,
    })
    return
  }
  if ((await retrying(ctx, () => ctx.bucket.head(blobKey(ctx.place, sha256, n))))?.size !== size) {
    changes.shown.withoutBytes.push(`${project}/${filename}`)
    return
  }
  if (facts.metadata_sha256 !== null) {
    const head = await retrying(ctx, () => ctx.bucket.head(blobMetadataKey(ctx.place, sha256, n)))
    facts.metadata_size = head?.size ?? null
  }
  changes.added.push(facts)
  changes.shown.added.push(`${project}/${filename}`)
}

function factsOf(
  bin: string,
  project: string,
  target: TargetFile,
  file: PageFile,
  row: FileRow | undefined,
): FileFacts {
  const { filename, sha256 } = file
  const name = parseName(filename)
  const n = target.custom?.get('n') ?? 1
  if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 1)
    throw new PublicError(`The public ${bin} gives ${filename} a store number that is none.`)
  return {
    project,
    filename,
    bin,
    sha256,
    size: target.length,
    n,
    version: name.version,
    release: releaseKey(name.version),
    filetype: name.kind,
    uploaded: Date.parse(file.uploadTime),
    requires_python: file.requiresPython ?? null,
    metadata_sha256: file.coreMetadataSha256 ?? null,
    metadata_size: row?.metadata_size ?? null,
    yanked: file.yanked === false ? null : file.yanked === true ? '' : file.yanked,
    provenance_sha256: file.provenance?.sha256 ?? null,
  }
}

function parsePage(bytes: Uint8Array, project: string, shard: string): readonly PageFile[] {
  try {
    return parseProjectJson(bytes, project, shard).files
  } catch (error) {
    if (error instanceof PageError)
      throw new PublicError(`The public page of ${project} cannot be read: ${error.message}.`)
    throw error
  }
}

function parseName(filename: string) {
  try {
    return parseFilename(filename)
  } catch (error) {
    if (error instanceof Refusal) throw new PublicError(`The public index lists ${filename}: ${error.message}`)
    throw error
  }
}
