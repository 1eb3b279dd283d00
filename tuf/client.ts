// The verifying client: fetches metadata and targets, keeps what it trusts, hands out nothing it has not verified
// (TUF 1.0.34, 5). The rules are in `trusted.ts` and `search.ts`; here is the I/O and its order.
//
// What the store holds: `root.json`, `timestamp.json`, `snapshot.json`, `targets.json` and `{role}.json`, each byte for
// byte as received and each verified before it was put. A root is put as soon as it is verified, even if it has expired,
// so that a client never falls behind it, and is kept before anything is asked of its keys; every other file only when it
// is good in every respect. Those puts overlap each other and the next request (a disk takes longer than a server nearby),
// and a run ends when they have. A crash may leave any of them older, which the next run replaces: each is verified again
// when it is read, and the newest of each kind goes on binding.
import { isHashName, timingSafeEqual } from './digest.ts'
import { DownloadError, FormatError, TufError, UsageError } from './errors.ts'
import { LIMITS, type Limits } from './limits.ts'
import { encodeSegment, targetUrlName, targetUrlPath } from './paths.ts'
import { findTarget, type TargetInfo } from './search.ts'
import { type Expected, readAll, verifiedStream } from './stream.ts'
import type { Targets } from './targets.ts'
import type { Transport } from './transport.ts'
import { TrustedSet } from './trusted.ts'

/** Where a client keeps trusted metadata between runs. */
export interface Store {
  /** The bytes put last under this file name, or undefined. */
  get(file: string): Promise<Uint8Array | undefined>
  /**
   * Replaces a file; on return it must survive a crash whole (old or new, never a part). Puts of several files overlap,
   * those of one file do not.
   */
  put(file: string, bytes: Uint8Array): Promise<void>
}

export interface ClientOptions {
  store: Store
  transport: Transport
  /** Where `timestamp.json` is. */
  metadataUrl: string
  /** Where target paths start. */
  targetsUrl: string
  /** Milliseconds since 1970. */
  now?: () => number
  limits?: Partial<Limits>
}

/** The file name of a role in a store and, behind the version, in a URL: percent-encoded, so that no name escapes. */
export function roleFile(role: string): string {
  return `${encodeSegment(role)}.json`
}

/**
 * Puts the root that everything else will be verified from into an empty store. Nothing is fetched.
 *
 * @throws {TufError} if it is not a root signed as it asks itself
 */
export async function initStore(store: Store, rootBytes: Uint8Array): Promise<void> {
  await TrustedSet.start(rootBytes, 0)
  await store.put(roleFile('root'), rootBytes)
}

export class Client {
  readonly #store: Store
  readonly #transport: Transport
  readonly #metadataUrl: string
  readonly #targetsUrl: string
  readonly #now: () => number
  readonly #limits: Limits
  #set: TrustedSet | undefined
  #refreshing: Promise<void> | undefined
  /** File → its put that is under way, or failed and nobody was told. */
  readonly #puts = new Map<string, Promise<void>>()

  constructor(options: ClientOptions) {
    this.#store = options.store
    this.#transport = options.transport
    this.#metadataUrl = withSlash(options.metadataUrl)
    this.#targetsUrl = withSlash(options.targetsUrl)
    this.#now = options.now ?? Date.now
    this.#limits = { ...LIMITS, ...options.limits }
  }

  /** What is trusted since the last successful refresh. */
  get trusted(): TrustedSet | undefined {
    return this.#set
  }

  /**
   * Brings root, timestamp, snapshot and targets up to date. Look-ups go on with the former state until this succeeds;
   * calls that overlap share one run.
   *
   * @throws {TufError} whatever was refused; what was verified before it is kept
   */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /**
   * What the repository says about a target; undefined means that it has no such target. Refreshes first if that has not
   * happened yet. All answers between two refreshes belong to one snapshot.
   */
  async targetInfo(path: string): Promise<TargetInfo | undefined> {
    if (!this.#set) await this.refresh()
    const set = this.#set!
    return this.#keeping(() =>
      findTarget(path, (role, delegator) => this.#load(set, role, delegator), this.#limits.delegations),
    )
  }

  /**
   * Fetches a target as a stream that fails before its end if the content is wrong; see `verifiedStream`.
   *
   * @throws {DownloadError} if the server does not answer 200
   */
  async stream(info: Expected & { readonly path: string }): Promise<ReadableStream<Uint8Array>> {
    if (!this.#set) throw new UsageError('Look a target up before downloading it.')
    const url = this.#targetsUrl + targetUrlPath(this.#targetName(info, this.#set.root.signed.consistentSnapshot))
    return verifiedStream(await this.#fetch(url, info.length), info, `The target "${info.path}"`)
  }

  /** Fetches a target whole; it is in memory while it is verified. */
  async download(info: Expected & { readonly path: string }): Promise<Uint8Array> {
    return readAll(await this.stream(info), info.length, `The target "${info.path}"`)
  }

  async #refresh(): Promise<void> {
    const rootBytes = await this.#store.get(roleFile('root'))
    if (!rootBytes) throw new UsageError('The store holds no root; put the one you trust there first.')
    const set = await TrustedSet.start(rootBytes, this.#now())
    await this.#refreshRoot(set)
    await this.#keeping(async () => {
      await this.#refreshTimestamp(set)
      await this.#refreshSnapshot(set)
      await this.#load(set, 'targets', 'root')
    })
    this.#set = set
  }

  /** 5.3: every root after the present one, until there is none. */
  async #refreshRoot(set: TrustedSet): Promise<void> {
    for (let i = 0; i < this.#limits.rootRotations; i++) {
      const next = set.root.signed.version + 1
      const bytes = await this.#nextRoot(`${next}.root.json`)
      if (!bytes) return
      await set.updateRoot(bytes)
      await this.#store.put(roleFile('root'), bytes)
    }
  }

