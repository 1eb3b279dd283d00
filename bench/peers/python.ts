// Python tools to measure beside ours: each in a virtual environment of its own below `.cache/bench`, built once.
// A machine without Python, or without a registry, skips the tool by name; nothing fails.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CACHE = fileURLToPath(new URL('../../.cache/bench', import.meta.url))
const SCRIPTS = process.platform === 'win32' ? 'Scripts' : 'bin'
/** Installing devpi takes 40 s on two cores; beyond this the registry does not answer. */
const INSTALL_MS = 150_000
const READY_MS = 60_000

/** Why a tool is not measured, for people. */
export class Missing extends Error {
  override name = 'Missing'
}

/** Folder of the tool's commands. @throws Missing */
export function environment(name: string, requirements: readonly string[]): string {
  const folder = join(CACHE, name)
  const stamp = join(folder, 'requirements.txt')
  const wanted = `${requirements.join('\n')}\n`
  const commands = join(folder, SCRIPTS)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return commands
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(CACHE, { recursive: true })
  const python = process.platform === 'win32' ? 'python' : 'python3'
  const made = spawnSync(python, ['-m', 'venv', folder], { timeout: INSTALL_MS, encoding: 'utf8' })
  if (made.status !== 0) throw new Missing(`${name}: ${python} with venv is not on this machine`)
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...requirements]
  const installed = spawnSync(join(commands, 'python'), install, { timeout: INSTALL_MS, encoding: 'utf8' })
  if (installed.status !== 0) {
    rmSync(folder, { recursive: true, force: true })
    throw new Missing(`${name}: pip could not install ${requirements.join(' ')}`)
  }
  writeFileSync(stamp, wanted)
  return commands
}

export interface Daemon {
  stop(): Promise<void>
}

/** Starts a server and waits until `url` answers. @throws Missing if it does not */
export async function daemon(name: string, program: string, args: readonly string[], url: string): Promise<Daemon> {
  const child: ChildProcess = spawn(program, args, { stdio: 'ignore' })
  // Also when the bench is interrupted.
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  let running = true
  void ended.then(() => {
    running = false
  })
  const stop = async () => {
    if (!running) return
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
    await ended
    clearTimeout(timer)
    process.off('exit', kill)
  }
  const deadline = Date.now() + READY_MS
  while (running && Date.now() < deadline) {
    try {
      const answer = await fetch(url)
      await answer.arrayBuffer()
      if (answer.ok) return { stop }
    } catch {
      // not yet
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await stop()
  throw new Missing(`${name}: it did not start`)
}

/** Runs a command to its end. @throws Missing if it fails */
export async function command(name: string, program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: 'ignore' })
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_MS)
  const [code] = (await once(child, 'exit')) as [number | null]
  clearTimeout(timer)
  if (code !== 0) throw new Missing(`${name}: ${program} ended with ${code}`)
}
