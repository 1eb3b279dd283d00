// Failed authentications of one isolate: who tries many tokens is told to come back. A token has 256 random bits, so nobody
// guesses one; the limit keeps guessers from loading the publisher.
//
// Invariants: memory is bounded. What counts is each *other* bad token of an address: a tool that repeats an expired one is
// answered from memory, costs the publisher nothing, and does not shut its whole office out.
import { UNAUTHENTICATED } from '../pypi/refusal.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { Problem } from './errors.ts'

/** Bad tokens of one address within a window. A person with a drawer full of old tokens stays below. */
export const FAILURES_MAX = 20
const WINDOW_MS = 60_000
/** A token that is none stays none; that is remembered so long. */
const BAD_KEPT_MS = 60_000
/** 64-digit keys, a door and a number, ≈ 200 bytes each: 2 MB. The oldest go first. */
const BAD_MAX = 8_192
/** ≈ 150 bytes each: 1 MB. */
const ADDRESSES_MAX = 8_192

/** One request's token. */
export interface Attempt {
  /** Of the token: what may be remembered about it is remembered under this. */
  digest: string
  /** The publisher knows no such token. */
  failed(): void
}

export class Attempts {
  /** Digest and door → until when (ms). */
  readonly #bad = new Map<string, number>()
  readonly #failures = new Map<string, { count: number; until: number }>()

  /**
   * To be called before the publisher is asked.
   *
   * @param challenge of a 401
   * @param door what was knocked at, a repository or a part of it: what is none here may be good there
   * @throws Problem 401 for what failed just now, 429 for an address that failed too often
   */
  async admit(request: Request, token: string, challenge: string, door: string): Promise<Attempt> {
    const digest = await digestOf(token)
    const now = Date.now()
    if ((this.#bad.get(`${digest} ${door}`) ?? 0) > now)
      throw new Problem(401, UNAUTHENTICATED, { 'WWW-Authenticate': challenge })
    const address = addressOf(request)
    const failures = this.#failures.get(address)
    if (failures && failures.until > now && failures.count >= FAILURES_MAX)
      throw new Problem(429, 'Too many tokens from this address were none: try again in a minute.', {
        'Retry-After': String(Math.ceil((failures.until - now) / 1000)),
      })
    return { digest, failed: () => this.#note(address, `${digest} ${door}`) }
  }

  #note(address: string, bad: string): void {
    const now = Date.now()
    const known = this.#failures.get(address)
    const window = known && known.until > now ? known : { count: 0, until: now + WINDOW_MS }
    window.count++
    remember(this.#failures, address, window, ADDRESSES_MAX)
    remember(this.#bad, bad, now + BAD_KEPT_MS, BAD_MAX)
  }
}

/** For all of an isolate: uploads, API and reading share the count. */
export const attempts = new Attempts()

export const digestOf = (token: string): Promise<string> => sha256Hex(new TextEncoder().encode(token))

/** Newest last; the oldest go when there are more than `max`. */
export function remember<V>(map: Map<string, V>, key: string, value: V, max: number): void {
  map.delete(key)
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= max) break
    map.delete(oldest)
  }
}

/**
 * The client's address as Cloudflare saw it; nobody can send this header past it. An IPv6 network of 64 bits is one
 * customer. On a machine of one's own there is none, and everybody is the same.
 */
function addressOf(request: Request): string {
  const address = request.headers.get('cf-connecting-ip') ?? 'local'
  if (!address.includes(':')) return address
  const [head = '', tail = ''] = address.split('::')
  const groups = head.split(':')
  const missing = 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  const whole = address.includes('::') ? [...groups, ...Array<string>(Math.max(missing, 0)).fill('0')] : groups
  return whole.slice(0, 4).join(':')
}
