// What an index published, one publication after another, as its journal and its own signed metadata tell it. An answer
// is held against this: the digest of every target in every publication is known, so is when it came and when it went.
//
// State: live publications in order, and for each target its digests with the snapshot that first named them. `forks` are
// numbers with two contents: signed twice, or served with other bytes than the journal says.
import { createHash } from 'node:crypto'
import { callApi } from '../../cli/api.ts'

const ROWS = 1_000
/** Numbers burned by publications that never went out are skipped by readers; these are files by hand. */
const OFFLINE = new Set(['targets.json', 'bins.json'])

interface Snapshot {
  signed: { meta: Record<string, { version: number }> }
}
interface Bin {
  signed: { targets: Record<string, { hashes: { sha256: string } }> }
}
interface Event {
  event: string
  role?: string
  version?: number
  sha256?: string
  snapshot?: number
}

/** The digest stood in the publications from `from` to `to`, both included. */
export interface Span {
  from: number
  to: number
}

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

export class History {
  readonly forks: string[] = []
  /** Snapshots that were live, in order. */
  readonly live: number[] = []
  readonly #base: string
  readonly #token: string
  readonly #signed = new Map<string, string>()
  readonly #roles = new Map<string, number>()
  readonly #targetsOf = new Map<string, ReadonlyMap<string, string>>()
  readonly #changes = new Map<string, { from: number; sha256: string | undefined }[]>()
  #row = 0

  /** @param token may read the journal */
  constructor(base: string, token: string) {
    this.#base = base
    this.#token = token
  }

  /** Reads on to the present. @throws when the service does not answer */
  async follow(): Promise<void> {
    for (;;) {
      const path = `/api/journal?after=${this.#row}&limit=${ROWS}`
      const { rows } = await callApi<{ rows: { seq: number; event: string }[] }>(this.#base, 'GET', path, {
        token: this.#token,
      })
      if (rows.length === 0) return
      for (const { seq, event } of rows) {
        const { event: kind, role, version, sha256, snapshot } = JSON.parse(event) as Event
        if (kind === 'signed') this.#know(`${version}.${role}.json`, sha256!)
        if (kind === 'live' && snapshot !== undefined && snapshot > (this.live.at(-1) ?? 0)) await this.#enter(snapshot)
        this.#row = seq
      }
    }
  }

  /** When this digest stood under this path; more than one span means that it went and came back. */
  spans(path: string, sha256: string): Span[] {
    const changes = this.#changes.get(path) ?? []
    return changes.flatMap((change, i) => {
      if (change.sha256 !== sha256) return []
      const next = changes[i + 1]
      return [{ from: change.from, to: next ? this.live[this.live.indexOf(next.from) - 1]! : Number.MAX_SAFE_INTEGER }]
    })
  }

  /** The digest in the newest publication. */
  now(path: string): string | undefined {
    return this.#changes.get(path)?.at(-1)?.sha256
  }

  async #enter(snapshot: number): Promise<void> {
    const { signed } = (await this.#read(`${snapshot}.snapshot.json`)) as Snapshot
    for (const [file, { version }] of Object.entries(signed.meta)) {
      if (OFFLINE.has(file) || this.#roles.get(file) === version) continue
      const { signed: bin } = (await this.#read(`${version}.${file}`)) as Bin
      this.#roles.set(file, version)
      const after = new Map(Object.entries(bin.targets).map(([path, { hashes }]) => [path, hashes.sha256]))
      const before = this.#targetsOf.get(file) ?? new Map<string, string>()
      for (const path of new Set([...before.keys(), ...after.keys()])) {
        if (before.get(path) === after.get(path)) continue
        const changes = this.#changes.get(path) ?? []
        changes.push({ from: snapshot, sha256: after.get(path) })
        this.#changes.set(path, changes)
      }
      this.#targetsOf.set(file, after)
    }
    this.live.push(snapshot)
  }

  async #read(name: string): Promise<unknown> {
    const answer = await fetch(`${this.#base}/tuf/${name}`)
    const bytes = new Uint8Array(await answer.arrayBuffer())
    if (answer.status !== 200) throw new Error(`${name}, once live, was answered ${answer.status}.`)
    this.#know(name, sha256Of(bytes))
    return JSON.parse(new TextDecoder().decode(bytes))
  }

  #know(name: string, sha256: string): void {
    const known = this.#signed.get(name)
    if (known !== undefined && known !== sha256) this.forks.push(`${name} has two contents: ${known} and ${sha256}`)
    this.#signed.set(name, sha256)
  }
}
