// `npm run test:crash`: a whole service under writers and pollers that is killed again and again, or loaded for minutes.
// Ends with a table, and with 1 unless nothing was lost, forked, shown out of order or failed for a client.
import { parseArgs } from 'node:util'
import { killAgainAndAgain } from './kills.ts'
import { loadForMinutes } from './load.ts'
import { printReport } from './report.ts'

const KILLS = 40

const { values } = parseArgs({ options: { kills: { type: 'string' }, minutes: { type: 'string' } } })
const kills = numberOf('kills')
const minutes = numberOf('minutes')

let good = true
if (minutes !== undefined) good = printReport(await loadForMinutes(minutes))
if (minutes === undefined || kills !== undefined) good = printReport(await killAgainAndAgain(kills ?? KILLS)) && good
process.exit(good ? 0 : 1)

function numberOf(name: 'kills' | 'minutes'): number | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const number = Number(text)
  if (number > 0 && (name === 'minutes' || Number.isInteger(number))) return number
  process.stderr.write(`--${name} wants a number above 0, not '${text}'.\n`)
  process.exit(2)
}
