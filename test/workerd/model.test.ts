// The model test: random sequences of everything that may happen, held against a model of what must be visible. After
// every single write to the bucket a fresh client and a warm one complete and find what was answered 200; whenever the
// publisher is at rest, everything is exactly as the answers allow; at the end the journal's chain holds and no number
// was signed twice. A failure is shrunk and printed with its seed and path: `npm run test:model -- --seed N --path P` replays
// it, `--seconds S` runs longer, `--steps N` until that many commands were run.
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { COMMANDS } from './model-commands.ts'
import { forgetAll } from './model-memory.ts'
import { type Model, World } from './model-world.ts'

vi.spyOn(console, 'error').mockImplementation(() => {})

const asked = (env as { MODEL?: string }).MODEL ?? ''
const option = (name: string): string | undefined => new RegExp(`--${name} (\\S+)`).exec(asked)?.[1]
const SEED = Number(option('seed') ?? Date.now() % 1_000_000_007)
const PATH = option('path')
const STEPS = Number(option('steps') ?? Number.POSITIVE_INFINITY)
/** With a number of steps a day bounds the time: they end when they are done. */
const SECONDS = Number(option('seconds') ?? (STEPS < Number.POSITIVE_INFINITY ? 86_400 : 25))
/** Sequences of one seed; the next seed follows, until the steps or the seconds are over. */
const BATCH = 10

test(`every sequence keeps every promise (seed ${SEED})`, { timeout: 1_000 * (3 * SECONDS + 300) }, async () => {
  const end = Date.now() + 1_000 * SECONDS
  const run = { sequences: 0, commands: 0, writes: 0, checks: 0 }
  const property = fc.asyncProperty(fc.commands(COMMANDS, { maxCommands: 60, size: 'max' }), async (commands) => {
    forgetAll()
    const model: Model = new Map()
    const world = await World.create(model)
    await fc.asyncModelRun(() => ({ model, real: world }), commands)
    world.subject.bucket.judge = () => undefined
    await world.rest()
    expect(await world.subject.audit()).toEqual([])
    run.sequences++
    run.commands += [...commands].length
    run.writes += world.subject.bucket.writes
    run.checks += world.checks
  })
  const rest = () => end - Date.now()
  let seed = SEED
  while (rest() > 0 && run.commands < STEPS) {
    await fc.assert(property, {
      seed: seed++,
      ...(PATH === undefined ? {} : { path: PATH }),
      numRuns: BATCH,
      interruptAfterTimeLimit: rest(),
      endOnFailure: false,
    })
    if (PATH !== undefined) break
  }
  console.log(`model: seed ${SEED}, ${JSON.stringify(run)}`)
})
