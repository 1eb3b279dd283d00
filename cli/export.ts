// `tuf-edge export`: a verified copy of a whole index as a folder that any web server can serve. State: the folder's.
//
// Order: targets, then plain files and pages, then metadata, then roots and timestamp, then the removal of what nothing
// names. A client of the folder follows the timestamp, so it sees the old state or the new one; a plain pip follows one
// page, whose files are there before it. A run that ends early is repeated, and fetches only what is missing.
// Requests: one a target that the folder does not hold, one a wheel's metadata, one a changed role, one a root.

import { parseArgs } from 'node:util'
import { parseProjectJson } from '../pypi/simple.ts'
import { type Client, initStore } from '../tuf/client.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { DownloadError, TufError } from '../tuf/errors.ts'
import { parseRoot } from '../tuf/metadata.ts'
import { targetUrlName } from '../tuf/paths.ts'
import type { TargetInfo } from '../tuf/search.ts'
import type { Transport } from '../tuf/transport.ts'
import type { TrustedSet } from '../tuf/trusted.ts'
import { verifyRole } from '../tuf/verify.ts'
import { apiUrl } from './api.ts'
import { DEFAULT_URL, nobodyThere, parseUrl, tokenOf } from './caller.ts'
import { fileStore } from './file-store.ts'
import { inLanes } from './lanes.ts'
import { MirrorFolder } from './mirror-folder.ts'
import { Progress } from './progress.ts'
import { CommandError, say } from './terminal.ts'
import { DEFAULT_ROOT, readRoot, refuseDevelopmentRoot } from './trusted-root.ts'
import { allRoots, allTargets, fetchWhole, transportOf, verifyingClient } from './whole-index.ts'

export const EXPORT_HELP = `tuf-edge export FOLDER [--index URL] [--root FILE] [--token-file FILE] [--json]

Copies a whole index, verified from the trusted root on, into a folder that any web server can serve: pages and files for
pip and uv under simple/, TUF metadata and targets under tuf/. Run it again to follow the index: it fetches what is new,
and whoever reads the folder meanwhile sees the old state or the new one. A run that was cut short goes on.

  --index URL        the index (${DEFAULT_URL})
  --root FILE        the root you trust (${DEFAULT_ROOT})
  --token-file FILE  token of a private index; else from the environment variable TUF_EDGE_TOKEN
  --json             what was done as JSON

Examples
  tuf-edge export mirror
  tuf-edge export /srv/pypi --index https://pypi.example.org --root root.json
`

/** What readers take of a metadata file at most (our face, `tuf-edge fetch`). */
const METADATA_BYTES_MAX = 8 * 10 ** 6

/** A page as a target: the list, or a project's. */
const LIST = /^simple\/vnd\.pypi\.simple\.v1\.(json|html)$/
const PAGE = /^simple\/([0-9a-f]{4})\/([a-z0-9-]+)\/vnd\.pypi\.simple\.v1\.(json|html)$/
const FILE = /^files\/[0-9a-f]{4}\/[a-z0-9-]+\/[^/]+$/

/** File names that web servers know, or can be told to serve by what is asked for. */
const PAGE_NAMES: Readonly<Record<string, string>> = { html: 'index.html', json: 'index.v1_json' }

export interface ExportReport {
  root: number
  timestamp: number
  snapshot: number
  projects: number
  files: number
  /** Targets and metadata files that were not there before, and their bytes. */
  fetched: number
  fetchedBytes: number
  /** Files that nothing names any more. */
  removed: number
}

export async function exportCommand(args: string[]): Promise<void> {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      index: text,
      root: text,
      'token-file': text,
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say(EXPORT_HELP)
    return
  }
  const [folder, ...more] = positionals
  if (folder === undefined || more.length > 0) throw new CommandError('export wants the name of one folder.', 2)
  const base = parseUrl(values.index)
  const root = readRoot(values.root ?? DEFAULT_ROOT)
  refuseDevelopmentRoot(root, new URL(base))
  const report = await exportIndex(base, root, folder, tokenOf(values['token-file']))
  if (values.json) {
    say(JSON.stringify(report, undefined, 2))
    return
  }
  const { timestamp, projects, files, fetched, fetchedBytes, removed } = report
  say(`${folder}: timestamp ${timestamp}, ${projects} projects, ${files} files, all verified`)
  say(`  ${fetched} fetched (${fetchedBytes} bytes), ${removed} removed`)
}

