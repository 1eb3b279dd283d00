// The operators' API, JSON in and out: what stands in the table of operations, and the OpenAPI document that is written
// from the same table; a table for each kind of repository, and one for what is none yet. State: none. Whether a caller may do what is asked is decided by the publisher in the transaction of
// the change. Errors are application/problem+json (RFC 9457); nothing is cached, answers hold secrets.

import { Hono } from 'hono'
import { baseOf } from '../tuf/layout.ts'
import { pathInside } from './addresses.ts'
import { adoptionOperations, handingOver } from './api-adopt.ts'
import { attestationOperations } from './api-attestations.ts'
import { batchOperations } from './api-batches.ts'
import { ceremonyOperation, keysOperation } from './api-ceremony.ts'
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
import type { Kind } from './trust.ts'

/** Of every repository: who may write, what people sign, how fresh it is kept, and how it is repaired. */
const common = (reader: Reader): AnyOperation[] => [
  ...recoveryOperations(reader),
  ...tokenOperations(reader.repository),
  ...handingOver(reader.repository),
  ...batchOperations(reader.repository),
  ...upkeepOperations(reader.repository),
]

const ofIndex = (reader: Reader): AnyOperation[] => {
  const { repository } = reader
  return [
    ...readOperations(reader),
    ...projectOperations(repository),
    ...uploadOperations(repository),
    ...quotaOperations(repository),
    ...publisherOperations(repository),
    ...attestationOperations(repository),
    ...common(reader),
    keysOperation(repository),
    ceremonyOperation(repository),
  ]
}

const ofAdopted = (reader: Reader): AnyOperation[] => [
  keysOperation(reader.repository),
  ...adoptionOperations(reader.repository),
  ...targetOperations(reader),
  ...common(reader),
]

/** With the first keys it is settled what it becomes; a lost one is repaired under the bootstrap secret. */
const ofNone = (reader: Reader): AnyOperation[] => [
  keysOperation(reader.repository),
  ceremonyOperation(reader.repository),
  ...adoptionOperations(reader.repository),
  ...common(reader),
]

export type ApiOf = Hono<{ Bindings: Env }>

/** @param kind undefined: nobody has said yet that there is such a repository */
export function createApi(reader: Reader, kind: Kind | undefined): ApiOf {
  const { repository } = reader
  const operations = kind === 'index' ? ofIndex(reader) : kind === 'adopted' ? ofAdopted(reader) : ofNone(reader)
  const api: ApiOf = new Hono<{ Bindings: Env }>({ getPath: (request) => pathInside(repository, request) })
  guardApi(api, reader)
  addOperations(api, operations)
  const document = openApiOf(operations, baseOf(repository) || '/')
  /** What stands in the table of operations, as OpenAPI 3.1. */
  api.get('/api/openapi.json', () => answer({ ok: true, ...document }))
  closeApi(api)
  return api
}
