// What `platforms.test.ts` runs on each platform: a client that knows a root reads a target, and is not given a wrong one.
import { Client, initStore } from '../../../tuf/client.ts'
import { webTransport } from '../../../tuf/transport.ts'
import { MemoryStore } from './repository.ts'

/** What the client at `base` was given for `good`, and why it was not given `bad`. */
export async function journey(base: string): Promise<{ good: string; bad: string; root: number }> {
  const store = new MemoryStore()
  await initStore(store, new Uint8Array(await (await fetch(`${base}1.root.json`)).arrayBuffer()))
  const client = new Client({
    store,
    transport: webTransport(),
    metadataUrl: base,
    targetsUrl: `${base}targets/`,
  })
  const fetched = async (path: string): Promise<string> => {
    const info = await client.targetInfo(path)
    if (!info) return 'not found'
    return new TextDecoder().decode(await client.download(info))
  }
  const good = await fetched('good')
  const bad = await fetched('bad').catch((error: Error) => error.message)
  return { good, bad, root: client.trusted!.root.signed.version }
}
