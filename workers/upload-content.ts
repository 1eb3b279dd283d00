// Takes the bytes of one file: one buffer, however large the file. State: the buffer and, once it has overflowed, the
// large upload that its parts go to. Invariant: a file that fits is looked at whole before any of it is stored.
import type { DistributionFilename } from '../pypi/filenames.ts'
import type { FileSink } from '../pypi/upload-form.ts'
import { giveBuffer, type Lease, PART_BYTES, takeBuffer } from './part-slots.ts'
import type { LargeUpload } from './upload-large.ts'
import { storeSmall } from './upload-small.ts'
import type { Berth, StoredFile } from './upload-store.ts'

export class UploadContent implements FileSink {
  readonly #lease: Lease
  readonly #buffer: Uint8Array
  readonly #startLarge: () => Promise<LargeUpload>
  #used = 0
  #large: LargeUpload | undefined

  /**
   * @param bodyBytes bytes of the whole form, of which the file is a part; undefined if nobody knows
   * @param startLarge called when a second buffer begins; may refuse
   */
  constructor(lease: Lease, bodyBytes: number | undefined, startLarge: () => Promise<LargeUpload>) {
    this.#lease = lease
    this.#buffer = bodyBytes !== undefined && bodyBytes < PART_BYTES ? new Uint8Array(bodyBytes) : takeBuffer()
    this.#startLarge = startLarge
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#lease.renew()
    for (let rest = chunk; ; ) {
      const piece = rest.subarray(0, this.#buffer.length - this.#used)
      this.#buffer.set(piece, this.#used)
      this.#used += piece.length
      rest = rest.subarray(piece.length)
      if (rest.length === 0) return
      // The buffer is full and more has come. (A body never has more bytes than it declared, so it is a whole part.)
      this.#large ??= await this.#startLarge()
      await this.#large.part(this.#buffer)
      this.#used = 0
    }
  }

  /** All bytes have come: checks and stores. @throws Refusal, with nothing in the bucket */
  async store(bucket: R2Bucket, berth: Berth, file: DistributionFilename): Promise<StoredFile> {
    const rest = this.#buffer.subarray(0, this.#used)
    const stored = await (this.#large ? this.#large.finish(rest) : storeSmall(bucket, berth, file, rest))
    giveBuffer(this.#buffer)
    this.#lease.release()
    return stored
  }

  /** Lets go of everything; after `store` there is nothing left to let go of. */
  async close(): Promise<void> {
    this.#lease.release()
    await this.#large?.abort()
  }
}
