// A TUF client that knows nothing but the root: refresh, look up, download, everything verified.
import { Client, initStore, type Store } from '../tuf/client.ts'
import { webTransport } from '../tuf/transport.ts'

/** Milliseconds from the first request to the verified bytes. @throws if the target is not there or does not verify */
export async function freshDownload(url: string, root: Uint8Array, path: string): Promise<number> {
  const started = performance.now()
  const kept = new Map<string, Uint8Array>()
  const store: Store = {
    get: async (file) => kept.get(file),
    put: async (file, bytes) => void kept.set(file, bytes),
  }
  await initStore(store, root)
  const transport = webTransport()
  const client = new Client({ store, transport, metadataUrl: `${url}/tuf/`, targetsUrl: `${url}/tuf/targets/` })
  const info = await client.targetInfo(path)
  if (!info) throw new Error(`${path} is not a target.`)
  await client.download(info)
  return performance.now() - started
}
