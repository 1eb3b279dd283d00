// An import of 3,000 files that is killed three times, once with the index under it: nothing is lost and nothing doubled.
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callApi } from '../../cli/api.ts'
import { readJournal } from '../../cli/audit-journal.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { freePort, type Process, startProcess, temporaryFolder } from '../e2e/process.ts'

const FILES = 3_000
/** Projects of ten files each, as many as real ones have. */
const PER_PROJECT = 10
const SECOND_MS = 1_000
/** The upload date of the first file; each next one is a minute later. */
const FIRST_DAY = Date.UTC(2020, 0, 1)

interface Made {
  project: string
  sha256: string
  uploadTime: string
}

let service: Process
let port: number
const folder = temporaryFolder()
const [state, source] = [join(folder.path, 'index'), join(folder.path, 'source')]
const made = new Map<string, Made>()

const admin = (): string => (JSON.parse(readFileSync(join(state, 'tokens.json'), 'utf8')) as { admin: string }).admin
const filesLive = async (): Promise<number> =>
  (await callApi<{ files: number }>(service.url, 'GET', '/api/status')).files

beforeAll(async () => {
  for (let i = 0; i < FILES; i++) {
    const project = `bulk-${Math.floor(i / PER_PROJECT)}`
    const version = `1.${i % PER_PROJECT}`
    const name = project.replaceAll('-', '_')
    const { filename, bytes } = buildWheel({
      name: project,
      version,
      summary: 'bulk',
      files: { [`${name}.py`]: `n = ${i}\n` },
    })
    const below = join(source, project)
    mkdirSync(below, { recursive: true })
    writeFileSync(join(below, filename), bytes)
    const time = FIRST_DAY + i * 60 * SECOND_MS
    utimesSync(join(below, filename), time / SECOND_MS, time / SECOND_MS)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    made.set(filename, { project, sha256, uploadTime: new Date(time).toISOString() })
  }
  port = await freePort()
  service = await startProcess(state, port)
}, 120_000)
afterAll(async () => {
  await service?.kill()
  folder.remove()
})

interface Import {
  child: ChildProcess
  ended: Promise<{ code: number | null; output: string }>
}

function startImport(): Import {
  const words = ['cli/main.ts', 'import', source, '--url', service.url, '--keep-times', '--json']
  const env = { ...process.env, TUF_EDGE_TOKEN: admin() }
  const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += chunk))
  return { child, ended: once(child, 'exit').then(([code]) => ({ code: code as number | null, output })) }
}

async function untilFiles(count: number): Promise<void> {
  while ((await filesLive()) < count) await new Promise((resolve) => setTimeout(resolve, 100))
}

test(`${FILES} files, killed at a quarter, at half with the index, and at three quarters`, {
  timeout: 600_000,
}, async () => {
  for (const share of [0.25, 0.5, 0.75]) {
    const { child, ended } = startImport()
    await untilFiles(FILES * share)
    if (share === 0.5) await service.kill()
    child.kill('SIGKILL')
    expect((await ended).code).toBe(null)
    if (share === 0.5) service = await startProcess(state, port)
  }
  expect(await filesLive()).toBeLessThan(FILES)

  const { code, output } = await startImport().ended
  expect(code, output).toBe(0)
  const report = JSON.parse(output) as { found: number; there: number; imported: number; refused: unknown[] }
  expect(report).toMatchObject({ found: FILES, refused: [], unchecked: 0 })
  expect(report.there + report.imported).toBe(FILES)
  expect(report.there).toBeGreaterThanOrEqual(FILES * 0.7)

  // Every file once, with its bytes and its date.
  const seen = new Set<string>()
  for (let i = 0; i < FILES / PER_PROJECT; i++) {
    const headers = { accept: 'application/vnd.pypi.simple.v1+json' }
    const page = await fetch(`${service.url}/simple/bulk-${i}/`, { headers })
    const { files } = (await page.json()) as { files: Record<string, unknown>[] }
    expect(files.length).toBe(PER_PROJECT)
    for (const file of files) {
      const { project, sha256, uploadTime } = made.get(file.filename as string)!
      expect(file).toMatchObject({ hashes: { sha256 }, 'upload-time': uploadTime })
      expect(project).toBe(`bulk-${i}`)
      seen.add(file.filename as string)
    }
  }
  expect(seen.size).toBe(FILES)
  // The first start's own package and these: one acceptance each, however often they were sent.
  const { accepted, differences } = await readJournal(service.url, admin(), () => {})
  expect(differences).toEqual([])
  expect(accepted.size).toBe(FILES + 1)
  const status = await callApi<{ files: number; staged: number; live: { publication: number } }>(
    service.url,
    'GET',
    '/api/status',
  )
  expect(status).toMatchObject({ files: FILES + 1, staged: 0 })
  // Uploads that wait share a publication; how many do is the machine's speed, so one shared is what is promised here.
  expect(status.live.publication).toBeLessThan(FILES)

  const again = await startImport().ended
  expect(JSON.parse(again.output)).toMatchObject({ found: FILES, there: FILES, imported: 0, refused: [] })
})
