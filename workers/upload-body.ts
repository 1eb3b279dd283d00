// The body of an upload request. State: the reader, bytes received, whether more may come.
// Invariants: no read waits longer than STALL_MS; never more is read than BODY_BYTES_MAX or the declared Content-Length;
// after an early refusal the rest is read and dropped, so that the client shows the answer and not a broken pipe.
import { FILE_BYTES_MAX, FORM_TOTAL_BYTES_MAX } from '../pypi/limits.ts'
import { Refusal } from '../pypi/refusal.ts'
import { Problem } from './errors.ts'

/** Most bytes of a body: the largest file and the largest form around it. */
export const BODY_BYTES_MAX = FILE_BYTES_MAX + FORM_TOTAL_BYTES_MAX

/** A client that sends nothing for this long is gone, or holds a buffer that others wait for. */
const STALL_MS = 30_000

/** Bytes asked for at once. A default reader gets 4 KiB, 24,000 rounds for the largest file; this is 1,500. */
const CHUNK_BYTES = 64 * 1024

/**
 * Chunks are read into two buffers in turn: the form parser still looks at the end of the last chunk when the next one
 * comes, and never further back. A new buffer for each would be 100 MB of garbage an upload, collected late.
 */
const BUFFERS = 2

const MIB = 1024 * 1024

/** What 413 says, also before anything was read. */
export const TOO_LARGE = `File too large. Limit for a file is ${FILE_BYTES_MAX / MIB} MiB.`

/** Nothing came for STALL_MS. */
export class Stalled extends Problem {
  constructor() {
    super(408, `The upload stood still for ${STALL_MS / 1000} seconds. Uploading again is safe.`)
  }
}

export class UploadBody {
  /** `Content-Length`, or undefined if the body is chunked. */
  readonly declared: number | undefined
  readonly #reader: ReadableStreamBYOBReader | undefined
  readonly #stallMs: number
  readonly #buffers: ArrayBufferLike[] = Array.from({ length: BUFFERS }, () => new ArrayBuffer(CHUNK_BYTES))
  #reads = 0
  #received = 0
  #ended = false

  /** @param stallMs shorter in tests only */
  constructor(request: Request, stallMs = STALL_MS) {
    this.#stallMs = stallMs
    const length = request.headers.get('content-length')
    this.declared = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : undefined
    this.#reader = request.body?.getReader({ mode: 'byob' })
  }

  /** The body as a stream, made once. Errors are Refusal (broken off, too large, other length than declared) and Stalled. */
  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const chunk = await this.#next()
          if (chunk) controller.enqueue(chunk)
          else controller.close()
        },
      },
      { highWaterMark: 0 }, // nothing is read ahead of the parser
    )
  }

  /** Reads what is left and drops it. Never rejects. */
  async drain(): Promise<void> {
    try {
      while (await this.#next());
    } catch {
      // Nobody listens any more, or more was sent than any answer is worth.
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (!this.#reader || this.#ended) return undefined
    try {
      const chunk = await this.#read(this.#reader)
      if (chunk) this.#received += chunk.length
      this.#check(chunk === undefined)
      this.#ended = chunk === undefined
      return chunk
    } catch (error) {
      this.#ended = true
      this.#reader.cancel().catch(() => undefined)
      if (error instanceof Refusal || error instanceof Stalled) throw error
      throw new Refusal('The upload broke off before its end: send it again.')
    }
  }

  async #read(reader: ReadableStreamBYOBReader): Promise<Uint8Array | undefined> {
    let timer: number | null = null
    const stalled = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Stalled()), this.#stallMs)
    })
    try {
      const turn = this.#reads++ % BUFFERS
      // The read takes the buffer away and gives it back under its answer.
      const { done, value } = await Promise.race([reader.read(new Uint8Array(this.#buffers[turn]!)), stalled])
      if (done) return undefined
      this.#buffers[turn] = value.buffer
      return value
    } finally {
      clearTimeout(timer)
    }
  }

  #check(atEnd: boolean): void {
    if (this.#received > BODY_BYTES_MAX) throw new Refusal(TOO_LARGE, 413)
    const { declared } = this
    if (declared === undefined) return
    if (this.#received > declared || (atEnd && this.#received < declared))
      throw new Refusal(`The upload's Content-Length says ${declared} bytes, and others came: send it again.`)
  }
}
