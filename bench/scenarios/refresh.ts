// A refresh of our TUF client, of python-tuf and of tuf-js, from the same server, by the number of roles in snapshot: cold
// (an empty folder) and warm (nothing has changed, so only root and timestamp are asked for). Each client is a process;
// rounds alternate, so that all see the same machine. The first refresh of a process, which compiles what it runs and
// opens the first connection, is a figure of its own.
//
// tuf-js is quadratic in the roles: where it needs minutes it is stopped, and the time it was given is its figure.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Figure, median } from '../figures.ts'
import { environment, Missing } from '../peers/python.ts'
import { temporaryFolder } from '../place.ts'
import { serveRepository } from '../refresh/repository.ts'
import type { Context, Scenario } from '../scenario.ts'

const ROLES = [16, 1_024, 16_384]
const REQUIREMENTS = ['tuf==7.0.1', 'securesystemslib[crypto]==1.6.0']
const ROUNDS = 5
/** Refreshes of a process that count. */
const TIMES = 8
/** tuf-js, the first included: it needs a second for each at 1,024 roles, and more on a busy machine. */
const TUF_JS_TIMES = 4
const SLOW_MS = 60_000
/** Above it tuf-js is asked for one refresh, which has no other to warm up. */
const ONCE_ABOVE = 5_000

const client = (file: string): string => fileURLToPath(new URL(`../refresh/${file}`, import.meta.url))

interface Took {
  cold: number[]
  warm: number[]
}

interface Samples extends Took {
  first: number[]
}

export const refresh: Scenario = {
  name: 'refresh',
  title: `TUF refresh with ${ROLES.join(', ')} roles in snapshot: ours, python-tuf, tuf-js`,
  async run(context) {
    const python = pythonOf(context)
    const figures: Omit<Figure, 'scenario'>[] = []
    for (const roles of ROLES) figures.push(...(await measure(context, roles, python)))
    return figures
  },
}

function pythonOf({ note }: Context): string | undefined {
  try {
    return join(environment('tuf', REQUIREMENTS), 'python')
  } catch (error) {
    if (!(error instanceof Missing)) throw error
    note(error.message)
    return undefined
  }
}

async function measure(context: Context, roles: number, python: string | undefined) {
  const repository = await serveRepository(roles)
  const place = temporaryFolder()
  try {
    const root = join(place.path, 'root.json')
    writeFileSync(root, repository.root)
    let runs = 0
    const once = async (program: string, args: readonly string[], times: number): Promise<Took | undefined> => {
      const folder = join(place.path, String(runs++))
      return child(program, [...args, repository.url, root, folder, String(times)])
    }
    const [ours, theirs]: [Samples, Samples] = [
      { first: [], cold: [], warm: [] },
      { first: [], cold: [], warm: [] },
    ]
    for (let round = 0; round < (context.quick ? 1 : ROUNDS); round++) {
      add(ours, await once(process.execPath, [client('client.ts'), 'tuf-edge'], TIMES + 1))
      if (python) add(theirs, await once(python, [client('client.py')], TIMES + 1))
    }
    const single = roles > ONCE_ABOVE
    const other = await once(process.execPath, [client('client.ts'), 'tuf-js'], single ? 1 : TUF_JS_TIMES)
    if (other === undefined && !single) throw new Error(`tuf-js took longer than ${SLOW_MS / 1000} s.`)
    const tufJs = other === undefined ? SLOW_MS : median(single ? other.cold : other.cold.slice(1))

    const against = (kind: keyof Samples, what: string): Omit<Figure, 'scenario'> => {
      const [value, counterpart] = [median(ours[kind]), median(theirs[kind])]
      return {
        name: `${what}, ${roles} roles, p50`,
        value,
        unit: 'ms',
        ...(python && {
          counterpart: { name: 'python-tuf', value: counterpart },
          target: { text: '≤ python-tuf', met: value <= counterpart },
        }),
        note: `snapshot ${Math.ceil(repository.snapshotBytes / 1000)} kB`,
      }
    }
    return [
      against('cold', 'cold refresh'),
      {
        name: `cold refresh, ${roles} roles, p50`,
        value: median(ours.cold),
        unit: 'ms',
        counterpart: { name: 'tuf-js', value: tufJs },
        ...(other === undefined && { note: `tuf-js was stopped after ${SLOW_MS / 1000} s` }),
      },
      against('warm', 'warm refresh'),
      against('first', 'first refresh of a process'),
    ]
  } finally {
    place.remove()
    await repository.close()
  }
}

function add(all: Samples, more: Took | undefined): void {
  if (!more) throw new Error(`A client took longer than ${SLOW_MS / 1000} s.`)
  all.first.push(more.cold[0]!)
  all.cold.push(...more.cold.slice(1))
  all.warm.push(...more.warm.slice(1))
}

/** Runs a client to its end; undefined if it took too long. */
async function child(program: string, args: readonly string[]): Promise<Took | undefined> {
  const running = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let slow = false
  const timer = setTimeout(() => {
    slow = true
    running.kill('SIGKILL')
  }, SLOW_MS)
  let [answer, complaint] = ['', '']
  running.stdout.on('data', (bytes) => (answer += bytes))
  running.stderr.on('data', (bytes) => (complaint += bytes))
  const code = await new Promise<number | null>((resolve, reject) => {
    running.once('error', reject)
    running.once('close', resolve)
  })
  clearTimeout(timer)
  if (slow) return undefined
  if (code !== 0) throw new Error(`${args[0]} ended with ${code}: ${complaint.trim().split('\n').at(-1)}`)
  return JSON.parse(answer) as Took
}
