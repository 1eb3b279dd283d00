// A stand-in for an upload URL: gives every POST the same answer and keeps what came in, byte for byte.
import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net'

export interface Answer {
  status: number
  headers?: Record<string, string>
  body?: string
}

export interface Sink {
  /** The upload URL. */
  readonly url: string
  /** Each request as it was on the wire, in order of arrival. */
  requests(): Recorded[]
  close(): void
}

export interface Recorded {
  /** `POST /legacy/` */
  readonly line: string
  /** Header names in lower case. */
  readonly headers: Map<string, string>
  readonly body: Buffer
  readonly raw: Buffer
}

/** What the index answers when an upload cannot be taken: the shape PyPI uses, which uv reads. */
export function refusal(status: number, text: string): Answer {
  return {
    status,
    headers: {
      'content-type': 'application/json',
      ...(status === 401 && { 'www-authenticate': 'Basic realm="tuf-edge"' }),
    },
    body: JSON.stringify({ message: text, code: `${status} ${text}`, title: 'Refused' }),
  }
}

/** Listens on the loopback interface. Anything but a POST is 404. */
export async function listen(answer: Answer): Promise<Sink> {
  const inner = createServer((request: IncomingMessage, response) => {
    request.resume()
    request.on('end', () => {
      const { status, headers, body = '' } = request.method === 'POST' ? answer : { status: 404, headers: {} }
      // One request a connection, so that a connection's bytes are one request.
      response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' })
      response.end(body)
    })
  })
  const innerPort = await port(inner)
  const connections: Buffer[][] = []
  // The recording is made in front of the HTTP parser: header names, their order and the framing stay as sent.
  const outer = createTcpServer((client) => {
    const bytes: Buffer[] = []
    connections.push(bytes)
    const server = connect(innerPort, '127.0.0.1')
    client.on('data', (chunk) => bytes.push(Buffer.from(chunk)))
    client.pipe(server).pipe(client)
    for (const socket of [client, server]) socket.on('error', () => {})
  })
  const url = `http://127.0.0.1:${await port(outer)}/legacy/`
  return {
    url,
    requests: () => connections.filter((bytes) => bytes.length > 0).map((bytes) => parseRequest(Buffer.concat(bytes))),
    close: () => {
      outer.close()
      inner.close()
      inner.closeAllConnections()
    },
  }
}

function port(server: Server | HttpServer): Promise<number> {
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done((server.address() as AddressInfo).port)))
}

/** Takes one recorded request apart, as far as the tests need. */
export function parseRequest(raw: Buffer): Recorded {
  const end = raw.indexOf('\r\n\r\n')
  const [line, ...rest] = raw.subarray(0, end).toString('latin1').split('\r\n')
  const headers = new Map<string, string>()
  for (const header of rest) {
    const colon = header.indexOf(':')
    headers.set(header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim())
  }
  return { line: line!.replace(/ HTTP\/1\.1$/, ''), headers, body: raw.subarray(end + 4), raw }
}

/** Name, file name and type of each part of a form, in the order sent. */
export function formParts({ headers, body }: Recorded): { name: string; filename?: string; type?: string }[] {
  const boundary = /boundary="?([^";]+)/.exec(headers.get('content-type') ?? '')?.[1]
  if (!boundary) return []
  const parts = body.toString('latin1').split(`--${boundary}`).slice(1, -1)
  return parts.map((part) => {
    const head = part.slice(0, part.indexOf('\r\n\r\n'))
    const filename = /filename="([^"]*)"/.exec(head)?.[1]
    const type = /content-type: *(.+)/i.exec(head)?.[1]
    return { name: /[; ]name="([^"]*)"/.exec(head)![1]!, ...(filename && { filename }), ...(type && { type }) }
  })
}
