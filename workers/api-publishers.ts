// The operators' API, trusted publishers: list, add, remove; and the audience of their JWTs. State: none; who may do what
// is decided by the publisher in the transaction of the change.
import type { Hono } from 'hono'
import type { Done, Refused } from '../durable-objects/rpc.ts'
import type { AddPublisherAnswer, ListPublishersAnswer } from '../durable-objects/rpc-oidc.ts'
import { isValidName, normalizeName } from '../pypi/names.ts'
import { FormatError } from '../tuf/errors.ts'
import { asBoolean, asObject, asString } from '../tuf/fields.ts'
import type { Json } from '../tuf/json.ts'
import { answer, credentialOf, readBody } from './api-json.ts'
import type { Env } from './env.ts'

/** Twenty claims of ≤ 600 characters. */
const BODY_BYTES_MAX = 64 * 1024
const PUBLISHER_ID = /^[0-9a-f]{12}$/
const SOURCE = ['kind', 'issuer', 'repository', 'ownerId', 'projectId', 'workflow', 'environment', 'claims']

type Given<T> = Exclude<T, Refused>

/** Adds the routes to `api`. @param repository the one that `/api/` is about */
export function addPublishers(api: Hono<{ Bindings: Env }>, repository: string): void {
  /** With `?project=NAME` those of one project; `?after=` the `next` of the page before. Takes an admin or audit token. */
  api.get('/api/publishers', async (c) => {
    const token = credentialOf(c.req.raw)
    const [project, after] = [c.req.query('project'), c.req.query('after')]
    if (after !== undefined && !PUBLISHER_ID.test(after))
      throw new FormatError('after must be the `next` of an answer.')
    const request = {
      repository,
      token,
      ...(project === undefined ? {} : { project: projectName(project) }),
      ...(after === undefined ? {} : { after }),
    }
    return answer<Given<ListPublishersAnswer>>(await c.env.MEMBER.listPublishers(request))
  })

  /** `{"project": "sample", "kind": "github", …}`; `"pending": true` before the project exists. Takes an admin token. */
  api.post('/api/publishers', async (c) => {
    const token = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, ['project', 'pending', ...SOURCE])
    const source = SOURCE.flatMap((name) => (body.has(name) ? [[name, plain(body.get(name), name)]] : []))
    const request = {
      repository,
      token,
      project: projectName(asString(body.get('project'), 'project')),
      pending: body.has('pending') && asBoolean(body.get('pending'), 'pending'),
      // What makes a source is the publisher's to know.
      source: Object.fromEntries(source) as Record<string, unknown>,
    }
    return answer<Given<AddPublisherAnswer>>(await c.env.MEMBER.addPublisher(request))
  })

  /** Its tokens end with it. Takes an admin token. */
  api.delete('/api/publishers/:id', async (c) => {
    const token = credentialOf(c.req.raw)
    const id = c.req.param('id')
    if (!PUBLISHER_ID.test(id)) throw new FormatError('The id of a publisher is 12 hex digits, as the list shows it.')
    return answer<Given<Done>>(await c.env.MEMBER.removePublisher({ repository, token, id }))
  })

  /** `{"audience": "…"}`: what JWTs must be made for, from now on. Takes an admin token. */
  api.put('/api/settings/audience', async (c) => {
    const token = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, ['audience'])
    const audience = asString(body.get('audience'), 'audience')
    return answer<Given<Done>>(await c.env.MEMBER.setAudience({ repository, token, audience }))
  })
}

/** A string, or for `claims` an object of strings. */
function plain(value: Json | undefined, name: string): string | Record<string, string> {
  if (name !== 'claims') return asString(value, name)
  const claims = [...asObject(value, name)]
  return Object.fromEntries(claims.map(([claim, text]) => [claim, asString(text, `The claim ${claim}`)]))
}

function projectName(name: string): string {
  if (!isValidName(name)) throw new FormatError(`'project' is no project name: use ASCII letters, digits and '-'.`)
  return normalizeName(name)
}
