// The ceremony of an index, through the API: the online keys go out, what people signed comes back. State: none. Takes the
// bootstrap secret, which the publisher's script compares; what was signed is judged by the publisher.
import type { Done, KeysAnswer, Refused } from '../durable-objects/rpc.ts'
import { answer } from './api-json.ts'
import { CEREMONY, CEREMONY_BYTES_MAX, ceremonyOf } from './ceremony-shape.ts'
import { type AnyOperation, operation } from './operations.ts'
import { given, hex64, list, text, word } from './shapes.ts'

type Given<T> = Exclude<T, Refused>

const KEY = given({ role: word('timestamp', 'snapshot', 'bin'), public: hex64, keyid: hex64, proof: text(128) })
const KEYS = given({ repositoryId: text(40), keys: list(KEY) }).schema

/** @param adopted whether the repository is signed elsewhere */
export const keysOperation = (repository: string, adopted: boolean): AnyOperation =>
  operation({
    id: 'createKeys',
    method: 'POST',
    path: '/api/ceremony/keys',
    summary:
      'Makes the online keys, which the root has to name; repeated, shows them again until the ceremony is over.',
    secret: true,
    params: {},
    query: {},
    answers: {
      200: { description: 'Public halves, each with the proof that its private half is there.', schema: KEYS },
    },
    refusals: [409],
    run: async ({ env, token }) => answer<Given<KeysAnswer>>(await env.MEMBER.createKeys(repository, token, adopted)),
  })

export function ceremonyOperations(repository: string): AnyOperation[] {
  return [
    keysOperation(repository, false),
    operation({
      id: 'initialise',
      method: 'POST',
      path: '/api/ceremony/metadata',
      summary: 'Takes what people signed and publishes the empty index.',
      secret: true,
      params: {},
      query: {},
      body: CEREMONY,
      bodyMax: CEREMONY_BYTES_MAX,
      answers: { 200: { description: 'The index is there.', schema: given({}).schema } },
      refusals: [409],
      run: async ({ env, token, body }) =>
        answer<Given<Done>>(await env.MEMBER.initialise({ repository, ...ceremonyOf(body) }, token)),
    }),
  ]
}
