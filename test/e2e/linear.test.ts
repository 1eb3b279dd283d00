// Linearisable reads: eight writers, and readers of plain pages and of TUF at once, on a whole service. Each answer belongs
// to exactly one publication, nobody is shown an older one after a newer one, whoever showed it, and every upload that was
// answered 200 is visible to the very next read. The judge is test/crash/judge.ts.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { History } from '../crash/history.ts'
import { judge } from '../crash/judge.ts'
import { Traffic } from '../crash/traffic.ts'
import { freePort, type Process, startProcess, temporaryFolder } from './process.ts'

const SECONDS = 8
const EVERYBODY = ['plain json', 'plain html', 'plain mixed', 'tuf-edge client', 'tuf-js', 'writer-7']

const folder = temporaryFolder()
let service: Process
beforeAll(async () => {
  service = await startProcess(join(folder.path, 'state'), await freePort())
})
afterAll(async () => {
  await service?.kill()
  folder.remove()
})

test('each answer is of one publication, nobody goes back, every 200 is visible to the next read', async () => {
  const tokens = JSON.parse(readFileSync(join(folder.path, 'state', 'tokens.json'), 'utf8'))
  const rootFile = join(folder.path, 'state', 'root.json')
  const traffic = new Traffic({ url: service.url, token: tokens.upload, rootFile, folder: folder.path })
  const count = (who: string) => traffic.answers.filter((answer) => answer.who.startsWith(who)).length
  // Enough has to happen at once for the answer to mean something: a busy machine takes longer.
  const enough = () => traffic.acknowledged.length > 40 && EVERYBODY.every((who) => count(who) > 5)
  const [least, most] = [Date.now() + 1_000 * SECONDS, Date.now() + 60_000]
  await traffic.run(() => Date.now() > least && (enough() || Date.now() > most))

  const history = new History(service.url, tokens.admin)
  await history.follow()
  expect.soft(history.forks).toEqual([])
  expect.soft(traffic.failures).toEqual([])
  expect.soft(judge(history, traffic.answers)).toEqual([])
  for (const { path, sha256 } of traffic.acknowledged) expect(history.now(path), path).toBe(sha256)

  console.log(
    `linear: ${history.live.length} publications, ${traffic.acknowledged.length} uploads, ` +
      ['plain', 'tuf-edge client', 'tuf-js'].map((who) => `${count(who)} answers to ${who}`).join(', '),
  )
  expect(enough()).toBe(true)
  expect(history.live.length).toBeGreaterThan(5)
})
