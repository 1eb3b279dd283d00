// Writers and pollers of one index, over HTTP and nothing else: what they were answered is kept, for the judge.
//
// Each writer sends one new file after another and reads at once after each 200. What got no answer is sent again, the same
// bytes, when the service is back. Pollers keep what they trust for as long as they live, across any number of kills.
import { readFileSync } from 'node:fs'
import { ApiError } from '../../cli/api.ts'
import { uploadFile } from '../../cli/upload.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { shardOf } from '../../tuf/bins.ts'
import { Client, initStore, type Store } from '../../tuf/client.ts'
import { webTransport } from '../../tuf/transport.ts'
import { WarmClient } from '../e2e/client.ts'
import { sha256Of } from './history.ts'
import type { Answer } from './judge.ts'

/** A page with more files than a young project has would measure rendering, and rows of answers only get longer. */
const FILES_A_PROJECT = 40
const FORMS = [
  ['json', 'application/vnd.pypi.simple.v1+json'],
  ['html', 'text/html'],
] as const

interface File {
  project: string
  version: string
  filename: string
  bytes: Uint8Array
  sha256: string
  path: string
}

export interface Place {
  url: string
  /** May upload and make projects. */
  token: string
  rootFile: string
  /** For the state of clients. */
  folder: string
}

export class Traffic {
  readonly answers: Answer[] = []
  /** Everything answered 200 or 202. */
  readonly acknowledged: File[] = []
  /** Sent and not answered; those of the last round are sent again by the next. */
  unanswered = 0
  /** What no reader and no writer of a running service may meet. */
  readonly failures: string[] = []
  readonly #place: Place
  readonly #writers: string[]
  readonly #again = new Map<string, File>()
  readonly #count = new Map<string, number>()
  readonly #pollers: ((ends: () => boolean) => Promise<void>)[]
  #down = false

  constructor(place: Place, writers = 8) {
    this.#place = place
    this.#writers = Array.from({ length: writers }, (_, i) => `writer-${i}`)
    this.#pollers = [
      ...FORMS.map((form) => this.#plainPoller(`plain ${form[0]}`, [form])),
      this.#plainPoller('plain mixed', FORMS),
      this.#ownPoller('tuf-edge client'),
      this.#foreignPoller('tuf-js'),
    ]
  }

  /** Writes and reads until `ends`; resolves when nobody is under way any more. */
  async run(ends: () => boolean): Promise<void> {
    this.#down = false
    await Promise.all([
      ...this.#writers.map((who) => this.#write(who, ends)),
      ...this.#pollers.map((poll) => poll(ends)),
    ])
  }

  /** From now until the next `run`, an answer that does not come is nobody's failure. */
  expectDown(): void {
    this.#down = true
  }

