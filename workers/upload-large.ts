// Files over one buffer: parts go to a multipart upload while a digest and the archive checker see every byte.
// State: the parts that are stored, the running digest, the first thing found wrong. Invariant: the object comes into being
// by `complete` alone, which checks nothing itself and so is called only after digest and archive held.
//
// Bucket operations for p parts of 5 MiB: create + p + complete + METADATA = p + 3 class A; 95 MiB are 22. Abort is free.
import { type ArchiveChecker, archiveChecker } from '../pypi/archives.ts'
import type { DistributionFilename } from '../pypi/filenames.ts'
import { Refusal } from '../pypi/refusal.ts'
import { toHex } from '../tuf/hex.ts'
import { checkDigest } from './upload-small.ts'
import { type Berth, keyOf, putMetadata, retrying, type StoredFile } from './upload-store.ts'

const SLICE_BYTES = 65_536

export class LargeUpload {
  readonly #bucket: R2Bucket
  readonly #berth: Berth
  readonly #file: DistributionFilename
  readonly #upload: R2MultipartUpload
  readonly #parts: R2UploadedPart[] = []
  readonly #digest = new crypto.DigestStream('SHA-256')
  readonly #hash = this.#digest.getWriter()
  readonly #checker: ArchiveChecker
  #refusal: Refusal | undefined
  #size = 0
  #isOver = false

  private constructor(bucket: R2Bucket, berth: Berth, file: DistributionFilename, upload: R2MultipartUpload) {
    this.#bucket = bucket
    this.#berth = berth
    this.#file = file
    this.#upload = upload
    this.#checker = archiveChecker(file)
    this.#digest.digest.catch(() => undefined) // an aborted digest is nobody's unhandled rejection
  }

  static async start(bucket: R2Bucket, berth: Berth, file: DistributionFilename): Promise<LargeUpload> {
    const upload = await retrying(() => bucket.createMultipartUpload(keyOf(berth)))
    return new LargeUpload(bucket, berth, file, upload)
  }

  /** Takes PART_BYTES, or fewer at the end. The buffer is the caller's again when this resolves. */
  async part(bytes: Uint8Array): Promise<void> {
    this.#size += bytes.length
    await Promise.all([this.#hashAll(bytes), this.#inspect((checker) => checker.write(bytes)), this.#store(bytes)])
  }

  /** Takes the last bytes and completes. @throws Refusal if digest or archive are not what was declared */
  async finish(last: Uint8Array): Promise<StoredFile> {
    await this.part(last)
    await this.#hash.close()
    // A damaged upload is most likely a damaged archive too: what went wrong is the digest.
    checkDigest(this.#berth, toHex(new Uint8Array(await this.#digest.digest)))
    const report = await this.#inspect((checker) => checker.end())
    if (!report) throw this.#refusal
    const metadata = await putMetadata(this.#bucket, this.#berth, this.#file, report)
    this.#isOver = true
    await this.#upload.complete(this.#parts)
    return { size: this.#size, report, ...(metadata ? { metadata } : {}) }
  }

  /** Gives up what is not complete. Never rejects: R2 itself drops an upload that nobody completes after 7 days. */
  async abort(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    this.#checker.abort()
    await Promise.allSettled([this.#hash.abort(), this.#upload.abort()])
  }

  /** In slices: the digest copies what it is given, and a part at once would be one more buffer. */
  async #hashAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) await this.#hash.write(bytes.subarray(at, at + SLICE_BYTES))
  }

  async #store(bytes: Uint8Array): Promise<void> {
    if (this.#refusal) return
    const number = this.#parts.length + 1
    this.#parts.push(await retrying(() => this.#upload.uploadPart(number, bytes)))
  }

  async #inspect<T>(look: (checker: ArchiveChecker) => Promise<T>): Promise<T | undefined> {
    if (this.#refusal) return undefined
    try {
      return await look(this.#checker)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.#refusal = error
      return undefined
    }
  }
}
