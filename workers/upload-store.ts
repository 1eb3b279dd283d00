// Puts an upload's objects into the bucket. State: none. Invariant: a key given out by `begin` is one upload's alone and
// is written once; nothing here overwrites or deletes. What is abandoned, the publisher's collector finds in the ledger.
import type { ArchiveReport } from '../pypi/archives.ts'
import type { DistributionFilename } from '../pypi/filenames.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { blobKey, blobMetadataKey, blobProvenanceKey, type Place } from '../tuf/layout.ts'

/** Where the publisher lets one upload store its bytes. */
export interface Berth {
  readonly place: Place
  /** Declared digest; the bytes are stored only if they have it. */
  readonly sha256: string
  readonly n: number
}

/** A file whose bytes are in the bucket, checked. */
export interface StoredFile {
  /** Bytes. */
  readonly size: number
  readonly report: ArchiveReport
  /** Digest and length of METADATA, of wheels only: for sdists the standard promises less than readers assume. */
  readonly metadata?: { readonly sha256: string; readonly size: number }
}

/** Bridges a busy bucket (R2 answers 429 and internal errors now and then); more would outlast the uploader's patience. */
const RETRY_DELAYS_MS = [100, 400]

/** Repeats a bucket operation that may be repeated. @throws what its last attempt threw */
export async function retrying<T>(operation: () => Promise<T>): Promise<T> {
  for (const delay of RETRY_DELAYS_MS) {
    try {
      return await operation()
    } catch {
      await new Promise((resolve) => setTimeout(resolve, delay))
    }
  }
  return operation()
}

/** One conditional put: 1 class A operation, a head more if an earlier attempt's answer was lost. */
export async function putOnce(bucket: R2Bucket, key: string, bytes: Uint8Array, sha256: string): Promise<void> {
  const put = await retrying(() => bucket.put(key, bytes, { sha256, onlyIf: { etagDoesNotMatch: '*' } }))
  if (put !== null) return
  // The key is this upload's alone: what lies there is an earlier attempt of ours, or damage.
  const found = await retrying(() => bucket.head(key))
  if (found?.checksums.toJSON().sha256 !== sha256) throw new Error(`${key} holds other bytes.`)
}

export const keyOf = ({ place, sha256, n }: Berth): string => blobKey(place, sha256, n)

/** Stores a wheel's METADATA beside its blob (PEP 658). */
export async function putMetadata(
  bucket: R2Bucket,
  { place, sha256, n }: Berth,
  file: DistributionFilename,
  report: ArchiveReport,
): Promise<StoredFile['metadata']> {
  if (file.kind !== 'bdist_wheel') return undefined
  const digest = await sha256Hex(report.metadataBytes)
  await putOnce(bucket, blobMetadataKey(place, sha256, n), report.metadataBytes, digest)
  return { sha256: digest, size: report.metadataBytes.length }
}

/** Stores verified attestations beside their blob (PEP 740). */
export async function putProvenance(
  bucket: R2Bucket,
  { place, sha256, n }: Berth,
  provenance: string,
): Promise<{ sha256: string }> {
  const bytes = new TextEncoder().encode(provenance)
  const digest = await sha256Hex(bytes)
  await putOnce(bucket, blobProvenanceKey(place, sha256, n), bytes, digest)
  return { sha256: digest }
}
