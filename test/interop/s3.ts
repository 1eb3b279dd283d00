// A stand-in for R2's S3 endpoint: takes what a presigned address allows, and says so. It reads the signature by itself, from
// Amazon's description (SigV4, query string), and knows one key and one bucket.
import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const ACCESS = { id: 'AKIDEXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', bucket: 'tuf-edge' }

type Store = (key: string, bytes: Uint8Array) => Promise<void>

export class S3 {
  readonly #server: Server
  /** What was put: its key, and how long it was. */
  readonly puts: { key: string; length: number }[] = []
  /** Where bytes go; to be set before the first put. */
  store: Store = () => Promise.reject(new Error('no store'))

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<S3> {
    let answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>
    const server = createServer((request, response) => void answer(request, response))
    const s3 = new S3(server)
    answer = (request, response) => s3.#answer(request, response)
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return s3
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    const url = new URL(request.url!, this.endpoint)
    const wrong = fault(request, url)
    const [, bucket, ...key] = url.pathname.split('/')
    if (wrong === undefined && bucket === ACCESS.bucket) {
      this.puts.push({ key: key.join('/'), length: bytes.length })
      await this.store(key.join('/'), bytes)
    }
    response.writeHead(wrong === undefined ? 200 : 403, { 'content-type': 'application/xml' })
    response.end(wrong === undefined ? '' : `<Error><Code>AccessDenied</Code><Message>${wrong}</Message></Error>`)
  }
}

function fault({ method, headers }: IncomingMessage, url: URL): string | undefined {
  const said = (name: string) => url.searchParams.get(`X-Amz-${name}`) ?? ''
  const [id, day, region, service, end] = said('Credential').split('/')
  if (method !== 'PUT' || headers.authorization !== undefined) return 'not a presigned put'
  if (said('Algorithm') !== 'AWS4-HMAC-SHA256' || said('SignedHeaders') !== 'host') return 'not signed as it should be'
  if (id !== ACCESS.id || region !== 'auto' || service !== 's3' || end !== 'aws4_request') return 'unknown credential'
  const date = said('Date')
  const begun = Date.parse(date.replace(/^(.{4})(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'))
  if (!date.startsWith(day!) || !(Math.abs(Date.now() - begun) < Number(said('Expires')) * 1_000)) return 'expired'
  const query = url.search.slice(1).split('&').sort()
  const words = query.filter((each) => !each.startsWith('X-Amz-Signature=')).join('&')
  const canonical = `PUT\n${url.pathname}\n${words}\nhost:${headers.host}\n\nhost\nUNSIGNED-PAYLOAD`
  const digest = createHash('sha256').update(canonical).digest('hex')
  const message = `AWS4-HMAC-SHA256\n${date}\n${day}/auto/s3/aws4_request\n${digest}`
  const mac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const key = mac(mac(mac(mac(`AWS4${ACCESS.secret}`, day!), 'auto'), 's3'), 'aws4_request')
  return mac(key, message).toString('hex') === said('Signature') ? undefined : 'SignatureDoesNotMatch'
}
