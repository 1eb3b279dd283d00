// One process at a time in a folder: a file with the process id of whoever has it. The lock of one that died is taken over.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

/** How long a holder that is going away is waited for, and how often it is looked for. */
const DYING_MS = 3_000
const LOOK_MS = 100

/** @param busy the error to throw if another process, of this id, goes on running */
export async function takeLock(file: string, busy: (holder: number) => Error): Promise<{ release(): void }> {
  const holder = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
  // A process that was just killed counts as running until its parent has taken note.
  for (let waited = 0; holder > 0 && holder !== process.pid && isRunning(holder); waited += LOOK_MS) {
    if (waited >= DYING_MS) throw busy(holder)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  writeFileSync(file, String(process.pid))
  return { release: () => rmSync(file, { force: true }) }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
