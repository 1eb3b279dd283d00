// tuf-js as an independent client with a state folder of its own: keep it to have a warm client.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Updater } from 'tuf-js'

export class WarmClient {
  readonly #folder: string
  readonly #base: string

  constructor(folder: string, base: string, rootFile: string) {
    this.#folder = mkdtempSync(join(folder, 'client-'))
    this.#base = base
    mkdirSync(this.#folder, { recursive: true })
    if (!existsSync(join(this.#folder, 'root.json'))) copyFileSync(rootFile, join(this.#folder, 'root.json'))
  }

  /** Refreshes and downloads a target; undefined when the repository has none of that name. @throws what tuf-js throws */
  async read(path: string): Promise<Uint8Array | undefined> {
    const targetDir = mkdtempSync(join(this.#folder, 'targets-'))
    const updater = new Updater({
      metadataDir: this.#folder,
      metadataBaseUrl: `${this.#base}/tuf/`,
      targetDir,
      targetBaseUrl: `${this.#base}/tuf/targets/`,
      config: { fetchRetry: 0 } as never,
    })
    await updater.refresh()
    const info = await updater.getTargetInfo(path)
    return info && new Uint8Array(readFileSync(await updater.downloadTarget(info)))
  }

  /** Where it keeps what it trusts. */
  get folder(): string {
    return this.#folder
  }

  /** Version of the snapshot that the last `read` trusted. */
  snapshot(): number {
    return JSON.parse(readFileSync(join(this.#folder, 'snapshot.json'), 'utf8')).signed.version
  }
}
