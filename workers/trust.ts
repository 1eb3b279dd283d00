// Which roots this isolate trusts. State: the digests the Publisher named, the newest root, what was adopted since.
//
// Invariants
// - A root is trusted because the Publisher named its digest, or because it follows a trusted one by both thresholds
//   (TUF 1.0.34, 5.3.4). The bucket is only where its bytes are.
// - The newest root and the floor never go back.
// Cost: one RPC and one bucket read an isolate (before the ceremony, an RPC a request); `N+1.root.json`, which every TUF
// client asks for, one read each time.
import { sha256Hex } from '../tuf/digest.ts'
import { TufError } from '../tuf/errors.ts'
import { metadataKey, type Place, timestampKey } from '../tuf/layout.ts'
import { LIMITS } from '../tuf/limits.ts'
import { type Envelope, parseRoot, parseTimestamp, type Root } from '../tuf/metadata.ts'
import { verifyRole } from '../tuf/verify.ts'
import type { Env } from './env.ts'
import { bucket, log, NotInitialised, publisher, verifying } from './errors.ts'
import type { Flights } from './memory.ts'
import { bounded, readVerified } from './objects.ts'

/** The Publisher is asked again at most this often when something does not verify. */
const ASK_AGAIN_MS = 3_000

interface RootFile {
  sha256: string
  length: number
}

/** What is trusted at one moment; replaced as a whole, never changed. */
export interface Trusted {
  place: Place
  /** Only loopback may see a development repository: its keys were never guarded. */
  development: boolean
  /** No timestamp below this version is the present. */
  floor: number
  /** The newest under which something is signed here; of a repository that was handed back, not the newest there is. */
  root: Envelope<Root>
  files: ReadonlyMap<number, RootFile>
  /** Set for a repository that is signed elsewhere; `origin` is where target files come from, or empty. */
  adopted?: { origin: string }
}

/** An index signs what was uploaded here; the targets of an adopted repository are signed elsewhere. */
export type Kind = 'index' | 'adopted'

export class Trust {
  readonly #repository: string
  readonly #flights: Flights
  #trusted: Trusted | undefined
  #askedAt = 0
  #kind: Kind | undefined

  constructor(repository: string, flights: Flights) {
    this.#repository = repository
    this.#flights = flights
  }

