// A service that stops at a point of a publication and is killed there with its whole process group.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { FallSettings, Held } from '../workerd/matrix-settings.ts'

export interface Child {
  /** The line of the child that begins with this word, as soon as there is one. @throws if the child ended, or after a minute */
  line(word: string): Promise<string>
  /** Runs the watchdog once. */
  watch(): Promise<void>
  kill(): Promise<void>
}

/** Starts the service on its folder; resolves at once, `line('READY')` when it serves. */
export function startChild(folder: string, port: number, settings: FallSettings): Child {
  const entry = join(folder, 'publisher.ts')
  const from = (path: string) => JSON.stringify(resolve('test', path))
  writeFileSync(
    entry,
    `import { prepareFall } from ${from('workerd/matrix-fall.ts')}
prepareFall(${JSON.stringify(settings)})
export * from ${from('../durable-objects/index.ts')}
export { default } from ${from('../durable-objects/index.ts')}
`,
  )
  const args = ['cli/bootstrap.mjs', 'node', 'test/e2e/matrix-child.ts', String(port), join(folder, 'state'), entry]
  const child: ChildProcess = spawn('node', args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += chunk))
  child.stdin!.on('error', () => {})
  const exit = once(child, 'exit')
  let ended = false
  void exit.then(() => (ended = true))
  const line = async (word: string): Promise<string> => {
    for (const deadline = Date.now() + 60_000; ; await new Promise((done) => setTimeout(done, 10))) {
      const found = output.split('\n').findLast((text) => text.startsWith(word))
      if (found !== undefined && output.includes(`${found}\n`)) return found
      if (ended || Date.now() > deadline) throw new Error(`The service did not say ${word}:\n${output}`)
    }
  }
  return {
    line,
    async watch() {
      output += '\n'
      const before = output.length
      child.stdin!.write('\n')
      while (!output.slice(before).includes('WATCHED')) {
        if (ended) throw new Error(`The service ended:\n${output}`)
        await new Promise((done) => setTimeout(done, 10))
      }
    },
    async kill() {
      try {
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        // gone already
      }
      await exit
      // The rest of the group may outlive its leader for a moment, and with it the lock on the folder.
      for (let alive = true; alive; await new Promise((done) => setTimeout(done, 10)))
        try {
          process.kill(-child.pid!, 0)
        } catch {
          alive = false
        }
    },
  }
}

/** The write that hung at the kill, if the cell wants it to land later. */
export function heldOf(line: string): Held[] {
  const held = JSON.parse(line.slice(line.indexOf('{'))) as Held
  return held.key === undefined && held.keys === undefined ? [] : [held]
}
