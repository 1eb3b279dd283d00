// The model test: random sequences of everything that may happen, held against a model of what must be visible. After
// every single write to the bucket a fresh client and a warm one complete and find what was answered 200; whenever the
// publisher is at rest, everything is exactly as the answers allow; at the end the journal's chain holds and no number
// was signed twice. A failure is shrunk and printed with its seed and path: `npm run test:model -- --seed N --path P` replays
// it, `--seconds S` runs longer.
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { COMMANDS } from './model-commands.ts'
import { type Model, World } from './model-world.ts'

vi.spyOn(console, 'error').mockImplementation(() => {})

const asked = (env as { MODEL?: string }).MODEL ?? ''
const option = (name: string): string | undefined => new RegExp(`--${name} (\\S+)`).exec(asked)?.[1]
const SEED = Number(option('seed') ?? Date.now() % 1_000_000_007)
const PATH = option('path')
const SECONDS = Number(option('seconds') ?? 25)

test(`every sequence keeps every promise (seed ${SEED}, ${SECONDS} s)`, {
  timeout: 1_000 * (3 * SECONDS + 300),
}, async () => {
  const run = { sequences: 0, commands: 0, writes: 0, checks: 0 }
  await fc.assert(
    fc.asyncProperty(fc.commands(COMMANDS, { maxCommands: 20, size: 'max' }), async (commands) => {
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
    }),
    {
      seed: SEED,
      ...(PATH === undefined ? {} : { path: PATH }),
      numRuns: 100_000,
      interruptAfterTimeLimit: 1_000 * SECONDS,
      endOnFailure: false,
    },
  )
  console.log(`model: seed ${SEED}, ${JSON.stringify(run)}`)
})