  /**
   * Only 404 says that there is no newer root. Any other failure is one: whoever can make a server answer 403 or 500 must
   * not be able to keep a client on an old root.
   */
  async #nextRoot(name: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#fetchMetadata(name, this.#limits.rootBytes)
    } catch (error) {
      if (error instanceof DownloadError && error.status === 404) return undefined
      throw error
    }
  }

  /** 5.4 */
  async #refreshTimestamp(set: TrustedSet): Promise<void> {
    const kept = await this.#offerKept('timestamp', (bytes) => set.updateTimestamp(bytes))
    const bytes = await this.#fetchMetadata(roleFile('timestamp'), this.#limits.timestampBytes)
    // Nothing new, the usual case: the same bytes were verified a moment ago.
    if (kept && timingSafeEqual(bytes, set.timestamp!.bytes)) return
    if (await set.updateTimestamp(bytes)) this.#put(roleFile('timestamp'), bytes)
  }

  /** 5.5 */
  async #refreshSnapshot(set: TrustedSet): Promise<void> {
    if (await this.#offerKept('snapshot', (bytes) => set.updateSnapshot(bytes, { kept: true }))) return
    const { version, length } = set.timestamp!.signed.snapshot
    const name = this.#versioned(set, 'snapshot', version)
    const bytes = await this.#fetchMetadata(name, length ?? this.#limits.snapshotBytes)
    await set.updateSnapshot(bytes)
    this.#put(roleFile('snapshot'), bytes)
  }

  /** 5.6, for `targets` and for every delegated role. */
  async #load(set: TrustedSet, role: string, delegator: string): Promise<Targets> {
    const held = await set.delegated(role, delegator)
    if (held) return held.signed
    const { version, length } = set.metaOf(role)
    if (!(await this.#offerKept(role, (bytes) => set.updateDelegated(bytes, role, delegator)))) {
      const name = this.#versioned(set, role, version)
      const bytes = await this.#fetchMetadata(name, length ?? this.#limits.targetsBytes)
      await set.updateDelegated(bytes, role, delegator)
      this.#put(roleFile(role), bytes)
    }
    return set.targets(role)!.signed
  }

  /** Begins to keep a file that was verified. */
  #put(file: string, bytes: Uint8Array): void {
    const before = this.#puts.get(file)?.catch(() => undefined)
    const put = Promise.resolve(before).then(() => this.#store.put(file, bytes))
    this.#puts.set(file, put)
    // A failure stays until a run ends with it.
    put.then(
      () => this.#puts.get(file) === put && this.#puts.delete(file),
      () => undefined,
    )
  }

  /** Runs `work`; what it verified is kept when this ends, well or with the error of `work`. */
  async #keeping<T>(work: () => Promise<T>): Promise<T> {
    const [worked] = await Promise.allSettled([work()])
    const puts = [...this.#puts]
    const kept = await Promise.allSettled(puts.map(([, put]) => put))
    for (const [file, put] of puts) if (this.#puts.get(file) === put) this.#puts.delete(file)
    if (worked.status === 'rejected') throw worked.reason
    for (const put of kept) if (put.status === 'rejected') throw put.reason
    return worked.value
  }

  /** Offers the kept file of a role to `take`; true if it was taken. A refusal only means that it must be fetched. */
  async #offerKept(role: string, take: (bytes: Uint8Array) => Promise<unknown>): Promise<boolean> {
    const bytes = await this.#store.get(roleFile(role))
    if (!bytes) return false
    try {
      await take(bytes)
      return true
    } catch (error) {
      if (!(error instanceof TufError) || error instanceof UsageError) throw error
      return false
    }
  }

  async #fetchMetadata(name: string, maxBytes: number): Promise<Uint8Array> {
    return readAll(await this.#fetch(this.#metadataUrl + name, maxBytes), maxBytes, name)
  }

  async #fetch(url: string, maxBytes: number): Promise<ReadableStream<Uint8Array>> {
    const { status, body } = await this.#transport.fetch(url, maxBytes)
    if (status === 200) return body
    await body.cancel()
    throw new DownloadError(`Fetching ${url} was answered with status ${status}.`, status)
  }

  #versioned(set: TrustedSet, role: string, version: number): string {
    return set.root.signed.consistentSnapshot ? `${version}.${roleFile(role)}` : roleFile(role)
  }

  /** sha256 is asked for if it is listed: every server has it, and longer digests overflow some file systems. */
  #targetName({ path, hashes }: Expected & { readonly path: string }, consistentSnapshot: boolean): string {
    if (!consistentSnapshot) return path
    const hash = hashes.get('sha256') ?? [...hashes].find(([name]) => isHashName(name))?.[1]
    if (!hash) throw new FormatError(`The target "${path}" has no digest that can be verified here.`)
    return targetUrlName(path, hash)
  }
}

function withSlash(url: string): string {
  return url.endsWith('/') ? url : `${url}/`
}