/** @throws CommandError, with the state of the folder that was there before still whole */
export async function exportIndex(
  base: string,
  root: Uint8Array,
  path: string,
  token?: string,
  progress = new Progress(),
): Promise<ExportReport> {
  const folder = await MirrorFolder.take(path, root)
  try {
    return await new Export(base, root, folder, transportOf(token), progress).run()
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    if (error instanceof DownloadError)
      throw new CommandError(
        `${error.message}${error.status === undefined ? ` ${nobodyThere('--index')}` : ''} Run the export again: what is there is kept.`,
      )
    throw new CommandError(`Refused: ${error.message} The folder shows what it showed before.`)
  } finally {
    progress.end()
    folder.release()
  }
}

class Export {
  readonly #base: string
  readonly #root: Uint8Array
  readonly #folder: MirrorFolder
  readonly #transport: Transport
  readonly #client: Client
  readonly #progress: Progress
  #fetched = 0
  #fetchedBytes = 0
  #done = 0

  constructor(base: string, root: Uint8Array, folder: MirrorFolder, transport: Transport, progress: Progress) {
    this.#base = base
    this.#root = root
    this.#folder = folder
    this.#transport = transport
    this.#client = verifyingClient(base, fileStore(folder.state), transport)
    this.#progress = progress
  }

