// A repository that is to be adopted, as it lies at its owner's: behind a URL or in a folder. It is read as a client reads
// it, from the trusted root on, and whole: every root, and every role that somebody delegates to.
//
// State: what a client keeps, in `seen/`, so that a second look notices an older repository; and the roles' files in
// `roles/`, each verified again when it is read, so that a walk that broke off goes on where it was.
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Client, initStore, roleFile } from '../tuf/client.ts'
import { DownloadError, ExpiredError, MismatchError, TufError } from '../tuf/errors.ts'
import { childrenOf } from '../tuf/gate.ts'
import { LIMITS } from '../tuf/limits.ts'
import type { Envelope, Root, Targets } from '../tuf/metadata.ts'
import { type Transport, webTransport } from '../tuf/transport.ts'
import { TrustedSet } from '../tuf/trusted.ts'
import { fileStore, writeWhole } from './file-store.ts'
import { inLanes } from './lanes.ts'
import type { Progress } from './progress.ts'
import { CommandError } from './terminal.ts'
import { fetchWhole } from './whole-index.ts'

/** A client takes 256 in a refresh, and a longer chain in several; a repository is read at once. As many as tough takes. */
const ROOTS_MAX = 1_024

export interface Repository {
  /** Without a gap, from the oldest that still leads to the newest. */
  readonly roots: ReadonlyMap<number, Uint8Array>
  readonly root: Envelope<Root>
  /** `targets` and every delegated role. */
  readonly roles: ReadonlyMap<string, Envelope<Targets>>
  /** Versions that the former signer served last. */
  readonly served: { readonly snapshot: number; readonly timestamp: number }
  /** The files of these versions: what its clients hold. */
  readonly last: { readonly snapshot: Uint8Array; readonly timestamp: Uint8Array }
}

export interface WalkOptions {
  /** Where what was read is kept. */
  readonly folder: string
  readonly trusted: Uint8Array
  /** Snapshot and timestamp may have expired: nobody signs them any more. */
  readonly stale: boolean
  readonly progress: Progress
}

/** Where metadata is: ends in a slash. @throws CommandError for what is neither a URL nor a folder */
export function sourceUrl(text: string): string {
  const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : pathToFileURL(resolve(text))
  if (url.search !== '' || url.hash !== '') throw new CommandError('The metadata URL has no query and no fragment.', 2)
  return url.href.endsWith('/') ? url.href : `${url.href}/`
}

/** Reads the whole repository. @throws CommandError, with one sentence of what does not verify */
export async function walkRepository(source: string, options: WalkOptions): Promise<Repository> {
  try {
    return await new Walk(source, options).run()
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    if (error instanceof DownloadError)
      throw new CommandError(`${error.message} Run it again: what was read is kept, and nothing was changed.`)
    throw new CommandError(
      `No client would take this repository: ${error.message}${wayOut(error)} Nothing was changed.`,
    )
  } finally {
    options.progress.end()
  }
}

function wayOut(error: TufError): string {
  if (error instanceof MismatchError) return ' If it was signed again meanwhile, repeat the command.'
  // A root or a role that has expired only its owner can sign again.
  if (error instanceof ExpiredError && /^(timestamp|snapshot) /.test(error.message))
    return ' If nobody signs it any more, --stale takes it as it was left.'
  return ''
}

class Walk {
  readonly #source: string
  readonly #options: WalkOptions
  readonly #transport: Transport

  constructor(source: string, options: WalkOptions) {
    this.#source = source
    this.#options = options
    this.#transport = source.startsWith('file:') ? folderTransport : webTransport()
  }

  async run(): Promise<Repository> {
    const { folder, trusted, stale } = this.#options
    const store = fileStore(join(folder, 'seen'))
    if (!(await store.get(roleFile('root')))) await initStore(store, trusted)
    const client = new Client({
      store,
      transport: this.#transport,
      metadataUrl: this.#source,
      targetsUrl: this.#source,
      limits: { rootRotations: ROOTS_MAX },
      // Dates are judged by the gate then: those of root and roles, which no one here can sign anew.
      ...(stale && { now: () => 0 }),
    })
    await client.refresh()
    const set = client.trusted!
    return {
      roots: await this.#chain(set.root),
      root: set.root,
      roles: await this.#roles(set),
      served: { snapshot: set.snapshot!.signed.version, timestamp: set.timestamp!.signed.version },
      last: { snapshot: set.snapshot!.bytes, timestamp: set.timestamp!.bytes },
    }
  }

