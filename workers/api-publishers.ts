// The operators' API, trusted publishers: list, add, remove; and the audience of their JWTs. State: none; who may do what
// is decided by the publisher in the transaction of the change.
import type { Done, Refused } from '../durable-objects/rpc.ts'
import type { AddPublisherAnswer, ListPublishersAnswer } from '../durable-objects/rpc-oidc.ts'
import { FormatError } from '../tuf/errors.ts'
import { asObject, asString } from '../tuf/fields.ts'
import { answer } from './api-json.ts'
import { type AnyOperation, operation } from './operations.ts'
import { flag, given, integer, list, maybe, projectName, type Shape, text, word } from './shapes.ts'

type Given<T> = Exclude<T, Refused>

const publisherId: Shape<string> = {
  schema: { type: 'string', pattern: '^[0-9a-f]{12}$' },
  read(value, what) {
    const id = asString(value, what)
    if (/^[0-9a-f]{12}$/.test(id)) return id
    throw new FormatError(`${what} is 12 hex digits, as the list of publishers shows them.`)
  },
}

/** Which claims may be asked for, and how many, is the publisher's to know. */
const claims: Shape<Record<string, string>> = {
  schema: { type: 'object', additionalProperties: { type: 'string' } },
  read: (value, what) =>
    Object.fromEntries(
      [...asObject(value, what)].map(([claim, said]) => [claim, asString(said, `The claim ${claim}`)]),
    ),
}

/** The fields of every kind of source; which of them a kind has is the publisher's to know. */
const SOURCE = {
  kind: word('github', 'gitlab', 'oidc'),
  issuer: maybe(text(200)),
  repository: maybe(text(255)),
  ownerId: maybe(text(20)),
  projectId: maybe(text(20)),
  workflow: maybe(text(255)),
  environment: maybe(text(255)),
  claims: maybe(claims),
}

const PUBLISHER = given({
  id: publisherId,
  project: projectName,
  pending: flag,
  source: given(SOURCE),
  created: integer(0),
  by: text(100),
})
const DONE = { 200: { description: 'Done.', schema: given({}).schema } }

export function publisherOperations(repository: string): AnyOperation[] {
  return [
    operation({
      id: 'listPublishers',
      method: 'GET',
      path: '/api/publishers',
      summary: 'Trusted publishers, of one project or of all, in pages.',
      scopes: ['admin', 'audit'],
      params: {},
      query: { project: maybe(projectName), after: maybe(publisherId) },
      answers: {
        200: {
          description: 'In the order of their ids; `next` goes into `after` of the next call.',
          schema: given({ publishers: list(PUBLISHER), next: maybe(publisherId) }).schema,
        },
      },
      run: async ({ env, token, query: { project, after } }) => {
        const page = { ...(project === undefined ? {} : { project }), ...(after === undefined ? {} : { after }) }
        return answer<Given<ListPublishersAnswer>>(await env.MEMBER.listPublishers({ repository, token, ...page }))
      },
    }),
    operation({
      id: 'addPublisher',
      method: 'POST',
      path: '/api/publishers',
      summary: 'Lets a workflow upload to a project; `pending` before the project exists. Repeated, it adds nothing.',
      scopes: ['admin'],
      params: {},
      query: {},
      body: { project: projectName, pending: maybe(flag), ...SOURCE },
      answers: { 200: { description: 'It may.', schema: given({ id: publisherId }).schema } },
      refusals: [404, 409],
      run: async ({ env, token, body: { project, pending = false, ...source } }) => {
        const fields = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined))
        const request = { repository, token, project, pending, source: fields as Record<string, unknown> }
        return answer<Given<AddPublisherAnswer>>(await env.MEMBER.addPublisher(request))
      },
    }),
    operation({
      id: 'removePublisher',
      method: 'DELETE',
      path: '/api/publishers/{id}',
      summary: 'Removes a trusted publisher. The tokens it was given end with it.',
      scopes: ['admin'],
      params: { id: publisherId },
      query: {},
      answers: DONE,
      refusals: [404],
      run: async ({ env, token, path: { id } }) =>
        answer<Given<Done>>(await env.MEMBER.removePublisher({ repository, token, id })),
    }),
    operation({
      id: 'setAudience',
      method: 'PUT',
      path: '/api/settings/audience',
      summary: 'What the JWTs of trusted publishers must be made for, from now on.',
      scopes: ['admin'],
      params: {},
      query: {},
      body: { audience: text(100) },
      answers: DONE,
      run: async ({ env, token, body: { audience } }) =>
        answer<Given<Done>>(await env.MEMBER.setAudience({ repository, token, audience })),
    }),
  ]
}
