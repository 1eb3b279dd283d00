// What a CI run has around it: the CI's issuer of JWTs with the address where a job asks for its own, and, for uv, an https
// front of our service. Everything on this machine.
import { createServer, type IncomingMessage, type Server, type ServerResponse, request as sendRequest } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type Claims, JwtIssuer } from '../workerd/jwt-issuer.ts'
import { makeCertificate } from './certificate.ts'

/** What the job proves itself with when it asks for a JWT. */
const REQUEST_TOKEN = 'the-job-s-own'

const listen = (server: Server): Promise<number> =>
  new Promise((done) => server.listen(0, '127.0.0.1', () => done((server.address() as AddressInfo).port)))

export class Ci {
  readonly issuer: JwtIssuer
  readonly #server: Server
  /** Audiences that jobs asked for, in order. */
  readonly audiences: string[] = []
  /** What the next JWTs say, given their audience. */
  claims: (audience: string) => Claims = () => ({})

  private constructor(issuer: JwtIssuer, server: Server) {
    this.issuer = issuer
    this.#server = server
  }

  static async start(): Promise<Ci> {
    let answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>
    const server = createServer((request, response) => void answer(request, response))
    const issuer = await JwtIssuer.make(`http://127.0.0.1:${await listen(server)}`)
    const ci = new Ci(issuer, server)
    answer = (request, response) => ci.#answer(request, response)
    return ci
  }

  async #answer({ url = '/', headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(url, this.issuer.url)
    const audience = searchParams.get('audience')
    let body = this.issuer.answer(pathname)
    if (
      pathname === '/job' &&
      audience !== null &&
      headers.authorization?.toLowerCase() === `bearer ${REQUEST_TOKEN}`
    ) {
      this.audiences.push(audience)
      body = { value: await this.jwt(audience) }
    }
    response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body ?? {}))
  }

  jwt(audience: string): Promise<string> {
    return this.issuer.sign(this.claims(audience))
  }

  /** What GitHub puts around a job that has `id-token: write`. */
  githubJob(): NodeJS.ProcessEnv {
    return {
      GITHUB_ACTIONS: 'true',
      CI: 'true',
      ACTIONS_ID_TOKEN_REQUEST_URL: `${this.issuer.url}/job?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: REQUEST_TOKEN,
    }
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

export interface Front {
  readonly url: string
  /** PEM of what a client has to trust. */
  readonly cert: string
  /** `METHOD /path status` of each request, in order. */
  readonly requests: string[]
  stop(): void
}

/** https in front of a port of this machine; what passes is not touched. */
export async function startFront(port: number): Promise<Front> {
  const { cert, key } = await makeCertificate()
  const requests: string[] = []
  const server = createTlsServer({ cert, key }, (request, response) => {
    const { method, url, headers } = request
    const inner = sendRequest({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
      requests.push(`${method} ${url} ${answer.statusCode}`)
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    inner.on('error', () => response.destroy())
    request.pipe(inner)
  })
  const url = `https://127.0.0.1:${await listen(server as unknown as Server)}`
  return {
    url,
    cert,
    requests,
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
