// A whole service in its own process group, folder and port, so that a test can kill it as a power cut would.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'tuf-edge-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** What a command printed to standard output and error, and its exit code (null: a signal), once it is over. */
export async function outcomeOf(child: ChildProcess): Promise<{ code: number | null; said: string; told: string }> {
  let [said, told] = ['', '']
  child.stdout!.on('data', (chunk) => (said += chunk))
  child.stderr!.on('data', (chunk) => (told += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, said, told }
}

export interface Process {
  url: string
  output(): string
  /** Resolves with the exit code. */
  ended: Promise<number>
  /** Ctrl-C, then waits for the end. */
  interrupt(): Promise<number>
  /** SIGINT to the started process alone, as a supervisor sends it, then waits for the end. */
  interruptAlone(): Promise<number>
  /** SIGKILL to the whole group, then waits for the end. */
  kill(): Promise<number>
}

/** Runs `tuf-edge serve` through the bootstrap, as `npm start` does, and waits until it says that it is ready. */
export async function startProcess(folder: string, port: number): Promise<Process> {
  const process = launch(folder, port)
  const deadline = Date.now() + 60_000
  while (!process.output().includes('Ctrl-C stops it')) {
    const ended = await Promise.race([process.ended, new Promise<undefined>((r) => setTimeout(r, 50))])
    if (ended !== undefined) throw new Error(`The service ended with ${ended}:\n${process.output()}`)
    if (Date.now() > deadline) throw new Error(`The service did not become ready:\n${process.output()}`)
  }
  return process
}

export function launch(folder: string, port: number): Process {
  const args = ['cli/bootstrap.mjs', 'node', 'cli/main.ts', 'serve', '--port', String(port), '--folder', folder]
  const child: ChildProcess = spawn('node', args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += chunk))
  const ended = once(child, 'exit').then(([code]) => (code as number | null) ?? -1)
  const signal = (name: NodeJS.Signals, to = -child.pid!) => {
    try {
      process.kill(to, name)
    } catch {
      // gone already
    }
    return ended
  }
  return {
    url: `http://127.0.0.1:${port}`,
    output: () => output,
    ended,
    interrupt: () => signal('SIGINT'),
    interruptAlone: () => signal('SIGINT', child.pid!),
    kill: () => signal('SIGKILL'),
  }
}
