// The operators' API, JSON in and out. State: none. Whether a caller may do what is asked is decided by the publisher in
// the transaction of the change. Errors are application/problem+json (RFC 9457); nothing is cached, answers hold secrets.
import { type Context, Hono } from 'hono'
import type { Done, KeysAnswer, Refused } from '../durable-objects/rpc.ts'
import { asString, asStrings } from '../tuf/fields.ts'
import { addHandingOver } from './api-adopt.ts'
import { guardApi } from './api-guard.ts'
import { answer, closeApi, credentialOf, fromBase64, readBody } from './api-json.ts'
import { projectOperations } from './api-projects.ts'
import { publisherOperations } from './api-publishers.ts'
import { quotaOperations } from './api-quotas.ts'
import { readOperations } from './api-read.ts'
import { addRecovery } from './api-recovery.ts'
import { addTokens } from './api-tokens.ts'
import { addUpkeep, freshnessFrom } from './api-upkeep.ts'
import { uploadOperations } from './api-uploads.ts'
import type { Env } from './env.ts'
import { openApiOf } from './openapi.ts'
import { addOperations } from './operations.ts'
import type { Reader } from './reader.ts'

/** Ten roots, targets and bins of at most 512,000 bytes each (what clients accept), in base64: 12 × 683 kB. */
const CEREMONY_BYTES_MAX = 8 * 1024 * 1024

type Given<T> = Exclude<T, Refused>
type ApiContext = Context<{ Bindings: Env }>

/** @param reader of the repository that is shown */
export function createApi(reader: Reader): Hono<{ Bindings: Env }> {
  const api = new Hono<{ Bindings: Env }>()

  guardApi(api, reader)

  /** The ceremony's first half: makes the online keys. Takes the bootstrap secret. */
  api.post('/api/ceremony/keys', async (c) =>
    answer<Given<KeysAnswer>>(await c.env.MEMBER.createKeys(reader.repository, credential(c))),
  )

  /** The ceremony's second half: takes what people signed and publishes the empty index. */
  api.post('/api/ceremony/metadata', async (c) => {
    const secret = credential(c)
    const body = await readBody(c.req.raw, CEREMONY_BYTES_MAX, ['roots', 'targets', 'bins', 'freshness'])
    const request = {
      repository: reader.repository,
      roots: asStrings(body.get('roots'), 'roots').map((text) => fromBase64(text, 'roots')),
      targets: fromBase64(asString(body.get('targets'), 'targets'), 'targets'),
      bins: fromBase64(asString(body.get('bins'), 'bins'), 'bins'),
      freshness: freshnessFrom(body.get('freshness')),
    }
    return answer<Given<Done>>(await c.env.MEMBER.initialise(request, secret))
  })

  const operations = [
    ...readOperations(reader),
    ...projectOperations(reader.repository),
    ...quotaOperations(reader.repository),
    ...publisherOperations(reader.repository),
    ...uploadOperations(reader.repository),
  ]
  addOperations(api, operations)
  const document = openApiOf(operations)
  /** What stands in the table of operations, as OpenAPI 3.1. */
  api.get('/api/openapi.json', () => answer({ ok: true, ...document }))
  addTokens(api, reader.repository)
  addHandingOver(api, reader.repository)
  addUpkeep(api, reader.repository)
  addRecovery(api, reader.repository)

  closeApi(api)
  return api
}

const credential = (c: ApiContext): string => credentialOf(c.req.raw)
