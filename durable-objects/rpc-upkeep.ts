// What crosses between the face and the publisher about upkeep: freshness, warnings, the webhook, the collector. Plain
// data, as in rpc.ts; fields are only ever added.
import type { Freshness, Refused } from './rpc.ts'

/** `standard`: PEP 458, one day. `tight`: the timestamp one hour. `lean`: bins seven days. */
export type FreshnessProfile = 'standard' | 'tight' | 'lean'

export interface FreshnessInForce extends Freshness {
  /** Absent: the times are nobody's but the operator's own. */
  profile?: FreshnessProfile
}

/** Something will break, or is broken, unless somebody acts. */
export interface Warning {
  /** `origin` for a pull that was refused, whose date is when that began; root, targets, bins; timestamp, snapshot, index; `bin` for the online bin that expires first. */
  role: string
  /** When clients stop, as metadata writes dates. */
  expires: string
  /** The threshold that is passed: 30, 14, 7 or 1; 0 once the date is past, or for an online role that is late. */
  days: 30 | 14 | 7 | 1 | 0
  /** One sentence: the date, what breaks, what to do. */
  message: string
}

export interface FreshnessRequest {
  repository: string
  token: string
  freshness: FreshnessProfile | Freshness
}

export interface WebhookRequest {
  repository: string
  token: string
  /** Null: no webhook any more. The secret is never given back. */
  webhook: { url: string; secret: string } | null
}

export interface GarbageEntry {
  key: string
  kind: 'metadata' | 'page' | 'blob' | 'upload'
  reason: string
  /** Unix milliseconds before which the key stays. */
  notBefore: number
}

export type GarbageAnswer =
  | {
      ok: true
      /** Unix milliseconds of the publisher's clock. */
      now: number
      /** Seconds for which what was replaced stays. */
      graceSeconds: number
      /** Keys that wait, by kind, and those of them whose time has come. */
      counts: Record<GarbageEntry['kind'], number>
      due: number
      /** Uploads that began and were not staged yet; they become garbage after a day. */
      begun: number
      /** What goes next, soonest first, at most 1,000. */
      entries: GarbageEntry[]
    }
  | Refused
