// The crash matrix with SIGKILL: whole processes, killed with their group while the publisher stands at a point. Clients
// with the state they had before each kill must update afterwards: tuf-js, our own, and at the end python-tuf.
//
// The rule of a cell is that of test/workerd/matrix.test.ts. By default each point is run with one fate and one resume, in
// rotation, so that each fate and each resume occurs; MATRIX=full runs every combination, MATRIX='during collection' every
// one of that point.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { uploadFile } from '../../cli/upload.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { shardOf } from '../../tuf/bins.ts'
import { Client, initStore, type Store } from '../../tuf/client.ts'
import { webTransport } from '../../tuf/transport.ts'
import { driver } from '../interop/clients.ts'
import { FATES, type FallSettings, type Held, POINTS } from '../workerd/matrix-settings.ts'
import { WarmClient } from './client.ts'
import { type Child, heldOf, startChild } from './matrix-process.ts'
import { freePort, temporaryFolder } from './process.ts'

const DAY = 86_400_000
const RESUMES = ['at once', 'after twice the longest life'] as const
const PROJECT = 'hello-tuf-edge'
const matrix = process.env.MATRIX

const cells = POINTS.flatMap(([name, point], index) =>
  FATES.flatMap((fate, f) =>
    RESUMES.map((resume, r) => ({ name, point, fate, resume, chosen: index % FATES.length === f && index % 2 === r })),
  ),
).filter(({ name, chosen }) => (matrix === undefined ? chosen : matrix === 'full' || matrix === name))

const folder = temporaryFolder()
let port = 0
let service: Child
let token = ''
let offset = 0
let made = 0
let ours: Store
let warm: WarmClient
const table = new Map<string, { cells: number; answered: number; unanswered: number; clients: number }>()
const acknowledged: { path: string; bytes: Uint8Array }[] = []

const base = () => `http://127.0.0.1:${port}`
const settings = (more: Partial<FallSettings> = {}): FallSettings => ({
  held: [],
  landing: 'at last',
  offset,
  grace: DAY + 3 * 3_600_000,
  ...more,
})
const rootFile = join(folder.path, 'state', 'root.json')

beforeAll(async () => {
  port = await freePort()
  service = startChild(folder.path, port, settings(armed(0)))
  await service.line('READY')
  token = JSON.parse(readFileSync(join(folder.path, 'state', 'tokens.json'), 'utf8')).upload
  const files = new Map<string, Uint8Array>()
  ours = { get: async (file) => files.get(file), put: async (file, bytes) => void files.set(file, bytes) }
  await initStore(ours, readFileSync(rootFile))
  warm = new WarmClient(folder.path, base(), rootFile)
})

afterAll(async () => {
  await service?.kill()
  folder.remove()
  const rows = [...table].map(([name, row]) => `${name.padEnd(28)}SIGKILL   ${JSON.stringify(row)}`)
  console.log(rows.join('\n'))
})

/** The process that goes on after one cell is the one that falls in the next. */
const armed = (index: number): Partial<FallSettings> => {
  const cell = cells[index]
  return cell ? { point: cell.point, fate: cell.fate, filename: newWheel(`2.${index}`).filename } : {}
}

