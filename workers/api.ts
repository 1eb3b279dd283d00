// The operators' API, JSON in and out: what stands in the table of operations, and the OpenAPI document that is written
// from the same table. State: none. Whether a caller may do what is asked is decided by the publisher in the transaction of
// the change. Errors are application/problem+json (RFC 9457); nothing is cached, answers hold secrets.
import { Hono } from 'hono'
import { adoptionOperations, handingOver } from './api-adopt.ts'
import { attestationOperations } from './api-attestations.ts'
import { ceremonyOperations } from './api-ceremony.ts'
import { guardApi } from './api-guard.ts'
import { answer, closeApi } from './api-json.ts'
import { projectOperations } from './api-projects.ts'
import { publisherOperations } from './api-publishers.ts'
import { quotaOperations } from './api-quotas.ts'
import { readOperations } from './api-read.ts'
import { recoveryOperations } from './api-recovery.ts'
import { targetOperations } from './api-targets.ts'
import { tokenOperations } from './api-tokens.ts'
import { upkeepOperations } from './api-upkeep.ts'
import { uploadOperations } from './api-uploads.ts'
import type { Env } from './env.ts'
import { openApiOf } from './openapi.ts'
import { type AnyOperation, addOperations } from './operations.ts'
import type { Reader } from './reader.ts'

/** Of every repository: who may write, what people sign, how fresh it is kept, and how it is repaired. */
const common = (reader: Reader): AnyOperation[] => [
  ...recoveryOperations(reader),
  ...tokenOperations(reader.repository),
  ...handingOver(reader.repository),
  ...upkeepOperations(reader.repository),
]

/** @param reader of the index that is shown */
export function createApi(reader: Reader): Hono<{ Bindings: Env }> {
  const { repository } = reader
  return apiOf(reader, '/', [
    ...readOperations(reader),
    ...projectOperations(repository),
    ...uploadOperations(repository),
    ...quotaOperations(repository),
    ...publisherOperations(repository),
    ...attestationOperations(repository),
    ...common(reader),
    ...ceremonyOperations(repository),
  ])
}

/** Of a repository that is signed elsewhere. @param server what stands before `/api/` in its URLs */
export const createAdoptedApi = (reader: Reader, server: string): Hono<{ Bindings: Env }> =>
  apiOf(reader, server, [...adoptionOperations(reader.repository), ...targetOperations(reader), ...common(reader)])

function apiOf(reader: Reader, server: string, operations: readonly AnyOperation[]): Hono<{ Bindings: Env }> {
  const api = new Hono<{ Bindings: Env }>()
  guardApi(api, reader)
  addOperations(api, operations)
  const document = openApiOf(operations, server)
  /** What stands in the table of operations, as OpenAPI 3.1. */
  api.get('/api/openapi.json', () => answer({ ok: true, ...document }))
  closeApi(api)
  return api
}
