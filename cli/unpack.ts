// Unpacks a pure-Python wheel into a folder, for machines without Python. Invariant: nothing is written outside of it.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { unzipSync } from 'fflate'
import { CommandError } from './terminal.ts'

/** @param bytes a wheel that was verified before: its author is trusted as far as one trusts what one runs */
export async function unpackWheel(bytes: Uint8Array, folder: string): Promise<void> {
  const root = resolve(folder)
  const entries = Object.entries(unzipSync(bytes)).filter(([name]) => !name.endsWith('/'))
  for (const [name] of entries)
    if (name.includes('\\') || !resolve(root, name).startsWith(root + sep))
      throw new CommandError(`The wheel has an entry that leaves its folder: ${JSON.stringify(name)}.`)
  for (const [name, content] of entries) {
    const path = join(root, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, content)
  }
}
