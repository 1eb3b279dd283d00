// The client as tuf-conformance drives one: the command line that its CLIENT-CLI.md fixes, over `tuf/` alone.
//
//   client.ts --metadata-dir D init ROOT
//   client.ts --metadata-dir D --metadata-url U refresh
//   client.ts --metadata-dir D --metadata-url U --target-name N… --target-base-url B --target-dir T download
//
// Exits 0 if all of it succeeded, else 1 with the reason on standard error; the first target that fails ends it.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fileStore, writeWhole } from '../../cli/file-store.ts'
import { Client, initStore } from '../../tuf/client.ts'
import { MismatchError } from '../../tuf/errors.ts'
import { checkBytes } from '../../tuf/meta-file.ts'
import { encodeSegment } from '../../tuf/paths.ts'
import type { TargetInfo } from '../../tuf/search.ts'
import { webTransport } from '../../tuf/transport.ts'

const text = { type: 'string' } as const

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'metadata-dir': text,
      'metadata-url': text,
      'target-name': { type: 'string', multiple: true },
      'target-base-url': text,
      'target-dir': text,
    },
  })
  const wanted = (name: 'metadata-dir' | 'metadata-url' | 'target-base-url' | 'target-dir'): string => {
    const value = values[name]
    if (value === undefined) throw new Error(`--${name} is missing.`)
    return value
  }
  const [command, trustedRoot] = positionals
  const store = fileStore(wanted('metadata-dir'))
  if (command === 'init') {
    if (trustedRoot === undefined) throw new Error('init wants the file of the root to trust.')
    return initStore(store, new Uint8Array(await readFile(trustedRoot)))
  }
  const metadataUrl = wanted('metadata-url')
  const targetsUrl = command === 'download' ? wanted('target-base-url') : metadataUrl
  const client = new Client({ store, transport: webTransport(), metadataUrl, targetsUrl })
  if (command === 'refresh') return client.refresh()
  if (command !== 'download') throw new Error(`There is no command '${command ?? ''}': init, refresh or download.`)
  const folder = wanted('target-dir')
  await client.refresh()
  for (const path of values['target-name'] ?? []) await download(client, path, folder)
}

/** One file a target, named by its encoded path so that no path leaves the folder. A good copy is not fetched again. */
async function download(client: Client, path: string, folder: string): Promise<void> {
  const info = await client.targetInfo(path)
  if (!info) throw new Error(`The repository has no target "${path}".`)
  const file = join(folder, encodeSegment(path))
  if (!(await isKept(file, info))) await writeWhole(file, await client.download(info))
}

async function isKept(file: string, info: TargetInfo): Promise<boolean> {
  try {
    await checkBytes(new Uint8Array(await readFile(file)), info, `The kept copy of "${info.path}"`)
    return true
  } catch (error) {
    if (error instanceof MismatchError) return false
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
