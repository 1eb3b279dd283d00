// One raw HTTP/1.1 request on a connection of its own, byte for byte: what `fetch` would refuse to send.
import { connect } from 'node:net'

export interface Answer {
  /** 0: the connection ended without an answer. */
  status: number
  headers: ReadonlyMap<string, string>
  body: string
}

/** Sends, closes its half, and reads to the end. @throws if that does not come in time, or the answer has no end */
export function exchange(port: number, request: Uint8Array, deadlineMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => socket.end(request))
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`No end of an answer within ${deadlineMs} ms; so far: ${read(chunks).status}`))
    }, deadlineMs)
    socket.on('data', (chunk) => chunks.push(chunk))
    // A reset is an end: the runtime may hang up on what is no HTTP.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(read(chunks))
    })
  })
}

function read(chunks: Buffer[]): Answer {
  const text = Buffer.concat(chunks).toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...lines] = text.slice(0, Math.max(0, end)).split('\r\n')
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0), headers, body: text.slice(end + 4) }
}
