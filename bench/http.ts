// A keep-alive HTTP client that costs the two cores little: bodies are ready-made bytes, answers are read whole.
import { Agent, type IncomingHttpHeaders, request as open } from 'node:http'

/** Nothing measured here may hang the run. */
const TIMEOUT_MS = 180_000

export interface Send {
  method: 'GET' | 'POST' | 'PUT'
  path: string
  headers?: Record<string, string>
  body?: readonly Uint8Array[]
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  bytes: Buffer
  /** Milliseconds from the call to the last byte of the answer. */
  ms: number
}

export class Http {
  readonly #agent: Agent
  readonly #base: URL

  /** @param connections most that are open at once; every one is kept */
  constructor(base: string, connections: number) {
    this.#base = new URL(base)
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections })
  }

  send({ method, path, headers = {}, body }: Send): Promise<Answer> {
    const started = performance.now()
    const length = body?.reduce((sum, part) => sum + part.length, 0)
    return new Promise((resolve, reject) => {
      const call = open(
        {
          agent: this.#agent,
          host: this.#base.hostname,
          port: this.#base.port,
          method,
          path,
          headers: { ...headers, ...(length === undefined ? {} : { 'Content-Length': String(length) }) },
          timeout: TIMEOUT_MS,
        },
        (response) => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('error', reject)
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              bytes: Buffer.concat(parts),
              ms: performance.now() - started,
            }),
          )
        },
      )
      call.on('timeout', () => call.destroy(new Error(`${method} ${path} took longer than ${TIMEOUT_MS} ms.`)))
      call.on('error', reject)
      void write(call, body ?? []).catch(reject)
    })
  }

  async get(path: string, headers?: Record<string, string>): Promise<Answer> {
    return this.send({ method: 'GET', path, ...(headers ? { headers } : {}) })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** One part after the other, no more in flight than the socket takes. */
async function write(call: ReturnType<typeof open>, parts: readonly Uint8Array[]): Promise<void> {
  for (const part of parts) {
    if (call.destroyed) return
    if (!call.write(part))
      await new Promise<void>((resolve) => {
        const go = () => {
          call.off('drain', go)
          call.off('close', go)
          resolve()
        }
        call.on('drain', go)
        call.on('close', go)
      })
  }
  call.end()
}
