// The public API as the command line speaks it. Errors carry the service's own sentence.

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

/** One call; `body` is sent as JSON. The token travels in a header, never in a URL. @throws ApiError */
export async function callApi<T>(
  base: string,
  method: string,
  path: string,
  options: { token?: string; body?: unknown } = {},
): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`
  if (options.body !== undefined) headers['content-type'] = 'application/json'
  const response = await fetch(new URL(path, base), {
    method,
    headers,
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  })
  const text = await response.text()
  if (!response.ok)
    throw new ApiError(response.status, sentence(text) ?? `${method} ${path} was answered ${response.status}.`)
  return JSON.parse(text) as T
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
