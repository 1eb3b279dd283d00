// A folder that any web server can serve as an index and as a TUF repository. State: the folder, the lock, what has been
// named in this run.
//
//   simple/index.html, simple/{project}/index.html    pages for pip and uv; beside each `index.v1_json`, as bandersnatch has it
//   files/{shard}/{project}/{filename}[.metadata]     what the pages link to
//   tuf/timestamp.json, tuf/{n}.{role}.json           TUF metadata
//   tuf/targets/{dir}/{sha256}.{name}                 TUF targets: the same files once more, as hard links
//   .tuf-edge-export/                                 what the export remembers; no reader needs it
//
// Invariants: a file appears whole, under its name or not at all; nothing is removed that the present or the last state
// of the folder names under tuf/, so that a client in the middle of a run ends it.
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { writeWhole } from './file-store.ts'
import { takeLock } from './lock.ts'
import { CommandError } from './terminal.ts'

const MEMORY = '.tuf-edge-export'
/** The parts of the folder that are the export's alone. */
const PARTS = ['simple', 'files', 'tuf']
/** Link errors of file systems without hard links, and of folders that span two: then bytes are copied. */
const NO_LINKS: ReadonlySet<string> = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS'])

export class MirrorFolder {
  readonly path: string
  /** Where the client that fills the folder keeps what it trusts. */
  readonly state: string
  readonly #lock: { release(): void }
  readonly #named = new Set<string>()

  private constructor(path: string, state: string, lock: { release(): void }) {
    this.path = path
    this.state = state
    this.#lock = lock
  }

  /** @throws CommandError if the folder is somebody else's, an export under another root, or in use */
  static async take(folder: string, root: Uint8Array): Promise<MirrorFolder> {
    const path = resolve(folder)
    const memory = join(path, MEMORY)
    const trust = createHash('sha256').update(root).digest('hex').slice(0, 32)
    await mkdir(path, { recursive: true })
    if (!existsSync(memory)) {
      if (readdirSync(path).length > 0)
        throw new CommandError(`${path} holds something else: name a folder that is empty or not there yet.`)
      await mkdir(memory)
    }
    const others = readdirSync(memory).filter((name) => /^[0-9a-f]{32}$/.test(name) && name !== trust)
    if (others.length > 0)
      throw new CommandError(`${path} is an export under another root: use that root, or name another folder.`)
    const lock = await takeLock(
      join(memory, 'lock'),
      (holder) => new CommandError(`Process ${holder} is exporting to ${path}: wait for its end, or stop it.`),
    )
    return new MirrorFolder(path, join(memory, trust), lock)
  }

  release(): void {
    this.#lock.release()
  }

  /** The bytes under `name`, or undefined. */
  async read(name: string): Promise<Uint8Array | undefined> {
    try {
      return new Uint8Array(await readFile(this.#file(name)))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** Whether the very bytes lie under `name` already. They are read: a disk that rots must not be believed. */
  async holds(name: string, length: number, sha256: string): Promise<boolean> {
    this.#named.add(name)
    const file = this.#file(name)
    const found = await stat(file).catch(() => undefined)
    if (found?.size !== length) return false
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
    return hash.digest('hex') === sha256
  }

  /** What lies under `name` is of the present state. */
  name(name: string): void {
    this.#named.add(name)
  }

  /** Writes a small file. */
  async put(name: string, bytes: Uint8Array): Promise<void> {
    this.#named.add(name)
    await writeWhole(this.#file(name), bytes)
  }

  /** Writes what a stream brings; if it fails, nothing is there. @param tick told of every chunk's length */
  async pour(name: string, body: ReadableStream<Uint8Array>, tick: (bytes: number) => void): Promise<void> {
    this.#named.add(name)
    const file = this.#file(name)
    await mkdir(dirname(file), { recursive: true })
    const draft = draftOf(file)
    try {
      const handle = await open(draft, 'wx')
      try {
        for await (const chunk of body) {
          await handle.write(chunk)
          tick(chunk.length)
        }
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(draft, file)
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
  }

  /** Lets `name` be the same file as `of`, in one step for whoever reads it. */
  async alias(name: string, of: string): Promise<void> {
    this.#named.add(name)
    const [file, source] = [this.#file(name), this.#file(of)]
    const [here, there] = await Promise.all([stat(file).catch(() => undefined), stat(source)])
    // A rename between two names of one file does nothing, and would leave the draft.
    if (here && here.ino === there.ino && here.dev === there.dev && here.ino !== 0) return
    await mkdir(dirname(file), { recursive: true })
    const draft = draftOf(file)
    try {
      await link(source, draft).catch((error: NodeJS.ErrnoException) => {
        if (!NO_LINKS.has(error.code ?? '')) throw error
        return copyFile(source, draft)
      })
      await rename(draft, file)
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
  }

  /** Removes what neither this run nor, under tuf/, the last one has named. @returns files removed */
  async prune(): Promise<number> {
    const memory = join(this.path, MEMORY, 'named.json')
    const before = await readFile(memory, 'utf8').then(
      (text) => (JSON.parse(text) as string[]).filter((name) => name.startsWith('tuf/')),
      () => [],
    )
    const keep = new Set([...this.#named, ...before])
    let removed = 0
    const visit = async (folder: string): Promise<boolean> => {
      let empty = true
      for (const entry of await readdir(this.#file(folder), { withFileTypes: true })) {
        const name = `${folder}/${entry.name}`
        if (entry.isDirectory() ? await visit(name) : keep.has(name)) empty = false
        else if (!entry.isDirectory()) {
          await rm(this.#file(name))
          removed++
        }
      }
      if (empty && folder.includes('/')) await rmdir(this.#file(folder))
      return !empty || !folder.includes('/')
    }
    for (const part of PARTS) if (existsSync(this.#file(part))) await visit(part)
    await writeWhole(memory, new TextEncoder().encode(JSON.stringify([...this.#named])))
    return removed
  }

  /** @throws CommandError for a name that would leave the folder: signed, and still not to be followed */
  #file(name: string): string {
    const file = resolve(this.path, ...name.split('/'))
    if (!file.startsWith(this.path + sep) || name.split('/').some((part) => part === '' || part.startsWith('.')))
      throw new CommandError(`The index names '${name}', which cannot be a file of a folder.`)
    return file
  }
}

const draftOf = (file: string): string => `${file}.${randomBytes(6).toString('hex')}.new`
