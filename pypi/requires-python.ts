// Version specifiers (PEP 440). State: none. The library decides what a clause is; this file decides what a set is.
import { validRange } from '@renovatebot/pep440'

/** Longest set looked at, in characters: real ones are below 100. */
const SPECIFIERS_CHARS_MAX = 1_000

// A prefix match takes a release only. The library also lets `==1.0a1.*` through, which installers refuse.
const PREFIX_MATCH = /^(?:==|!=)\s*v?(?:\d+!)?\d+(?:\.\d+)*\.\*$/i

function isClause(clause: string): boolean {
  return validRange(clause) && (!clause.endsWith('.*') || clause.startsWith('===') || PREFIX_MATCH.test(clause))
}

/** True if the text is a version specifier set such as `>=3.9,!=3.9.1`. Empty clauses are ignored, as `packaging` does. */
export function isSpecifierSet(text: string): boolean {
  if (text.length > SPECIFIERS_CHARS_MAX || !/^[\x20-\x7e]*$/.test(text)) return false
  return text.split(',').every((clause) => clause.trim() === '' || isClause(clause.trim()))
}
