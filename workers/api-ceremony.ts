// The beginning of a repository, through the API: its online keys go out, and of an index what people signed comes back. State: none. Takes the
// bootstrap secret, which the publisher's script compares; what was signed is judged by the publisher.

import type { Done, KeysAnswer, Refused } from '../durable-objects/rpc.ts'
import { FormatError } from '../tuf/errors.ts'
import { MAIN } from '../tuf/layout.ts'
import { answer } from './api-json.ts'
import { CEREMONY, CEREMONY_BYTES_MAX, ceremonyOf } from './ceremony-shape.ts'
import { type AnyOperation, operation } from './operations.ts'
import { flag, given, hex64, list, maybe, text, word } from './shapes.ts'

type Given<T> = Exclude<T, Refused>

const KEY = given({ role: word('timestamp', 'snapshot', 'bin'), public: hex64, keyid: hex64, proof: text(128) })
const KEYS = given({ repositoryId: text(40), keys: list(KEY) }).schema

export const keysOperation = (repository: string): AnyOperation =>
  operation({
    id: 'createKeys',
    method: 'POST',
    path: '/api/ceremony/keys',
    summary:
      'Makes the online keys, which the root has to name; repeated, shows them again until the ceremony is over. `adopted`: of a repository that is signed elsewhere.',
    secret: true,
    params: {},
    query: {},
    body: { adopted: maybe(flag) },
    bodyOptional: true,
    answers: {
      200: { description: 'Public halves, each with the proof that its private half is there.', schema: KEYS },
    },
    refusals: [409],
    run: async ({ env, token, body: { adopted = false } }) => {
      if (adopted && repository === MAIN) throw new FormatError(`${MAIN} is an index: adopt under another name.`)
      return answer<Given<KeysAnswer>>(await env.MEMBER.createKeys(repository, token, adopted))
    },
  })

export const ceremonyOperation = (repository: string): AnyOperation =>
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
  })
