// Where a TUF client on this machine keeps what it trusts: a folder with one file a role, as `tuf/client.ts` names them.
// Invariant: a file is replaced whole or not at all, and is on the disk before `put` returns, so that a crash can neither
// leave half a root nor take a client back to an older one.
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Store } from '../tuf/client.ts'

/** A store in `folder`, which is made with the first put. */
export function fileStore(folder: string): Store {
  return {
    async get(file) {
      try {
        return new Uint8Array(await readFile(join(folder, file)))
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
        throw error
      }
    },
    put: (file, bytes) => writeWhole(join(folder, file), bytes),
  }
}

/** Writes a file so that a reader, or a start after a crash, sees the old or the new one and never a part. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true })
  // A name of its own: two clients that share a folder must not write into each other's half.
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`
  try {
    const file = await open(draft, 'wx')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  await syncFolder(folder)
}

/** A rename survives a power cut only once its folder is written. Windows has no such call and does not need it. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
