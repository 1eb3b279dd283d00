// The loop: kept seeds first, then mutations of a corpus for a bounded time. An input whose outcome is new (another
// sentence of refusal, another kind of answer) joins the corpus: the parsers say in words which branch they took, and
// that guides as coverage would, without slowing every run down by an instrument.
// A failure is kept in test/vectors/fuzz/{target}/ and is a seed from then on.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { below, mutator, oneOf, type Random, randomFrom } from './mutate.ts'
import { Watchdog } from './watchdog.ts'

const SEEDS = new URL('../vectors/fuzz/', import.meta.url).pathname

/** Seconds of the random part of one target; the short form is part of `npm test`. */
export const SECONDS = Number(process.env.FUZZ_SECONDS ?? '0.6')
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
/** A parser that needs longer for an input of at most 64 KiB on a busy machine hangs, as far as a service is concerned. */
export const CASE_MS_MAX = 5_000
const CORPUS_MAX = 2_000
const FAILURES_MAX = 10

export interface Target {
  name: string
  /** Good inputs to begin with. */
  corpus: Uint8Array[]
  dictionary?: string[]
  /** Bytes of the longest input. */
  bytesMax?: number
  /** Milliseconds after which an input hangs. */
  deadlineMs?: number
  /** Runs one input. Its outcome in a few words, alike for inputs of one kind. @throws if a property does not hold */
  run(input: Uint8Array, random: Random): string | Promise<string>
}

export interface Report {
  target: string
  seeds: number
  executions: number
  outcomes: number
  slowestMs: number
  failures: string[]
}

export async function fuzz(target: Target, seconds = SECONDS): Promise<Report> {
  const folder = join(SEEDS, target.name)
  const seeds = existsSync(folder) ? readdirSync(folder).map((name) => readFileSync(join(folder, name))) : []
  const corpus: Uint8Array[] = [...seeds, ...target.corpus]
  const mutate = mutator(target.dictionary ?? [], target.bytesMax ?? 16_384)
  const random = randomFrom(SEED)
  const outcomes = new Set<string>()
  const failures = new Map<string, string>()
  const watchdog = new Watchdog(folder, target.deadlineMs ?? CASE_MS_MAX)
  const report = { target: target.name, seeds: seeds.length, executions: 0, outcomes: 0, slowestMs: 0 }

  const attempt = async (input: Uint8Array): Promise<void> => {
    report.executions++
    watchdog.begin(input)
    const began = performance.now()
    try {
      const outcome = await target.run(input, random)
      if (!outcomes.has(outcome)) {
        outcomes.add(outcome)
        if (corpus.length < CORPUS_MAX) corpus.push(input)
      }
    } catch (error) {
      const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
      const kind = simplified(what).slice(0, 80)
      if (!failures.has(kind)) failures.set(kind, `${keep(folder, input)}: ${(error as Error).stack ?? what}`)
    }
    watchdog.end()
    report.slowestMs = Math.max(report.slowestMs, performance.now() - began)
  }

  try {
    for (const input of [...corpus]) await attempt(input)
    const until = Date.now() + seconds * 1000
    while (Date.now() < until && failures.size < FAILURES_MAX) {
      // The newest inputs took the rarest branches.
      const from = random() < 0.5 ? Math.max(0, corpus.length - 50) : 0
      const parent = corpus[from + below(random, corpus.length - from)]!
      await attempt(mutate(random, parent, corpus))
      // Timers and the test runner want a turn as well.
      if (report.executions % 256 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  } finally {
    await watchdog.stop()
  }
  report.outcomes = outcomes.size
  report.slowestMs = Math.round(report.slowestMs)
  if (process.env.FUZZ_SECONDS) console.log(`${JSON.stringify(report)} seed ${SEED}`)
  return { ...report, failures: [...failures.values()] }
}

/** A message without what is quoted from the input, so that messages of one kind are alike. */
export const simplified = (message: string): string =>
  message
    .replace(/'.*'|".*"/gs, "'…'")
    .replace(/\d+/g, 'N')
    .slice(0, 200)

function keep(folder: string, input: Uint8Array): string {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, createHash('sha256').update(input).digest('hex').slice(0, 12))
  writeFileSync(file, input)
  return file
}

/** Sizes to cut an input at: what a network does. */
export function chunkSizes(random: Random): number[] {
  return Array.from({ length: 1 + below(random, 4) }, () => 1 + below(random, oneOf(random, [1, 3, 40, 600, 70_000])))
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
