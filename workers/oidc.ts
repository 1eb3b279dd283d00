// Trusted publishing, the requests that uploaders make for it (PEP 807, and PyPI's addresses for those that do not ask).
// State: none. A JWT is passed on as it came, and what it is good for is decided by the publisher. These routes take no
// token of ours, in a private index too: they are how a CI gets one.
//
// Errors are problem+json with PyPI's fields in it: twine reads `errors`, uv shows the whole body.
import { type Context, Hono } from 'hono'
import type { AudienceAnswer, DenialCode } from '../durable-objects/rpc-oidc.ts'
import { FormatError } from '../tuf/errors.ts'
import { asObject, asString, asStrings } from '../tuf/fields.ts'
import { type JsonObject, parseJson } from '../tuf/json.ts'
import { json, problem, readBytes } from './api-json.ts'
import type { Env } from './env.ts'
import { log, Problem, publisher } from './errors.ts'
import { isForeign } from './origin.ts'

/** The repository that uploads go to. */
const REPOSITORY = 'main'
/** A JWT of 16 KiB, and room. */
const BODY_BYTES_MAX = 32 * 1024
/** Where uploads go, as PEP 807 spells it: the path of the upload URL. */
const UPLOADS: readonly string[] = ['/legacy/', '/legacy']
const DISCOVERY_TYPE = 'application/vnd.pypi.pytp.v1+json'
/** Tokens are good for as many uploads as fit into their life. */
const FEATURE = 'multi-use-token'
/** The keys of an issuer are asked for again after half a minute. */
const RETRY_AFTER = '30'

type OidcContext = Context<{ Bindings: Env }>

export const oidc = new Hono<{ Bindings: Env }>()

oidc.get('/.well-known/pytp', (c) => {
  if (!accepts(c.req.header('accept'), DISCOVERY_TYPE)) return problem(406, `This is served as ${DISCOVERY_TYPE}.`)
  if (!UPLOADS.includes(c.req.query('discover') ?? ''))
    return problem(404, 'Nothing is uploaded there: the path of the upload URL is /legacy/.')
  const { origin } = new URL(c.req.url)
  const found = {
    'audience-endpoint': `${origin}/_/oidc/audience`,
    'token-mint-endpoint': `${origin}/_/oidc/mint-token`,
    features: [FEATURE],
    'default-features': [FEATURE],
  }
  return json(200, found, DISCOVERY_TYPE)
})

oidc.get('/_/oidc/audience', async (c) => {
  const answer = await publisher<AudienceAnswer>(async () => c.env.PUBLIC.audience(REPOSITORY))
  return answer.ok
    ? json(200, { audience: answer.audience }, 'application/json')
    : failed(503, 'unavailable', answer.message)
})

oidc.post('/_/oidc/mint-token', async (c) => {
  const body = await bodyOf(c, (fields) => ({
    identity: asString(fields.get('token'), 'token'),
    features: fields.has('features') ? asStrings(fields.get('features'), 'features') : [],
  }))
  if (body instanceof Response) return body
  const other = body.features.find((feature) => feature !== FEATURE)
  if (other !== undefined) return failed(422, 'invalid-payload', `The only feature of tokens here is ${FEATURE}.`)
  const answer = await c.env.MEMBER.exchange({ repository: REPOSITORY, identity: body.identity })
  if (answer.ok) return json(200, { success: true, token: answer.token, expires: answer.expires }, 'application/json')
  if (!('denied' in answer)) return failed(503, 'unavailable', answer.message)
  return failed(answer.denied === 'unavailable' ? 503 : 422, answer.denied, answer.message)
})

/** uv ends its token when it is done. 202 whatever the token was: nothing is to be learned here. */
oidc.post('/_/oidc/burn-token', async (c) => {
  const token = await bodyOf(c, (fields) => asString(fields.get('token'), 'token'))
  if (token instanceof Response) return token
  const done = await c.env.MEMBER.burn(REPOSITORY, token)
  return done.ok ? json(202, { message: 'Accepted' }, 'application/json') : failed(503, 'unavailable', done.message)
})

for (const path of ['/.well-known/pytp', '/_/oidc/audience'])
  oidc.all(path, () => problem(405, 'This can only be read.', { Allow: 'GET, HEAD' }))
for (const path of ['/_/oidc/mint-token', '/_/oidc/burn-token'])
  oidc.all(path, () => problem(405, 'Tokens are sent here with POST.', { Allow: 'POST' }))

oidc.onError((error) => {
  if (error instanceof Problem) return problem(error.status, error.message, error.headers)
  log('oidc', error)
  return failed(503, 'unavailable', 'The exchange failed for a reason of ours: ask the CI for a new JWT and try again.')
})

/** What `read` finds in the body, or the refusal. The type is not looked at: old uploaders send none, or a form's. */
async function bodyOf<T>(c: OidcContext, read: (fields: JsonObject) => T): Promise<T | Response> {
  if (isForeign(c.req.raw)) return problem(403, 'Pages of other origins may not write here.')
  try {
    // Unknown fields are the next version's: PEP 807 negotiates by `features`.
    return read(asObject(parseJson(await readBytes(c.req.raw, BODY_BYTES_MAX)), 'The body'))
  } catch (error) {
    if (error instanceof FormatError) return failed(422, 'invalid-payload', error.message)
    throw error
  }
}

function failed(status: 422 | 503, code: DenialCode, description: string): Response {
  const headers: Record<string, string> = status === 503 ? { 'Retry-After': RETRY_AFTER } : {}
  return problem(status, description, headers, { message: 'Token request failed', errors: [{ code, description }] })
}

function accepts(header: string | undefined, type: string): boolean {
  if (header === undefined || header.trim() === '') return true
  const ranges = header.split(',').map((range) => range.split(';')[0]!.trim().toLowerCase())
  return [type, 'application/*', '*/*'].some((each) => ranges.includes(each))
}
