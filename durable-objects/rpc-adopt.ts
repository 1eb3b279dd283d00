// What crosses between the face and the publisher about repositories that are signed elsewhere.

import type { Freshness, Refused } from './rpc.ts'
import type { FreshnessProfile } from './rpc-upkeep.ts'

/** A file as people signed it, byte for byte. */
export interface HandedOver {
  /** `root`, `targets` or the name of a delegated role. */
  role: string
  bytes: Uint8Array
}

export interface AdoptRequest {
  repository: string
  /** Roots without a gap, the last of which names our keys; `targets`; every role that is delegated to. */
  files: HandedOver[]
  /** They came in parts: `files` is empty. */
  batch?: string
  /** Highest versions ever served; ours start 1,000 above. */
  served: { snapshot: number; timestamp: number }
  /** The files that the former signer served last: what its clients hold. Left out: nobody is warm under its keys. */
  last?: { snapshot: Uint8Array; timestamp: Uint8Array }
  freshness: FreshnessProfile | Freshness
}

export interface PushRequest {
  repository: string
  token: string
  files: HandedOver[]
  /** They came in parts: `files` is empty. */
  batch?: string
}

export interface BatchRequest {
  repository: string
  /** Chosen by whoever sends it: 64 hex digits. */
  batch: string
}

export interface PartRequest extends BatchRequest {
  files: HandedOver[]
}

/** What of a batch is here. */
export type PartAnswer = { ok: true; files: number; bytes: number } | Refused

export type BatchAnswer = { ok: true; files: number; bytes: number; digests: string[] } | Refused

/** What a batch changed. Files that were held already are in neither list. */
export type PushAnswer =
  | {
      ok: true
      /** `N.role` each. */
      accepted: string[]
      /** Roots that go out later, so that no client meets two key changes in one run; Unix milliseconds. */
      held: { root: number; notBefore: number }[]
      /** Files that the batch names for the first time; absent where nobody looks for them. */
      targets?: TargetsSeen
      /** Dates close enough to be told. */
      warnings: string[]
      /** Of a batch in parts: files that this call did not come to. Nothing was taken: repeat it. */
      unchecked?: number
      /** False: not yet in a live publication. */
      visible: boolean
    }
  | Refused

export interface TargetsSeen {
  /** New (path, digest) pairs. */
  fresh: number
  /** Of them, those that the bucket was asked for; the number is bounded. */
  looked: number
  /** Of these, the paths of the ones it lacks; at most 20. */
  missing: string[]
}

export interface GateRequest {
  repository: string
  token: string
  /** Files that a batch names for the first time and the bucket lacks: the batch is refused, or they are told, or not. */
  targets: 'required' | 'warn' | 'ignore'
}

export interface PullSetting {
  /** The metadata URL of the owner's place; https, or http to this machine. Ends with a slash. */
  url: string
  everySeconds: number
  /** True: also into a private network, as far as the URL tells. */
  privateAddresses?: boolean
}

export interface PullState {
  /** Unix milliseconds of the last pull. */
  at: number
  /** Why it changed nothing, or where the origin says something else; one sentence. */
  trouble?: string
  /** Unix milliseconds since when it is so. */
  since?: number
}

export interface PullRequest {
  repository: string
  token: string
  /** Null: no pull any more. */
  pull: PullSetting | null
}

export interface PutTargetRequest {
  repository: string
  token: string
  path: string
  /** Hex: sha256, or sha512 of a file that has none; null: nothing will be put, whoever asks. */
  digest: string | null
  length: number
}

export type PutTargetAnswer = { ok: true; epoch: number } | Refused

/** The digest of a file that was published and is kept for clients in the middle of a run. */
export type MetadataAnswer = { ok: true; sha256: string; length: number } | Refused

export interface OriginRequest {
  repository: string
  token: string
  /** https, or http to this machine; null: none. Ends with a slash. */
  origin: string | null
}
