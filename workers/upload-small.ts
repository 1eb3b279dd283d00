// Files of up to one buffer: checked whole, then put once. Bucket operations: 1 class A, wheels 2 (METADATA).
import { archiveChecker } from '../pypi/archives.ts'
import type { DistributionFilename } from '../pypi/filenames.ts'
import { Refusal } from '../pypi/refusal.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { type Berth, keyOf, putMetadata, putOnce, type StoredFile } from './upload-store.ts'

/** Stores a small file. @throws Refusal before anything is written if digest or archive are not what was declared */
export async function storeSmall(
  bucket: R2Bucket,
  berth: Berth,
  file: DistributionFilename,
  bytes: Uint8Array,
): Promise<StoredFile> {
  checkDigest(berth, await sha256Hex(bytes))
  const checker = archiveChecker(file)
  await checker.write(bytes)
  const report = await checker.end()
  const [metadata] = await Promise.all([
    putMetadata(bucket, berth, file, report),
    putOnce(bucket, keyOf(berth), bytes, berth.sha256),
  ])
  return { size: bytes.length, report, ...(metadata ? { metadata } : {}) }
}

/** Refuses a file that is not the one its form declared. */
export function checkDigest(berth: Berth, sha256: string): void {
  if (sha256 === berth.sha256) return
  throw new Refusal(
    `The digest supplied does not match a digest calculated from the uploaded file: declared ${berth.sha256}, ` +
      `calculated ${sha256}. Send the file again.`,
  )
}
