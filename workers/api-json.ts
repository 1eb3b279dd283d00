// JSON in and out of the API. State: none. Bodies are strict: one object, the known fields, nothing twice; whoever sends
// something else meant something else.
import type { Hono } from 'hono'
import type { Refused } from '../durable-objects/rpc.ts'
import { UNAUTHENTICATED } from '../pypi/refusal.ts'
import { FormatError } from '../tuf/errors.ts'
import { asObject } from '../tuf/fields.ts'
import { type Json, type JsonObject, parseJson } from '../tuf/json.ts'
import { tokenOf } from './credentials.ts'
import type { Env } from './env.ts'
import { log, Problem } from './errors.ts'

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  411: 'Length Required',
  413: 'Content Too Large',
  406: 'Not Acceptable',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
}

/** What a 401 asks for: the command line sends bearer tokens, and a browser shall not open a password window. */
export const BEARER_CHALLENGE = 'Bearer realm="tuf-edge"'

/** The caller's token or secret. @throws Problem when there is none */
export function credentialOf(request: Request): string {
  const token = tokenOf(request.headers)
  if (token === undefined) throw new Problem(401, UNAUTHENTICATED, { 'WWW-Authenticate': BEARER_CHALLENGE })
  return token
}

/** RFC 9457; `detail` is one sentence for a person. */
export function problem(
  status: number,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
  more: object = {},
): Response {
  const body = { type: 'about:blank', title: TITLES[status] ?? 'Error', status, detail, ...more }
  return json(status, body, 'application/problem+json', headers)
}

/** The publisher's answer: what it gave, or its refusal as a problem. */
export function answer<T extends { ok: true }>(result: T | Refused, status = 200): Response {
  if (result.ok) {
    const { ok: _, ...given } = result
    return json(status, given, 'application/json')
  }
  return problem(result.status, result.message, {
    ...(result.status === 401 ? { 'WWW-Authenticate': BEARER_CHALLENGE } : {}),
    ...(result.status === 503 ? { 'Retry-After': '5' } : {}),
  })
}

export function json(
  status: number,
  body: unknown,
  type: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const all = { 'Content-Type': type, 'Cache-Control': 'no-store', ...headers }
  return new Response(`${JSON.stringify(body)}\n`, { status, headers: all })
}

/**
 * The request's JSON object.
 *
 * @param bytesMax bytes of the longest body taken
 * @param known the fields it may have
 * @throws Problem, FormatError
 */
export async function readBody(request: Request, bytesMax: number, known: readonly string[]): Promise<JsonObject> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw new Problem(415, 'The body must be sent as application/json.')
  return objectOf(parseJson(await readBytes(request, bytesMax)), 'The body', known)
}

/** `value` as an object with no other than the known fields. @throws FormatError */
export function objectOf(value: Json | undefined, what: string, known: readonly string[]): JsonObject {
  const object = asObject(value, what)
  if ([...object.keys()].every((field) => known.includes(field))) return object
  throw new FormatError(`${what} has a field that is unknown here; it may have: ${known.join(', ')}.`)
}

/** The body, whole. @throws Problem when it is longer */
export async function readBytes(request: Request, bytesMax: number): Promise<Uint8Array> {
  const tooLarge = new Problem(413, `The body may have at most ${bytesMax} bytes.`)
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) throw tooLarge
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      length += chunk.length
      if (length > bytesMax) throw tooLarge
      chunks.push(chunk)
    }
  } catch (error) {
    if (error === tooLarge) throw error
    throw new Problem(400, 'The body broke off before its end: send it again.')
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** Bytes of standard base64, with padding (RFC 4648, 4). `what` names the field in the refusal. */
export function fromBase64(text: string, what: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
  } catch {
    throw new FormatError(`${what} must be in base64.`)
  }
}

/** What every API answers to the rest: a wrong method, an unknown path, an error. To be called after its last route. */
export function closeApi(api: Hono<{ Bindings: Env }>): void {
  for (const path of new Set(api.routes.map((route) => route.path))) {
    const methods = api.routes
      .filter((route) => route.path === path && route.method !== 'ALL')
      .map(({ method }) => method)
    if (methods.length > 0)
      api.all(path, () => problem(405, 'This address has other methods.', { Allow: methods.join(', ') }))
  }
  api.all('/api/*', () => problem(404, 'There is nothing here.'))
  api.all('/api', () => problem(404, 'There is nothing here.'))

  api.onError((error) => {
    if (error instanceof Problem) return problem(error.status, error.message, error.headers)
    if (error instanceof FormatError) return problem(400, error.message)
    log('api', error)
    return problem(503, 'The call failed for a reason of ours. Ask for the status before repeating it.', {
      'Retry-After': '5',
    })
  })
}
