// PEP 440 versions. State: none. Invariant: two strings get the same `normalizeVersion` exactly if `packaging` writes them
// the same; `compareVersions` is a total order on normalised versions up to trailing zeros of the release.
//
// Written out instead of taken from @renovatebot/pep440 5.0.1, which decides only what a specifier is
// (requires-python.ts): that library writes `1.0+ubuntu.1` as `1.0+ubuntu,1`, reads the local label `1e5` as the number
// 100000, and rounds numbers over 2^53. Here a wrong normal form would be a wrong file name, so digits stay strings.
import { Refusal, shown } from './refusal.ts'

/** Parts of a version. Numbers are decimal strings without leading zeros. */
export interface Version {
  readonly epoch: string
  readonly release: readonly string[]
  readonly pre: readonly ['a' | 'b' | 'rc', string] | null
  readonly post: string | null
  readonly dev: string | null
  readonly local: readonly string[] | null
}

// PEP 440, appendix B. Alternatives are ordered and disjoint after their separators: no backtracking beyond a few steps.
const VERSION =
  /^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\d+)?)?(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d+)?)?(?:[-_.]?(dev)[-_.]?(\d+)?)?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$/

/** Longest version looked at, in characters; a file name with a longer one could not be stored. */
const VERSION_CHARS_MAX = 190

const PRE_LETTER: Record<string, 'a' | 'b' | 'rc'> = {
  a: 'a',
  alpha: 'a',
  b: 'b',
  beta: 'b',
  c: 'rc',
  rc: 'rc',
  pre: 'rc',
  preview: 'rc',
}

/** Decimal digits without leading zeros; an absent number of a present segment is 0 (PEP 440, implicit numbers). */
function digits(text: string | undefined): string {
  return (text ?? '').replace(/^0+(?=\d)/, '') || '0'
}

/** The version, or null if `packaging.version.Version` would refuse the text. Surrounding white space is ignored. */
export function parseVersion(text: string): Version | null {
  const trimmed = text.trim()
  // ASCII only, before lower casing: U+212A lower-cases to an ASCII k.
  if (trimmed.length > VERSION_CHARS_MAX || !/^[\x21-\x7e]+$/.test(trimmed)) return null
  const found = VERSION.exec(trimmed.toLowerCase())
  if (!found) return null
  const [, epoch, release, preLetter, preNumber, dashPost, postLetter, postNumber, dev, devNumber, local] = found
  return {
    epoch: digits(epoch),
    release: release!.split('.').map(digits),
    pre: preLetter === undefined ? null : [PRE_LETTER[preLetter]!, digits(preNumber)],
    post: dashPost === undefined && postLetter === undefined ? null : digits(dashPost ?? postNumber),
    dev: dev === undefined ? null : digits(devNumber),
    local: local === undefined ? null : local.split(/[-_.]/).map((part) => (/^\d+$/.test(part) ? digits(part) : part)),
  }
}

/** The normal form of parsed parts, as `str(packaging.version.Version(...))` writes it. */
export function formatVersion(version: Version): string {
  const { epoch, release, pre, post, dev, local } = version
  return [
    epoch === '0' ? '' : `${epoch}!`,
    release.join('.'),
    pre ? pre.join('') : '',
    post === null ? '' : `.post${post}`,
    dev === null ? '' : `.dev${dev}`,
    local ? `+${local.join('.')}` : '',
  ].join('')
}

/** Normal form of a version, e.g. `1.0-RC.1` → `1.0rc1`. Refuses what is not a PEP 440 version. */
export function normalizeVersion(text: string): string {
  const version = parseVersion(text)
  if (!version) throw new Refusal(`${shown(text)} is not a valid version: use one as PEP 440 describes, such as 1.2.3.`)
  return formatVersion(version)
}

/** What a version is equal by: the normal form without trailing zeros of the release, so `1.0` and `1.0.0` are one. */
export function releaseKey(text: string): string {
  const version = parseVersion(normalizeVersion(text))!
  const last = version.release.findLastIndex((part) => part !== '0')
  return formatVersion({ ...version, release: version.release.slice(0, Math.max(last, 0) + 1) })
}

/** True if a version is a pre-release or a development release. Refuses what is not a version. */
export function isPrerelease(text: string): boolean {
  const version = parseVersion(normalizeVersion(text))!
  return version.pre !== null || version.dev !== null
}

function compareDigits(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

// Rank of a version within its release: dev releases of the final version come before its pre-releases, those before the
// final version, and a missing pre segment of a post release counts as final (PEP 440, "Summary of permitted suffixes").
function preRank({ pre, post, dev }: Version): number {
  if (pre) return { a: 1, b: 2, rc: 3 }[pre[0]]
  return post === null && dev !== null ? 0 : 4
}

function compareLocal(a: Version['local'], b: Version['local']): number {
  if (!a || !b) return (a ? 1 : 0) - (b ? 1 : 0)
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]]
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1
    const [xIsNumber, yIsNumber] = [/^\d+$/.test(x), /^\d+$/.test(y)]
    if (xIsNumber !== yIsNumber) return xIsNumber ? 1 : -1
    const order = xIsNumber ? compareDigits(x, y) : x < y ? -1 : x > y ? 1 : 0
    if (order) return order
  }
  return 0
}

function compareParsed(a: Version, b: Version): number {
  const epoch = compareDigits(a.epoch, b.epoch)
  if (epoch) return epoch
  for (let i = 0; i < Math.max(a.release.length, b.release.length); i++) {
    const order = compareDigits(a.release[i] ?? '0', b.release[i] ?? '0')
    if (order) return order
  }
  return (
    preRank(a) - preRank(b) ||
    compareDigits(a.pre?.[1] ?? '0', b.pre?.[1] ?? '0') ||
    // No post release sorts before every post release, no dev release after every dev release.
    (a.post === null ? 0 : 1) - (b.post === null ? 0 : 1) ||
    compareDigits(a.post ?? '0', b.post ?? '0') ||
    (a.dev === null ? 1 : 0) - (b.dev === null ? 1 : 0) ||
    compareDigits(a.dev ?? '0', b.dev ?? '0') ||
    compareLocal(a.local, b.local)
  )
}

/** Negative, zero or positive as `a` is older, equal or newer. Refuses what is not a version. */
export function compareVersions(a: string, b: string): number {
  return compareParsed(parseVersion(normalizeVersion(a))!, parseVersion(normalizeVersion(b))!)
}

/** A copy, oldest first; equal versions keep their order. Refuses what is not a version. */
export function sortVersions(versions: readonly string[]): string[] {
  return versions
    .map((text) => ({ text, parsed: parseVersion(normalizeVersion(text))! }))
    .sort((a, b) => compareParsed(a.parsed, b.parsed))
    .map(({ text }) => text)
}
