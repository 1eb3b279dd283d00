// `npm run demo` as a person runs it, with and without Python; and that a step which does not hold makes it fail.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Check, expectThat, expectVerdict, runSteps, type Step, type StepResult } from '../../cli/demo-steps.ts'
import { askWitness, type Witness } from '../../cli/demo-witnesses.ts'
import { startService } from '../../cli/serve.ts'
import { freePort, temporaryFolder } from './process.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const newFolder = () => {
  const folder = temporaryFolder()
  cleanups.push(folder.remove)
  return folder.path
}

const STEPS = [
  ...['start', 'publish', 'install', 'verify', 'attack-file-byte', 'attack-old-page', 'attack-old-bin'],
  ...['attack-old-timestamp', 'attack-forged-timestamp', 'attack-network'],
]
/** Attacks with the bucket's token, which nobody may fall for. */
const BUCKET_ATTACKS = STEPS.filter((id) => id.startsWith('attack-') && id !== 'attack-network')

interface Run {
  child: ReturnType<typeof spawn>
  ended: Promise<number | null>
  stdout(): string
  stderr(): string
}

/** The demo with a temporary folder of its own, so that what it leaves behind can be seen. */
function startDemo(temporary: string, command: string[], env: NodeJS.ProcessEnv = process.env): Run {
  const child = spawn(command[0]!, command.slice(1), {
    env: { ...env, TMPDIR: temporary, TMP: temporary, TEMP: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (text.stdout += chunk))
  child.stderr.on('data', (chunk) => (text.stderr += chunk))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return { child, ended, stdout: () => text.stdout, stderr: () => text.stderr }
}

const stepsOf = (run: Run): StepResult[] =>
  run
    .stdout()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as StepResult)

function expectWholeStory(steps: StepResult[], plainClient: string): void {
  expect(steps.map(({ id }) => id)).toEqual(STEPS)
  expect(steps.flatMap(({ checks }) => checks.filter(({ ok }) => !ok))).toEqual([])
  expect(steps.every(({ ok }) => ok)).toBe(true)
  const checksOf = (id: string, pattern: RegExp): Check[] =>
    steps.find((step) => step.id === id)!.checks.filter(({ who }) => pattern.test(who))
  const seen = (id: string, who: string) => checksOf(id, new RegExp(`^${who}`)).map((check) => check.seen)
  for (const id of BUCKET_ATTACKS) {
    for (const client of ['our TUF client', 'tuf-js']) {
      expect(seen(id, `${client}, from a mirror`), id).toEqual(['refused by the client'])
      expect(seen(id, client).at(-1), id).toBe('genuine')
    }
    expect(seen(id, `${plainClient}, from the index`), id).toEqual(['refused by the service'])
    expect(seen(id, plainClient).at(-1), id).toBe('genuine')
  }
  for (const client of ['our TUF client', 'tuf-js'])
    expect(seen('attack-network', client)).toEqual(['refused by the client', 'genuine'])
  expect(seen('attack-network', plainClient)).toEqual(['altered', 'genuine'])
}

const hasPython = spawnSync('python3', ['-c', 'import venv, ensurepip']).status === 0

describe('npm run demo', () => {
  test.skipIf(!hasPython)(
    'with Python: pip installs, every attack is refused, nothing is left behind',
    { timeout: 240_000 },
    async () => {
      const temporary = newFolder()
      const run = startDemo(temporary, ['node', 'cli/bootstrap.mjs', 'node', 'cli/main.ts', 'demo', '--json'])
      expect(await run.ended, run.stdout() + run.stderr()).toBe(0)
      const steps = stepsOf(run)
      expectWholeStory(steps, 'plain pip')
      expect(steps.find(({ id }) => id === 'install')!.checks[0]!.who).toMatch(/^pip \(Python 3/)
      expect(run.stderr()).toBe('')
      expect(readdirSync(temporary).filter((name) => name.startsWith('tuf-edge-demo-'))).toEqual([])
    },
  )

  test('without Python: our own client installs and says so', async () => {
    const empty = join(newFolder(), 'empty')
    mkdirSync(empty)
    const run = startDemo(newFolder(), [process.execPath, 'cli/main.ts', 'demo', '--json'], { PATH: empty })
    expect(await run.ended, run.stdout() + run.stderr()).toBe(0)
    const steps = stepsOf(run)
    expectWholeStory(steps, 'a plain download')
    const [installed] = steps.find(({ id }) => id === 'install')!.checks
    expect(installed!.who).toBe('our own client')
    expect(installed!.seen).toContain('There is no Python')
  })

  test('as text it ends with what is not protected; without a terminal it has no colours', async () => {
    const run = startDemo(newFolder(), [process.execPath, 'cli/main.ts', 'demo'], { PATH: newFolder() })
    expect(await run.ended, run.stdout() + run.stderr()).toBe(0)
    for (const [i] of STEPS.entries()) expect(run.stdout()).toContain(`\n${i + 1}. `)
    expect(run.stdout()).toContain('NO: HTTPS only')
    expect(run.stdout()).toMatch(/✓ Every step did what it says\. \d+\.\d s\n$/)
    expect(run.stdout()).not.toContain('\x1b')
  })

  test('Ctrl-C in the middle cleans up', async () => {
    const temporary = newFolder()
    const run = startDemo(temporary, [process.execPath, 'cli/main.ts', 'demo', '--json'])
    while (!run.stdout().includes('"id":"start"')) await new Promise((resolve) => setTimeout(resolve, 20))
    run.child.kill('SIGINT')
    expect(await run.ended).toBe(130)
    expect(readdirSync(temporary).filter((name) => name.startsWith('tuf-edge-demo-'))).toEqual([])
  })
})

describe('a step that does not do what it says', () => {
  const silent = { begin: () => {}, check: () => {}, end: () => {} }
  const genuine = new TextEncoder().encode('as published')
  const witnessOf = (read: Witness['read']): Witness => ({
    name: 'a client',
    read,
    explain: () => ({ verdict: 'failed', detail: 'the connection broke' }),
  })
  const stepOf = (check: () => Promise<Check>): Step => ({
    id: 'attack',
    title: 'an attack',
    run: async (tell) => tell(await check()),
  })
  const ends = async (...steps: Step[]) => {
    const results: StepResult[] = []
    const ok = await runSteps(steps, { ...silent, end: (result) => void results.push(result) })
    return { ok, results }
  }

  test.each([
    ['a client that takes altered bytes', witnessOf(async () => new TextEncoder().encode('altered')), 'altered'],
    ['an attack without effect', witnessOf(async () => genuine), 'genuine'],
    [
      'a client that fails for another reason',
      witnessOf(async () => {
        throw new Error('ECONNRESET')
      }),
      'failed',
    ],
  ])('%s is a failure', async (_, witness, seen) => {
    const attack = stepOf(async () =>
      expectVerdict(witness.name, 'refused by the client', await askWitness(witness, 'http://127.0.0.1', 'x', genuine)),
    )
    const { ok, results } = await ends(attack)
    expect(ok).toBe(false)
    expect(results[0]!.checks).toMatchObject([{ ok: false, expected: 'refused by the client', seen }])
  })

  test('it ends the story; a step that throws or checks nothing is a failure too', async () => {
    const good = stepOf(async () => expectThat('somebody', true, 'sees it'))
    const bad = stepOf(async () => expectThat('somebody', false, 'sees it', 'did not'))
    const throws = stepOf(() => Promise.reject(new Error('no such bucket')))
    const nothing: Step = { id: 'empty', title: 'nothing', run: async () => {} }
    expect(await ends(good, good)).toMatchObject({ ok: true, results: [{ ok: true }, { ok: true }] })
    expect((await ends(good, bad, good)).results.map(({ ok }) => ok)).toEqual([true, false])
    expect(await ends(nothing)).toMatchObject({ ok: false })
    const { ok, results } = await ends(throws)
    expect(ok).toBe(false)
    expect(results[0]!.checks[0]!.seen).toBe('Error: no such bucket')
  })
})

test('tuf-edge fetch: the newest wheel, verified; nothing from a root that is not the index’s, or a project that is not there', async () => {
  const service = await startService(await freePort(), newFolder())
  cleanups.push(service.runtime.stop)
  const other = await startService(await freePort(), newFolder())
  cleanups.push(other.runtime.stop)
  const fetchFile = (into: string, name: string, root: string) => {
    const options = ['--index', service.runtime.url, '--root', root, '--into', into, '--state', newFolder()]
    const run = startDemo(newFolder(), [process.execPath, 'cli/main.ts', 'fetch', name, ...options])
    return run.ended.then((code) => ({ code, stdout: run.stdout(), stderr: run.stderr() }))
  }
  const into = newFolder()
  const done = await fetchFile(into, 'Hello.TUF_edge', service.folder.rootFile)
  expect(done, done.stderr).toMatchObject({ code: 0 })
  expect(done.stdout.trim()).toBe(join(into, 'hello_tuf_edge-1.0-py3-none-any.whl'))
  const served = await fetch(
    `${service.runtime.url}/simple/hello-tuf-edge/?format=application/vnd.pypi.simple.v1%2Bjson`,
  )
  const { files } = (await served.json()) as { files: { size: number }[] }
  expect(readFileSync(done.stdout.trim()).length).toBe(files[0]!.size)

  const nowhere = newFolder()
  const foreign = await fetchFile(nowhere, 'hello-tuf-edge', other.folder.rootFile)
  expect(foreign.code).toBe(1)
  expect(foreign.stderr).toMatch(/Refused: timestamp is signed by 0 of the 1 keys it needs\. Nothing was written\./)
  const missing = await fetchFile(nowhere, 'no-such-project', service.folder.rootFile)
  expect(missing).toMatchObject({ code: 1, stdout: '' })
  expect(missing.stderr).toContain("The index has no project 'no-such-project'.")
  expect(readdirSync(nowhere)).toEqual([])
})
