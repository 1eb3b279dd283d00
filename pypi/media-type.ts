// Values with parameters, as `Content-Type` and `Content-Disposition` have them (RFC 9110, RFC 7578, RFC 8187).
// State: none. Invariant: one value for each parameter; anything malformed is a refusal, never a guess.
import { Refusal } from './refusal.ts'

/** `value; name=text; name="text"`: the value and the parameter names are in lower case, texts as sent. */
export interface ParameterisedValue {
  readonly value: string
  readonly parameters: ReadonlyMap<string, string>
}

// One parameter: a token or a quoted string. Browsers and httpx write `"` as %22, older urllib3 as `\"`: both are taken
// as they come, and checkFilename refuses what is no file name.
const PARAMETER = /\s*;\s*([!#$%&'*+.^\w`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/y

const MALFORMED = 'A header of the upload is malformed: send it again, with a current version of your tool.'

/** Longest header looked at, in characters; multipasta stops at 16 KiB too. */
const HEADER_CHARS_MAX = 16_384

/** Splits a header value. An absent header is the empty text and gives the empty value. */
export function parseParameters(text: string): ParameterisedValue {
  if (text.length > HEADER_CHARS_MAX) throw new Refusal(MALFORMED)
  const header = text.replace(/[\s;]+$/, '')
  const end = header.indexOf(';')
  const value = (end < 0 ? header : header.slice(0, end)).trim().toLowerCase()
  const parameters = new Map<string, string>()
  for (let at = end < 0 ? header.length : end; at < header.length; at = PARAMETER.lastIndex) {
    PARAMETER.lastIndex = at
    const found = PARAMETER.exec(header)
    const name = found?.[1]?.toLowerCase()
    if (!found || name === undefined || parameters.has(name)) throw new Refusal(MALFORMED)
    const raw = found[2] === undefined ? found[3]! : found[2].replace(/\\(["\\])/g, '$1')
    parameters.set(name, name.endsWith('*') ? decodeExtended(raw) : raw)
  }
  return { value, parameters }
}

/** `UTF-8''percent-encoded` (RFC 8187). */
function decodeExtended(text: string): string {
  const found = /^utf-8'[^']*'(.*)$/i.exec(text)
  try {
    if (found) return decodeURIComponent(found[1]!)
  } catch {
    // refused below
  }
  throw new Refusal('A header of the upload has a malformed file name: send plain ASCII file names.')
}
