// The two servers that the demo puts between clients and the index, both on free ports of 127.0.0.1.
//
//   mirror   gives out what lies in the bucket and checks nothing: a careless mirror, or a service that was taken over
//   relay    passes requests on to the index; it notes what the index refused, and may alter answers as a network can
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { blobKey, bucketPrefix, type Place, pageKey } from '../tuf/layout.ts'
import type { Bucket } from './runtime.ts'

export interface LocalServer {
  url: string
  stop(): Promise<void>
}

export interface Relay extends LocalServer {
  /** Answers of 400 and above since the last call: `503 sentence`. */
  takeRefusals(): string[]
}

interface Reply {
  status: number
  type: string
  bytes: Uint8Array
}

const NOTHING: Reply = { status: 404, type: 'text/plain', bytes: new Uint8Array() }

export async function startMirror(bucket: Bucket, place: Place): Promise<LocalServer> {
  return listen(async (path) => {
    const key = bucketKeyOf(place, path)
    const bytes = key === undefined ? null : await bucket.get(key)
    return bytes ? { status: 200, type: 'application/octet-stream', bytes } : NOTHING
  })
}

/** The object behind a URL of the TUF tree. */
function bucketKeyOf(place: Place, path: string): string | undefined {
  const metadata = /^\/tuf\/([^/]+\.json)$/.exec(path)
  if (metadata) return `${bucketPrefix(place)}tuf/${metadata[1]}`
  const target = /^\/tuf\/targets\/(.+\/|)([0-9a-f]{64})\.([^/]+)$/.exec(path)
  if (!target) return undefined
  const [folder, sha256, name] = target.slice(1) as [string, string, string]
  // Everything the demo uploads is stored once, so the counter of its blob is 1.
  return folder.startsWith('files/') ? blobKey(place, sha256, 1) : pageKey(place, folder + name, sha256)
}

/** @param alter what the network makes of an answer */
export async function startRelay(
  index: string,
  alter: (path: string, bytes: Uint8Array) => Uint8Array = (_, bytes) => bytes,
): Promise<Relay> {
  let refusals: string[] = []
  const server = await listen(async (path, request) => {
    const { accept = '*/*' } = request.headers
    const answer = await fetch(index + path, { headers: { accept }, redirect: 'manual' })
    const bytes = new Uint8Array(await answer.arrayBuffer())
    if (answer.status >= 400) refusals.push(`${answer.status} ${new TextDecoder().decode(bytes).trim().slice(0, 300)}`)
    const type = answer.headers.get('content-type') ?? 'application/octet-stream'
    return { status: answer.status, type, bytes: answer.ok ? alter(path, bytes) : bytes }
  })
  const takeRefusals = () => {
    const taken = refusals
    refusals = []
    return taken
  }
  return { ...server, takeRefusals }
}

type Answer = (path: string, request: IncomingMessage) => Promise<Reply>

async function listen(answer: Answer): Promise<LocalServer> {
  const server = createServer((request, response) => void respond(answer, request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function respond(answer: Answer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { status, type, bytes } = await answer(request.url ?? '/', request)
    response.writeHead(status, { 'content-type': type, 'content-length': bytes.length, 'cache-control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : bytes)
  } catch {
    // The index is gone, or the demo is ending.
    response.destroy()
  }
}
