// Callers who wait for their change to become visible, by its queue row. State: one callback a waiting call; nothing is
// lost with it, a caller who is not told in time is answered that the change is accepted and will appear.
// Invariant: nobody waits longer than ANSWER_WITHIN_MS, and no more than WAITERS_MAX wait at once.

/** hatch reads an answer for 10 s, poetry and pdm for 15: what is not visible by then is answered 202. */
const ANSWER_WITHIN_MS = 8_000
/** One for every change that may wait (STAGED_MAX), and as many who repeat an upload: ≈ 2 kB each, 8 MB. */
const WAITERS_MAX = 4_000

export class Waiters {
  readonly #bySeq = new Map<number, Set<() => void>>()
  #count = 0

  /** True when the change became visible, false when the time is over or too many wait. */
  async wait(seq: number): Promise<boolean> {
    if (this.#count >= WAITERS_MAX) return false
    let timer: number | null = null
    let told = () => {}
    const visible = await new Promise<boolean>((resolve) => {
      told = () => resolve(true)
      const others = this.#bySeq.get(seq) ?? new Set()
      this.#bySeq.set(seq, others.add(told))
      this.#count++
      timer = setTimeout(() => resolve(false), ANSWER_WITHIN_MS)
    })
    clearTimeout(timer)
    this.#count--
    const others = this.#bySeq.get(seq)
    others?.delete(told)
    if (others?.size === 0) this.#bySeq.delete(seq)
    return visible
  }

  /** These changes are visible. */
  announce(seqs: number[]): void {
    for (const seq of seqs) for (const told of this.#bySeq.get(seq) ?? []) told()
  }
}
