// The operators' API, whom attestations are trusted by (PEP 740). State: none. A trust root is read here, before it is
// kept: what cannot be read would refuse every upload that has an attestation.
import type { Done, Refused } from '../durable-objects/rpc.ts'
import type { TrustRootAnswer, TrustRootRequest } from '../durable-objects/rpc-attestations.ts'
import { AttestationError } from '../sigstore/errors.ts'
import { readTrustRoot, TRUST_ROOT_BYTES_MAX } from '../sigstore/trust-root.ts'
import { asString } from '../tuf/fields.ts'
import { answer } from './api-json.ts'
import type { Env } from './env.ts'
import { Problem } from './errors.ts'
import { type AnyOperation, operation } from './operations.ts'
import { either, given, nothing, type Shape, text } from './shapes.ts'

/** The file as a JSON string: its quotes and line ends are two characters each. */
const BODY_BYTES_MAX = 2 * TRUST_ROOT_BYTES_MAX + 1_024

type Given<T> = Exclude<T, Refused>

/** A file's text, of as many lines as it has. */
const file: Shape<string> = {
  schema: { type: 'string', maxLength: TRUST_ROOT_BYTES_MAX },
  read: (value, what) => asString(value, what),
}
const SETTING = { trustedRoot: file, origin: text(255) }
const SHOWN = given({
  trustedRoot: either(SETTING.trustedRoot, nothing),
  origin: either(SETTING.origin, nothing),
}).schema
const DONE = { 200: { description: 'In force for every upload from now on.', schema: given({}).schema } }

/** @param repository the one that `/api/` is about */
export function attestationOperations(repository: string): AnyOperation[] {
  const set = async (env: Env, request: TrustRootRequest): Promise<Response> =>
    answer<Given<Done>>(await env.MEMBER.setTrustRoot(request))
  const at = { path: '/api/settings/attestations', params: {}, query: {} } as const
  return [
    operation({
      ...at,
      id: 'getTrustRoot',
      method: 'GET',
      summary: 'Whom attestations of uploads are trusted by, and the origin that pages name provenance under.',
      scopes: ['admin', 'audit'],
      answers: { 200: { description: 'Null: attestations are dropped; no origin was ever set.', schema: SHOWN } },
      run: async ({ env, token }) => answer<Given<TrustRootAnswer>>(await env.MEMBER.trustRoot(repository, token)),
    }),
    operation({
      ...at,
      id: 'setTrustRoot',
      method: 'PUT',
      summary:
        'Verifies attestations under the text of a trusted_root.json; origin is where this index is, scheme and host.',
      scopes: ['admin'],
      body: SETTING,
      bodyMax: BODY_BYTES_MAX,
      answers: DONE,
      run: ({ env, token, body: { trustedRoot, origin } }) => {
        checkTrustRoot(trustedRoot)
        return set(env, { repository, token, trustedRoot, origin })
      },
    }),
    operation({
      ...at,
      id: 'removeTrustRoot',
      method: 'DELETE',
      summary: 'Drops attestations from now on; what was verified before stays.',
      scopes: ['admin'],
      answers: DONE,
      run: ({ env, token }) => set(env, { repository, token, trustedRoot: null }),
    }),
  ]
}

function checkTrustRoot(trustedRoot: string): void {
  try {
    readTrustRoot(new TextEncoder().encode(trustedRoot))
  } catch (error) {
    throw error instanceof AttestationError ? new Problem(400, error.message) : error
  }
}
