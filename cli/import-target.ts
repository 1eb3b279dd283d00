// What the index being filled has already. State: a page a project, asked for once; what was sent and is not seen yet.
// Invariant: a file counts as there only by its digest on the page, which is signed state, never by a name.
//
// A yank is one call, and is over when every reader sees it; six under way at a time share publications.
import { readForeignPage } from '../pypi/foreign-page.ts'
import { ApiError, apiUrl, callApi } from './api.ts'
import { persist } from './upload-form.ts'

/** A queue of the most that may wait is published in 20 s (STAGED_MAX); this long without any progress is a fault. */
const STILL_MS = 120_000
const LOOK_MS = 500

/** A file as its signed page has it. */
export interface FileThere {
  readonly sha256: string
  readonly yanked: boolean | string
}

export class ImportTarget {
  readonly #base: string
  readonly #token: string
  readonly #pages = new Map<string, Promise<Map<string, FileThere>>>()
  /** Project → file name → digest. */
  readonly #awaited = new Map<string, Map<string, string>>()

  constructor(base: string, token: string) {
    this.#base = base
    this.#token = token
  }

  /** The file of that name, or undefined. */
  async has(project: string, filename: string): Promise<FileThere | undefined> {
    let page = this.#pages.get(project)
    if (!page) {
      page = this.#page(project)
      this.#pages.set(project, page)
    }
    return (await page).get(filename)
  }

  /** Yanks the file, with or without a reason, or takes its yank back. */
  async yank(project: string, filename: string, yanked: boolean | string): Promise<void> {
    const path = `/api/projects/${project}/files/${encodeURIComponent(filename)}/yank`
    const body = typeof yanked === 'string' ? { reason: yanked } : {}
    await persist(() =>
      yanked === false
        ? callApi(this.#base, 'DELETE', path, { token: this.#token })
        : callApi(this.#base, 'PUT', path, { token: this.#token, body }),
    )
  }

  /** The file was accepted, and is to be seen before the import is over. */
  await(project: string, filename: string, sha256: string): void {
    const files = this.#awaited.get(project) ?? new Map<string, string>()
    this.#awaited.set(project, files.set(filename, sha256))
  }

  /** Waits until all of it is seen. @returns file names that are not, after a long time without progress */
  async settle(progress: (left: number) => void): Promise<string[]> {
    let moved = Date.now()
    for (;;) {
      for (const [project, files] of this.#awaited) {
        const page = await this.#page(project)
        for (const [filename, sha256] of files)
          if (page.get(filename)?.sha256 === sha256) {
            files.delete(filename)
            moved = Date.now()
          }
        if (files.size === 0) this.#awaited.delete(project)
        progress(this.#left().length)
      }
      if (this.#awaited.size === 0 || Date.now() - moved > STILL_MS) return this.#left()
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  #left(): string[] {
    return [...this.#awaited.values()].flatMap((files) => [...files.keys()])
  }

  async #page(project: string): Promise<Map<string, FileThere>> {
    const url = apiUrl(this.#base, `/simple/${project}/`).href
    const headers = {
      accept: 'application/vnd.pypi.simple.v1+json',
      authorization: `Bearer ${this.#token}`,
    }
    return persist(async () => {
      const answer = await fetch(url, { headers })
      const text = await answer.text()
      if (answer.status === 404) return new Map()
      if (!answer.ok) throw new ApiError(answer.status, text.trim())
      const files = readForeignPage(text, answer.headers.get('content-type') ?? '', url)
      return new Map(
        files.map(({ filename, hashes, yanked = false }) => [filename, { sha256: hashes.get('sha256') ?? '', yanked }]),
      )
    })
  }
}