  /** @throws NotInitialised before the first root; Unavailable when the Publisher does not answer and never did. */
  async get(env: Env): Promise<Trusted> {
    if (this.#trusted) return this.#trusted
    return this.#flights.share('trust', () => this.#ask(env))
  }

  /** Known, for ever, as soon as the publisher has answered once, whatever the bucket holds. */
  get kind(): Kind | undefined {
    return this.#kind
  }

  /** Asks the Publisher again, unless it was asked just now. True if a newer root came of it. */
  async askAgain(env: Env): Promise<boolean> {
    const before = this.#trusted?.root.signed.version ?? 0
    if (Date.now() - this.#askedAt < ASK_AGAIN_MS) return false
    const after = await this.#flights.share('trust', () => this.#ask(env))
    return after.root.signed.version > before
  }

  /** Walks the chain forward as a client does. True if at least one newer root was adopted. One read a root, and one. */
  async walk(env: Env): Promise<boolean> {
    const start = (await this.get(env)).root.signed.version
    for (let step = 0; step < LIMITS.rootRotations; step++)
      if (!(await this.#flights.share('root', () => this.#next(env)))) break
    return (await this.get(env)).root.signed.version > start
  }

  /** Bytes of root `version`, or undefined: this repository has no such root. */
  async file(env: Env, version: number): Promise<Uint8Array | undefined> {
    let trusted = await this.get(env)
    if (version === trusted.root.signed.version + 1) await this.#flights.share('root', () => this.#next(env))
    trusted = await this.get(env)
    if (version === trusted.root.signed.version) return trusted.root.bytes
    const file = trusted.files.get(version)
    return file && readVerified(env, rootObject(trusted.place, version, file))
  }

  async #ask(env: Env): Promise<Trusted> {
    this.#askedAt = Date.now()
    const answer = await publisher(async () => env.PUBLIC.trust(this.#repository))
    // Not remembered: the read after the ceremony, or after the first upload, must find the repository.
    if (!answer.ok) throw new NotInitialised(answer.message)
    this.#kind = answer.adopted ? 'adopted' : 'index'
    const place = { repository: this.#repository, epoch: answer.epoch }
    const held = this.#trusted?.place.epoch === answer.epoch ? this.#trusted : undefined
    const files = new Map(held?.files)
    for (const { version, sha256, length } of answer.roots)
      if (!files.has(version)) files.set(version, { sha256, length })
    const released = answer.adopted?.released ?? Infinity
    const newest = Math.max(...answer.roots.map((root) => root.version).filter((version) => version < released))
    let root = held?.root
    if (!root || newest > root.signed.version) {
      const bytes = await readVerified(env, rootObject(place, newest, files.get(newest)!))
      root = await verifying(() => parseRoot(bytes))
    }
    const development = answer.development || isDevelopment(root.signed)
    const floor = Math.max(answer.timestamp, held?.floor ?? 0)
    const adopted = answer.adopted && { origin: answer.adopted.origin }
    return this.#install({ place, development, floor, root, files, ...(adopted ? { adopted } : {}) })
  }

  /** Adopts the next root if the bucket has one that both thresholds signed. One bucket read. */
  async #next(env: Env): Promise<boolean> {
    const trusted = await this.get(env)
    const { roles, keys, version } = trusted.root.signed
    const object = await bucket(() => env.BUCKET.get(metadataKey(trusted.place, version + 1, 'root')))
    if (!object) return false
    try {
      const bytes = await bounded(object, LIMITS.rootBytes, `${version + 1}.root.json`)
      const next = parseRoot(bytes)
      if (next.signed.version !== version + 1) return false
      await verifyRole(next, roles.root, keys, 'root')
      await verifyRole(next, next.signed.roles.root, next.signed.keys, 'root')
      const files = new Map(trusted.files).set(version + 1, { sha256: await sha256Hex(bytes), length: bytes.length })
      // The root with which its owner takes a repository back: clients go on with it, and what is here stays readable.
      if (trusted.adopted && !(await signsPresent(env, trusted.place, next.signed))) {
        this.#install({ ...trusted, files })
        return false
      }
      this.#install({ ...trusted, root: next, files, development: trusted.development || isDevelopment(next.signed) })
      return true
    } catch (error) {
      // Somebody planted it: for the world it is not there.
      if (!(error instanceof TufError)) throw error
      log('foreign-root', error)
      return false
    }
  }

  /** Two requests may have asked at once: the newer root stays. */
  #install(trusted: Trusted): Trusted {
    const held = this.#trusted
    const same = held?.place.epoch === trusted.place.epoch
    const root = same && held.root.signed.version > trusted.root.signed.version ? held.root : trusted.root
    this.#trusted = { ...trusted, root, floor: Math.max(trusted.floor, same ? held.floor : 0) }
    return this.#trusted
  }
}

function rootObject(place: Place, version: number, { sha256, length }: RootFile) {
  return { key: metadataKey(place, version, 'root'), sha256, length, what: `${version}.root.json` }
}

const isDevelopment = (root: Root): boolean => root.raw.get('x-tuf-edge-development') === true

/**
 * Whether the timestamp that is there holds under this root too. Of an adopted repository it always does (the gate sees to
 * it that every root names our key) but under the root that hands it back. One bucket read.
 */
async function signsPresent(env: Env, place: Place, { roles, keys }: Root): Promise<boolean> {
  const object = await bucket(() => env.BUCKET.get(timestampKey(place)))
  if (!object) return false
  try {
    const timestamp = parseTimestamp(await bounded(object, LIMITS.timestampBytes, 'timestamp.json'))
    await verifyRole(timestamp, roles.timestamp, keys, 'timestamp')
    return true
  } catch (error) {
    if (error instanceof TufError) return false
    throw error
  }
}
