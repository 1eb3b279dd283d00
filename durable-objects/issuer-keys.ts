// The public keys of JWT issuers, fetched from the issuers themselves. State: the keys of the last few issuers, in memory.
// Only issuers that a trusted publisher names are ever asked, over https (http to this machine in a development index),
// without following a redirect, and a stranger's JWTs cannot make them be asked more often than every ATTEMPT_MS.
import { asArray, asObject, asString } from '../tuf/fields.ts'
import { type JsonObject, parseJson } from '../tuf/json.ts'
import type { Algorithm } from './identity.ts'
import { isLoopback } from './loopback.ts'

/** For both answers of an issuer together: the CI waits, twine for five seconds. */
const WAIT_MS = 4_000
/** GitHub's key set is 6 kB, with certificates in it. */
const BYTES_MAX = 64 * 1024
/** Issuers rotate: two or three keys are usual. */
const KEYS_MAX = 64
/** Of 64 keys of ≤ 1 kB each: 2 MB. */
const ISSUERS_MAX = 32
/** A key that its issuer took back is believed for at most so long. */
const LIFE_MS = 3_600_000
/** Between two tries at one issuer, after a failure or for a key that it did not have. */
const ATTEMPT_MS = 30_000
const RSA_BITS_MIN = 2048

/** The issuer did not give its keys; the message says how. */
export class IssuerFault extends Error {
  override name = 'IssuerFault'
}

interface Entry {
  attempted: number
  fetched?: number
  keys: ReadonlyMap<string, { algorithm: Algorithm; key: CryptoKey }>
  failure?: string
  flight?: Promise<void>
}

export class IssuerKeys {
  readonly #entries = new Map<string, Entry>()

  /**
   * The issuer's key of that name, undefined if it has none. @throws IssuerFault
   *
   * @param now Unix milliseconds
   */
  async find(issuer: string, kid: string, algorithm: Algorithm, now: number): Promise<CryptoKey | undefined> {
    const entry = this.#entry(issuer)
    const known = fresh(entry, now) ? entry.keys.get(kid) : undefined
    if (!known) await this.#ask(issuer, entry, now)
    if (!fresh(entry, now))
      throw new IssuerFault(`The keys of ${issuer} cannot be had: ${entry.failure}. Try again in a minute.`)
    const found = entry.keys.get(kid)
    return found?.algorithm === algorithm ? found.key : undefined
  }

  #entry(issuer: string): Entry {
    const entry = this.#entries.get(issuer) ?? { attempted: Number.NEGATIVE_INFINITY, keys: new Map() }
    // The one that was not asked for the longest time goes first.
    this.#entries.delete(issuer)
    this.#entries.set(issuer, entry)
    for (const oldest of this.#entries.keys()) if (this.#entries.size > ISSUERS_MAX) this.#entries.delete(oldest)
    return entry
  }

  async #ask(issuer: string, entry: Entry, now: number): Promise<void> {
    if (!entry.flight && Math.abs(now - entry.attempted) < ATTEMPT_MS) return
    entry.flight ??= fill(issuer, entry, now).finally(() => {
      delete entry.flight
    })
    await entry.flight
  }
}

/** Not of a clock that ran ahead, either. */
const fresh = ({ fetched }: Entry, now: number): boolean => fetched !== undefined && Math.abs(now - fetched) < LIFE_MS

async function fill(issuer: string, entry: Entry, now: number): Promise<void> {
  entry.attempted = now
  try {
    entry.keys = await fetchKeys(issuer)
    entry.fetched = now
  } catch (error) {
    entry.failure = error instanceof Error ? error.message : String(error)
  }
}

/** By OpenID Connect Discovery 1.0: the issuer says where its keys are, and has to be the one that was asked. */
async function fetchKeys(issuer: string): Promise<Entry['keys']> {
  const signal = AbortSignal.timeout(WAIT_MS)
  const base = issuer.replace(/\/$/, '')
  const about = await fetchJson(new URL(`${base}/.well-known/openid-configuration`), signal)
  if (about.get('issuer') !== issuer) throw new Error('its configuration names another issuer')
  const place = asString(about.get('jwks_uri'), 'jwks_uri')
  const url = URL.canParse(place) ? new URL(place) : undefined
  // Under https another host is the issuer's own choice (Google's); what is plain stays on this machine.
  if (!url || url.protocol !== new URL(issuer).protocol || (url.protocol !== 'https:' && !isLoopback(url)))
    throw new Error('its configuration has no jwks_uri that can be asked')
  const set = await fetchJson(url, signal)
  const keys = new Map<string, { algorithm: Algorithm; key: CryptoKey }>()
  for (const item of asArray(set.get('keys'), 'keys').slice(0, KEYS_MAX)) {
    const jwk = asObject(item, 'Each key')
    const kid = jwk.get('kid')
    if (typeof kid !== 'string' || keys.has(kid)) continue
    const usable = await importKey(jwk)
    if (usable) keys.set(kid, usable)
  }
  return keys
}

/** Undefined for what is not meant for these signatures: sets hold keys for other purposes too. */
async function importKey(jwk: JsonObject): Promise<{ algorithm: Algorithm; key: CryptoKey } | undefined> {
  const algorithm: Algorithm = jwk.get('kty') === 'RSA' ? 'RS256' : 'ES256'
  if (jwk.has('use') && jwk.get('use') !== 'sig') return undefined
  if (jwk.has('alg') && jwk.get('alg') !== algorithm) return undefined
  const members = algorithm === 'RS256' ? ['n', 'e'] : ['crv', 'x', 'y']
  const values = members.map((name) => [name, jwk.get(name)] as const)
  if (!values.every(([, value]) => typeof value === 'string')) return undefined
  const kty = algorithm === 'RS256' ? 'RSA' : 'EC'
  const wanted =
    algorithm === 'RS256' ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } : { name: 'ECDSA', namedCurve: 'P-256' }
  try {
    const key = await crypto.subtle.importKey('jwk', { kty, ...Object.fromEntries(values) }, wanted, false, ['verify'])
    const { modulusLength = RSA_BITS_MIN } = key.algorithm as { modulusLength?: number }
    return modulusLength >= RSA_BITS_MIN ? { algorithm, key } : undefined
  } catch {
    return undefined
  }
}

async function fetchJson(url: URL, signal: AbortSignal): Promise<JsonObject> {
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('it did not answer in time')))
  })
  late.catch(() => {})
  const response = await Promise.race([
    // A redirect would let whoever can write a `Location` there name the keys.
    fetch(url, { headers: { Accept: 'application/json' }, redirect: 'manual', signal }),
    late,
  ])
  if (response.status !== 200 || !response.body) {
    await response.body?.cancel()
    throw new Error(`it answered ${response.status}`)
  }
  const reader = response.body.getReader()
  const bytes = new Uint8Array(BYTES_MAX)
  let length = 0
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late])
      if (done) break
      if (length + value.length > BYTES_MAX) throw new Error(`it sent more than ${BYTES_MAX} bytes`)
      bytes.set(value, length)
      length += value.length
    }
  } finally {
    reader.cancel().catch(() => {})
  }
  return asObject(parseJson(bytes.subarray(0, length)), 'its answer')
}
