// Private reading: whether a request may see anything. State: which tokens the publisher let read in the last minute.
//
// Invariants
// - Whether the index is private stands in the verified timestamp (PRIVATE_FIELD), so a face cannot miss it: what it
//   answers from says it. What is remembered is looked at again when a minute is over, and after every answer.
// - Nothing is remembered under a token, only under its digest, for a minute at most and never past its end.
// - No answer of a private index may be kept by a cache that others share.
// Cost: public, none but one read of the timestamp a minute for paths that read none; private, one RPC a minute and token.
import type { Context, Next } from 'hono'
import type { MayReadAnswer } from '../durable-objects/rpc-tokens.ts'
import { UNAUTHENTICATED } from '../pypi/refusal.ts'
import { attempts, digestOf, remember } from './attempts.ts'
import { CHALLENGE, tokenOf } from './credentials.ts'
import type { Env } from './env.ts'
import { Problem, publisher } from './errors.ts'
import { Flights } from './memory.ts'
import type { Reader } from './reader.ts'

/** What a revocation may take to be heard of. */
const GRANT_KEPT_MS = 60_000
/** ≈ 300 bytes each: 1.2 MB. */
const GRANTS_MAX = 4_096

/** Basic first: it makes pip, uv and browsers ask for credentials. Bearer is taken as well. */
export const READ_CHALLENGE = `${CHALLENGE}, Bearer realm="tuf-edge"`

/** Repository and digest of the token → what the publisher said, and until when that holds (ms). */
const grants = new Map<string, { until: number; answer: MayReadAnswer }>()
const flights = new Flights()

/** @throws Problem 401, 403, 429; Unavailable when the publisher does not answer and was not asked in the last minute */
export async function mustRead(env: Env, repository: string, request: Request): Promise<void> {
  const token = tokenOf(request.headers)
  if (token === undefined) throw denied(401, UNAUTHENTICATED)
  const key = `${repository} ${await digestOf(token)}`
  const known = grants.get(key)
  const answer = known && known.until > Date.now() ? known.answer : await ask(env, repository, request, token, key)
  if (!answer.ok) throw denied(answer.status, answer.message)
}

async function ask(env: Env, repository: string, request: Request, token: string, key: string) {
  const attempt = await attempts.admit(request, token, READ_CHALLENGE, repository)
  const answer = await flights.share(key, () => publisher(async () => env.MEMBER.mayRead(repository, token)))
  if (!answer.ok && answer.status === 401) attempt.failed()
  else if (answer.ok || answer.status === 403) {
    const until = Date.now() + GRANT_KEPT_MS
    remember(grants, key, { until: answer.ok ? Math.min(until, answer.expires) : until, answer }, GRANTS_MAX)
  }
  return answer
}

const denied = (status: number, message: string): Problem =>
  new Problem(status, message, {
    ...(status === 401 ? { 'WWW-Authenticate': READ_CHALLENGE } : {}),
    ...(status === 503 ? { 'Retry-After': '5' } : {}),
  })

/** Stands before everything that reads: on a private index nothing is looked for on behalf of somebody who may not see it. */
export async function guardReading(c: Context<{ Bindings: Env }>, reader: Reader, next: Next): Promise<void> {
  const { env } = c
  const before = await reader.isPrivate(env)
  if (before) await mustRead(env, reader.repository, c.req.raw)
  await next()
  // A flip that made it private came in while the answer was made.
  const after = reader.wasPrivate
  if (after && !before) await mustRead(env, reader.repository, c.req.raw)
  if (before || after) keepPrivate(c)
}

export function keepPrivate(c: Context): void {
  const said = c.res.headers.get('Cache-Control')
  if (said === null) c.header('Cache-Control', 'no-store')
  else if (!/\b(?:private|no-store)\b/.test(said))
    c.header('Cache-Control', said.includes('public') ? said.replace('public', 'private') : `private, ${said}`)
  c.header('Vary', 'Authorization', { append: true })
}
