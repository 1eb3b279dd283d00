// What uploaders are told. State: none. Errors have the shape of PyPI's: uv compares the whole Content-Type, shows `code`
// and skips its own check for an existing file after problem+json; poetry and flit show the body; the reason phrase is
// lost on the way and means nothing.
import { Refusal } from '../pypi/refusal.ts'
import { log, Problem } from './errors.ts'
import type { Taken } from './upload-intake.ts'

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
}

/** 200: visible. 202: stored for good, and soon to be seen. The body is for people; no tool but a verbose one shows it. */
export function successAnswer({ visible, warnings }: Taken): Response {
  const lines = visible ? warnings : ['Stored; it will appear shortly. Uploading again is safe.', ...warnings]
  if (lines.length === 0) return new Response(null, { status: 200 })
  return text(visible ? 200 : 202, lines.map((line) => `${line}\n`).join(''))
}

/** The answer to whatever an upload threw. What is not a refusal is 503: its outcome is unknown, repeating it is safe. */
export function failureAnswer(request: Request, error: unknown): Response {
  if (error instanceof Refusal) return errorAnswer(request, error.status, error.message)
  if (error instanceof Problem) return errorAnswer(request, error.status, error.message, error.headers)
  log('upload', error)
  const message = 'The upload failed for a reason of ours. Uploading again is safe.'
  return errorAnswer(request, 503, message, { 'Retry-After': '5' })
}

export function errorAnswer(
  request: Request,
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  if (!acceptsJson(request.headers.get('accept'))) return text(status, `${message}\n`, headers)
  const body = { message, code: `${status} ${message}`, title: TITLES[status] ?? 'Error' }
  return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } })
}

function text(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Response {
  const plain = { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' }
  return new Response(body, { status, headers: { ...plain, ...headers } })
}

/** The most specific range that covers JSON decides (RFC 9110, 12.5.1); no header accepts everything. */
function acceptsJson(accept: string | null): boolean {
  if (accept === null || accept.trim() === '') return true
  const ranges = accept.split(',').map((range) => range.split(';').map((part) => part.trim().toLowerCase()))
  const covering = ['application/json', 'application/*', '*/*'].map((type) => ranges.find(([first]) => first === type))
  const decides = covering.find((range) => range !== undefined)
  return decides !== undefined && !decides.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
}
