// One TUF client in a process of its own: refreshes TIMES times into an empty folder, and each time once more into what
// it then has. Prints `{"cold": […], "warm": […]}` in milliseconds; starting the process and loading code do not count.
//
//   client.ts (tuf-edge | tuf-js) METADATA_URL ROOT FOLDER TIMES
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileStore } from '../../cli/file-store.ts'
import { Client, initStore } from '../../tuf/client.ts'
import { webTransport } from '../../tuf/transport.ts'

const [kind, metadataUrl, rootFile, folder, times] = process.argv.slice(2) as [string, string, string, string, string]
const root = new Uint8Array(readFileSync(rootFile))

/** What one refresh over the state in `state` does, its client made new. */
type Refresh = (state: string) => Promise<void>

async function ours(): Promise<Refresh> {
  return async (state) => {
    const store = fileStore(state)
    if (!(await store.get('root.json'))) await initStore(store, root)
    await new Client({ store, transport: webTransport(), metadataUrl, targetsUrl: metadataUrl }).refresh()
  }
}

async function tufJs(): Promise<Refresh> {
  const { Updater } = await import('tuf-js')
  return async (state) => {
    mkdirSync(state, { recursive: true })
    writeFileSync(join(state, 'root.json'), root)
    await new Updater({ metadataDir: state, metadataBaseUrl: metadataUrl, config: { fetchRetry: 0 } }).refresh()
  }
}

const refresh = kind === 'tuf-js' ? await tufJs() : await ours()
const took: { cold: number[]; warm: number[] } = { cold: [], warm: [] }
for (let i = 0; i < Number(times); i++)
  for (const list of [took.cold, took.warm]) {
    const started = performance.now()
    await refresh(join(folder, String(i)))
    list.push(performance.now() - started)
  }
process.stdout.write(JSON.stringify(took))
