// TUF dates: `YYYY-MM-DDTHH:MM:SSZ` and nothing else (TUF 1.0.34, 4.2.1). Milliseconds, as toISOString() writes them,
// are refused by python-tuf and turn into a bad signature in clients that parse and re-serialise.
import { FormatError } from './errors.ts'

const DATE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/

/** The second that contains `ms` (milliseconds since 1970) as a TUF date; throws FormatError outside years 0–9999. */
export function formatDate(ms: number): string {
  const whole = Math.floor(ms / 1000) * 1000
  const text = Number.isFinite(whole) && Math.abs(whole) <= 8.64e15 ? new Date(whole).toISOString() : ''
  // Years beyond four digits print with a sign and more digits.
  if (text.length !== 'YYYY-MM-DDTHH:MM:SS.000Z'.length) throw new FormatError(`${ms} ms is not a date TUF can write.`)
  return `${text.slice(0, 19)}Z`
}

/** Milliseconds since 1970 of a TUF date; throws FormatError for another form or a day that does not exist. */
export function parseDate(text: string): number {
  const ms = DATE.test(text) ? Date.parse(text) : Number.NaN
  // Date.parse rolls 30 February over into March.
  if (Number.isNaN(ms) || formatDate(ms) !== text)
    throw new FormatError(`"${text}" is not a date of the form YYYY-MM-DDTHH:MM:SSZ.`)
  return ms
}
