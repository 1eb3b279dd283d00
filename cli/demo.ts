// `tuf-edge demo`, which `npm run demo` runs: the whole story in a temporary folder on free ports, without questions and
// without a network. Exit code 0 only if every step did what it says; whatever was started is ended, also by Ctrl-C.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { attackSteps } from './demo-attacks.ts'
import { jsonReporter, protectionTable, textReporter } from './demo-report.ts'
import { Stage } from './demo-stage.ts'
import { type Reporter, runSteps } from './demo-steps.ts'
import { storySteps } from './demo-story.ts'
import { bold, dim, green, note, red, say } from './terminal.ts'
import { refuseKeptByNpm } from './wrong-words.ts'

export const DEMO_HELP = `tuf-edge demo [--json] [--keep]

Starts an index of its own, publishes, installs, verifies, attacks it, and shows what is refused. Takes some 20
seconds on an idle machine and a minute or two on a busy one, needs no network, and leaves nothing behind. Exits with 0
only if every step did what it says.

  --json   one JSON object a step instead of text
  --keep   keep the folder with keys, bucket, clients and virtual environment

Examples
  npm run demo
  npm run demo -- --keep
`

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

export async function demo(args: string[]): Promise<void> {
  refuseKeptByNpm('run demo', args, { keep: false })
  const flag = { type: 'boolean' } as const
  const { values } = parseArgs({ args, options: { json: flag, keep: flag, help: { type: 'boolean', short: 'h' } } })
  if (values.help) {
    say(DEMO_HELP)
    return
  }
  const started = performance.now()
  const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-demo-'))
  const abort = new AbortController()
  const stage = new Stage(folder, abort.signal)
  const interrupted = nextSignal()
  // A terminal's Ctrl-C reaches the service as well: what the clients then say of it is no part of the story.
  void interrupted.then(() => abort.abort())
  const reporter = unlessAborted(abort.signal, values.json ? jsonReporter() : textReporter())
  const story = runSteps([...storySteps(stage), ...attackSteps(stage)], reporter)
  const outcome = await Promise.race([story, interrupted])
  abort.abort()
  try {
    await stage.stop()
  } finally {
    if (!values.keep) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  if (typeof outcome === 'string') {
    note('\nstopped, and cleaned up')
    // The interrupted step still waits for something that is gone.
    process.exit(SIGNALS[outcome])
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  if (!values.json) conclude(outcome, seconds)
  if (values.keep) note(`kept: ${folder}`)
  if (!outcome) process.exitCode = 1
}

function conclude(ok: boolean, seconds: string): void {
  if (ok) say(`\n${protectionTable()}\n\n${bold(green('✓ Every step did what it says.'))} ${dim(`${seconds} s`)}`)
  else say(`\n${bold(red('✗ The demo ended at a step that did not do what it says.'))} ${dim(`${seconds} s`)}`)
}

function unlessAborted(signal: AbortSignal, { begin, check, end }: Reporter): Reporter {
  const quiet =
    <A extends unknown[]>(tell: (...args: A) => void) =>
    (...args: A) => {
      if (!signal.aborted) tell(...args)
    }
  return { begin: quiet(begin), check: quiet(check), end: quiet(end) }
}

/** The next signal that ends a program. */
function nextSignal(): Promise<keyof typeof SIGNALS> {
  return new Promise((resolve) => {
    for (const signal of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) process.once(signal, () => resolve(signal))
  })
}
