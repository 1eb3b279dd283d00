// The real clients, each installed once into its own folder under `.cache/interop/` and kept until the committed file
// that pins it changes: Python tools from `requirements/NAME.txt`, the Go and Rust drivers from their lock files.
//
// Nothing here fails a test: what this machine cannot install is a reason, and `need` turns it into a skip by name
// (or, with INTEROP_REQUIRED=1, into a failure).
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { TestContext } from 'vitest'

const here = dirname(fileURLToPath(import.meta.url))
const cache = join(here, '..', '..', '.cache', 'interop')
const windows = process.platform === 'win32'
const scripts = windows ? 'Scripts' : 'bin'
const exe = windows ? '.exe' : ''

/** Installs at once: more only share the same two cores and the same line. */
const PARALLEL_MAX = 2
/**
 * As its own lock file has it. Not optimised: the AWS clients that it is linked with take 280 s of processor time so, and more
 * than 460 s otherwise.
 */
const TUFTOOL = '0.17.0'
/** One install, Rust included, on two cores; past it something hangs. */
const BUILD_TIMEOUT_MS = 8 * 60_000

export const PYTHON_TOOLS = [
  'build',
  'twine',
  'twine-6.1',
  'uv',
  'uv-0.12',
  'poetry',
  'flit',
  'hatch',
  'pdm',
  'pip-23.0',
  'pip-23.2',
  'pip',
  'keyring',
  'tuf',
  'devpi',
  'pypiserver',
  'tuf-on-ci',
] as const
export type PythonTool = (typeof PYTHON_TOOLS)[number]
export type ClientName = PythonTool | 'gotuf' | 'tough' | 'tuftool'

/** A client ready to run. */
export interface Ready {
  readonly name: ClientName
  /** The folder it lives in. */
  readonly folder: string
  /** Path of one of its commands. */
  command(program: string): string
}

/** Why a client is not here. */
export interface Missing {
  readonly name: ClientName
  readonly reason: string
}

interface Recipe {
  /** Files whose bytes decide whether what is there can be kept. */
  readonly inputs: string[]
  /** The same of what no file here pins. */
  readonly version?: string
  /** Folder of the commands inside the client's own. */
  readonly commands: string
  build(folder: string): Promise<void>
}

function recipe(name: ClientName): Recipe {
  if (name === 'gotuf') {
    const source = join(here, 'clients', 'gotuf')
    return {
      inputs: ['main.go', 'fixture/main.go', 'go.mod', 'go.sum'].map((file) => join(source, file)),
      commands: '.',
      build: async (folder) => {
        await run('go', ['build', '-trimpath', '-o', join(folder, `driver${exe}`), '.'], source)
        await run('go', ['build', '-trimpath', '-o', join(folder, `fixture${exe}`), './fixture'], source)
      },
    }
  }
  if (name === 'tuftool') {
    const target = join(cache, 'tuftool-target')
    const words = ['install', 'tuftool', '--version', TUFTOOL, '--locked', '--debug', '--target-dir', target]
    return {
      inputs: [],
      version: TUFTOOL,
      commands: 'bin',
      build: async (folder) => {
        await run('cargo', [...words, '--root', folder], here, { CARGO_PROFILE_DEV_DEBUG: '0', CARGO_INCREMENTAL: '0' })
        rmSync(target, { recursive: true, force: true })
      },
    }
  }
  if (name === 'tough') {
    const source = join(here, 'clients', 'tough')
    return {
      inputs: [join(source, 'src', 'main.rs'), join(source, 'Cargo.toml'), join(source, 'Cargo.lock')],
      commands: 'release',
      // The target folder is the client's: objects of an older build stay for the next one.
      build: (folder) => run('cargo', ['build', '--release', '--locked', '--target-dir', folder], source),
    }
  }
  const pins = join(here, 'requirements', `${name}.txt`)
  return { inputs: [pins], commands: scripts, build: (folder) => installPython(name, folder, pins) }
}

/** A virtual environment with exactly the pinned packages; uv does it in seconds, venv and pip do it anywhere. */
async function installPython(name: PythonTool, folder: string, pins: string): Promise<void> {
  if (name !== 'uv') {
    const uv = await client('uv')
    if ('folder' in uv) {
      try {
        const program = uv.command('uv')
        rmSync(folder, { recursive: true, force: true })
        await run(program, ['venv', '--quiet', '--no-project', '--python', python(), folder])
        await run(program, ['pip', 'install', '--quiet', '--python', interpreter(folder), '--requirement', pins])
        return
      } catch {
        // A machine whose registry only pip is configured for: the slow way.
      }
    }
  }
  rmSync(folder, { recursive: true, force: true })
  await run(python(), ['-m', 'venv', folder])
  await run(interpreter(folder), ['-m', 'pip', 'install', '--quiet', '--requirement', pins])
}

