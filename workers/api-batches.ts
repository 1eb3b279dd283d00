// Batches of metadata that are too large for one call: their parts, each durable when it is answered and seen by nobody.
// `POST /api/adopt` and `PUT /api/metadata` take the whole by its name (api-adopt.ts). State: none.
import type { Done, Refused } from '../durable-objects/rpc.ts'
import type { BatchAnswer, PartAnswer } from '../durable-objects/rpc-adopt.ts'
import { BATCH_BYTES_MAX, FILES, some } from './api-adopt.ts'
import { answer } from './api-json.ts'
import { type AnyOperation, operation } from './operations.ts'
import { given, hex64, integer, list } from './shapes.ts'

type Given<T> = Exclude<T, Refused>

const COUNTED = { files: integer(0), bytes: integer(0) }

export function batchOperations(repository: string): AnyOperation[] {
  const about = {
    path: '/api/batches/{batch}',
    scopes: ['metadata:ROLE', 'admin'],
    secret: true,
    params: { batch: hex64 },
    query: {},
  } as const
  return [
    operation({
      ...about,
      id: 'putBatchPart',
      method: 'PUT',
      summary: 'Some files of a batch that is too large for one call; nothing is taken before the call that names it.',
      body: { files: FILES },
      bodyMax: BATCH_BYTES_MAX,
      answers: { 200: { description: 'Durable.', schema: given(COUNTED).schema } },
      refusals: [409],
      run: async ({ env, token, path: { batch }, body }) =>
        answer<Given<PartAnswer>>(await env.MEMBER.stagePart({ repository, batch, files: some(body.files) }, token)),
    }),
    operation({
      ...about,
      id: 'getBatch',
      method: 'GET',
      summary: 'Which files of a batch are here, by their sha256, for whoever goes on with it.',
      answers: { 200: { description: 'So far.', schema: given({ ...COUNTED, digests: list(hex64) }).schema } },
      refusals: [409],
      run: async ({ env, token, path: { batch } }) =>
        answer<Given<BatchAnswer>>(await env.MEMBER.lookAtBatch({ repository, batch }, token)),
    }),
    operation({
      ...about,
      id: 'deleteBatch',
      method: 'DELETE',
      summary: 'Forgets a batch; one that nobody goes on with is forgotten after a day.',
      answers: { 200: { description: 'Forgotten.', schema: given({}).schema } },
      refusals: [409],
      run: async ({ env, token, path: { batch } }) =>
        answer<Given<Done>>(await env.MEMBER.forgetBatch({ repository, batch }, token)),
    }),
  ]
}
