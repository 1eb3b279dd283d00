// Target files of a repository that is signed elsewhere, from where its owner keeps them: fetched once, put into the
// bucket under their digest, and served from there like every file. So a range or a second reader costs the origin
// nothing, and an origin that is down takes away only what nobody asked for before.
//
// Invariant: the bucket refuses bytes with another digest or length than the signed one (R2 checks `sha256` on put, and a
// FixedLengthStream its length), so nothing unverified gets a name. Nothing of the request goes to the origin.
import { algorithmOf } from '../tuf/digest.ts'
import { targetUrlName, targetUrlPath } from '../tuf/paths.ts'
import type { Env } from './env.ts'
import { bucket, log, Missing, Unavailable } from './errors.ts'
import type { Expected } from './objects.ts'
import type { Target } from './publication.ts'
import type { Trust } from './trust.ts'

/** From the request to the origin's headers; its body may take as long as it goes on. */
const HEADERS_WAIT_MS = 10_000

/** Sends what `send` finds in the bucket; what is missing there is fetched first. */
export async function fromOrigin(
  env: Env,
  trust: Trust,
  target: Target,
  object: Expected,
  request: Request,
  send: () => Promise<Response>,
): Promise<Response> {
  // A HEAD reads no object, and would promise what may not be there.
  if (request.method === 'HEAD' && !(await bucket(() => env.BUCKET.head(object.key))))
    await fetchMissing(env, trust, target, object)
  try {
    return await send()
  } catch (error) {
    if (!(error instanceof Missing)) throw error
    await fetchMissing(env, trust, target, object)
    return send()
  }
}

/** The origin may have been set or moved since this isolate heard of it, so where it does not help the publisher is asked. */
async function fetchMissing(env: Env, trust: Trust, target: Target, object: Expected): Promise<void> {
  const origin = await originOf(env, trust)
  try {
    await copy(env, origin, target, object)
  } catch (error) {
    await trust.askAgain(env)
    const present = await originOf(env, trust)
    if (present === origin) throw error
    await copy(env, present, target, object)
  }
}

const originOf = async (env: Env, trust: Trust): Promise<string> => (await trust.get(env)).adopted?.origin ?? ''

async function copy(env: Env, origin: string, target: Target, object: Expected): Promise<void> {
  if (origin === '') throw new Missing(target.path)
  const names = [target.path, targetUrlName(target.path, target.sha256)]
  if (target.foreign?.sha512) names.push(targetUrlName(target.path, target.foreign.sha512))
  // Which of them the owner's server has depends on its layout; the digest of what comes decides. A server may answer for
  // a name with something else (the newest file under the plain one, a page of its own), so one that is wrong ends nothing.
  const wrong: string[] = []
  for (const name of names.reverse()) {
    const response = await ask(new URL(targetUrlPath(name), origin))
    if (!response) continue
    try {
      const { readable, writable } = new FixedLengthStream(object.length)
      const options = { [algorithmOf(object.sha256)]: object.sha256, onlyIf: { etagDoesNotMatch: '*' } }
      await Promise.all([response.body!.pipeTo(writable), env.BUCKET.put(object.key, readable, options)])
      return
    } catch (error) {
      log('origin', error)
      wrong.push(name)
    }
  }
  if (wrong.length === 0) throw new Unavailable(`The origin does not have ${target.path}.`)
  throw new Unavailable(`What the origin has under ${wrong.join(', ')} is not the file that was signed.`)
}

async function ask(url: URL): Promise<Response | undefined> {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), HEADERS_WAIT_MS)
  try {
    // A redirect could lead anywhere, also into a private network.
    const response = await fetch(url, { redirect: 'manual', signal: stop.signal, headers: { Accept: '*/*' } })
    if (response.status === 200 && response.body) return response
    await response.body?.cancel()
    if (response.status !== 404 && response.status !== 403)
      log('origin', `${url.pathname} is answered ${response.status}`)
    return undefined
  } catch (error) {
    log('origin', error)
    throw new Unavailable('The origin does not answer.')
  } finally {
    clearTimeout(timer)
  }
}
