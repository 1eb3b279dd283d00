// What crosses between the face and the publisher about projects that exist: deletes, purges, status. Plain data, as in
// rpc.ts; fields are only ever added.
import type { ProjectStatus } from '../pypi/page.ts'
import type { Refused } from './rpc.ts'

export interface RemoveRequest {
  repository: string
  token: string
  /** Normalised; alone it means the whole project. */
  project: string
  filename?: string
  /** The version without trailing zeros: all files of the release. */
  release?: string
  /** True: the bytes go with the flip, not after the grace. */
  purge: boolean
  /** One line; a purge must have one. */
  reason?: string
}

export type RemoveAnswer =
  | {
      ok: true
      /** Whether a publication without the files is live already. */
      visible: boolean
      /** Files taken away. */
      files: number
      /** Of a purge: files whose bytes the bucket holds no more. */
      erased?: number
    }
  | Refused

export interface StatusRequest {
  repository: string
  token: string
  project: string
  status: ProjectStatus
  /** One line; shown on the page. */
  reason?: string
}

export interface QuotaQuestion {
  repository: string
  token: string
  /** Absent: the whole repository. */
  project?: string
}

export interface QuotaRequest extends QuotaQuestion {
  /** Null: no limit. */
  quota: { bytes: number | null; files: number | null; fileBytes: number | null }
}

export type QuotaAnswer = { ok: true; quota: QuotaRequest['quota']; held: { files: number; bytes: number } } | Refused

export interface RecentRelease {
  project: string
  version: string
  /** Of its first file, Unix milliseconds. */
  uploaded: number
}

export interface RecentProject {
  project: string
  /** Unix milliseconds. */
  created: number
}

/** Newest first, of what is live. */
export type RecentAnswer = { ok: true; releases: RecentRelease[]; projects: RecentProject[] } | Refused

/** `target path` and digest, with a space between, of the files that were purged last. */
export type PurgedAnswer = { ok: true; pairs: string[] } | Refused
