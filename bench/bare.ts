// The counterpart of every figure about puts: a Worker that does nothing but put what it is told, on the same emulator.
// No checks, no ledger, and unless it is told so no digests and no conditions: what is left is what the bucket can take.
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import { Http } from './http.ts'
import { freePort, temporaryFolder } from './place.ts'

/**
 * `X-Puts: size,size;size`: groups one after the other, the puts of a group side by side. The body is put first.
 * `X-Careful: 1`: each put as ours are, with its digest computed and checked and only if the key is free.
 */
const SCRIPT = `
const filler = new Uint8Array(4 * 2 ** 20)
let n = 0
async function put(env, bytes, careful) {
  const key = 'bare/' + n++
  if (!careful) return env.BUCKET.put(key, bytes)
  const sha256 = await crypto.subtle.digest('SHA-256', bytes)
  return env.BUCKET.put(key, bytes, { sha256, onlyIf: { etagDoesNotMatch: '*' } })
}
export default {
  async fetch(request, env) {
    const body = new Uint8Array(await request.arrayBuffer())
    const careful = request.headers.has('X-Careful')
    let first = true
    for (const group of request.headers.get('X-Puts').split(';'))
      await Promise.all(group.split(',').map((size) => {
        const bytes = first ? body : filler.subarray(0, Number(size))
        first = false
        return put(env, bytes, careful)
      }))
    return new Response('ok')
  },
}`

export interface Bare {
  /** One request: the sizes of its puts in groups; the first is that of the body. @returns milliseconds */
  put(groups: readonly (readonly number[])[], careful?: boolean): Promise<number>
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
    async put(groups, careful = false) {
      const answer = await http.send({
        method: 'POST',
        path: '/',
        headers: {
          'X-Puts': groups.map((group) => group.join(',')).join(';'),
          ...(careful ? { 'X-Careful': '1' } : {}),
        },
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