/** The interpreter of a virtual environment. */
export function interpreter(folder: string): string {
  return join(folder, scripts, `python${exe}`)
}

let found: string | undefined

/** The machine's own Python: what `python3` really is behind a version manager's stand-in. */
export function python(): string {
  if (found) return found
  for (const name of ['python3', 'python']) {
    const answer = spawnSync(name, ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' })
    if (answer.status === 0) {
      found = answer.stdout.trim()
      return found
    }
  }
  throw new Error('no python3 on this machine')
}

const clients = new Map<ClientName, Promise<Ready | Missing>>()

/** The client, installed if it is not there yet. Never rejects. */
export function client(name: ClientName): Promise<Ready | Missing> {
  let answer = clients.get(name)
  if (!answer) {
    answer = install(name).catch((error: Error) => ({ name, reason: firstLine(error.message) }))
    clients.set(name, answer)
  }
  return answer
}

/** Installs several, two at a time. */
export async function prepare(names: readonly ClientName[] = [...PYTHON_TOOLS, 'gotuf']): Promise<(Ready | Missing)[]> {
  // uv first: the others are installed with it.
  if (names.some((name) => (PYTHON_TOOLS as readonly string[]).includes(name))) await client('uv')
  const left = [...names]
  const line = async (): Promise<void> => {
    for (let name = left.shift(); name; name = left.shift()) await client(name)
  }
  await Promise.all(Array.from({ length: Math.min(PARALLEL_MAX, availableParallelism()) }, line))
  return Promise.all(names.map(client))
}

/** The client, or the test is skipped by its name; with INTEROP_REQUIRED=1 it fails instead. */
export async function need(context: TestContext, name: ClientName): Promise<Ready> {
  const answer = await client(name)
  if ('folder' in answer) return answer
  if (process.env.INTEROP_REQUIRED === '1') throw new Error(`${name} is required: ${answer.reason}`)
  return context.skip(`${name}: ${answer.reason}`)
}

async function install(name: ClientName): Promise<Ready> {
  const { inputs, version = '', commands, build } = recipe(name)
  const folder = join(cache, name)
  const ready: Ready = { name, folder, command: (program) => join(folder, commands, program + exe) }
  const digest = createHash('sha256')
  if (name !== 'gotuf' && name !== 'tough' && name !== 'tuftool') digest.update(python())
  digest.update(version)
  for (const input of inputs) digest.update(readFileSync(input))
  const key = digest.digest('hex')
  const mark = `${folder}.ready`
  const kept = (): boolean => existsSync(mark) && readFileSync(mark, 'utf8') === key
  if (kept()) return ready

  mkdirSync(cache, { recursive: true })
  const unlock = await lock(`${folder}.lock`)
  try {
    if (kept()) return ready
    rmSync(mark, { force: true })
    await build(folder)
    writeFileSync(mark, key)
    return ready
  } finally {
    unlock()
  }
}

/** One process at a time builds a client; the lock of one that died is taken over. */
async function lock(path: string): Promise<() => void> {
  for (let waited = 0; waited < BUILD_TIMEOUT_MS; waited += 200) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = Number(existsSync(path) && readFileSync(path, 'utf8'))
    if (holder && !alive(holder)) rmSync(path, { force: true })
    else await sleep(200)
  }
  throw new Error(`somebody else has been building for ${BUILD_TIMEOUT_MS / 60_000} minutes (${path})`)
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Runs a build step with the machine's own settings (its registries, its proxies). */
function run(program: string, args: string[], cwd = here, more: NodeJS.ProcessEnv = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: '1', NO_COLOR: '1', ...more }
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: BUILD_TIMEOUT_MS })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes))
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? new Error(`no ${program} on this machine`) : error),
    )
    child.on('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${program} ended with ${code ?? signal}: ${lastLine(output)}`))
    })
  })
}

const firstLine = (text: string): string => text.split('\n', 1)[0]!
const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''

/** Everything pinned, for a version table: tool → exact version. */
export function pinnedVersions(): Record<string, string> {
  const pins: Record<string, string> = {}
  const folder = join(here, 'requirements')
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.in'))) {
    const [line] = readFileSync(join(folder, file), 'utf8').split('\n')
    pins[file.slice(0, -'.in'.length)] = line!.split('==')[1]!
  }
  return pins
}

// `node test/interop/environments.ts [NAME …]` installs everything and says how long it took.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2) as ClientName[]
  const start = performance.now()
  for (const answer of await prepare(names.length ? names : undefined))
    process.stdout.write(`${answer.name}: ${'folder' in answer ? 'ready' : `missing: ${answer.reason}`}\n`)
  process.stdout.write(`${((performance.now() - start) / 1000).toFixed(1)} s\n`)
}
