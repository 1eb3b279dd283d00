// A bucket in memory that fails on purpose and watches every write. It is the judge of what no single test could see:
// an immutable key never changes its bytes, a deleted key never returns (unless a write that hung lands late, or it is a
// page, which its digest names), a snapshot is put after everything it names, down to pages and files, and each
// timestamp.json is newer than the one before it, names only what exists, and lowers no version. What breaks a rule is in `violations`.
import { sha256Hex } from '../../tuf/digest.ts'
import { targetUrlName } from '../../tuf/paths.ts'

/** What becomes of one write. Every fate but no fate looks like a failure to whoever writes. */
export type Fate =
  /** Not persisted. */
  | 'lost'
  /** Persisted but reported failed. */
  | 'unacknowledged'
  /** 429: one write a second a key. */
  | 'refused'
  /** Hangs, and lands just before the next put of timestamp.json. */
  | 'lands before a flip'
  /** Hangs, and lands when everything is over. */
  | 'lands at last'

export interface Call {
  kind: 'put' | 'delete'
  keys: string[]
}

export interface Verdict {
  fate: Fate
  /** What happens to the caller while the write is under way, beside its failure. */
  strike?: () => void
}

interface Held {
  bytes: Uint8Array
  sha256: string
}

interface Zombie {
  fate: Fate
  land(): Promise<void>
}

type Signed = { version: number; meta: Record<string, { version: number }> }
type Targets = { signed: { targets: Record<string, { hashes: { sha256: string }; custom?: { n?: number } }> } }

const isTimestamp = (key: string): boolean => key.endsWith('/timestamp.json')
const isPage = (key: string): boolean => key.includes('/pages/')
const isSnapshot = (key: string): boolean => key.endsWith('.snapshot.json')
const parsed = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes))
/** Within the isolate, unlike a blob's, and a fifth of its cost. */
const streamOf = (bytes: Uint8Array) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes.slice())
      controller.close()
    },
  })

export class MemoryBucket {
  readonly objects = new Map<string, Held>()
  readonly violations: string[] = []
  /** Versions that timestamp.json had, in the order of their landing. */
  readonly timestamps: number[] = []
  writes = 0
  /** Decides about a write before it happens. */
  judge: (call: Call) => Verdict | undefined = () => undefined
  /** Runs after every write that changed something. */
  after: (call: Call) => Promise<void> = async () => {}
  #first = new Map<string, string>()
  #deleted = new Set<string>()
  #zombies: Zombie[] = []
  #live: Signed | undefined

  /** Another bucket with the same objects and the same past, whose writes are counted anew. */
  copy(): MemoryBucket {
    const copy = new MemoryBucket()
    for (const [key, held] of this.objects) copy.objects.set(key, held)
    copy.timestamps.push(...this.timestamps)
    copy.violations.push(...this.violations)
    copy.#first = new Map(this.#first)
    copy.#deleted = new Set(this.#deleted)
    copy.#zombies = [...this.#zombies]
    copy.#live = this.#live
    return copy
  }

  /** The bucket as a binding. `gate` holds every write back as the platform's output gate does. */
  binding(gate: () => Promise<void> = async () => {}): R2Bucket {
    const bucket = {
      head: async (key: string) => this.#object(key),
      get: async (key: string) => this.#object(key),
      put: async (key: string, value: Uint8Array | ArrayBuffer, options: R2PutOptions = {}) => {
        const bytes = new Uint8Array(value instanceof ArrayBuffer ? value : new Uint8Array(value))
        await gate()
        if (isTimestamp(key)) await this.#release('lands before a flip')
        return this.#perform({ kind: 'put', keys: [key] }, (late) => this.#put(key, bytes, options, late))
      },
      delete: async (keys: string | string[]) => {
        await gate()
        const call: Call = { kind: 'delete', keys: [keys].flat() }
        await this.#perform(call, () => this.#delete(call.keys))
      },
    }
    return bucket as unknown as R2Bucket
  }

  /** Lets everything land that still hangs. */
  async landAll(): Promise<void> {
    await this.#release('lands before a flip')
    await this.#release('lands at last')
  }

