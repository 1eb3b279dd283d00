// What a person sees of long work: one line on the terminal, written over as it moves. State: what was done, when it was
// last shown. Invariant: nothing is written where no terminal is, and the line is gone before anything else is said.
import { stderr } from 'node:process'

/** Often enough to look alive, seldom enough to cost nothing. */
const EVERY_MS = 100
const MIB = 1024 * 1024

export class Progress {
  readonly #shown = stderr.isTTY === true
  #last = 0
  #drawn = false

  /** `what 120 of 3000, 4.2 MiB: name` */
  show(what: string, done: number, total: number | undefined, bytes = 0, name = ''): void {
    const now = Date.now()
    if (!this.#shown || now - this.#last < EVERY_MS) return
    this.#last = now
    const count = total === undefined ? `${done}` : `${done} of ${total}`
    const size = bytes > 0 ? `, ${(bytes / MIB).toFixed(1)} MiB` : ''
    const line = `${what} ${count}${size}${name && `: ${name}`}`
    stderr.write(`\r\x1b[2K${line.slice(0, (stderr.columns || 80) - 1)}`)
    this.#drawn = true
  }

  /** Takes the line away. */
  end(): void {
    if (this.#drawn) stderr.write('\r\x1b[2K')
    this.#drawn = false
  }
}
