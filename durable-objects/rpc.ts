// What crosses between the face and the publisher: plain data and unions, because classes do not survive RPC.
// Fields are only ever added: during a deploy old and new scripts talk to each other.

import type { PullSetting, PullState } from './rpc-adopt.ts'
import type { FreshnessInForce, FreshnessProfile, Warning } from './rpc-upkeep.ts'

/** A refusal that the caller should show: `status` is the HTTP status the face answers with. */
export interface Refused {
  ok: false
  /** `unavailable` may be repeated as it is; every other code will fail again. */
  code: 'unauthorised' | 'forbidden' | 'invalid' | 'conflict' | 'missing' | 'halted' | 'unavailable'
  status: 400 | 401 | 403 | 404 | 409 | 503
  /** One sentence: what is wrong and what to do. */
  message: string
}

/** `metadata:ROLE`: may hand in metadata that people signed for that role. */
export type Scope = 'read' | 'upload' | 'create' | 'yank' | 'delete' | `metadata:${string}` | 'audit' | 'admin'

/** What the face trusts: asked once an isolate. Every root the ledger holds, and the newest timestamp it flipped. */
export interface Trust {
  ok: true
  epoch: number
  roots: { version: number; sha256: string; length: number }[]
  /** Version of the live timestamp: nothing older is the present. */
  timestamp: number
  development: boolean
  /** Of a repository that is signed elsewhere; `origin` is where target files come from, or empty. */
  adopted?: {
    origin: string
    /** Version of the root that took the repository back: it names none of our keys. */
    released?: number
  }
}

export interface BeginRequest {
  repository: string
  token: string
  /** Normalised project name (PEP 503). */
  project: string
  filename: string
  /** Declared digest, 64 lower-case hex digits. */
  sha256: string
  /** Bytes that the file has at least, where that is known before it has come. */
  size?: number
  /** What another index said of the file; taken from a token with the scope `admin` alone. */
  imported?: { /** Unix milliseconds. */ uploaded?: number /** Empty: without a reason. */; yanked?: string }
  /** False: the answer does not wait for the publication. */
  wait?: boolean
  /** True: only asks whether it would be taken; no key is given out, `n` is 0. */
  peek?: boolean
}

export type BeginAnswer =
  /** Store the bytes under `blobs/{sha256}/{n}`, then stage. */
  | { ok: true; kind: 'store'; epoch: number; n: number }
  /** The same file was accepted before. `visible` tells whether its publication is live already; if not, `whenVisible`. */
  | { ok: true; kind: 'duplicate'; visible: boolean }
  | Refused

export interface StageRequest extends BeginRequest {
  n: number
  /** Bytes of the file. */
  size: number
  /** PEP 440 version, normalised. */
  version: string
  /** The version without trailing zeros: 1.0 and 1.0.0 are one release. */
  release: string
  filetype: 'bdist_wheel' | 'sdist'
  requiresPython?: string
  /** Digest and length of the wheel's METADATA, stored beside the blob. */
  metadata?: { sha256: string; size: number }
  /** Of verified attestations, stored beside the blob. */
  provenance?: { sha256: string }
}

export type StageAnswer =
  | { ok: true /** False: accepted, but not in a live publication within the waiting time. */; visible: boolean }
  | Refused

export interface YankRequest {
  repository: string
  token: string
  project: string
  /** One file, or with `release` all of a release. */
  filename?: string
  /** As in `StageRequest`. */
  release?: string
  /** A reason or true yanks (PEP 592), false takes it back. */
  yanked: boolean | string
}

/** An online public key with a signature that proves the object holds its private half. */
export interface OnlineKey {
  role: 'timestamp' | 'snapshot' | 'bin'
  /** 64 hex digits. */
  public: string
  keyid: string
  /** Hex signature over `proofMessage(repository id, role, keyid)`. */
  proof: string
}

export type KeysAnswer = { ok: true; repositoryId: string; keys: OnlineKey[] } | Refused

/** Life and re-sign times in seconds. */
export interface Freshness {
  timestampSeconds: number
  snapshotSeconds: number
  binSeconds: number
  /** Seconds between two ticks of the timestamp. */
  tickSeconds: number
}

