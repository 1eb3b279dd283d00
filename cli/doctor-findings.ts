// What can be wrong with one answer, and what to do about it. Pure: an answer goes in, findings come out.
import type { Answer } from './doctor-probe.ts'

export interface Finding {
  code: string
  /** What was asked, and as whom. */
  path: string
  as: string
  wrong: string
  todo: string
}

/** What an answer must be. */
export interface Expected {
  status: number
  /** Media type, without parameters. */
  type: string
  /** `present`: it must be asked again each time; `immutable`: it may be kept for ever; `absent`: a 404 nobody may keep. */
  kept: 'present' | 'immutable' | 'absent'
}

/** A cache may hold a present answer this long (docs/design/publication.md: readers see no older one after a newer). */
const PRESENT_SECONDS_MAX = 10
/** Dates are whole seconds, and a laptop is rarely better than this. */
const CLOCK_SECONDS_MAX = 60

/** Everything that is wrong with `answer`; after a challenge or a redirect nothing else is worth looking at. */
export function examine(answer: Answer, expected: Expected): Finding[] {
  const find = finder(answer)
  const stopped = challenge(answer, find) ?? redirected(answer, find) ?? wrongStatus(answer, expected, find)
  if (stopped) return [stopped]
  return [
    wrongType(answer, expected, find),
    encoded(answer, find),
    cached(answer, expected, find),
    clock(answer, find),
  ].filter((finding) => finding !== undefined)
}

type Find = (code: string, wrong: string, todo: string) => Finding

export const finder =
  ({ path, as }: Pick<Answer, 'path' | 'as'>): Find =>
  (code, wrong, todo) => ({ code, path, as, wrong, todo })

/** Nothing of ours is a web page but `/`, the HTML pages of the simple index and the refusals of nobody. */
function challenge(answer: Answer, find: Find): Finding | undefined {
  const html = mediaType(answer) === 'text/html'
  const mitigated = answer.header('cf-mitigated')
  if (mitigated === undefined && !(html && [401, 403, 429, 503].includes(answer.status))) return undefined
  return find(
    'bot-protection',
    `it was stopped by ${mitigated ? `a ${mitigated}` : 'a page'} for browsers (status ${answer.status})`,
    'Switch Bot Fight Mode and Browser Integrity Check off for this host name, and skip WAF and rate rules that challenge: none of these clients can answer one.',
  )
}

function redirected(answer: Answer, find: Find): Finding | undefined {
  if (answer.status < 300 || answer.status > 399 || answer.status === 304) return undefined
  return find(
    'redirect',
    `it is redirected to ${answer.header('location') ?? 'nowhere'}`,
    'Remove the redirect or page rule for this host name: TUF clients do not follow one, and pip would trust where it leads.',
  )
}

function wrongStatus(answer: Answer, { status }: Expected, find: Find): Finding | undefined {
  if (answer.status === status) return undefined
  if (answer.status === 401)
    return find('private', 'it wants a token', 'Set TUF_EDGE_TOKEN, or name a file with --token-file.')
  const said = new TextDecoder().decode(answer.bytes).trim().split('\n')[0]!.slice(0, 200)
  if (answer.status === 503)
    return find(
      'unavailable',
      `it answers 503: ${said}`,
      'If its ceremony was not held, `tuf-edge init`; else `tuf-edge status` says what is wrong.',
    )
  return find(
    'status',
    `it answers ${answer.status} instead of ${status}${status === 404 ? ', and clients take that for trouble, or for no newer root' : ''}`,
    'Look whether the face is what answers on this host name (route, custom domain), and nothing in front of it.',
  )
}

function wrongType(answer: Answer, { type, status }: Expected, find: Find): Finding | undefined {
  const found = mediaType(answer)
  if (found === type || status === 404) return undefined
  return find(
    'content-type',
    `its type is ${found ?? 'missing'} instead of ${type}`,
    'Remove the transform rule that changes Content-Type: installers read a page by its type.',
  )
}

function encoded(answer: Answer, find: Find): Finding | undefined {
  const encoding = answer.header('content-encoding')
  if (encoding === undefined || encoding === 'identity') return undefined
  return find(
    'compressed',
    `it is compressed (${encoding}), and that was not asked for`,
    'Switch off what compresses for this host name: some TUF clients cannot decode it, and lengths and digests are of the plain bytes.',
  )
}

function cached(answer: Answer, { kept }: Expected, find: Find): Finding | undefined {
  const control = answer.header('cache-control') ?? ''
  const maxAge = Number(/(?:^|[\s,])(?:s-maxage|max-age)=(\d+)/.exec(control)?.[1] ?? Number.NaN)
  const age = Number(answer.header('age') ?? 0)
  const hit = /^(hit|stale|updating)$/i.test(answer.header('cf-cache-status') ?? '')
  const rule =
    'Remove the cache rule or page rule for this host name ("Cache Everything", an Edge TTL): the index decides what may be kept.'
  if (kept === 'immutable') {
    if (maxAge >= 86_400 || /no-store|no-cache/.test(control)) return undefined
    return find(
      'cache',
      `it may be kept ${Number.isNaN(maxAge) ? 'without a limit that is said' : `${maxAge} s`} instead of for ever`,
      rule,
    )
  }
  if (hit || age > PRESENT_SECONDS_MAX)
    return find(
      'cache',
      `it comes from a cache${age > 0 ? `, ${age} s old` : ''}: clients are shown an older index`,
      rule,
    )
  const asksAgain = /no-store|no-cache/.test(control) || maxAge <= PRESENT_SECONDS_MAX
  if (kept === 'absent' && !/no-store/.test(control))
    return find('cache', 'a cache may keep that there is no newer root, which would hide the next one', rule)
  if (!asksAgain) return find('cache', `a cache may keep it (Cache-Control: ${control || 'missing'})`, rule)
  return undefined
}

function clock(answer: Answer, find: Find): Finding | undefined {
  const theirs = Date.parse(answer.header('date') ?? '')
  if (Number.isNaN(theirs)) return undefined
  const off = theirs < answer.asked ? answer.asked - theirs : Math.max(0, theirs - answer.answered)
  const seconds = Math.round(off / 1000)
  if (seconds <= CLOCK_SECONDS_MAX) return undefined
  return find(
    'clock',
    `its clock and yours differ by ${seconds} s`,
    'Set the clock of this machine (NTP): a clock that is ahead sees expired metadata, one that is behind accepts it.',
  )
}

const mediaType = (answer: Answer): string | undefined =>
  answer.header('content-type')?.split(';')[0]?.trim().toLowerCase() || undefined
