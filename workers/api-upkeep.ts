// The operators' API, upkeep: freshness, the webhook, what the collector would delete. State: none; who may do what is
// decided by the publisher in the transaction of the change.
import type { Done, Refused } from '../durable-objects/rpc.ts'
import type { FreshnessRequest, GarbageAnswer, WebhookRequest } from '../durable-objects/rpc-upkeep.ts'
import { answer } from './api-json.ts'
import type { Env } from './env.ts'
import { type AnyOperation, operation } from './operations.ts'
import { freshness, given, integer, list, text, word } from './shapes.ts'

type Given<T> = Exclude<T, Refused>

const DONE = { 200: { description: 'In force.', schema: given({}).schema } }
const GARBAGE = given({
  now: integer(0),
  graceSeconds: integer(0),
  counts: given({ metadata: integer(0), page: integer(0), blob: integer(0), upload: integer(0) }),
  due: integer(0),
  begun: integer(0),
  entries: list(
    given({
      key: text(2_000),
      kind: word('metadata', 'page', 'blob', 'upload'),
      reason: text(600),
      notBefore: integer(0),
    }),
  ),
}).schema

/** @param repository the one that `/api/` is about */
export function upkeepOperations(repository: string): AnyOperation[] {
  const setWebhook = async (env: Env, request: WebhookRequest): Promise<Response> =>
    answer<Given<Done>>(await env.MEMBER.setWebhook(request))
  const put = { method: 'PUT', scopes: ['admin'], params: {}, query: {}, answers: DONE } as const
  return [
    operation({
      ...put,
      id: 'setFreshness',
      path: '/api/settings/freshness',
      summary: 'How long metadata lives and how often it is signed: a profile (standard, tight, lean), or four times.',
      body: { freshness },
      run: async ({ env, token, body }) => {
        const request = { repository, token, freshness: body.freshness as FreshnessRequest['freshness'] }
        return answer<Given<Done>>(await env.MEMBER.setFreshness(request))
      },
    }),
    operation({
      ...put,
      id: 'setWebhook',
      path: '/api/settings/webhook',
      summary: 'Where warnings and halts are told. The secret signs what is sent, and is never given back.',
      body: { url: text(2_000), secret: text(200) },
      run: ({ env, token, body }) => setWebhook(env, { repository, token, webhook: body }),
    }),
    operation({
      ...put,
      id: 'removeWebhook',
      method: 'DELETE',
      path: '/api/settings/webhook',
      summary: 'Tells nobody any more.',
      run: ({ env, token }) => setWebhook(env, { repository, token, webhook: null }),
    }),
    operation({
      id: 'listGarbage',
      method: 'GET',
      path: '/api/garbage',
      summary: 'What the collector would delete, when and why; deletes nothing.',
      scopes: ['admin', 'audit'],
      params: {},
      query: {},
      answers: { 200: { description: 'What goes next comes first, at most 1,000.', schema: GARBAGE } },
      run: async ({ env, token }) => answer<Given<GarbageAnswer>>(await env.MEMBER.garbage(repository, token)),
    }),
  ]
}