  /** From the trusted root to the newest; then as far back as roots lead up to it, for clients that start earlier. */
  async #chain(newest: Envelope<Root>): Promise<Map<number, Uint8Array>> {
    const { trusted } = this.#options
    const chain = await TrustedSet.start(trusted, 0)
    const first = chain.root.signed.version
    const roots = new Map([[first, trusted]])
    while (chain.root.signed.version < newest.signed.version) {
      const bytes = await this.#fetch(`${chain.root.signed.version + 1}.root.json`, LIMITS.rootBytes)
      roots.set((await chain.updateRoot(bytes)).signed.version, bytes)
    }
    if (Buffer.compare(roots.get(newest.signed.version) ?? Buffer.of(), newest.bytes) !== 0)
      throw new MismatchError('The chain of roots does not lead from the trusted one to the one that was seen before.')
    for (let version = first - 1; version > 0; version--) {
      const bytes = await this.#fetch(`${version}.root.json`, LIMITS.rootBytes).catch(() => undefined)
      if (!bytes || !(await leads(bytes, version, roots.get(version + 1)!))) break
      roots.set(version, bytes)
    }
    return new Map([...roots].sort(([a], [b]) => a - b))
  }

  async #roles(set: TrustedSet): Promise<Map<string, Envelope<Targets>>> {
    const { progress } = this.#options
    const roles = new Map([['targets', set.targets('targets')!]])
    for (const [delegator, { signed }] of roles) {
      if (!signed.delegations) continue
      await inLanes(childrenOf(signed.delegations), async (role) => {
        const held = (await set.delegated(role, delegator)) ?? (await this.#load(set, role, delegator))
        // A role that two others delegate to is walked once.
        if (!roles.has(role)) roles.set(role, held)
        progress.show('roles', roles.size, set.snapshot!.signed.meta.size, 0, role)
      })
    }
    return roles
  }

  async #load(set: TrustedSet, role: string, delegator: string): Promise<Envelope<Targets>> {
    const { version, length } = set.metaOf(role)
    const kept = join(this.#options.folder, 'roles', `${version}.${roleFile(role)}`)
    const before = await readFile(kept).catch(() => undefined)
    const known = before && (await set.updateDelegated(new Uint8Array(before), role, delegator).catch(() => undefined))
    if (known) return known
    const name = set.root.signed.consistentSnapshot ? `${version}.${roleFile(role)}` : roleFile(role)
    const bytes = await this.#fetch(name, length ?? LIMITS.targetsBytes)
    const taken = await set.updateDelegated(bytes, role, delegator)
    await writeWhole(kept, bytes)
    return taken
  }

  #fetch(name: string, maxBytes: number): Promise<Uint8Array> {
    return fetchWhole(this.#transport, this.#source + name, maxBytes)
  }
}

/** Whether a client that has this root takes the next. */
async function leads(bytes: Uint8Array, version: number, next: Uint8Array): Promise<boolean> {
  try {
    const chain = await TrustedSet.start(bytes, 0)
    if (chain.root.signed.version !== version) return false
    await chain.updateRoot(next)
    return true
  } catch (error) {
    if (error instanceof TufError) return false
    throw error
  }
}

/** Files of a folder; a role's is named as in a URL or, where that is a name of one file, as the role is. */
const folderTransport: Transport = {
  async fetch(url) {
    const encoded = url.slice(url.lastIndexOf('/') + 1)
    const folder = fileURLToPath(new URL('.', url))
    const plain = decodeURIComponent(encoded)
    for (const name of plain.includes('/') ? [encoded] : [encoded, plain]) {
      try {
        return { status: 200, body: streamOf(new Uint8Array(await readFile(join(folder, name)))) }
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined
        if (code !== 'ENOENT' && code !== 'ENOTDIR')
          throw new DownloadError(`${join(folder, name)} cannot be read (${code ?? error}).`, undefined)
      }
    }
    return { status: 404, body: streamOf(new Uint8Array()) }
  },
}

const streamOf = (bytes: Uint8Array): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes)
      controller.close()
    },
  })

/** @throws CommandError unless it is a root that is signed as it asks itself */
export async function mustBeRoot(bytes: Uint8Array, what: string): Promise<Envelope<Root>> {
  try {
    return (await TrustedSet.start(bytes, 0)).root
  } catch (error) {
    if (error instanceof TufError) throw new CommandError(`${what} is no root that can be trusted: ${error.message}`)
    throw error
  }
}
