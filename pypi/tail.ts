// The last bytes of a file that goes by. State: a ring of them and the number of all bytes so far.

/** Bytes before the end in which a zip's end record can start: the record and its longest comment. */
const TAIL_BYTES = 22 + 65_535

/** Keeps the end of what is pushed. */
export class Tail {
  readonly #ring = new Uint8Array(TAIL_BYTES)
  #total = 0

  /** All bytes pushed so far. */
  get total(): number {
    return this.#total
  }

  push(bytes: Uint8Array): void {
    const kept = bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES))
    let at = (this.#total + bytes.length - kept.length) % TAIL_BYTES
    for (let done = 0; done < kept.length; ) {
      const piece = kept.subarray(done, done + TAIL_BYTES - at)
      this.#ring.set(piece, at)
      done += piece.length
      at = 0
    }
    this.#total += bytes.length
  }

  /** The last four bytes, little endian: gzip's size field. */
  uint32(): number {
    const end = this.#bytes()
    return end.length < 4 ? -1 : new DataView(end.buffer).getUint32(end.length - 4, true)
  }

  /**
   * True if Python's `zipfile.is_zipfile` takes the file for a zip: an end record whose directory fits before it. pip
   * asks that before it looks at the extension.
   */
  looksLikeZip(): boolean {
    const end = this.#bytes()
    const data = new DataView(end.buffer)
    for (let at = 0; at + 22 <= end.length; at++) {
      if (end[at] !== 0x50 || data.getUint32(at, true) !== 0x06054b50) continue
      const directory = data.getUint32(at + 12, true) + data.getUint32(at + 16, true)
      // Four bytes are found by chance in one file of 65,000; four with two plausible numbers after them are not.
      if (directory <= this.#total - end.length + at) return true
    }
    return false
  }

  #bytes(): Uint8Array {
    if (this.#total <= TAIL_BYTES) return this.#ring.slice(0, this.#total)
    const at = this.#total % TAIL_BYTES
    const bytes = new Uint8Array(TAIL_BYTES)
    bytes.set(this.#ring.subarray(at))
    bytes.set(this.#ring.subarray(0, at), TAIL_BYTES - at)
    return bytes
  }
}
