// `npm run bench`: measures a service on this machine and what it is compared with, and prints a table.
//
//   --only NAME    one scenario (may be repeated)
//   --quick        less of everything, about a minute
//   --json FILE    where the figures go as JSON (bench/results/latest.json)
//
// Requests never leave 127.0.0.1. Progress goes to standard error, the table to standard output. Exits 0 also when a
// target is missed: the table says so, and shared machines are no judges.
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Figure, ratioOf, table } from './figures.ts'
import type { Scenario } from './scenario.ts'
import { adoption } from './scenarios/adoption.ts'
import { interval } from './scenarios/interval.ts'
import { lone } from './scenarios/lone.ts'
import { many } from './scenarios/many.ts'
import { memory } from './scenarios/memory.ts'
import { reads } from './scenarios/reads.ts'
import { refresh } from './scenarios/refresh.ts'
import { scale } from './scenarios/scale.ts'

const SCENARIOS: readonly Scenario[] = [lone, many, interval, scale, reads, memory, refresh]
/** Takes minutes, and so runs when it is asked for. */
const ASKED_FOR: readonly Scenario[] = [adoption]
const RESULTS = fileURLToPath(new URL('results/latest.json', import.meta.url))

const say = (text: string): boolean => process.stderr.write(`${text}\n`)

function chosen(names: readonly string[] | undefined): readonly Scenario[] {
  const all = [...SCENARIOS, ...ASKED_FOR]
  const unknown = names?.find((name) => !all.some((scenario) => scenario.name === name))
  if (unknown !== undefined) {
    say(`bench: there is no scenario '${unknown}': ${all.map(({ name }) => name).join(', ')}`)
    process.exit(2)
  }
  return names ? all.filter(({ name }) => names.includes(name)) : SCENARIOS
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    json: { type: 'string', default: RESULTS },
    quick: { type: 'boolean', default: false },
  },
})
// Leaves through `exit`, where everything that was started is ended.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code))

const machine = {
  date: new Date().toISOString(),
  cores: availableParallelism(),
  processor: cpus()[0]?.model ?? 'unknown',
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  system: `${process.platform} ${process.arch}`,
  node: process.version,
}
const figures: Figure[] = []
const failed: string[] = []
const began = performance.now()
for (const scenario of chosen(values.only)) {
  const started = performance.now()
  say(`${scenario.name}: ${scenario.title}`)
  try {
    const found = await scenario.run({ quick: values.quick, note: (text) => say(`  ${text}`) })
    figures.push(...found.map((figure) => ({ scenario: scenario.name, ...figure })))
  } catch (error) {
    failed.push(scenario.name)
    say(`  failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }
  say(`  ${((performance.now() - started) / 1000).toFixed(0)} s`)
}

const { cores, processor, memoryGiB, node, date } = machine
process.stdout.write(`${cores} cores of ${processor}, ${memoryGiB} GiB, Node ${node}, ${date.slice(0, 10)}`)
process.stdout.write(`${values.quick ? ', quick' : ''}\n\n${table(figures)}\n`)
const seconds = Math.round((performance.now() - began) / 1000)
const report = { machine, quick: values.quick, seconds, figures: figures.map((f) => ({ ...f, ratio: ratioOf(f) })) }
mkdirSync(dirname(values.json), { recursive: true })
writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
say(`\n${seconds} s, figures in ${values.json}`)
if (failed.length > 0) {
  say(`bench: ${failed.join(', ')} could not be measured`)
  process.exitCode = 1
}
