// What crosses between the face and the publisher about uploads in parts. Plain data, as in rpc.ts; fields are only added.
import type { BeginRequest, Refused } from './rpc.ts'

/** One part that is in the bucket. */
export interface StoredPart {
  /** From 1. */
  number: number
  /** The bucket's name for its bytes; the upload is completed with all of them. */
  etag: string
}

/** `size` opens the upload, if there is none; without it, it must be open. */
export interface LargeRequest extends BeginRequest {
  /** The bucket's multipart upload was made; the first one told of is the one. */
  uploadId?: string
  /** A part arrived. */
  part?: StoredPart
}

export type LargeAnswer =
  /** Store under `blobs/{sha256}/{n}`. `uploadId` absent: nobody has made the bucket's upload yet. */
  | { ok: true; kind: 'open'; epoch: number; n: number; size: number; uploadId?: string; parts: StoredPart[] }
  | { ok: true; kind: 'duplicate'; visible: boolean }
  | Refused
