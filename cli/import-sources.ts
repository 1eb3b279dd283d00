// Where an import takes files from: a folder, or the simple pages of any index (PyPI, devpi, pypiserver, bandersnatch …).
// State: none. Invariant: a file is handed on only after every digest its source gives for it was computed and is right.
import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type ForeignFile, readForeignList, readForeignPage } from '../pypi/foreign-page.ts'
import { normalizeName } from '../pypi/names.ts'
import { webTransport } from '../tuf/transport.ts'
import { CommandError } from './terminal.ts'

/** One file that may be imported. */
export interface SourceFile {
  readonly filename: string
  /** As the source says it, if it does. */
  readonly sha256?: string
  /** Absent: the source does not say, as no folder does. */
  readonly yanked?: boolean | string
  /** The file on this machine, checked. @param into a path that `take` may write to */
  take(into: string): Promise<TakenFile>
}

export interface TakenFile {
  path: string
  /** ISO 8601, UTC; absent: the source does not know. */
  uploadTime?: string
  /** False: the source names no digest that could be compared. */
  checked: boolean
}

export interface FolderOptions {
  /** The time of last change counts as the upload date, as it does for pypiserver. */
  keepTimes: boolean
}

/** What looks like a distribution; everything else in a folder is not reported as refused. */
const DISTRIBUTION = /\.(?:whl|tar\.gz|tar\.bz2|tgz|zip|egg)$/i

/** Every distribution below `folder`, in the order of their names; folders that begin with a dot are not looked into. */
export async function* folderSource(folder: string, { keepTimes }: FolderOptions): AsyncGenerator<SourceFile> {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const path = resolve(join(folder, entry.name))
    if (entry.name.startsWith('.')) continue
    if (entry.isDirectory()) yield* folderSource(path, { keepTimes })
    else if (entry.isFile() && DISTRIBUTION.test(entry.name))
      yield {
        filename: entry.name,
        take: async () => ({
          path,
          checked: true,
          ...(keepTimes ? { uploadTime: statSync(path).mtime.toISOString() } : {}),
        }),
      }
  }
}

export interface IndexOptions {
  /** Names of projects; none: all that the index lists. */
  projects: readonly string[]
  /** `Authorization` of requests to the index's own origin. */
  authorization?: string
  /** Told of a page that cannot be read; its project is then left out. */
  unreadable(project: string, why: string): void
}

/** A page of 5,000 files is about 2 MB; the list of PyPI's 700,000 projects 30. */
const PAGE_BYTES_MAX = 64 * 1024 * 1024
const ACCEPT = 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1'
const TRIES = 3
const REASON_LENGTH_MAX = 500

/** Every file the index at `url` (its simple page, `…/simple/` or devpi's `…/+simple/`) lists. */
export async function* indexSource(url: string, options: IndexOptions): AsyncGenerator<SourceFile> {
  const index = new ForeignIndex(url, options.authorization)
  for (const [project, page] of await index.projects(options.projects)) {
    let files: ForeignFile[]
    try {
      files = await index.files(page)
    } catch (error) {
      options.unreadable(project, messageOf(error))
      continue
    }
    for (const file of files) {
      const sha256 = file.hashes.get('sha256')
      yield {
        filename: file.filename,
        ...(sha256 === undefined ? {} : { sha256 }),
        ...(file.yanked === undefined ? {} : { yanked: oneLine(file.yanked) }),
        take: (into) => index.download(file, into),
      }
    }
  }
}

/** A reason as it may stand here: one line, and no longer than the index takes. */
const oneLine = (yanked: boolean | string): boolean | string =>
  typeof yanked === 'boolean'
    ? yanked
    : yanked
        .slice(0, REASON_LENGTH_MAX)
        .toWellFormed()
        .replace(/\p{Cc}+/gu, ' ')

class ForeignIndex {
  readonly #url: URL
  readonly #authorization: string | undefined

  constructor(url: string, authorization: string | undefined) {
    this.#url = new URL(url.endsWith('/') ? url : `${url}/`)
    this.#authorization = authorization
  }

  async projects(names: readonly string[]): Promise<Map<string, string>> {
    if (names.length > 0)
      return new Map(names.map((name) => [name, new URL(`${normalizeName(name)}/`, this.#url).href]))
    const { text, type } = await this.#page(this.#url.href)
    const all = readForeignList(text, type, this.#url.href)
    // A list that leads elsewhere would choose whom this machine talks to.
    return new Map([...all].filter(([, page]) => new URL(page).origin === this.#url.origin))
  }

  async files(page: string): Promise<ForeignFile[]> {
    const { text, type, url } = await this.#page(page)
    return readForeignPage(text, type, url)
  }

  /** Downloads and compares every digest that this machine can compute. */
  async download(file: ForeignFile, into: string): Promise<TakenFile> {
    return retrying(async () => {
      const { response, body } = await this.#get(file.url, '*/*')
      const hashes = [...file.hashes].flatMap(([name, hex]) => {
        try {
          return [{ name, hex, hash: createHash(name) }]
        } catch {
          return [] // an algorithm that is not known here
        }
      })
      const out = await open(into, 'w')
      try {
        for await (const chunk of body) {
          for (const { hash } of hashes) hash.update(chunk)
          await out.write(chunk)
        }
      } finally {
        await out.close()
      }
      for (const { name, hex, hash } of hashes)
        if (hash.digest('hex') !== hex) throw new CommandError(`The source sent other bytes than its ${name} says.`)
      // devpi and file servers date files by this header alone.
      const modified = Date.parse(response.headers.get('last-modified') ?? '')
      const uploadTime = file.uploadTime ?? (Number.isFinite(modified) ? new Date(modified).toISOString() : undefined)
      return { path: into, checked: hashes.length > 0, ...(uploadTime === undefined ? {} : { uploadTime }) }
    })
  }

  async #page(url: string): Promise<{ text: string; type: string; url: string }> {
    return retrying(async () => {
      const { response, body } = await this.#get(url, ACCEPT)
      const chunks: Uint8Array[] = []
      let length = 0
      for await (const chunk of body) {
        length += chunk.length
        if (length > PAGE_BYTES_MAX) throw new CommandError(`${url} is longer than ${PAGE_BYTES_MAX} bytes.`)
        chunks.push(chunk)
      }
      const type = response.headers.get('content-type') ?? ''
      return { text: Buffer.concat(chunks).toString('utf8'), type, url: response.url }
    })
  }

  async #get(url: string, accept: string): Promise<{ response: Response; body: ReadableStream<Uint8Array> }> {
    let response: Response | undefined
    const transport = webTransport({
      fetch: async (target, init) => {
        const mine = new URL(target).origin === this.#url.origin && this.#authorization !== undefined
        // A redirect to another origin loses the header: fetch sees to that.
        const headers = { accept, ...(mine ? { authorization: this.#authorization! } : {}) }
        response = await fetch(target, { ...init, headers })
        return response
      },
    })
    const { status, body } = await transport.fetch(url, PAGE_BYTES_MAX)
    if (status !== 200) {
      await body.cancel()
      throw new CommandError(`${url} is answered ${status}.`)
    }
    return { response: response!, body }
  }
}

/** What the network failed to bring is asked for again; what came and is wrong, too: it may have been cut on the way. */
async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let left = TRIES; ; left--) {
    try {
      return await work()
    } catch (error) {
      if (left <= 1) throw error
      await new Promise((again) => setTimeout(again, 500 * (TRIES - left + 1)))
    }
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
