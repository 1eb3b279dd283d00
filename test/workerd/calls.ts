// Calls of the API through the whole face, and what its refusals look like.
import { exports } from 'cloudflare:workers'
import { expect } from 'vitest'

const face = exports as unknown as { default: Fetcher }

export interface Call {
  token?: string
  body?: unknown
  headers?: Record<string, string>
}

export function call(method: string, path: string, { token, body, headers = {} }: Call = {}): Promise<Response> {
  return face.default.fetch(`http://127.0.0.1${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
}

export async function expectProblem(answer: Response, status: number, detail: RegExp): Promise<void> {
  const text = await answer.text()
  expect({ status: answer.status, text }).toMatchObject({ status })
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer realm="tuf-edge"' : null)
  const problem = JSON.parse(text) as Record<string, unknown>
  expect(problem).toMatchObject({ type: 'about:blank', status })
  expect(problem.detail).toMatch(detail)
}

export const AUTH =
  /^Invalid or non-existent authentication information\. It takes a token of this index: .*token create/
export const inAnHour = () => Math.floor(Date.now() / 1000) + 3_600
