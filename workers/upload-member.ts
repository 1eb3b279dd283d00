// Calls through the door `Member`. State: none. Refusals are answers, not exceptions; an exception means that the call's
// outcome is unknown, and all calls made here may be repeated: (repository, filename, sha256) is their idempotency key.
import type { Refused } from '../durable-objects/rpc.ts'
import { CHALLENGE } from './credentials.ts'
import { Problem } from './errors.ts'

/** Seconds after which an uploader may try again: a reset object is back in one, a publication takes a few. */
const RETRY_AFTER = '5'

/** The publisher said no. */
class Denied extends Problem {
  constructor({ status, message }: Refused) {
    super(status, message, {
      ...(status === 401 ? { 'WWW-Authenticate': CHALLENGE } : {}),
      ...(status === 503 ? { 'Retry-After': RETRY_AFTER } : {}),
    })
  }
}

/**
 * Once at once, and once when a reset object is back: a deploy resets the object while it is being started again, and a
 * repetition that follows at once is then lost as well. More would not fit into what uploaders wait (poetry, pdm: 15 s).
 */
const REPEATED_AFTER_MS = [0, 1_000]

/**
 * Calls, and again if the call was lost: a deploy, an eviction or a lost machine resets the object with calls under
 * way. Which of these it was cannot be told here, two hops away (measured: an aborted object's error arrives marked
 * `remote` alone, without `retryable`), and need not be: another call of the same upload changes nothing. An overloaded
 * object says so and is left alone. @throws Denied
 */
export async function callMember<T extends { ok: true }>(call: () => PromiseLike<T | Refused>): Promise<T> {
  const answer = await repeated(call)
  if (!answer.ok) throw new Denied(answer)
  return answer
}

async function repeated<T>(call: () => PromiseLike<T>): Promise<T> {
  for (const delay of REPEATED_AFTER_MS) {
    try {
      return await call()
    } catch (error) {
      if ((error as { overloaded?: boolean }).overloaded === true) throw error
      if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay))
    }
  }
  return call()
}
