// SIGKILL rounds: the process group falls at a random moment under writers and pollers, every fourth time while it starts.
// Readers keep what they trusted from before the first kill to after the last.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, launch, startProcess, temporaryFolder } from '../e2e/process.ts'
import { History } from './history.ts'
import { judged, type Report } from './report.ts'
import { Traffic } from './traffic.ts'

/** Between ready and the kill: from the first put of a first publication to a few dozen publications. */
const ROUND_MS = [100, 1_600] as const
/** Into a start: from before the runtime is there to about when it says ready. */
const START_MS = [300, 2_000] as const
const START_EVERY = 4

export async function killAgainAndAgain(kills: number): Promise<Report> {
  const folder = temporaryFolder()
  const state = join(folder.path, 'state')
  const port = await freePort()
  const started = Date.now()
  let service = await startProcess(state, port)
  try {
    const tokens = JSON.parse(readFileSync(join(state, 'tokens.json'), 'utf8'))
    const rootFile = join(state, 'root.json')
    const traffic = new Traffic({ url: service.url, token: tokens.upload, rootFile, folder: folder.path })
    const history = new History(service.url, tokens.admin)
    let starts = 0
    for (let kill = 1; kill <= kills; kill++) {
      let fallen = false
      const round = traffic.run(() => fallen)
      await between(ROUND_MS)
      traffic.expectDown()
      await service.kill()
      fallen = true
      await round
      if (kill % START_EVERY === START_EVERY - 1 && kill < kills) {
        const starting = launch(state, port)
        await between(START_MS)
        await starting.kill()
        kill++
        starts++
      }
      service = await startProcess(state, port)
      await history.follow()
      process.stderr.write(`\r${kill} of ${kills} kills, ${traffic.acknowledged.length} acknowledged`)
    }
    // What was unanswered last is sent again, and everybody reads once more.
    const end = Date.now() + 2_000
    await traffic.run(() => Date.now() > end)
    process.stderr.write('\n')
    const { figures, wrong } = await judged(history, traffic, service.url, readFileSync(rootFile))
    const seconds = Math.round((Date.now() - started) / 1_000)
    return {
      title: `SIGKILL of the process group, 8 writers, 5 pollers, ${seconds} s`,
      figures: { kills: `${kills} (${starts} in a start)`, ...figures },
      wrong,
    }
  } finally {
    await service.kill()
    folder.remove()
  }
}

const between = ([least, most]: readonly [number, number]): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, least + Math.random() * (most - least)))