  async #release(fate: Fate): Promise<void> {
    const landing = this.#zombies.filter((zombie) => zombie.fate === fate)
    this.#zombies = this.#zombies.filter((zombie) => zombie.fate !== fate)
    for (const zombie of landing) await zombie.land()
  }

  async #perform<T>(call: Call, act: (late: boolean) => Promise<T>): Promise<T> {
    const verdict = this.judge(call)
    const done = async (late: boolean) => {
      const result = await act(late)
      this.writes++
      await this.after(call)
      return result
    }
    if (!verdict) return done(false)
    const { fate } = verdict
    if (fate === 'unacknowledged') await done(false)
    else if (fate.startsWith('lands')) this.#zombies.push({ fate, land: async () => void (await done(true)) })
    verdict.strike?.()
    throw new Error(
      fate === 'refused'
        ? 'put: Reduce your concurrent request rate for the same object. (10058)'
        : `injected: ${call.kind} of ${call.keys[0]} (${fate})`,
    )
  }

  #object(key: string) {
    const held = this.objects.get(key)
    if (!held) return null
    const { bytes, sha256 } = held
    const arrayBuffer = async () => bytes.slice().buffer
    const object = { key, etag: sha256.slice(0, 32), size: bytes.length, arrayBuffer }
    return Object.defineProperty(object, 'body', { get: () => streamOf(bytes) })
  }

  async #put(key: string, bytes: Uint8Array, options: R2PutOptions, late: boolean) {
    const sha256 = await sha256Hex(bytes)
    if (options.sha256 !== undefined && options.sha256 !== sha256)
      throw new Error(`put: wrong digest for ${key} (10037)`)
    const condition = options.onlyIf as R2Conditional | undefined
    const etag = this.objects.get(key)?.sha256.slice(0, 32)
    if (!condition) this.violations.push(`${key} was put without a condition`)
    else if (condition.etagDoesNotMatch === '*' ? etag !== undefined : condition.etagMatches !== etag) return null
    if (isTimestamp(key)) this.#flip(bytes)
    else {
      const first = this.#first.get(key) ?? sha256
      if (first !== sha256) this.violations.push(`${key} changed its bytes`)
      if (this.#deleted.has(key) && !late && !isPage(key)) this.violations.push(`${key} was deleted and came back`)
      this.#first.set(key, first)
    }
    // One that lands late may name what was collected since.
    if (isSnapshot(key) && !late) this.#checkNamed(key, (parsed(bytes) as { signed: Signed }).signed)
    this.objects.set(key, { bytes, sha256 })
    return this.#object(key)
  }

  /** Of a snapshot: the roles that the live one does not name, and the targets of these, are in the bucket before it. */
  #checkNamed(key: string, { meta }: Signed): void {
    const prefix = key.slice(0, key.lastIndexOf('/tuf/') + 1)
    const lack = (what: string) => this.violations.push(`${key.slice(prefix.length)} was put before ${what}`)
    for (const [role, { version }] of Object.entries(meta)) {
      if (this.#live?.meta[role]?.version === version) continue
      const file = this.objects.get(`${prefix}tuf/${version}.${role}`)
      if (!file) lack(`${version}.${role}`)
      else
        for (const [path, { hashes, custom }] of Object.entries((parsed(file.bytes) as Targets).signed.targets)) {
          const { sha256 } = hashes
          const name = path.startsWith('files/')
            ? `blobs/${sha256}/${custom?.n ?? 1}`
            : `pages/${targetUrlName(path, sha256)}`
          if (!this.objects.has(prefix + name)) lack(name)
        }
    }
  }

  async #delete(keys: string[]): Promise<void> {
    for (const key of keys) {
      const [, version, role] = /\/tuf\/(\d+)\.(.+\.json)$/.exec(key) ?? []
      const named = role !== undefined && this.#live?.meta[role]?.version === Number(version)
      if (role === 'root.json' || isTimestamp(key) || named)
        this.violations.push(`${key} was deleted while it is needed`)
      this.objects.delete(key)
      this.#deleted.add(key)
    }
  }

  /** No fork, no way back, nothing named that is not there. */
  #flip(bytes: Uint8Array): void {
    const { signed } = parsed(bytes) as { signed: Signed }
    const snapshot = signed.meta['snapshot.json']!.version
    const before = this.timestamps.at(-1) ?? 0
    if (signed.version <= before) this.violations.push(`timestamp ${signed.version} replaced ${before}`)
    this.timestamps.push(signed.version)
    const prefix = [...this.objects.keys()].find((key) => key.endsWith('/tuf/1.root.json'))?.slice(0, -11) ?? ''
    const held = this.objects.get(`${prefix}${snapshot}.snapshot.json`)
    if (!held) {
      this.violations.push(`timestamp ${signed.version} names snapshot ${snapshot}, which is not there`)
      return
    }
    const next = (parsed(held.bytes) as { signed: Signed }).signed
    if (this.#live && next.version < this.#live.version)
      this.violations.push(
        `timestamp ${signed.version} goes back from snapshot ${this.#live.version} to ${next.version}`,
      )
    for (const [role, { version }] of Object.entries(next.meta)) {
      if (!this.objects.has(`${prefix}${version}.${role}`))
        this.violations.push(`snapshot ${snapshot} names ${version}.${role}, which is not there`)
    }
    for (const [role, { version }] of Object.entries(this.#live?.meta ?? {}))
      if ((next.meta[role]?.version ?? 0) < version) this.violations.push(`snapshot ${snapshot} lowers ${role}`)
    this.#live = next
  }
}
