// Dependency lines (PEP 508), judged for shape: name, extras, specifiers or address, and a marker that balances.
// State: none. Names are not resolved and markers not evaluated: installers do both.
import { isValidName } from './names.ts'
import { isSpecifierSet } from './requires-python.ts'

/** Longest line looked at, in characters; generated markers reach a few thousand. */
const REQUIREMENT_CHARS_MAX = 16_384

const NAME_AND_EXTRAS = /^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*/

/** True if the text has the shape of a PEP 508 requirement. Linear time. */
export function isRequirement(text: string): boolean {
  if (text.length > REQUIREMENT_CHARS_MAX) return false
  const found = NAME_AND_EXTRAS.exec(text)
  if (!found || !isValidName(found[1]!)) return false
  const extras = found[2]?.trim() ?? ''
  if (extras !== '' && !extras.split(',').every((extra) => isValidName(extra.trim()))) return false
  const rest = text.slice(found[0].length)
  if (rest.startsWith('@')) {
    // An address ends at white space: a `;` may be part of it.
    const address = /^@\s*(\S+)(?:\s+;(.*))?\s*$/s.exec(rest)
    return address !== null && (address[2] === undefined || isMarker(address[2]))
  }
  const semicolon = rest.indexOf(';')
  const specifiers = (semicolon < 0 ? rest : rest.slice(0, semicolon)).trim()
  if (semicolon >= 0 && !isMarker(rest.slice(semicolon + 1))) return false
  const bare = specifiers.startsWith('(') && specifiers.endsWith(')') ? specifiers.slice(1, -1) : specifiers
  return isSpecifierSet(bare.trim())
}

// Tokens of a marker: quoted text, operators, words, parentheses.
const MARKER_TOKEN = /\s*(?:"[^"]*"|'[^']*'|===|==|~=|!=|<=|>=|<|>|[A-Za-z_][A-Za-z0-9_.]*|[()])/y

function isMarker(text: string): boolean {
  const trimmed = text.trim()
  let depth = 0
  let tokens = 0
  MARKER_TOKEN.lastIndex = 0
  while (MARKER_TOKEN.lastIndex < trimmed.length) {
    const found = MARKER_TOKEN.exec(trimmed)
    if (!found) return false
    tokens++
    if (found[0].endsWith('(')) depth++
    if (found[0].endsWith(')') && --depth < 0) return false
  }
  return depth === 0 && tokens >= 3
}
