// What the demo's steps share: the running service, the servers beside it, who installs and who verifies.
// Invariant: whatever was started, or is still starting, ends with `stop`.
import { appendFileSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { binOfPath } from '../tuf/bins.ts'
import { bucketPrefix, type Place, timestampKey } from '../tuf/layout.ts'
import { PROFILE } from './ceremony.ts'
import { makeRelease, PROJECTS, publish, type Release } from './demo-packages.ts'
import { plainFetch } from './demo-plain.ts'
import { type Installer, type Python, preparePython } from './demo-python.ts'
import { type LocalServer, type Relay, startMirror, startRelay } from './demo-servers.ts'
import type { Witness } from './demo-witnesses.ts'
import { pagePath } from './fetch.ts'
import { type LocalService, startService } from './serve.ts'

/** Where the service of this machine keeps its objects. */
export const DEMO_PLACE: Place = { repository: 'main', epoch: 1 }

type Form = 'json' | 'html'

/** What the steps share; each field is there once the step that makes it is over. */
export class Stage {
  readonly folder: string
  readonly signal: AbortSignal
  service!: LocalService
  mirror!: LocalServer
  /** What installers go through; it alters nothing. */
  relay!: Relay
  /** The same for TUF clients. */
  tufRelay!: Relay
  python!: Python | string
  witnesses!: Witness[]
  releases!: Record<keyof typeof PROJECTS, Release>
  /** The timestamp as it was before the newest releases. */
  oldTimestamp!: Uint8Array
  /** Objects as they were before an attack. */
  readonly kept = new Map<string, Uint8Array>()
  /** Keys that were in the bucket before the newest releases. */
  #earlier: ReadonlySet<string> = new Set()
  #starting: Promise<LocalService> | undefined
  #preparing: Promise<Python | string> | undefined

  constructor(folder: string, signal: AbortSignal) {
    this.folder = folder
    this.signal = signal
  }

  get url(): string {
    return this.service.runtime.url
  }

  get root(): Uint8Array {
    return new Uint8Array(readFileSync(this.service.folder.rootFile))
  }

  get installer(): Installer {
    return typeof this.python === 'string' ? plainFetch : this.python.pip
  }

  async start(): Promise<void> {
    // Making a virtual environment takes seconds: it goes on beside the first steps.
    this.#preparing = preparePython(join(this.folder, 'python'), this.signal)
    // The service logs every refusal; beside the story that would be said twice.
    const log = join(this.folder, 'service.log')
    const onLog = (line: string) => appendFileSync(log, `${line}\n`)
    this.#starting = freePort().then((port) => startService(port, join(this.folder, 'service'), { onLog }))
    this.service = await this.#starting
    this.mirror = await startMirror(this.service.runtime.bucket, DEMO_PLACE)
    this.relay = await startRelay(this.url)
    this.tufRelay = await startRelay(this.url)
  }

  async publishAll(): Promise<void> {
    const { bucket } = this.service.runtime
    const release = (version: string) => (project: string) => makeRelease(project, version)
    const names = Object.values(PROJECTS)
    for (const first of names.map(release('1.0'))) await publish(this.url, this.service.tokens.upload, first)
    this.oldTimestamp = (await bucket.get(timestampKey(DEMO_PLACE)))!
    this.#earlier = new Set(await bucket.list(bucketPrefix(DEMO_PLACE)))
    const second = Object.entries(PROJECTS).map(([key, name]) => [key, release('1.1')(name)] as const)
    for (const [, newest] of second) await publish(this.url, this.service.tokens.upload, newest)
    this.releases = Object.fromEntries(second) as Stage['releases']
  }

  async waitForPython(): Promise<void> {
    this.python = await this.#preparing!
  }

  /** Keys of a project's pages: in the publication of its first release, and in the present one. */
  async pagesOf(project: string): Promise<{ earlier: Map<Form, string>; present: Map<Form, string> }> {
    const folder = pagePath(project).replace(/[^/]*$/, '')
    const keys = await this.service.runtime.bucket.list(`${bucketPrefix(DEMO_PLACE)}pages/${folder}`)
    const byForm = (some: string[]) =>
      new Map(some.map((key) => [key.endsWith('.json') ? 'json' : 'html', key] as [Form, string]))
    return {
      earlier: byForm(keys.filter((key) => this.#earlier.has(key))),
      present: byForm(keys.filter((key) => !this.#earlier.has(key))),
    }
  }

  /** Keys of the signed list that holds a release: its newest version, and the one before. */
  async binsOf({ path }: Release): Promise<{ earlier: string; present: string }> {
    const ending = `.${binOfPath(PROFILE, path)}.json`
    const prefix = `${bucketPrefix(DEMO_PLACE)}tuf/`
    const versions = (await this.service.runtime.bucket.list(prefix))
      .filter((key) => key.endsWith(ending))
      .map((key) => Number(key.slice(prefix.length, -ending.length)))
      .sort((a, b) => b - a)
    const [present, earlier] = versions.map((version) => `${prefix}${version}${ending}`)
    if (!present || !earlier) throw new Error(`There are no two versions of ${ending.slice(1)}.`)
    return { earlier, present }
  }

  /** Ends everything that was started, also what was still starting. */
  async stop(): Promise<void> {
    const service = await this.#starting?.catch(() => undefined)
    await this.#preparing?.catch(() => undefined)
    for (const server of [this.relay, this.tufRelay, this.mirror]) await server?.stop()
    await service?.runtime.stop()
    service?.folder.release()
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as { port: number }
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}
