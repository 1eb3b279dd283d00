// The operators' API, tokens: mint, list, revoke; and whether readers need one. State: none; who may do what is decided by the publisher in the
// transaction of the change. A token is shown in the answer that mints it and nowhere else.
import type { Hono } from 'hono'
import type { Done, MintAnswer, Refused, Scope } from '../durable-objects/rpc.ts'
import type { ListTokensAnswer, RevokeAnswer } from '../durable-objects/rpc-tokens.ts'
import { isValidName, normalizeName } from '../pypi/names.ts'
import { FormatError } from '../tuf/errors.ts'
import { asBoolean, asInteger, asString, asStrings } from '../tuf/fields.ts'
import type { JsonObject } from '../tuf/json.ts'
import { answer, credentialOf, readBody } from './api-json.ts'
import type { Env } from './env.ts'

/** 1,000 project names of ≤ 64 characters are 70 kB. */
const BODY_BYTES_MAX = 256 * 1024
const PAGE_DEFAULT = 100
const PAGE_MAX = 1_000
const TOKEN_ID = /^[0-9a-f]{12}$/

type Given<T> = Exclude<T, Refused>

/** Adds the routes to `api`. @param repository the one that `/api/` is about */
export function addTokens(api: Hono<{ Bindings: Env }>, repository: string): void {
  /**
   * Mints a token; it is shown in this answer and never again. Takes an admin token, first the bootstrap secret. Limited
   * to `projects`, or, where the caller says so, for every one with `"allProjects": true`.
   */
  api.post('/api/tokens', async (c) => {
    const secret = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, ['name', 'scopes', 'projects', 'allProjects', 'expires'])
    const projects = projectsFrom(body)
    const request = {
      repository,
      name: asString(body.get('name'), 'name'),
      // Which words are scopes is the publisher's to know.
      scopes: asStrings(body.get('scopes'), 'scopes') as Scope[],
      ...(projects ? { projects } : {}),
      expires: asInteger(body.get('expires'), 1, 'expires'),
    }
    return answer<Given<MintAnswer>>(await c.env.MEMBER.mint(request, secret))
  })

  /** Tokens that are good, with `?ended=true` the others too, in pages. Takes an admin or audit token. */
  api.get('/api/tokens', async (c) => {
    const token = credentialOf(c.req.raw)
    const [after, limit = String(PAGE_DEFAULT)] = [c.req.query('after'), c.req.query('limit')]
    if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > PAGE_MAX)
      throw new FormatError(`limit must be between 1 and ${PAGE_MAX}.`)
    if (after !== undefined && !TOKEN_ID.test(after)) throw new FormatError('after must be the `next` of an answer.')
    const request = {
      repository,
      token,
      ended: flag(c.req.query('ended'), 'ended'),
      limit: Number(limit),
      ...(after === undefined ? {} : { after }),
    }
    return answer<Given<ListTokensAnswer>>(await c.env.MEMBER.tokens(request))
  })

  /** `{"private": true}`: reading takes a token of the scope read. Takes an admin token; holds when it is answered. */
  api.put('/api/settings/reading', async (c) => {
    const token = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, ['private'])
    const request = { repository, token, private: asBoolean(body.get('private'), 'private') }
    return answer<Given<Done>>(await c.env.MEMBER.setReading(request))
  })

  /** Ends a token; with `?drop-staged=true` what it staged and is not live yet goes with it. Takes an admin token. */
  api.delete('/api/tokens/:id', async (c) => {
    const token = credentialOf(c.req.raw)
    const id = c.req.param('id')
    if (!TOKEN_ID.test(id)) throw new FormatError('The id of a token is 12 hex digits, as the list shows it.')
    const request = { repository, token, id, dropStaged: flag(c.req.query('drop-staged'), 'drop-staged') }
    return answer<Given<RevokeAnswer>>(await c.env.MEMBER.revoke(request))
  })
}

/** Undefined: every project, because the caller asked for it. */
function projectsFrom(body: JsonObject): string[] | undefined {
  const all = body.has('allProjects') && asBoolean(body.get('allProjects'), 'allProjects')
  if (all === body.has('projects'))
    throw new FormatError('A token wants either projects, a list of names, or "allProjects": true.')
  return all ? undefined : asStrings(body.get('projects'), 'projects').map(projectName)
}

function projectName(name: string): string {
  if (!isValidName(name))
    throw new FormatError(`'projects' has a name that is none: use ASCII letters, digits and '-'.`)
  return normalizeName(name)
}

function flag(text: string | undefined, name: string): boolean {
  if (text === undefined || text === 'false') return false
  if (text === 'true') return true
  throw new FormatError(`${name} must be true or false.`)
}
