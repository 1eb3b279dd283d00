// Python for the demo: a fresh virtual environment with its bundled pip, cut off from the person's settings and caches.
// Nothing is downloaded and nothing outside the demo's folder is written.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { devNull } from 'node:os'
import { join } from 'node:path'
import { moduleText, type Release } from './demo-packages.ts'
import type { Relay } from './demo-servers.ts'
import type { Outcome } from './demo-steps.ts'

/** Somebody who installs without TUF. */
export interface Installer {
  name: string
  /** Installs the newest release of `release.project` into a folder of its own; it should be `release`. */
  install(through: Relay, release: Release): Promise<Outcome>
}

export interface Python {
  version: string
  pip: Installer
  /** What a program prints that imports the release from the virtual environment, after pip installed it there. */
  installAndImport(through: Relay, release: Release): Promise<string>
}

const FIND_MS = 20_000
const RUN_MS = 60_000

/** A virtual environment in `folder`, or the sentence that says why there is none. */
export async function preparePython(folder: string, signal: AbortSignal): Promise<Python | string> {
  await mkdir(folder, { recursive: true })
  const found = await findPython(signal)
  if (!found) return 'There is no Python 3.8 or later on the PATH.'
  const env = cleanEnvironment(folder)
  const venv = join(folder, 'venv')
  const made = await run(found.path, ['-I', '-m', 'venv', venv], { env, signal })
  if (made.code !== 0) return `Python ${found.version} cannot make a virtual environment (on Debian: python3-venv).`
  const program = process.platform === 'win32' ? join(venv, 'Scripts', 'python.exe') : join(venv, 'bin', 'python')
  const python = (...args: string[]) => run(program, ['-I', ...args], { env, signal })
  const pip = (index: string, ...args: string[]) =>
    python(
      ...['-m', 'pip', 'install', '--isolated', '--no-input', '--disable-pip-version-check', '--no-cache-dir'],
      ...['--no-compile', '--retries', '0', '--timeout', '15', '--index-url', `${index}/simple/`, ...args],
    )
  let installs = 0
  return {
    version: found.version,
    pip: {
      name: 'plain pip',
      async install(through, { project, module, says }) {
        const target = join(folder, `installed-${++installs}`)
        through.takeRefusals()
        const { code, output } = await pip(through.url, '--target', target, project)
        if (code !== 0) return explainPip(code, output, through.takeRefusals())
        const text = readFileSync(join(target, `${module}.py`), 'utf8')
        return text === moduleText(says)
          ? { verdict: 'genuine', detail: `pip ended with 0 and installed "${says}"` }
          : { verdict: 'altered', detail: `pip ended with 0 and installed: ${text.trim()}` }
      },
    },
    async installAndImport(through, { project, module }) {
      const { code, output } = await pip(through.url, project)
      if (code !== 0) throw new Error(`pip ended with ${code}: ${lastLine(output)}`)
      const imported = await python('-c', `import ${module}; print(${module}.SAYS)`)
      return imported.output.trim()
    },
  }
}

/** pip shows its user little of why an index answered 503, so the index's own sentence stands beside its exit code. */
function explainPip(code: number, output: string, refusals: string[]): Outcome {
  const refusal = refusals.find((line) => line.startsWith('503 '))
  if (refusal) return { verdict: 'refused by the service', detail: `pip ended with ${code}; the index said ${refusal}` }
  const verdict = /DO NOT MATCH THE HASHES/i.test(output) ? 'refused by the client' : 'failed'
  return { verdict, detail: `pip ended with ${code}: ${lastLine(output)}` }
}

const lastLine = (output: string): string => output.trim().split('\n').at(-1) ?? ''

/** A Python 3.8 or later with venv and pip, asked for its own path: the one on the PATH may be a launcher or a shim. */
async function findPython(signal: AbortSignal): Promise<{ path: string; version: string } | undefined> {
  const candidates = process.platform === 'win32' ? [['py', '-3'], ['python']] : [['python3'], ['python']]
  const program =
    'import sys, venv, ensurepip; assert sys.version_info >= (3, 8); print(sys.executable); print(sys.version.split()[0])'
  for (const [command, ...args] of candidates as [string, ...string[]][]) {
    const options = { env: process.env, signal, timeoutMs: FIND_MS }
    const { code, output } = await run(command, [...args, '-c', program], options)
    const [path, version] = output.trim().split(/\r?\n/)
    if (code === 0 && path && version) return { path, version }
  }
  return undefined
}

/** The person's pip and Python settings and proxies stay outside, and so do the demo's caches. */
function cleanEnvironment(home: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:PIP_|PYTHON|VIRTUAL_ENV$)|_PROXY$/i.test(name))
  return {
    ...Object.fromEntries(kept),
    ...Object.fromEntries(['HOME', 'USERPROFILE', 'APPDATA', 'LOCALAPPDATA'].map((name) => [name, home])),
    ...Object.fromEntries(['CONFIG', 'CACHE', 'DATA', 'STATE'].map((name) => [`XDG_${name}_HOME`, home])),
    PIP_CONFIG_FILE: devNull,
    NO_PROXY: '*',
  }
}

interface Ended {
  code: number
  output: string
}

/**
 * Runs a program to its end. A program that does not exist or takes too long has a code that is not 0. An abort ends it
 * with everything it started (venv starts pip), and this waits for that: its folder is about to be removed.
 */
function run(
  command: string,
  args: string[],
  options: { env: NodeJS.ProcessEnv; signal: AbortSignal; timeoutMs?: number },
): Promise<Ended> {
  const { env, signal, timeoutMs = RUN_MS } = options
  if (signal.aborted) return Promise.resolve({ code: -1, output: 'stopped' })
  return new Promise((resolve) => {
    // A process group of its own, which can be ended as a whole.
    const child = spawn(command, args, {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
      detached: process.platform !== 'win32',
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
    const end = () => endTree(child)
    signal.addEventListener('abort', end)
    const timer = setTimeout(end, timeoutMs)
    const finish = (ended: Ended) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve(ended)
    }
    child.once('error', (error) => finish({ code: -1, output: error.message }))
    child.once('close', (code) => finish({ code: code ?? -1, output }))
  })
}

function endTree({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    if (process.platform === 'win32') spawnSync('taskkill', ['/pid', String(pid), '/T', '/F'], { windowsHide: true })
    else process.kill(-pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}
