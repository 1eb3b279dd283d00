// The public API as the command line speaks it. Errors carry the service's own sentence.
import { baseOf, MAIN, REPOSITORY_NAME } from '../tuf/layout.ts'
import { reasonOf } from '../tuf/transport.ts'
import { CommandError } from './terminal.ts'

export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: number
  /** Of a 503: when to ask again. */
  readonly retryAfterMs: number | undefined

  constructor(status: number, message: string, retryAfterMs?: number) {
    super(message)
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

/** What a header takes. The platform's own error about anything else would show it, and it may be somebody's secret. */
const READABLE = /^[\x21-\x7e]+$/

/** @returns the token or secret as it is. @throws CommandError, without it, if it cannot be one */
export function mustBeReadable(token: string): string {
  if (READABLE.test(token)) return token
  throw new CommandError(
    'The token or secret holds a space, a line break or a letter that none has: is it the right one?',
  )
}

/** A repository beside `main` has everything below its own path. */
const BESIDE_MAIN = /^\/r\/([^/]*)/

/**
 * Where the repository is that `base` names: the origin and, of another than `main`, its path; no slash at the end.
 *
 * @throws CommandError for a name that none can have: what is meant for one must not reach another
 */
export function repositoryUrl(base: string): string {
  const { origin, pathname } = new URL(base)
  const name = BESIDE_MAIN.exec(pathname)?.[1]
  if (name === undefined) return origin
  if (REPOSITORY_NAME.test(name) && name !== MAIN) return origin + baseOf(name)
  throw new CommandError(
    `There is no repository at ${base}: ${MAIN} is at ${origin}, any other at ${origin}/r/NAME, in lower-case letters, digits and hyphens.`,
    2,
  )
}

/** A path of the service below the repository that `base` names. */
export const apiUrl = (base: string, path: string): URL => new URL(repositoryUrl(base) + path)

/** One call; `body` is sent as JSON. The token travels in a header, never in a URL. @throws ApiError */
export async function callApi<T>(
  base: string,
  method: string,
  path: string,
  options: { token?: string; body?: unknown } = {},
): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (options.token !== undefined) headers.authorization = `Bearer ${mustBeReadable(options.token)}`
  if (options.body !== undefined) headers['content-type'] = 'application/json'
  const body = options.body === undefined ? {} : { body: JSON.stringify(options.body) }
  const { status, text } = await exchange(apiUrl(base, path), { method, headers, ...body })
  if (status < 200 || status > 299)
    throw new ApiError(status, sentence(text) ?? `${method} ${path} was answered ${status}.`)
  try {
    return JSON.parse(text) as T
  } catch {
    throw new ApiError(status, `${method} ${path} was answered with what is no JSON: is ${base} an index?`)
  }
}

/** A call without an answer has the status 0: whether it was carried out is not known. */
async function exchange(url: URL, init: RequestInit): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch(url, init)
    return { status: response.status, text: await response.text() }
  } catch (error) {
    throw new ApiError(0, `${url.origin} did not answer: ${reasonOf(error)}.`)
  }
}

/** RFC 9457 `detail`, or the plain text itself. */
function sentence(text: string): string | undefined {
  try {
    const problem = JSON.parse(text) as { detail?: unknown; message?: unknown }
    const said = problem.detail ?? problem.message
    if (typeof said === 'string') return said
  } catch {
    // plain text
  }
  return text.trim() === '' || text.length > 1_000 ? undefined : text.trim()
}

export const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
