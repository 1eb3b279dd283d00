// The operators' API, JSON in and out. State: none. Whether a caller may do what is asked is decided by the publisher in
// the transaction of the change. Errors are application/problem+json (RFC 9457); nothing is cached, answers hold secrets.
import { type Context, Hono } from 'hono'
import type { Done, KeysAnswer, Refused, Status } from '../durable-objects/rpc.ts'
import { FormatError } from '../tuf/errors.ts'
import { asString, asStrings } from '../tuf/fields.ts'
import { answer, BEARER_CHALLENGE, credentialOf, fromBase64, problem, readBody } from './api-json.ts'
import { projectOperations } from './api-projects.ts'
import { publisherOperations } from './api-publishers.ts'
import { quotaOperations } from './api-quotas.ts'
import { readOperations } from './api-read.ts'
import { addRecovery } from './api-recovery.ts'
import { addTokens } from './api-tokens.ts'
import { addUpkeep, freshnessFrom } from './api-upkeep.ts'
import { attempts } from './attempts.ts'
import { tokenOf } from './credentials.ts'
import type { Env } from './env.ts'
import { log, Problem } from './errors.ts'
import { openApiOf } from './openapi.ts'
import { addOperations } from './operations.ts'
import { isForeign } from './origin.ts'
import type { Reader } from './reader.ts'
import { guardReading, mustRead } from './reading.ts'

/** The repository that `/api/` is about. */
const REPOSITORY = 'main'

/** Ten roots, targets and bins of at most 512,000 bytes each (what clients accept), in base64: 12 × 683 kB. */
const CEREMONY_BYTES_MAX = 8 * 1024 * 1024

const STATUS_PATH = '/api/status'
/** What everybody may ask for who may read the index. */
const READING = /^\/api\/(?:status|openapi\.json|projects(?:\/.*)?)$/

type Given<T> = Exclude<T, Refused>
type ApiContext = Context<{ Bindings: Env }>

/** @param reader of the repository that is shown */
export function createApi(reader: Reader): Hono<{ Bindings: Env }> {
  const api = new Hono<{ Bindings: Env }>()

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

  /** The ceremony's first half: makes the online keys. Takes the bootstrap secret. */
  api.post('/api/ceremony/keys', async (c) =>
    answer<Given<KeysAnswer>>(await c.env.MEMBER.createKeys(REPOSITORY, credential(c))),
  )

  /** The ceremony's second half: takes what people signed and publishes the empty index. */
  api.post('/api/ceremony/metadata', async (c) => {
    const secret = credential(c)
    const body = await readBody(c.req.raw, CEREMONY_BYTES_MAX, ['roots', 'targets', 'bins', 'freshness'])
    const request = {
      repository: REPOSITORY,
      roots: asStrings(body.get('roots'), 'roots').map((text) => fromBase64(text, 'roots')),
      targets: fromBase64(asString(body.get('targets'), 'targets'), 'targets'),
      bins: fromBase64(asString(body.get('bins'), 'bins'), 'bins'),
      freshness: freshnessFrom(body.get('freshness')),
    }
    return answer<Given<Done>>(await c.env.MEMBER.initialise(request, secret))
  })

  /** State, versions, expiries and the last error. It says little the metadata does not, so it is as open as they are. */
  api.get(STATUS_PATH, async (c) => {
    const status = await c.env.PUBLIC.status(REPOSITORY)
    if (status.ok && status.private) await mustRead(c.env, REPOSITORY, c.req.raw)
    return answer<Status>(status)
  })

  const operations = [
    ...readOperations(reader),
    ...projectOperations(REPOSITORY),
    ...quotaOperations(REPOSITORY),
    ...publisherOperations(REPOSITORY),
  ]
  addOperations(api, operations)
  const document = openApiOf(operations)
  /** What stands in the table of operations, as OpenAPI 3.1. */
  api.get('/api/openapi.json', () => answer({ ok: true, ...document }))
  addTokens(api, REPOSITORY)
  addUpkeep(api, REPOSITORY)
  addRecovery(api, REPOSITORY)

  for (const path of new Set(api.routes.map((route) => route.path))) {
    const methods = api.routes
      .filter((route) => route.path === path && route.method !== 'ALL')
      .map(({ method }) => method)
    if (methods.length > 0)
      api.all(path, () => problem(405, 'This address has other methods.', { Allow: methods.join(', ') }))
  }
  api.all('/api/*', () => problem(404, 'There is nothing here.'))
  api.all('/api', () => problem(404, 'There is nothing here.'))

  api.onError((error) => {
    if (error instanceof Problem) return problem(error.status, error.message, error.headers)
    if (error instanceof FormatError) return problem(400, error.message)
    log('api', error)
    return problem(503, 'The call failed for a reason of ours. Ask for the status before repeating it.', {
      'Retry-After': '5',
    })
  })
  return api
}

const credential = (c: ApiContext): string => credentialOf(c.req.raw)

const isReading = (c: ApiContext): boolean => ['GET', 'HEAD'].includes(c.req.method) && READING.test(c.req.path)
