// The counterpart of every figure about puts: a Worker that does nothing but put what it is told, on the same emulator.
// No checks, no digests, no conditions, no ledger: what is left is what the bucket can take on this machine.
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import { Http } from './http.ts'
import { freePort, temporaryFolder } from './place.ts'

/** `X-Puts: size,size;size`: groups one after the other, the puts of a group side by side. The body is put first. */
const SCRIPT = `
const filler = new Uint8Array(4 * 2 ** 20)
let n = 0
export default {
  async fetch(request, env) {
    const body = new Uint8Array(await request.arrayBuffer())
    let first = true
    for (const group of request.headers.get('X-Puts').split(';'))
      await Promise.all(group.split(',').map((size) => {
        const bytes = first ? body : filler.subarray(0, Number(size))
        first = false
        return env.BUCKET.put('bare/' + n++, bytes)
      }))
    return new Response('ok')
  },
}`

export interface Bare {
  /** One request: the sizes of its puts in groups; the first is that of the body. @returns milliseconds */
  put(groups: readonly (readonly number[])[]): Promise<number>
  stop(): Promise<void>
}

export async function startBare(connections: number): Promise<Bare> {
  const port = await freePort()
  const place = temporaryFolder()
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      log: new Log(LogLevel.ERROR),
      resourcePersistencePath: place.path,
      workers: [
        {
          name: 'bare',
          modules: [{ type: 'ESModule', path: 'index.mjs', contents: SCRIPT }],
          compatibilityDate: '2026-10-15',
          r2Buckets: { BUCKET: 'bare' },
          unsafeDirectSockets: [{ host: '127.0.0.1', port }],
        },
      ],
    }),
  )
  await miniflare.ready
  const http = new Http(`http://127.0.0.1:${port}`, connections)
  return {
    async put(groups) {
      const answer = await http.send({
        method: 'POST',
        path: '/',
        headers: { 'X-Puts': groups.map((group) => group.join(',')).join(';') },
        body: [Buffer.alloc(groups[0]?.[0] ?? 0, 1)],
      })
      if (answer.status !== 200) throw new Error(`The bare Worker answered ${answer.status}.`)
      return answer.ms
    },
    async stop() {
      http.close()
      await miniflare.dispose()
      place.remove()
    },
  }
}
