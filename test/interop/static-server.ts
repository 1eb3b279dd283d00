// A plain file server for repositories written to a folder: byte-exact names, no percent-decoding, no ranges, no
// compression, no index pages. What it does not do is the point: a client that works here asks for nothing more.
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface StaticServer {
  /** Ends in a slash. */
  readonly url: string
  /** Every request so far, as `METHOD path status`, path as it was on the wire. */
  readonly log: string[]
  close(): Promise<void>
}

/** Serves `folder` on a free port of the loopback interface. */
export async function serveFolder(folder: string): Promise<StaticServer> {
  const log: string[] = []
  const server: Server = createServer(async (request, response) => {
    const raw = request.url ?? '/'
    const body = await read(folder, raw)
    const status = body === undefined ? 404 : request.method === 'GET' || request.method === 'HEAD' ? 200 : 405
    log.push(`${request.method} ${raw} ${status}`)
    response.writeHead(status, {
      'content-type': 'application/octet-stream',
      'content-length': status === 200 ? body!.length : 0,
    })
    response.end(status === 200 && request.method === 'GET' ? body : undefined)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    log,
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

async function read(folder: string, path: string): Promise<Buffer | undefined> {
  if (path.split('/').some((segment) => segment === '..' || segment.includes('\0'))) return undefined
  try {
    return await readFile(join(folder, path))
  } catch {
    return undefined
  }
}
