// Our own service under test: a free port and a folder of its own, started as `npm start` starts it.
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { TestContext } from 'vitest'
import type { Bucket } from '../../cli/runtime.ts'
import { type LocalService, startService } from '../../cli/serve.ts'
import { uploadFile } from '../../cli/upload.ts'
import { type BuiltFile, buildWheel } from '../../cli/wheel.ts'
import { freePort, temporaryFolder } from '../e2e/process.ts'

export interface SimplePage {
  files: { filename: string; url: string; hashes: { sha256: string }; yanked: boolean | string }[]
}

export class Service {
  /** Where it runs: `.tuf-edge` is in it, as beside a person who typed `npm start`. */
  readonly folder: string
  readonly #port: number
  readonly #remove: () => void
  /** Lines it has logged. */
  readonly log: string[] = []
  #isPrivate = false
  #running: LocalService | undefined

  private constructor(port: number, folder: ReturnType<typeof temporaryFolder>) {
    this.#port = port
    this.folder = folder.path
    this.#remove = folder.remove
  }

  /** @param options.settings variables and secrets of the publisher that only a deployment sets */
  static async start(
    options: { isPrivate?: boolean; settings?: Readonly<Record<string, string>> } = {},
  ): Promise<Service> {
    const service = new Service(await freePort(), temporaryFolder())
    service.#isPrivate = options.isPrivate ?? false
    const { settings } = options
    const words = `constructor(state, env) { super(state, { ...env, ...${JSON.stringify(settings)} }) }`
    await service.#start(settings && service.#entry('settings', words))
    return service
  }

  async #start(publisherEntry?: string): Promise<void> {
    const onLog = (line: string) => this.log.push(line)
    this.#running = await startService(this.#port, join(this.folder, '.tuf-edge'), {
      onLog,
      isPrivate: this.#isPrivate,
      ...(publisherEntry === undefined ? {} : { publisherEntry }),
    })
  }

  /** Down and up again, over the same folder. */
  async restart(): Promise<void> {
    await this.#halt()
    await this.#start()
  }

  /** The same, with a publisher that believes it is so much later. Clients and face keep the true time. */
  async restartLater(ms: number): Promise<void> {
    await this.#halt()
    await this.#start(this.#entry(String(ms), `override clock = () => Date.now() + ${ms}`))
  }

  /** The source of a publisher that differs by `words` in its class. */
  #entry(name: string, words: string): string {
    const entry = join(this.folder, `publisher-${name}.ts`)
    const index = JSON.stringify(resolve('durable-objects/index.ts'))
    writeFileSync(
      entry,
      `import { Publisher as Real } from ${index}
export * from ${index}
export { default } from ${index}
export class Publisher extends Real {
  ${words}
}
`,
    )
    return entry
  }

  async stop(): Promise<void> {
    await this.#halt()
    this.#remove()
  }

  async #halt(): Promise<void> {
    await this.#running?.runtime.stop()
    this.#running?.folder.release()
    this.#running = undefined
  }

  /** To be called by a test: if it fails, what the service has to say is printed. Tools show a 503 as a bare number. */
  explain(context: TestContext): void {
    const from = this.log.length
    context.onTestFailed(({ task }) => {
      const said = this.log.slice(from).filter((line) => line.startsWith('{'))
      process.stderr.write(`${task.name}: the service logged ${said.length} lines\n${said.slice(-20).join('\n')}\n`)
    })
  }

  get #service(): LocalService {
    if (!this.#running) throw new Error('The service is down.')
    return this.#running
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  get simple(): string {
    return `${this.url}/simple/`
  }

  get legacy(): string {
    return `${this.url}/legacy/`
  }

  get bootstrapSecret(): string {
    return this.#service.folder.secrets().bootstrapSecret
  }

  get tokens(): LocalService['tokens'] {
    return this.#service.tokens
  }

  get bucket(): Bucket {
    return this.#service.runtime.bucket
  }

  /** The only thing a TUF client is given. */
  get root(): Uint8Array {
    return new Uint8Array(readFileSync(this.#service.folder.rootFile))
  }

  /** Publishes a wheel of one module, without any tool. */
  async publish(
    name: string,
    version: string,
    options: { text?: string; metadata?: string[] } = {},
  ): Promise<BuiltFile> {
    const { text = `${name} ${version}`, metadata = [] } = options
    const files = { [`${name.replaceAll('-', '_')}.py`]: `text = ${JSON.stringify(text)}\n` }
    const wheel = buildWheel({ name, version, summary: 'A sample', metadata, files })
    await this.upload(name, version, wheel)
    return wheel
  }

  async upload(
    name: string,
    version: string,
    { filename, bytes }: Pick<BuiltFile, 'filename' | 'bytes'>,
  ): Promise<void> {
    await uploadFile({ base: this.url, token: this.tokens.upload, name, version, filename, bytes })
  }

  /** The project's page as pip reads it; undefined if there is none. */
  async page(project: string): Promise<SimplePage | undefined> {
    const accept = 'application/vnd.pypi.simple.v1+json'
    const authorization = `Bearer ${this.tokens.read}`
    const answer = await fetch(`${this.simple}${project}/`, { headers: { accept, authorization } })
    if (answer.status === 404) return undefined
    if (!answer.ok) throw new Error(`${project}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as SimplePage
  }

  /** Names of all projects. */
  async projects(): Promise<string[]> {
    const answer = await fetch(this.simple, { headers: { accept: 'application/vnd.pypi.simple.v1+json' } })
    return ((await answer.json()) as { projects: { name: string }[] }).projects.map(({ name }) => name)
  }
}
