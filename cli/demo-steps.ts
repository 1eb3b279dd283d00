// The demo's skeleton: a step says what must be seen, and a step that sees something else fails. Pure, so that tests can
// show that an attack which is *not* refused ends in a failure.
// Invariant: a step without a single check has shown nothing and fails; after a failed step nothing more is told, because
// what follows builds on it.

/** What somebody got who asked for a file or a page. */
export type Verdict = 'genuine' | 'altered' | 'refused by the client' | 'refused by the service' | 'failed'

export interface Outcome {
  verdict: Verdict
  /** One line: the client's or the service's own sentence. */
  detail: string
}

export interface Check {
  who: string
  ok: boolean
  expected: string
  seen: string
  detail?: string
}

export type Tell = (check: Check) => void

export interface Step {
  id: string
  title: string
  /** What an attacker wants, in one sentence. */
  aim?: string
  run(tell: Tell): Promise<void>
}

export interface StepResult {
  step: number
  id: string
  title: string
  ok: boolean
  ms: number
  checks: Check[]
}

export interface Reporter {
  begin(number: number, step: Step): void
  check(check: Check): void
  end(result: StepResult): void
}

/** Compares what was seen with what the step promises. */
export function expectVerdict(who: string, expected: Verdict, { verdict, detail }: Outcome): Check {
  return { who, ok: verdict === expected, expected, seen: verdict, detail }
}

/** A check of anything else. */
export function expectThat(who: string, ok: boolean, expected: string, seen: string = expected): Check {
  return { who, ok, expected, seen }
}

/** Runs the steps in order and ends with the first that fails. True if every one did what it says. */
export async function runSteps(steps: readonly Step[], reporter: Reporter): Promise<boolean> {
  for (const [i, step] of steps.entries()) {
    const started = performance.now()
    const checks: Check[] = []
    const tell: Tell = (check) => {
      checks.push(check)
      reporter.check(check)
    }
    reporter.begin(i + 1, step)
    try {
      await step.run(tell)
      if (checks.length === 0) tell(expectThat('the demo', false, 'something that can be checked', 'nothing'))
    } catch (error) {
      const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
      tell(expectThat('the demo', false, 'the step runs to its end', message))
    }
    const ok = checks.every((check) => check.ok)
    const ms = Math.round(performance.now() - started)
    reporter.end({ step: i + 1, id: step.id, title: step.title, ok, ms, checks })
    if (!ok) return false
  }
  return true
}
