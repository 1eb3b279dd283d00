// What a run found, as a table. Only the last four columns decide.

import { Client, initStore } from '../../tuf/client.ts'
import { webTransport } from '../../tuf/transport.ts'
import { type History, sha256Of } from './history.ts'
import { judge } from './judge.ts'
import type { Traffic } from './traffic.ts'

/** Sentences printed of each kind; what one defect does to thousands of answers is one defect. */
const SHOWN = 10
const LANES = 6

export interface Report {
  title: string
  figures: Record<string, number | string>
  /** Column → sentences; all have to be empty. */
  wrong: Record<string, string[]>
}

/** Judges a run whose service is up and at rest. @param root the file that a new client trusts */
export async function judged(history: History, traffic: Traffic, url: string, root: Uint8Array) {
  await history.follow()
  return {
    figures: {
      publications: history.live.length,
      acknowledged: traffic.acknowledged.length,
      unanswered: traffic.unanswered,
      answers: traffic.answers.length,
    },
    wrong: {
      lost: await lost(traffic, url, root),
      forks: history.forks,
      'out of order': judge(history, traffic.answers),
      'client failures': traffic.failures,
    },
  }
}

/** Everything acknowledged, read by a new TUF client, which checks every byte, and as pip does. */
async function lost({ acknowledged }: Traffic, url: string, root: Uint8Array): Promise<string[]> {
  const files = new Map<string, Uint8Array>()
  const store = {
    get: async (file: string) => files.get(file),
    put: async (file: string, bytes: Uint8Array) => void files.set(file, bytes),
  }
  await initStore(store, root)
  const client = new Client({
    store,
    transport: webTransport(),
    metadataUrl: `${url}/tuf/`,
    targetsUrl: `${url}/tuf/targets/`,
  })
  await client.refresh()
  const missing: string[] = []
  const left = [...acknowledged]
  const lane = async () => {
    for (let file = left.pop(); file; file = left.pop()) {
      const { path, sha256 } = file
      const info = await client.targetInfo(path)
      const verified = info && sha256Of(await client.download(info))
      const answer = await fetch(`${url}/${path}`)
      const plain = sha256Of(new Uint8Array(await answer.arrayBuffer()))
      if (verified !== sha256 || plain !== sha256)
        missing.push(
          `${path} was acknowledged as ${sha256}: TUF says ${verified}, the page's link ${answer.status} ${plain}`,
        )
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return missing
}

/** True if nothing is wrong. */
export function printReport({ title, figures, wrong }: Report): boolean {
  const cells = [
    ...Object.entries(figures),
    ...Object.entries(wrong).map(([name, list]) => [name, list.length] as const),
  ]
  const row = (texts: readonly unknown[]) => `| ${texts.join(' | ')} |\n`
  process.stdout.write(`\n${title}\n\n`)
  process.stdout.write(
    row(cells.map(([name]) => name)) + row(cells.map(() => '---:')) + row(cells.map(([, value]) => value)),
  )
  for (const [name, list] of Object.entries(wrong))
    for (const sentence of list.slice(0, SHOWN)) process.stdout.write(`${name}: ${sentence}\n`)
  return Object.values(wrong).every((list) => list.length === 0)
}
