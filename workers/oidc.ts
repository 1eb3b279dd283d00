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
import { baseOf } from '../tuf/layout.ts'
import { urlOf } from './addresses.ts'
import { json, problem, readBytes } from './api-json.ts'
import type { Env } from './env.ts'
import { log, Problem, publisher } from './errors.ts'
import { isForeign } from './origin.ts'

/** A JWT of 16 KiB, and room. */
const BODY_BYTES_MAX = 32 * 1024
const DISCOVERY_TYPE = 'application/vnd.pypi.pytp.v1+json'
/** Tokens are good for as many uploads as fit into their life. */
const FEATURE = 'multi-use-token'
/** The keys of an issuer are asked for again after half a minute. */
const RETRY_AFTER = '30'

type OidcContext = Context<{ Bindings: Env }>

/** @param repository the one that tokens are for; each has its own audience, so no JWT is good at two */
export function createOidc(repository: string): Hono<{ Bindings: Env }> {
  const oidc = new Hono<{ Bindings: Env }>()
  // As PEP 807 spells it: the path of the upload URL.
  const uploads = `${baseOf(repository)}/legacy/`

  oidc.get('/.well-known/pytp', (c) => {
    if (!accepts(c.req.header('accept'), DISCOVERY_TYPE)) return problem(406, `This is served as ${DISCOVERY_TYPE}.`)
    if (![uploads, uploads.slice(0, -1)].includes(c.req.query('discover') ?? ''))
      return problem(404, `Nothing is uploaded there: the path of the upload URL is ${uploads}.`)
    const url = urlOf(repository, c.req.raw)
    const found = {
      'audience-endpoint': `${url}/_/oidc/audience`,
      'token-mint-endpoint': `${url}/_/oidc/mint-token`,
      features: [FEATURE],
      'default-features': [FEATURE],
    }
    return json(200, found, DISCOVERY_TYPE)
  })

  oidc.get('/_/oidc/audience', async (c) => {
    const answer = await publisher<AudienceAnswer>(async () => c.env.PUBLIC.audience(repository))
    return answer.ok
      ? json(200, { audience: answer.audience }, 'application/json')
      : failed(503, 'unavailable', answer.message)
  })

  oidc.post('/_/oidc/mint-token', (c) => mint(c, repository))

  /** uv ends its token when it is done. 202 whatever the token was: nothing is to be learned here. */
  oidc.post('/_/oidc/burn-token', async (c) => {
    const token = await bodyOf(c, (fields) => asString(fields.get('token'), 'token'))
    if (token instanceof Response) return token
    const done = await c.env.MEMBER.burn(repository, token)
    return done.ok ? json(202, { message: 'Accepted' }, 'application/json') : failed(503, 'unavailable', done.message)
  })

  for (const path of ['/.well-known/pytp', '/_/oidc/audience'])
    oidc.all(path, () => problem(405, 'This can only be read.', { Allow: 'GET, HEAD' }))
  for (const path of ['/_/oidc/mint-token', '/_/oidc/burn-token'])
    oidc.all(path, () => problem(405, 'Tokens are sent here with POST.', { Allow: 'POST' }))

  oidc.onError((error) => {
    if (error instanceof Problem) return problem(error.status, error.message, error.headers)
    log('oidc', error)
    return failed(503, 'unavailable', MISHAP)
  })
  return oidc
}

const MISHAP = 'The exchange failed for a reason of ours: ask the CI for a new JWT and try again.'

async function mint(c: OidcContext, repository: string): Promise<Response> {
  const body = await bodyOf(c, (fields) => ({
    identity: asString(fields.get('token'), 'token'),
    features: fields.has('features') ? asStrings(fields.get('features'), 'features') : [],
  }))
  if (body instanceof Response) return body
  const other = body.features.find((feature) => feature !== FEATURE)
  if (other !== undefined) return failed(422, 'invalid-payload', `The only feature of tokens here is ${FEATURE}.`)
  const answer = await c.env.MEMBER.exchange({ repository, identity: body.identity })
  if (answer.ok) return json(200, { success: true, token: answer.token, expires: answer.expires }, 'application/json')
  if (!('denied' in answer)) return failed(503, 'unavailable', answer.message)
  return failed(answer.denied === 'unavailable' ? 503 : 422, answer.denied, answer.message)
}

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
