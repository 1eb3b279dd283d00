// The operators' API, tokens: mint, list, revoke; and whether readers need one. State: none; who may do what is decided by
// the publisher in the transaction of the change. A token is shown in the answer that mints it and nowhere else.
import type { Done, MintAnswer, Refused, Scope } from '../durable-objects/rpc.ts'
import type { ListTokensAnswer, RevokeAnswer } from '../durable-objects/rpc-tokens.ts'
import { FormatError } from '../tuf/errors.ts'
import { answer } from './api-json.ts'
import { type AnyOperation, operation, present } from './operations.ts'
import { either, flag, given, integer, list, maybe, nothing, projectName, text, tokenId } from './shapes.ts'

/** 1,000 project names of ≤ 64 characters are 70 kB. */
const BODY_BYTES_MAX = 256 * 1024
const PAGE_DEFAULT = 100
const PAGE_MAX = 1_000

type Given<T> = Exclude<T, Refused>

/** Which words are scopes is the publisher's to know: `metadata:ROLE` takes any role. */
const SCOPES = list(text(220))
const seconds = integer(0)
const TOKEN = given({
  id: tokenId,
  name: text(100),
  scopes: SCOPES,
  projects: either(list(projectName), nothing),
  by: text(100),
  created: seconds,
  expires: seconds,
  revoked: maybe(seconds),
  lastUsed: maybe(seconds),
})
const FILES = list(text(500))

/** @param repository the one that `/api/` is about */
export function tokenOperations(repository: string): AnyOperation[] {
  return [
    operation({
      id: 'mintToken',
      method: 'POST',
      path: '/api/tokens',
      summary:
        'Mints a token, which is shown in this answer and never again. Limited to `projects` or, where the caller says so, `allProjects`; never wider than the token that asks.',
      scopes: ['admin'],
      secret: true,
      params: {},
      query: {},
      body: {
        name: text(100),
        scopes: SCOPES,
        projects: maybe(list(projectName)),
        allProjects: maybe(flag),
        expires: integer(1),
      },
      bodyMax: BODY_BYTES_MAX,
      answers: { 200: { description: 'Minted.', schema: given({ id: tokenId, token: text(100) }).schema } },
      run: async ({ env, token, body: { name, scopes, projects, allProjects = false, expires } }) => {
        if (allProjects === (projects !== undefined))
          throw new FormatError('A token wants either projects, a list of names, or "allProjects": true.')
        const request = { repository, name, scopes: scopes as Scope[], expires, ...present({ projects }) }
        return answer<Given<MintAnswer>>(await env.MEMBER.mint(request, token))
      },
    }),
    operation({
      id: 'listTokens',
      method: 'GET',
      path: '/api/tokens',
      summary:
        'Tokens that are good, with `ended` the others too, in pages; `next` goes into `after` of the next call.',
      scopes: ['admin', 'audit'],
      params: {},
      query: { ended: maybe(flag), after: maybe(tokenId), limit: maybe(integer(1, PAGE_MAX)) },
      answers: {
        200: {
          description: 'In the order of their ids.',
          schema: given({ tokens: list(TOKEN), next: maybe(tokenId) }).schema,
        },
      },
      run: async ({ env, token, query: { ended = false, after, limit = PAGE_DEFAULT } }) =>
        answer<Given<ListTokensAnswer>>(
          await env.MEMBER.tokens({ repository, token, ended, limit, ...present({ after }) }),
        ),
    }),
    operation({
      id: 'revokeToken',
      method: 'DELETE',
      path: '/api/tokens/{id}',
      summary: 'Ends a token; with `drop-staged` what it staged and is not live yet goes with it.',
      scopes: ['admin'],
      params: { id: tokenId },
      query: { 'drop-staged': maybe(flag) },
      answers: {
        200: { description: 'It has ended.', schema: given({ dropped: FILES, withdrawing: FILES }).schema },
      },
      refusals: [404, 409],
      run: async ({ env, token, path: { id }, query: { 'drop-staged': dropStaged = false } }) =>
        answer<Given<RevokeAnswer>>(await env.MEMBER.revoke({ repository, token, id, dropStaged })),
    }),
    operation({
      id: 'setReading',
      method: 'PUT',
      path: '/api/settings/reading',
      summary: 'Private: reading takes a token of the scope read. Holds when it is answered.',
      scopes: ['admin'],
      params: {},
      query: {},
      body: { private: flag },
      answers: { 200: { description: 'In force.', schema: given({}).schema } },
      run: async ({ env, token, body }) =>
        answer<Given<Done>>(await env.MEMBER.setReading({ repository, token, private: body.private })),
    }),
  ]
}