  async run(): Promise<ExportReport> {
    const store = fileStore(this.#folder.state)
    if (!(await store.get('root.json'))) await initStore(store, this.#root)
    await this.#client.refresh()
    const set = this.#client.trusted!
    const roots = await allRoots(this.#base, this.#root, set, this.#transport)
    const { roles, targets } = await allTargets(
      set,
      (name, maxBytes) => fetchWhole(this.#transport, apiUrl(this.#base, `/tuf/${name}`).href, maxBytes),
      (name) => this.#folder.read(`tuf/${name}`),
    )
    const infos = await this.#reachable([...targets.keys()])
    await inLanes(infos, (info) => this.#target(info, infos.length))
    // Files before pages, pages before the list: a page is seen only when what it links to is there.
    await inLanes(
      infos.filter(({ path }) => FILE.test(path)),
      ({ path, hashes }) => this.#folder.alias(path, targetFile(path, hashes)),
    )
    const pages = infos.filter(({ path }) => PAGE.test(path))
    for (const page of pages) if (page.path.endsWith('.json')) await this.#metadataOf(page, targets)
    for (const page of pages) await this.#page(page)
    for (const page of infos.filter(({ path }) => LIST.test(path))) await this.#page(page)
    await this.#publish(set, roles, roots)
    const projects = pages.filter(({ path }) => path.endsWith('.json')).length
    return {
      root: set.root.signed.version,
      timestamp: set.timestamp!.signed.version,
      snapshot: set.snapshot!.signed.version,
      projects,
      files: infos.filter(({ path }) => FILE.test(path)).length,
      fetched: this.#fetched,
      fetchedBytes: this.#fetchedBytes,
      removed: await this.#folder.prune(),
    }
  }

  /** A role may list what nobody delegated to it; no client finds that, so it is not copied. */
  async #reachable(paths: readonly string[]): Promise<TargetInfo[]> {
    const infos: TargetInfo[] = []
    for (const path of paths) {
      const info = await this.#client.targetInfo(path)
      if (info) infos.push(info)
    }
    return infos
  }

  async #target(info: TargetInfo, total: number): Promise<void> {
    const name = targetFile(info.path, info.hashes)
    this.#progress.show('copied', this.#done++, total, this.#fetchedBytes, info.path)
    if (await this.#folder.holds(name, info.length, info.hashes.get('sha256')!)) return
    await this.#folder.pour(name, await this.#client.stream(info), (bytes) => {
      this.#fetchedBytes += bytes
      this.#progress.show('copied', this.#done, total, this.#fetchedBytes, info.path)
    })
    this.#fetched++
  }

  /** The metadata of a page's wheels: no targets, but named by digest on the page, which is one. */
  async #metadataOf(page: TargetInfo, targets: ReadonlyMap<string, unknown>): Promise<void> {
    const [, shard, project] = PAGE.exec(page.path)!
    const bytes = await this.#folder.read(targetFile(page.path, page.hashes))
    const { files } = parseProjectJson(bytes!, project!, shard!)
    await inLanes(files, async ({ filename, coreMetadataSha256 }) => {
      const path = `files/${shard}/${project}/${filename}`
      if (!targets.has(path)) throw new CommandError(`The page of '${project}' lists ${filename}, which no role signs.`)
      if (coreMetadataSha256 === undefined) return
      const name = `${path}.metadata`
      const held = await this.#folder.read(name)
      const good = held !== undefined && (await sha256Hex(held)) === coreMetadataSha256
      if (good) return this.#folder.name(name)
      const url = apiUrl(this.#base, `/files/${shard}/${project}/${encodeURIComponent(filename)}.metadata`).href
      const fetched = await fetchWhole(this.#transport, url, METADATA_BYTES_MAX)
      if ((await sha256Hex(fetched)) !== coreMetadataSha256)
        throw new CommandError(`The metadata of ${filename} is not what the signed page says: nothing was changed.`)
      await this.#folder.put(name, fetched)
      this.#fetched++
      this.#fetchedBytes += fetched.length
    })
  }

  async #page({ path, hashes }: TargetInfo): Promise<void> {
    const list = LIST.exec(path)
    const name = list
      ? `simple/${PAGE_NAMES[list[1]!]}`
      : `simple/${PAGE.exec(path)![2]}/${PAGE_NAMES[PAGE.exec(path)![3]!]}`
    await this.#folder.alias(name, targetFile(path, hashes))
  }

  /** Makes the new state the present one. */
  async #publish(set: TrustedSet, roles: readonly string[], roots: ReadonlyMap<number, Uint8Array>): Promise<void> {
    const place = async (name: string, bytes: Uint8Array) => {
      const held = await this.#folder.read(`tuf/${name}`)
      if (held && Buffer.compare(held, bytes) === 0) this.#folder.name(`tuf/${name}`)
      else await this.#folder.put(`tuf/${name}`, bytes)
    }
    const snapshot = set.snapshot!
    await inLanes(roles, async (role) => {
      const { bytes, signed } = set.targets(role)!
      await place(`${signed.version}.${role}.json`, bytes)
    })
    await place(`${snapshot.signed.version}.snapshot.json`, snapshot.bytes)
    const { before, after } = await aroundTimestamp(set, roots)
    for (const version of before) await place(`${version}.root.json`, roots.get(version)!)
    await place('timestamp.json', set.timestamp!.bytes)
    for (const version of after) await place(`${version}.root.json`, roots.get(version)!)
  }
}

/**
 * A planned change of a key takes two roots: N+1 names old and new keys, N+2 the new ones alone. So a root goes before the
 * timestamp as long as what it names did not sign the new state, and the first that did; those behind it go after.
 */
async function aroundTimestamp(set: TrustedSet, roots: ReadonlyMap<number, Uint8Array>) {
  const versions = [...roots.keys()].sort((a, b) => a - b)
  for (const [i, version] of versions.entries()) {
    const { keys, roles } = parseRoot(roots.get(version)!).signed
    const signs = await Promise.all([
      verifyRole(set.timestamp!, roles.timestamp, keys, 'timestamp'),
      verifyRole(set.snapshot!, roles.snapshot, keys, 'snapshot'),
      verifyRole(set.targets('targets')!, roles.targets, keys, 'targets'),
    ]).then(
      () => true,
      () => false,
    )
    if (signs) return { before: versions.slice(0, i + 1), after: versions.slice(i + 1) }
  }
  return { before: versions, after: [] }
}

function targetFile(path: string, hashes: ReadonlyMap<string, string>): string {
  const sha256 = hashes.get('sha256')
  if (sha256 === undefined)
    throw new CommandError(`The target "${path}" has no sha256: it is not of this kind of index.`)
  return `tuf/targets/${targetUrlName(path, sha256)}`
}
