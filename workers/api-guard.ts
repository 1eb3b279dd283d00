// Who may ask the API at all, and what everybody may: the limits on foreign pages and on guessed tokens, reading of a
// private repository, and its status. The same for an index and for a repository that is signed elsewhere.
import type { Context, Hono } from 'hono'
import type { Status } from '../durable-objects/rpc.ts'
import { answer, BEARER_CHALLENGE } from './api-json.ts'
import { attempts } from './attempts.ts'
import { tokenOf } from './credentials.ts'
import type { Env } from './env.ts'
import { Problem } from './errors.ts'
import { isForeign } from './origin.ts'
import type { Reader } from './reader.ts'
import { guardReading, mustRead } from './reading.ts'

const STATUS_PATH = '/api/status'
/** What everybody may ask for who may read the index. */
const READING = /^\/api\/(?:status|openapi\.json|projects(?:\/.*)?)$/

/** To be called before the first route. */
export function guardApi(api: Hono<{ Bindings: Env }>, reader: Reader): void {
  api.use('/api/*', async (c, next) => {
    if (c.req.method !== 'GET' && isForeign(c.req.raw))
      throw new Problem(403, 'Pages of other origins may not write here.')
    const token = tokenOf(c.req.raw.headers)
    // What reads looks at a token only if it takes one.
    if (token === undefined || isReading(c)) return next()
    const attempt = await attempts.admit(c.req.raw, token, BEARER_CHALLENGE)
    await next()
    if (c.res.status === 401) attempt.failed()
    return undefined
  })
  // The status has to answer also when nothing can be read, so it is not behind the timestamp.
  api.use('/api/*', async (c, next) => {
    await (isReading(c) && c.req.path !== STATUS_PATH ? guardReading(c, reader, next) : next())
  })

  /** State, versions, expiries and the last error. It says little the metadata does not, so it is as open as they are. */
  api.get(STATUS_PATH, async (c) => {
    const status = await c.env.PUBLIC.status(reader.repository)
    if (status.ok && status.private) await mustRead(c.env, reader.repository, c.req.raw)
    return answer<Status>(status)
  })
}

const isReading = (c: Context): boolean => ['GET', 'HEAD'].includes(c.req.method) && READING.test(c.req.path)
