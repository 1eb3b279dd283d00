// A pipe between somebody who pushes chunks and a parser that pulls bytes. State: at most one chunk, and who waits.
// Invariant: `write` resolves only when the parser has taken the whole chunk and wants more, or has ended; so one chunk
// of each pipe is the most that is ever held, whatever the sizes on either side.

const EMPTY = new Uint8Array()

/** Thrown into the parser when it asks for bytes after the end. */
export class EndOfInput extends Error {}

/** One writer, one reader; calls on each side do not overlap. */
export class ByteFeed {
  #chunk: Uint8Array = EMPTY
  #offset = 0
  #position = 0
  #ended = false
  #closed: { readonly error?: unknown } | undefined
  #wakeReader: (() => void) | undefined
  #wakeWriter: (() => void) | undefined

  /** Bytes the parser has taken. */
  get position(): number {
    return this.#position
  }

  // ── writer's side ──

  /** Gives a chunk to the parser. Throws what the parser ended with. */
  async write(chunk: Uint8Array): Promise<void> {
    this.#throwIfFailed()
    if (this.#closed || chunk.length === 0) return
    this.#chunk = chunk
    this.#offset = 0
    const taken = new Promise<void>((resolve) => {
      this.#wakeWriter = resolve
    })
    this.#wake()
    await taken
    this.#throwIfFailed()
  }

  /** No more chunks will come. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  // ── parser's side ──

  /** The parser has ended, well or with an error: later writes are dropped, or throw it. */
  close(outcome: { readonly error?: unknown } = {}): void {
    this.#closed ??= outcome
    this.#ended = true
    this.#chunk = EMPTY
    this.#offset = 0
    this.#wake()
    this.#wakeWriter?.()
    this.#wakeWriter = undefined
  }

  /** Exactly `length` bytes, a view of the chunk if they are in one. Keep `length` small: they are held. */
  async take(length: number): Promise<Uint8Array> {
    if (this.#chunk.length - this.#offset >= length) return this.#advance(length)
    const bytes = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      const piece = await this.takeSome(length - filled)
      bytes.set(piece, filled)
      filled += piece.length
    }
    return bytes
  }

  /** Between 1 and `max` bytes, as a view of the current chunk. */
  async takeSome(max: number): Promise<Uint8Array> {
    if (!(await this.#fill())) throw new EndOfInput()
    return this.#advance(Math.min(max, this.#chunk.length - this.#offset))
  }

  /** Lets `length` bytes go by. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) left -= (await this.takeSome(left)).length
  }

  /** True if every byte has been taken and no more will come. */
  async atEnd(): Promise<boolean> {
    return !(await this.#fill())
  }

  #advance(length: number): Uint8Array {
    const bytes = this.#chunk.subarray(this.#offset, this.#offset + length)
    this.#offset += length
    this.#position += length
    return bytes
  }

  // True if there is at least one byte; false at the end.
  async #fill(): Promise<boolean> {
    while (this.#offset === this.#chunk.length) {
      if (this.#closed) throw this.#closed.error ?? new EndOfInput()
      if (this.#ended) return false
      const woken = new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
      this.#chunk = EMPTY
      this.#offset = 0
      this.#wakeWriter?.()
      this.#wakeWriter = undefined
      await woken
    }
    return true
  }

  #wake(): void {
    this.#wakeReader?.()
    this.#wakeReader = undefined
  }

  #throwIfFailed(): void {
    if (this.#closed && 'error' in this.#closed) throw this.#closed.error
  }
}
