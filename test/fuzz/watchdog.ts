// Ends a process that hangs in one input, and keeps the input: a loop in a parser gives no timer a chance, so a thread
// of its own looks on. State: the shared input and when it began.
import { Worker } from 'node:worker_threads'

/** Longest input that is kept. */
const INPUT_BYTES_MAX = 1024 * 1024

// Plain JavaScript: this text is the thread's whole program.
const PROGRAM = `
const { mkdirSync, writeFileSync } = require('node:fs')
const { workerData } = require('node:worker_threads')
const { clock, input, folder, deadlineMs } = workerData
setInterval(() => {
  const began = Atomics.load(clock, 0)
  if (began === 0n || Date.now() - Number(began) < deadlineMs) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(folder + '/hang-' + began, Buffer.from(input.slice(0, Number(Atomics.load(clock, 1)))))
  process.stderr.write('An input ran longer than ' + deadlineMs + ' ms; it is kept in ' + folder + '\\n')
  process.kill(process.pid, 'SIGKILL')
}, 100)
`

export class Watchdog {
  readonly #clock = new BigInt64Array(new SharedArrayBuffer(16))
  readonly #input = new Uint8Array(new SharedArrayBuffer(INPUT_BYTES_MAX))
  readonly #thread: Worker

  constructor(folder: string, deadlineMs: number) {
    const workerData = { clock: this.#clock, input: this.#input, folder, deadlineMs }
    this.#thread = new Worker(PROGRAM, { eval: true, workerData })
  }

  begin(input: Uint8Array): void {
    const kept = input.subarray(0, INPUT_BYTES_MAX)
    this.#input.set(kept)
    Atomics.store(this.#clock, 1, BigInt(kept.length))
    Atomics.store(this.#clock, 0, BigInt(Date.now()))
  }

  end(): void {
    Atomics.store(this.#clock, 0, 0n)
  }

  async stop(): Promise<void> {
    await this.#thread.terminate()
  }
}
