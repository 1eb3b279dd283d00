// Fetching from a place that the owner of a repository named: bounded in size, time and number, never away from that host,
// and never into a private network unless that was allowed. What comes is believed by nobody: it goes to the gate.
//
// What can be known: the host of a URL as it stands. A name is resolved behind `fetch`, so a name that leads to a private
// address is not seen here; on Cloudflare such an address is not reached, and on a machine of one's own workerd lets
// `fetch` go wherever its network configuration says.
import { readAll } from '../tuf/stream.ts'
import { isLoopback } from './loopback.ts'

/** Until the headers are there, and until the body is. */
const ANSWER_MS = 10_000
/** Of one pull: far below the time an alarm may take (15 minutes, platform limit). */
const PULL_MS = 120_000
/** Of one pull: an invocation has 1,000 requests (platform limit), and the bucket needs some. */
const REQUESTS_MAX = 400
/** Of one pull: what one batch may hold. */
const BYTES_MAX = 20_000_000
const REDIRECTS_MAX = 3

/** Why nothing could be fetched; one sentence. */
export class SourceError extends Error {
  override name = 'SourceError'
}

/** Why this cannot be a place to pull from, or undefined. */
export function complaintOfSource(text: string, privateToo: boolean): string | undefined {
  const good = typeof text === 'string' && text.length <= 2_000 && URL.canParse(text)
  const url = good ? new URL(text) : undefined
  if (!url || url.username || url.password || url.search || url.hash || !url.pathname.endsWith('/'))
    return 'The url is an https URL without a password, query or fragment, ending with a slash.'
  if (isPrivate(url) && !privateToo) return 'The url leads into a private network: set privateAddresses to allow it.'
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url))) return undefined
  return 'The url is https, or http to this machine.'
}

/** Literal addresses and names that are private by what they say. (`URL` has brought every spelling into one form.) */
export function isPrivate({ hostname }: URL): boolean {
  const name = hostname.replace(/\.$/, '')
  if (/(?:^|\.)(?:localhost|local|internal|lan|home\.arpa)$/.test(name) || !/[.:]/.test(name)) return true
  if (name.startsWith('[')) return !/^\[2[0-9a-f]{3}:/.test(name) || /^\[2002:|^\[2001:0?:/.test(name)
  const parts = /^(\d+)\.(\d+)\.\d+\.\d+$/.exec(name)
  if (!parts) return false
  const [a, b] = [Number(parts[1]), Number(parts[2])]
  if ([0, 10, 127].includes(a) || a >= 224) return true
  return (
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && (b === 168 || b === 0)) ||
    (a === 198 && (b === 18 || b === 19))
  )
}

export class Source {
  readonly #base: URL
  readonly #until: number
  readonly #now: () => number
  #requests = 0
  #bytes = 0

  constructor(base: string, now: () => number) {
    this.#base = new URL(base)
    this.#now = now
    this.#until = now() + PULL_MS
  }

  /** A file of that name, or undefined: the place has none. @throws {SourceError} */
  async file(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    let url = new URL(encodeURIComponent(name), this.#base)
    for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
      if (++this.#requests > REQUESTS_MAX)
        throw new SourceError(`More than ${REQUESTS_MAX} requests: hand over by push what is new.`)
      if (this.#now() > this.#until) throw new SourceError(`The origin took longer than ${PULL_MS / 1000} s.`)
      const signal = AbortSignal.timeout(ANSWER_MS)
      try {
        const response = await fetch(url.href, { redirect: 'manual', signal, headers: { Accept: '*/*' } })
        if (response.status === 200 && response.body) {
          const bytes = await readAll(response.body, Math.min(maxBytes, BYTES_MAX - this.#bytes), name)
          this.#bytes += bytes.length
          return bytes
        }
        await response.body?.cancel()
        // Buckets answer 403 for what is not there.
        if (response.status === 404 || response.status === 403) return undefined
        const to = response.status >= 300 && response.status < 400 ? response.headers.get('Location') : null
        if (to === null || !URL.canParse(to, url.href))
          throw new SourceError(`The origin answered ${response.status} for ${name}.`)
        const next = new URL(to, url)
        if (next.origin !== this.#base.origin)
          throw new SourceError(`The origin redirects ${name} to another host: set that one as the url.`)
        url = next
      } catch (error) {
        if (error instanceof SourceError) throw error
        throw new SourceError(
          `The origin's ${name} could not be fetched: ${error instanceof Error ? error.message : error}`,
        )
      }
    }
    throw new SourceError(`The origin redirects ${name} more than ${REDIRECTS_MAX} times.`)
  }
}
