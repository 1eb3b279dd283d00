// tuf-js behind the driver protocol of clients.ts:
//   tufjs.ts --root FILE --metadata-url URL --targets-url URL --state DIR --out DIR [--time ISO] (refresh | download NAME…)
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BaseFetcher, Updater } from 'tuf-js'
import { DownloadHTTPError } from 'tuf-js/dist/error.js'

const text = { type: 'string' } as const
const { values, positionals } = parseArgs({
  options: { root: text, 'metadata-url': text, 'targets-url': text, state: text, out: text, time: text },
  allowPositionals: true,
})
const [command, ...names] = positionals
const { root, state, out, time } = values as Record<string, string>
if (!root || !state || !out || (command !== 'refresh' && command !== 'download')) {
  process.stderr.write('usage: tufjs.ts --root FILE --metadata-url URL … (refresh | download NAME…)\n')
  process.exit(2)
}

const token = process.env.TUF_EDGE_TOKEN

/** For a private index, as docs/private.md has it. */
class WithToken extends BaseFetcher {
  async fetch(url: string) {
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` }, redirect: 'error' })
    if (!answer.ok || !answer.body) throw new DownloadHTTPError(`answered ${answer.status}`, answer.status)
    return answer.body
  }
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function explain(error: unknown): string {
  return error instanceof Error ? `${error.constructor.name}: ${error.message}` : String(error)
}

async function main(): Promise<number> {
  for (const folder of [state!, out!]) mkdirSync(folder, { recursive: true })
  let updater: Updater
  try {
    // tuf-js trusts the root it finds in its own folder; the given one only starts it.
    if (!existsSync(join(state!, 'root.json'))) copyFileSync(root!, join(state!, 'root.json'))
    updater = new Updater({
      metadataDir: state!,
      metadataBaseUrl: values['metadata-url']!,
      targetDir: out!,
      targetBaseUrl: values['targets-url']!,
      config: { fetchRetry: 0 },
      ...(token ? { fetcher: new WithToken() } : {}),
    })
    // Not a public setting: the clock is read once, in the constructor.
    if (time) Reflect.get(updater, 'trustedSet').referenceTime = new Date(time)
    await updater.refresh()
  } catch (error) {
    say({ ok: false, error: explain(error) })
    return 1
  }

  if (command === 'refresh') {
    const trusted = Reflect.get(updater, 'trustedSet')
    const roles = ['root', 'timestamp', 'snapshot', 'targets'].map((role) => [role, trusted[role].signed.version])
    say({ ok: true, version: Object.fromEntries(roles) })
    return 0
  }

  let status = 0
  for (const name of names) {
    try {
      const info = await updater.getTargetInfo(name)
      if (!info) {
        say({ ok: false, target: name, error: 'not found' })
        status = 1
        continue
      }
      const path = (await updater.findCachedTarget(info)) ?? (await updater.downloadTarget(info))
      say({ ok: true, target: name, path, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') })
    } catch (error) {
      say({ ok: false, target: name, error: explain(error) })
      status = 1
    }
  }
  return status
}

process.exitCode = await main()
