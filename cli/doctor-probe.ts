// One request as a certain client sends it, and its answer as it came over the wire: nothing is followed, decoded or
// cached on the way, because that is what shall be seen.

import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { apiUrl } from './api.ts'

/** What each of them says of itself. A header that a client does not send is absent, `User-Agent` included. */
export const CLIENTS = {
  pip: {
    'User-Agent': 'pip/26.2 {"installer":{"name":"pip","version":"26.2"}}',
    Accept: 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01',
    'Accept-Encoding': 'identity',
  },
  'an old pip': { 'User-Agent': 'pip/21.0', Accept: 'text/html', 'Accept-Encoding': 'identity' },
  urllib: { 'User-Agent': 'Python-urllib/3.13', Accept: '*/*', 'Accept-Encoding': 'identity' },
  'a TUF client': { 'User-Agent': 'python-tuf/6.0.0 python-urllib3/2.5.0', 'Accept-Encoding': 'identity' },
  'a client without User-Agent': {},
} as const
export type ClientName = keyof typeof CLIENTS

export interface Answer {
  as: ClientName
  path: string
  status: number
  header(name: string): string | undefined
  bytes: Uint8Array
  /** Own clock, milliseconds. */
  asked: number
  answered: number
}

/** Pages, metadata and the one file that is looked at are far below; whatever is longer is not ours. */
const BYTES_MAX = 32 * 1024 * 1024
const WAIT_MS = 20_000

/** @throws Error that says why there is no answer */
export function probe(base: string, path: string, as: ClientName, more: Record<string, string> = {}): Promise<Answer> {
  const url = apiUrl(base, path)
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const asked = Date.now()
  return new Promise((resolve, reject) => {
    const request = send(url, { headers: { ...CLIENTS[as], ...more }, timeout: WAIT_MS, agent: false }, (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        length += chunk.length
        if (length > BYTES_MAX) request.destroy(new Error(`more than ${BYTES_MAX} bytes were sent`))
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          as,
          path,
          status: response.statusCode ?? 0,
          header: (name) => response.headers[name.toLowerCase()]?.toString(),
          bytes: new Uint8Array(Buffer.concat(chunks)),
          asked,
          answered: Date.now(),
        }),
      )
    })
    request.on('timeout', () => request.destroy(new Error(`no answer within ${WAIT_MS / 1000} seconds`)))
    request.on('error', reject)
    request.end()
  })
}