test.each(cells.map((cell, index) => ({ ...cell, index })))('$name, $fate, resumed $resume', async (cell) => {
  const { name, point, fate, resume, index } = cell
  const wheel = newWheel(`2.${index}`)
  const answer = send(wheel)
  const fallen = await service.line('FALL')
  await service.kill()
  const answered = await answer

  if (resume !== 'at once') offset += 2 * DAY
  if (point === 'collection') offset += settings().grace
  const own = ['flip', 'collection'].includes(point) || point.startsWith('immutable')
  const held: Held[] = heldOf(fallen)
  const landing = fate === 'lands before a flip' ? 'before a flip' : 'at last'
  service = startChild(
    folder.path,
    port,
    settings({ ...armed(index + 1), held, landing, ...(own ? {} : { first: fate }) }),
  )
  await service.line('READY')
  await service.watch()
  const there = await readEverywhere(wheel.path)
  if (answered === 200 || answered === 202) expect(there, 'answered, so it is there').toEqual(wheel.bytes)
  else if (there) expect(there, 'not answered, but there: then whole').toEqual(wheel.bytes)
  expect(await sendUntilAnswered(wheel), 'repeated').toBe(200)
  const other = newWheel(wheel.version)
  expect(await sendUntilAnswered(other), 'other bytes').toBe(400)
  const next = newWheel(`3.${index}`)
  expect(await sendUntilAnswered(next), 'the next upload').toBe(200)
  for (const { path, bytes } of [wheel, next]) {
    acknowledged.push({ path, bytes })
    expect(await readEverywhere(path)).toEqual(bytes)
  }
  // Whatever hung lands with the second flip, and a repeated upload makes none.
  if (held.length > 0) {
    expect(await sendUntilAnswered(newWheel(`4.${index}`))).toBe(200)
    await service.line('LANDED')
  }
  const health = await (await fetch(`${base()}/healthz`)).text()
  expect(health).not.toContain('halted')

  const row = table.get(name) ?? { cells: 0, answered: 0, unanswered: 0, clients: 0 }
  row.cells++
  if (answered === 0) row.unanswered++
  else row.answered++
  row.clients += 6
  table.set(name, row)
})

test('nothing acknowledged in any cell is missing', async () => {
  const reader = newClient()
  await reader.refresh()
  for (const { path, bytes } of acknowledged) {
    const info = await reader.targetInfo(path)
    expect(new Uint8Array(await reader.download(info!))).toEqual(bytes)
  }
})

test('python-tuf follows', async (context) => {
  const repository = { root: rootFile, metadataUrl: `${base()}/tuf/`, targetsUrl: `${base()}/tuf/targets/` }
  const client = await driver(context, 'python-tuf', repository, join(folder.path, 'python-tuf'))
  for (let round = 0; round < 2; round++) {
    const result = await client.download([acknowledged.at(-1)!.path])
    expect(result.lines.filter((line) => 'error' in line)).toEqual([])
    expect(result.status).toBe(0)
    if (round > 0) break
    const wheel = newWheel('4.0')
    await service.kill()
    const { filename } = wheel
    service = startChild(folder.path, port, settings({ point: 'flip', fate: 'unacknowledged', filename }))
    await service.line('READY')
    const answer = send(wheel)
    await service.line('FALL')
    await service.kill()
    await answer
    service = startChild(folder.path, port, settings())
    await service.line('READY')
    expect(await send(wheel)).toBe(200)
    acknowledged.push(wheel)
  }
})

const newClient = () =>
  new Client({
    store: ours,
    transport: webTransport(),
    metadataUrl: `${base()}/tuf/`,
    targetsUrl: `${base()}/tuf/targets/`,
  })

/** Both clients, with the state they have kept since the first cell, see the same. */
async function readEverywhere(path: string): Promise<Uint8Array | undefined> {
  const bytes = await warm.read(path)
  const client = newClient()
  await client.refresh()
  const info = await client.targetInfo(path)
  const own = info && new Uint8Array(await client.download(info))
  expect(own).toEqual(bytes)
  return own
}

function newWheel(version: string) {
  const text = `VERSION = "${version}, wheel ${made++}"\n`
  const { filename, bytes } = buildWheel({ name: PROJECT, version, summary: 'a test', files: { 'hello.py': text } })
  return { filename, bytes, version, path: `files/${shardOf(PROJECT)}/${PROJECT}/${filename}` }
}

/** The status, or 0 when the connection broke or the service could not say. */
async function send({ filename, bytes, version }: ReturnType<typeof newWheel>): Promise<number> {
  try {
    return await uploadFile({ base: base(), token, name: PROJECT, version, filename, bytes })
  } catch (error) {
    const { status } = error as { status?: number }
    return status !== undefined && status < 500 ? status : 0
  }
}

async function sendUntilAnswered(wheel: ReturnType<typeof newWheel>): Promise<number> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const status = await send(wheel)
    if (status !== 0) return status
  }
  return 0
}
