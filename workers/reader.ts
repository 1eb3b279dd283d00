// The reader of one repository in one isolate: what is the present, and nothing older ever again.
//
// State: the newest publication with the etag of its timestamp, the caches, when the publisher was last nudged.
// Invariant: a timestamp is accepted only if it verifies under the trusted root chain and is not older than the newest
// this isolate had accepted when the read began; a version never has two contents.
//
// Bucket reads of every request: 1 (the conditional read of `timestamp.json`), and one more for all of them together after
// a minute without any (`isPrivate`). Cold: + root, and what `publication.ts`
// says. That read is what every answer being of the present costs: $0.36 per million (R2, class B).
import { waitUntil } from 'cloudflare:workers'
import { sha256Hex } from '../tuf/digest.ts'
import { SignatureError } from '../tuf/errors.ts'
import { pageKey, timestampKey } from '../tuf/layout.ts'
import { LIMITS } from '../tuf/limits.ts'
import { type Envelope, parseTimestamp, type Timestamp } from '../tuf/metadata.ts'
import { verifyRole } from '../tuf/verify.ts'
import { Caches, type Promised } from './caches.ts'
import type { Env } from './env.ts'
import { bucket, Corrupt, log, publisher, verifying } from './errors.ts'
import { type ByteCache, Flights, within } from './memory.ts'
import { bounded, type Expected, readVerified } from './objects.ts'
import { Publication, type Shared, type Target } from './publication.ts'
import { Purges } from './purges.ts'
import { Trust, type Trusted } from './trust.ts'

/** A publisher that is late is reminded once a minute an isolate: a thousand isolates are 17 calls a second. */
const NUDGE_STALE_MS = 60_000
/** A timestamp that is not the publisher's takes the index down until the fence repairs it. */
const NUDGE_CORRUPT_MS = 2_000
/** So long before its date a timestamp should have been replaced; the reminder then costs nobody a wait. */
const NUDGE_AHEAD_MS = 60_000
/** A reader waits this long for a fresh timestamp, and only when the present one is past its date. */
const FRESH_WAIT_MS = 2_000
/** The publisher keeps a superseded page for hours, so a yes holds for a minute; a no may be a yes in a moment. */
const RETAINED_KEPT_MS = 60_000
const NOT_RETAINED_KEPT_MS = 1_000
/** Between a flip and the ledger's note of it are some milliseconds in which the publisher says no to the page before. */
const FLIP_NOTED_MS = 250
/** Whoever reads no timestamp goes by one that was read within this. */
const PRIVATE_KEPT_MS = 60_000
const RETAINED_ENTRIES_MAX = 2_000

export class Reader {
  readonly repository: string
  readonly trust: Trust
  readonly pages: ByteCache<Uint8Array>
  readonly files: ByteCache<Uint8Array>
  readonly promises: ByteCache<ReadonlyMap<string, Promised>>
  readonly purges = new Purges()
  readonly #flights = new Flights()
  readonly #shared: Shared
  readonly #retained = new Map<string, { until: number; retained: boolean }>()
  #current: { etag: string; publication: Publication } | undefined
  #nudgedAt = 0
  #lookedAt = 0

  /** @param caches of the isolate, which other repositories' readers have too */
  constructor(repository: string, caches = new Caches()) {
    this.repository = repository
    this.pages = caches.pages
    this.files = caches.files
    this.promises = caches.promises
    this.#shared = { roles: caches.roles, flights: this.#flights }
    this.trust = new Trust(repository, this.#flights)
  }

  /**
   * The present publication. One bucket read.
   *
   * @throws Corrupt if what is there is not the present; NotInitialised; Unavailable
   */
  async current(env: Env): Promise<Publication> {
    const publication = await this.#revalidate(env)
    const now = Date.now()
    if (publication.timestamp.signed.expiresMs - NUDGE_AHEAD_MS > now) return publication
    const nudge = this.#nudge(env, NUDGE_STALE_MS)
    if (!publication.expired(now) || !nudge) return publication
    // Past its date: a publisher that is only late answers within moments; otherwise the stale one is served as stale.
    await within(nudge, FRESH_WAIT_MS, undefined)
    return this.#revalidate(env)
  }

  /** Whether reading takes a token: by the timestamp of the last minute, else by the one that is there now. */
  async isPrivate(env: Env): Promise<boolean> {
    if (!this.#current || Date.now() - this.#lookedAt >= PRIVATE_KEPT_MS)
      await this.#flights.share('private', () => this.#revalidate(env))
    return this.wasPrivate
  }

  /** What the newest timestamp that this isolate has seen says. */
  get wasPrivate(): boolean {
    return this.#current?.publication.timestamp.signed.private ?? false
  }

  /** A whole object, verified, from memory if it is there. */
  async whole(env: Env, expected: Expected, cache: ByteCache<Uint8Array>): Promise<Uint8Array> {
    return this.remember(`${expected.key} ${expected.sha256}`, cache, () => readVerified(env, expected))
  }

  /** Verified bytes from memory, or loaded once for all who wait for them. @param id names these very bytes */
  async remember(id: string, cache: ByteCache<Uint8Array>, load: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const held = cache.get(id)
    if (held) return held
    return this.#flights.share(id, async () => {
      const bytes = await load()
      cache.set(id, bytes, bytes.length)
      return bytes
    })
  }