export interface InitialiseRequest {
  repository: string
  /** Roots 1 … n, byte for byte. */
  roots: Uint8Array[]
  targets: Uint8Array
  bins: Uint8Array
  freshness: FreshnessProfile | Freshness
}

export interface MintRequest {
  repository: string
  name: string
  scopes: Scope[]
  /** Normalised project names; absent: every project. */
  projects?: string[]
  /** Unix seconds. */
  expires: number
}

export type MintAnswer = { ok: true; id: string; token: string } | Refused

export interface Status {
  ok: true
  /** `released`: handed back to its owner's keys; nothing is signed here any more. */
  state: 'keys' | 'live' | 'halted' | 'released'
  halted?: string
  /** Version of the root that hands an adopted repository back, from the call on. */
  releasing?: number
  epoch: number
  projects: number
  files: number
  staged: number
  /** Accepted files that could not be published; the journal says why. */
  quarantined: number
  live?: { timestamp: number; snapshot: number; expires: string; publication: number }
  /** Live files that the second bucket lacks so far; absent where none is bound. */
  uncopied?: number
  /** Reading takes a token. */
  private: boolean
  /** The online bins stand here as one, `bin`: the one that expires first. */
  roles: { role: string; version: number; expires: string }[]
  /** Absent before the ceremony. */
  freshness?: FreshnessInForce
  /** What breaks first comes first. */
  warnings: Warning[]
  /** Of an adopted repository whose metadata is fetched on a schedule. */
  pull?: PullSetting & Partial<PullState>
  lastError?: string
}

export interface RebuildRequest {
  repository: string
  /** Of the last answer; absent: begin. */
  cursor?: string
  /** Objects of this batch. */
  limit: number
}

export type RebuildAnswer =
  | {
      ok: true
      /** Objects looked at in this batch, of `total` altogether. */
      checked: number
      total: number
      /** Keys that were absent, and keys that held other bytes. */
      restored: string[]
      replaced: string[]
      /** What the ledger cannot put back. */
      missing: { key: string; why: string }[]
      /** Absent: the rebuild is complete. */
      cursor?: string
    }
  | Refused

export interface ResumeRequest {
  repository: string
  /** Takes over what the public repository says; absent or false: clears a halt whose cause is gone. */
  fromPublic?: boolean
  /** Files that are live here and not in public count as withdrawn there; otherwise they are published again. */
  withdrawMissing?: boolean
  /** Digest of the difference that was shown; absent: show it and change nothing. */
  confirm?: string
  /** For an empty ledger alone: the pinned root chain with a new root for the new keys, and new targets and bins. */
  ceremony?: Omit<InitialiseRequest, 'repository'>
}

/** What the public repository says and this ledger does not, file by file: `project/filename`. */
export interface Difference {
  timestamp: number
  snapshot: number
  /** Public, and not in this ledger: imported. */
  added: string[]
  /** Signed, but their bytes are not in the bucket: not imported. */
  withoutBytes: string[]
  /** Live in this ledger, and not public. */
  missing: string[]
  /** In both, and not the same; with what is done about it. */
  differing: { file: string; why: string }[]
  /** Roles whose public file is not the ledger's live one. */
  roles: string[]
}

export type ResumeAnswer =
  | {
      ok: true
      applied: boolean
      state: Status['state']
      halted?: string
      difference?: Difference
      /** To be sent back to apply exactly this difference. */
      confirm?: string
    }
  | Refused

export interface JournalRow {
  seq: number
  /** Unix milliseconds. */
  time: number
  /** JSON text, as it was hashed. */
  event: string
  /** SHA-256 of `previous hash \n seq \n time \n event`. */
  hash: string
}

/** `head` is the newest row's number: a reader whose last row has it is up to date. */
export type JournalAnswer = { ok: true; rows: JournalRow[]; head: number } | Refused

export type Done = { ok: true } | Refused

export const refused = (code: Refused['code'], status: Refused['status'], message: string): Refused => ({
  ok: false,
  code,
  status,
  message,
})
