// Load: eight writers that never pause and five pollers, for minutes, with the heaps of both scripts sampled by workerd's
// inspector. Nobody may fail, nothing may be out of order, and memory stays bounded however much was published before.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type HeapUsage, Inspector } from '../../bench/inspector.ts'
import { startService } from '../../cli/serve.ts'
import { freePort, temporaryFolder } from '../e2e/process.ts'
import { History } from './history.ts'
import { judged, type Report } from './report.ts'
import { Traffic } from './traffic.ts'

/**
 * An isolate has 128 MB (Cloudflare limit); a quarter is left for what a sample does not see. Here nothing presses V8 to
 * collect before that, so a sample above this is taken again after a collection, and what is live then decides.
 */
const HEAP_MAX = 96_000_000
const SAMPLE_MS = 250
const SCRIPTS = ['tuf-edge', 'tuf-edge-publisher'] as const

export async function loadForMinutes(minutes: number): Promise<Report> {
  const folder = temporaryFolder()
  const inspectorPort = await freePort()
  const options: { flipIntervalMs?: number; inspectorPort: number } = { inspectorPort }
  const service = await startService(await freePort(), join(folder.path, 'state'), options)
  const { runtime, tokens } = service
  try {
    const { rootFile } = service.folder
    const traffic = new Traffic({ url: runtime.url, token: tokens.upload, rootFile, folder: folder.path })
    const history = new History(runtime.url, tokens.admin)
    const end = Date.now() + 60_000 * minutes
    const ends = () => Date.now() > end
    const [peaks] = await Promise.all([sampled(inspectorPort, ends), followed(history, ends), traffic.run(ends)])
    const { figures, wrong } = await judged(history, traffic, runtime.url, readFileSync(rootFile))
    const high = SCRIPTS.filter((script) => peaks.live[script] >= HEAP_MAX)
    const heaps = SCRIPTS.map((script) => [`peak heap of ${script}, MB`, (peaks.sampled[script] / 1e6).toFixed(1)])
    return {
      title: `Load, 8 writers, 5 pollers, ${minutes} minutes`,
      figures: { ...figures, ...Object.fromEntries(heaps) },
      wrong: { ...wrong, 'live heaps above 96 MB': high.map((script) => `${script}: ${peaks.live[script]} bytes`) },
    }
  } finally {
    await runtime.stop()
    service.folder.release()
    folder.remove()
  }
}

type Peaks = Record<(typeof SCRIPTS)[number], number>

async function sampled(port: number, ends: () => boolean): Promise<{ sampled: Peaks; live: Peaks }> {
  const peaks = {
    sampled: { 'tuf-edge': 0, 'tuf-edge-publisher': 0 },
    live: { 'tuf-edge': 0, 'tuf-edge-publisher': 0 },
  }
  const inspectors = await Promise.all(SCRIPTS.map((script) => Inspector.open(port, script)))
  while (!ends()) {
    for (const [i, script] of SCRIPTS.entries()) {
      const size = bytesOf(await inspectors[i]!.heap())
      peaks.sampled[script] = Math.max(peaks.sampled[script], size)
      const live = size < HEAP_MAX ? size : bytesOf(await inspectors[i]!.liveHeap())
      peaks.live[script] = Math.max(peaks.live[script], live)
    }
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))
  }
  for (const inspector of inspectors) inspector.close()
  return peaks
}

const bytesOf = ({ usedSize, backingStorageSize }: HeapUsage): number => usedSize + backingStorageSize

/** Reads along, so that thousands of publications are not all left for the end. */
async function followed(history: History, ends: () => boolean): Promise<void> {
  while (!ends()) {
    await history.follow()
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}