  /**
   * A page of an earlier publication that is kept for clients in the middle of a run, or undefined. The object is looked
   * for first, so that made-up names never reach the publisher. One bucket read, and one RPC a minute.
   */
  async retainedPage(env: Env, { place }: Trusted, path: string, sha256: string): Promise<Target | undefined> {
    const key = pageKey(place, path, sha256)
    const held = this.pages.get(`${key} ${sha256}`)
    const length = held ? held.length : (await bucket(() => env.BUCKET.head(key)))?.size
    if (length === undefined || !(await this.#retains(env, path, sha256))) return undefined
    return { path, length, sha256, n: 1 }
  }

  async #retains(env: Env, path: string, sha256: string): Promise<boolean> {
    const id = `${sha256} ${path}`
    const now = Date.now()
    const known = this.#retained.get(id)
    if (known && now < known.until) return known.retained
    const ask = () => publisher(async () => env.PUBLIC.retainsPage(this.repository, path, sha256))
    let retained = await ask()
    if (!retained) {
      await new Promise((resolve) => setTimeout(resolve, FLIP_NOTED_MS))
      retained = await ask()
    }
    if (this.#retained.size >= RETAINED_ENTRIES_MAX) this.#retained.clear()
    this.#retained.set(id, { until: now + (retained ? RETAINED_KEPT_MS : NOT_RETAINED_KEPT_MS), retained })
    return retained
  }

  async #revalidate(env: Env): Promise<Publication> {
    const trusted = await this.trust.get(env)
    const same = this.#current?.publication.trusted.place.epoch === trusted.place.epoch
    const known = same ? this.#current : undefined
    const key = timestampKey(trusted.place)
    const onlyIf = known && { onlyIf: { etagDoesNotMatch: known.etag } }
    const object = await bucket(() => env.BUCKET.get(key, onlyIf))
    const now = Date.now()
    // Another request may have seen a newer one while this one was reading: nobody goes back.
    if (object && !('body' in object)) {
      this.#lookedAt = now
      return this.#current!.publication
    }
    try {
      if (!object) throw new Corrupt('timestamp.json is missing from the bucket.')
      const bytes = await bounded(object, LIMITS.timestampBytes, 'timestamp.json')
      const timestamp = await verifying(() => parseTimestamp(bytes))
      const root = await this.#verify(env, timestamp)
      const sha256 = await sha256Hex(bytes)
      checkNotOlder(timestamp, sha256, known?.publication, trusted.floor)
      const held = same ? this.#current?.publication : undefined
      if (held && held.version >= timestamp.signed.version && held.sha256 !== sha256) return held
      const putAt = object.uploaded.getTime()
      const publication = new Publication(this.#shared, root, timestamp, { sha256, putAt }, held)
      this.#current = { etag: object.etag, publication }
      this.#lookedAt = now
      return publication
    } catch (error) {
      // The publisher's fence replaces what is not its own; the reader only says that there is something to do.
      if (error instanceof Corrupt) this.#nudge(env, NUDGE_CORRUPT_MS)
      throw error
    }
  }

  /** Checks the signature; a root this isolate does not know yet may explain a failure. */
  async #verify(env: Env, timestamp: Envelope<Timestamp>): Promise<Trusted> {
    const attempt = async (): Promise<Trusted> => {
      const trusted = await this.trust.get(env)
      const { roles, keys } = trusted.root.signed
      await verifyRole(timestamp, roles.timestamp, keys, 'timestamp')
      return trusted
    }
    return verifying(async () => {
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof SignatureError)) throw error
        if ((await this.trust.walk(env)) || (await this.trust.askAgain(env))) return attempt()
        throw error
      }
    })
  }

  /** Asks the publisher to look after its timestamp, or undefined if it was asked less than `everyMs` ago. */
  #nudge(env: Env, everyMs: number): Promise<void> | undefined {
    const now = Date.now()
    if (now - this.#nudgedAt < everyMs) return undefined
    this.#nudgedAt = now
    const nudge = env.PUBLIC.refresh(this.repository).then(
      (answer) => {
        if (!answer.ok) log('nudge', answer.message)
      },
      (error: unknown) => log('nudge', error),
    )
    waitUntil(nudge)
    return nudge
  }
}

/** @param known the newest publication when the read began */
function checkNotOlder(timestamp: Envelope<Timestamp>, sha256: string, known: Publication | undefined, floor: number) {
  const { version, snapshot } = timestamp.signed
  const newest = Math.max(floor, known?.version ?? 0)
  if (version < newest) throw new Corrupt(`timestamp.json has version ${version}, and ${newest} was seen before.`)
  if (!known) return
  if (version === known.version && sha256 !== known.sha256)
    throw new Corrupt(`timestamp.json has version ${version} a second time, with other content.`)
  const former = known.timestamp.signed.snapshot.version
  if (snapshot.version < former)
    throw new Corrupt(`timestamp.json names snapshot ${snapshot.version}, and ${former} was seen before.`)
}
