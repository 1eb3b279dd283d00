// Who may ask the API at all: the limits on foreign pages and on guessed tokens, and reading of a private repository. The
// same for an index and for a repository that is signed elsewhere.
import type { Context, Hono } from 'hono'
import { BEARER_CHALLENGE } from './api-json.ts'
import { attempts } from './attempts.ts'
import { tokenOf } from './credentials.ts'
import type { Env } from './env.ts'
import { Problem } from './errors.ts'
import { isForeign } from './origin.ts'
import type { Reader } from './reader.ts'
import { guardReading } from './reading.ts'

const STATUS_PATH = '/api/status'
/** What everybody may ask for who may read the index. */
const READING = /^\/api\/(?:status|openapi\.json|projects(?:\/.*)?)$/

/** What takes the bootstrap secret alone. */
const CEREMONY = /^\/api\/(?:ceremony\/.*|adopt)$/
const TOKEN = /^tue_/

/** To be called before the first route. */
export function guardApi(api: Hono<{ Bindings: Env }>, reader: Reader): void {
  api.use('/api/*', async (c, next) => {
    if (c.req.method !== 'GET' && isForeign(c.req.raw))
      throw new Problem(403, 'Pages of other origins may not write here.')
    const token = tokenOf(c.req.raw.headers)
    // What reads looks at a token only if it takes one.
    if (token === undefined || isReading(c)) return next()
    const door = reader.repository + doorOf(c.req.path, token)
    const attempt = await attempts.admit(c.req.raw, token, BEARER_CHALLENGE, door)
    await next()
    if (c.res.status === 401) attempt.failed()
    return undefined
  })
  // The status has to answer also when nothing can be read, so it asks the publisher itself and not the timestamp.
  api.use('/api/*', async (c, next) => {
    await (isReading(c) && c.req.path !== STATUS_PATH ? guardReading(c, reader, next) : next())
  })
}

const isReading = (c: Context): boolean => ['GET', 'HEAD'].includes(c.req.method) && READING.test(c.req.path)

/**
 * All of a repository that takes a token is one door. Where the bootstrap secret is wanted a good token is none, and elsewhere the secret
 * is: neither may be taken for bad where it is good.
 */
const doorOf = (path: string, token: string): string => (TOKEN.test(token) && !CEREMONY.test(path) ? '' : path)