  async #write(who: string, ends: () => boolean): Promise<void> {
    while (!ends() && !this.#down) {
      const file = this.#again.get(who) ?? this.#next(who)
      const begun = performance.now()
      const status = await this.#send(file)
      if (status !== 200 && status !== 202) {
        this.#again.set(who, file)
        this.unanswered++
        if (status !== 0 && status < 500) this.failures.push(`${who}: ${file.filename} was answered ${status}`)
        continue
      }
      this.#again.delete(who)
      this.acknowledged.push(file)
      const { path, sha256 } = file
      if (status !== 200) continue
      this.#note(who, `200 for ${file.filename}`, begun, { kind: 'upload', path, sha256 })
      await this.#guarded(who, async () => {
        const text = await this.#page(who, file.project, FORMS[file.filename.length % FORMS.length]!)
        if (!text.includes(file.filename)) throw new Error(`the next read does not name ${file.filename}`)
      })
    }
  }

  /** 0: no answer. */
  async #send({ project, version, filename, bytes }: File): Promise<number> {
    const { url: base, token } = this.#place
    try {
      return await uploadFile({ base, token, name: project, version, filename, bytes })
    } catch (error) {
      return error instanceof ApiError ? error.status : 0
    }
  }

  #next(who: string): File {
    const made = this.#count.get(who) ?? 0
    this.#count.set(who, made + 1)
    const project = `${who}-${Math.floor(made / FILES_A_PROJECT)}`
    const version = `1.${made}`
    const files = { [`${project.replaceAll('-', '_')}.py`]: `VERSION = '${version}'\n` }
    const { filename, bytes } = buildWheel({ name: project, version, summary: 'a test', files })
    const path = `files/${shardOf(project)}/${project}/${filename}`
    return { project, version, filename, bytes, sha256: sha256Of(bytes), path }
  }

  #plainPoller(who: string, forms: readonly (typeof FORMS)[number][]) {
    return (ends: () => boolean) =>
      this.#poll(who, ends, async (turn) => {
        const form = forms[turn % forms.length]!
        await this.#page(who, turn % 3 === 0 ? undefined : this.#someProject(turn), form)
      })
  }

  #ownPoller(who: string) {
    const files = new Map<string, Uint8Array>()
    const store: Store = {
      get: async (file) => files.get(file),
      put: async (file, bytes) => void files.set(file, bytes),
    }
    const { url, rootFile } = this.#place
    return async (ends: () => boolean) => {
      if (files.size === 0) await initStore(store, readFileSync(rootFile))
      await this.#poll(who, ends, async (turn) => {
        const options = {
          store,
          transport: webTransport(),
          metadataUrl: `${url}/tuf/`,
          targetsUrl: `${url}/tuf/targets/`,
        }
        const client = new Client(options)
        const begun = performance.now()
        await client.refresh()
        const { version } = client.trusted!.snapshot!.signed
        this.#note(who, `snapshot ${version}`, begun, { kind: 'snapshot', version })
        const path = pagePath(this.#someProject(turn), FORMS[turn % 2]![0])
        const info = await client.targetInfo(path)
        if (!info) return
        const sha256 = sha256Of(await client.download(info))
        this.#note(who, path, begun, { kind: 'within', version, path, sha256 })
      })
    }
  }

  #foreignPoller(who: string) {
    const { url, rootFile, folder } = this.#place
    const client = new WarmClient(folder, url, rootFile)
    return (ends: () => boolean) =>
      this.#poll(who, ends, async (turn) => {
        const begun = performance.now()
        const path = pagePath(this.#someProject(turn), FORMS[turn % 2]![0])
        const bytes = await client.read(path)
        const version = client.snapshot()
        this.#note(who, `snapshot ${version}`, begun, { kind: 'snapshot', version })
        if (bytes) this.#note(who, path, begun, { kind: 'within', version, path, sha256: sha256Of(bytes) })
      })
  }

  async #poll(who: string, ends: () => boolean, once: (turn: number) => Promise<void>): Promise<void> {
    for (let turn = 0; !ends() && !this.#down; turn++) await this.#guarded(who, () => once(turn))
  }

  /** Whatever goes wrong while the service runs is a failure. */
  async #guarded(who: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (this.#down) return
      // The error may have come a moment before whoever killed the service could say so.
      await new Promise((resolve) => setTimeout(resolve, 50))
      if (!this.#down) this.failures.push(`${who}: ${error instanceof Error ? error.message : error}`)
    }
  }

  /** One page or, without a project, the list, as pip reads it. */
  async #page(who: string, project: string | undefined, [form, accept]: (typeof FORMS)[number]): Promise<string> {
    const begun = performance.now()
    const answer = await fetch(`${this.#place.url}/simple/${project === undefined ? '' : `${project}/`}`, {
      headers: { accept },
    })
    const bytes = new Uint8Array(await answer.arrayBuffer())
    const text = new TextDecoder().decode(bytes)
    const path = pagePath(project, form)
    if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status}: ${text.slice(0, 200)}`)
    const serial = Number(/"_last-serial":(\d+)|<!--SERIAL (\d+)-->/.exec(text)?.slice(1).find(Boolean))
    this.#note(who, path, begun, { kind: 'target', path, sha256: sha256Of(bytes), serial })
    return text
  }

  /** A project that exists for certain: its file was answered 200. */
  #someProject(turn: number): string {
    const { acknowledged } = this
    const recent = acknowledged.slice(-2 * this.#writers.length)
    return recent[turn % Math.max(recent.length, 1)]?.project ?? 'hello-tuf-edge'
  }

  #note(who: string, what: string, begun: number, shows: Answer['shows']): void {
    this.answers.push({ who, what, begun, ended: performance.now(), shows })
  }
}

export function pagePath(project: string | undefined, form: 'json' | 'html'): string {
  const folder = project === undefined ? 'simple' : `simple/${shardOf(project)}/${project}`
  return `${folder}/vnd.pypi.simple.v1.${form}`
}
