// Everything that can go wrong in the face, and the one place that turns it into an answer. Plain text, one sentence,
// never a stack. Invariant: what does not verify is 503 and never content; an unknown fault is 503 too, because every
// client repeats a 503 and none repeats a 500.
import { TufError } from '../tuf/errors.ts'
import { within } from './memory.ts'

/** The publisher answers questions from its ledger, in milliseconds; far below what clients wait (pip: 15 s). */
const PUBLISHER_WAIT_MS = 5_000
const SILENCE = Symbol('silence')

/** A refusal with its HTTP status. The message is the body: one sentence. */
export class Problem extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message)
    this.name = new.target.name
    this.status = status
    this.headers = headers
  }
}

export class NotFound extends Problem {
  constructor(message = 'There is nothing here.') {
    super(404, message)
  }
}

/** What the bucket holds is not what was signed, or is older than what this isolate has seen. */
export class Corrupt extends Problem {
  constructor(message: string) {
    super(503, `corrupt: ${message}`, { 'Retry-After': '1' })
  }
}

/** What was signed is not in the bucket at all. */
export class Missing extends Corrupt {
  constructor(what: string) {
    super(`${what} is missing from the bucket.`)
  }
}

/** A part of the service does not answer; the same request may succeed in a moment. */
export class Unavailable extends Problem {
  constructor(message: string) {
    super(503, message, { 'Retry-After': '2' })
  }
}

/** Before the first root there is nothing to verify anything with. */
export class NotInitialised extends Problem {
  constructor(message: string) {
    super(503, message, { 'Retry-After': '5' })
  }
}

/** Runs `work`; what tuf/ refuses becomes Corrupt, because all this Worker ever reads is its own bucket. */
export async function verifying<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof TufError ? new Corrupt(error.message) : error
  }
}

/** Runs a call to the bucket; a fault of the bucket becomes Unavailable. */
export async function bucket<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    log('bucket', error)
    throw new Unavailable('The bucket does not answer.')
  }
}

/** Waits for a question to the publisher; a fault, or silence, becomes Unavailable. Not for what changes anything. */
export async function publisher<T>(question: () => Promise<T>): Promise<T> {
  try {
    const answer = await within(question(), PUBLISHER_WAIT_MS, SILENCE)
    if (answer !== SILENCE) return answer as T
    log('publisher', `no answer within ${PUBLISHER_WAIT_MS} ms`)
  } catch (error) {
    log('publisher', error)
  }
  throw new Unavailable('The publisher does not answer.')
}

/** The answer to any error. Nothing of it may be cached: a 404 of today can be a file of tomorrow. */
export function answerTo(error: unknown): Response {
  const problem = error instanceof Problem ? error : new Unavailable('Something unexpected went wrong.')
  // An Unavailable was logged where its cause was known; the rest of the Problems are nobody's fault here.
  if (problem !== error || problem instanceof Corrupt) log('answer', error)
  return new Response(`${problem.message}\n`, {
    status: problem.status,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store', ...problem.headers },
  })
}

export function log(event: string, error: unknown): void {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  console.error(JSON.stringify({ event, message }))
}
