// The TUF clients of the demo. Each has a folder of its own that starts with nothing but the trusted root and is kept from
// step to step: what a client saw before is how it notices that it is shown something older.
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { initStore } from '../tuf/client.ts'
import { TufError } from '../tuf/errors.ts'
import type { Relay } from './demo-servers.ts'
import type { Outcome } from './demo-steps.ts'
import { clientOf } from './fetch.ts'
import { fileStore } from './file-store.ts'

export interface Witness {
  name: string
  /** The target's verified bytes from the index at `base`. @throws what the client throws */
  read(base: string, path: string): Promise<Uint8Array>
  /** What an error of this client means. */
  explain(error: unknown): Outcome
}

export async function ownWitness(folder: string, root: Uint8Array): Promise<Witness> {
  await initStore(fileStore(folder), root)
  return {
    name: 'our TUF client',
    async read(base, path) {
      const client = clientOf(base, folder)
      const info = await client.targetInfo(path)
      if (!info) throw new Error(`There is no target ${path}.`)
      return client.download(info)
    },
    explain(error) {
      if (!(error instanceof TufError)) return { verdict: 'failed', detail: messageOf(error) }
      const failed = error.code === 'download' || error.code === 'usage'
      return { verdict: failed ? 'failed' : 'refused by the client', detail: error.message }
    },
  }
}

/** Errors by which tuf-js refuses what it was given; every other one is a failure that proves nothing. */
const TUF_JS_REFUSALS =
  /^(?:Repository|BadVersion|EqualVersion|ExpiredMetadata|DownloadLengthMismatch|LengthOrHashMismatch|UnsignedMetadata)Error$/
/** Of a delegated role it says this in a RuntimeError, whatever was the matter. */
const TUF_JS_ROLE_REFUSED = /^Unable to load .* error (?!Error: Failed to download)/

/** tuf-js, written by other people: an independent witness. Undefined where it is not installed. */
export async function tufJsWitness(folder: string, root: Uint8Array): Promise<Witness | undefined> {
  let library: typeof import('tuf-js')
  try {
    library = await import('tuf-js')
  } catch {
    return undefined
  }
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'root.json'), root)
  return {
    name: 'tuf-js',
    async read(base, path) {
      const updater = new library.Updater({
        metadataDir: folder,
        metadataBaseUrl: `${base}/tuf/`,
        // A new folder each time: a target that was downloaded before would not be asked for again.
        targetDir: mkdtempSync(join(folder, 'targets-')),
        targetBaseUrl: `${base}/tuf/targets/`,
        config: { fetchRetries: 0, fetchRetry: 0 },
      })
      await updater.refresh()
      const info = await updater.getTargetInfo(path)
      if (!info) throw new Error(`There is no target ${path}.`)
      return new Uint8Array(readFileSync(await updater.downloadTarget(info)))
    },
    explain(error) {
      const detail = messageOf(error)
      if (!(error instanceof Error)) return { verdict: 'failed', detail }
      const refused = TUF_JS_REFUSALS.test(error.constructor.name) || TUF_JS_ROLE_REFUSED.test(error.message)
      return { verdict: refused ? 'refused by the client' : 'failed', detail }
    },
  }
}

/** Reads a target and compares it with what was published. */
export async function askWitness(witness: Witness, base: string, path: string, genuine: Uint8Array): Promise<Outcome> {
  try {
    const bytes = await witness.read(base, path)
    return Buffer.compare(bytes, genuine) === 0
      ? { verdict: 'genuine', detail: `${bytes.length} bytes, as published` }
      : { verdict: 'altered', detail: 'it took bytes that nobody published' }
  } catch (error) {
    return witness.explain(error)
  }
}

/** The same through a relay that knows what the index answered: clients say little of it, or nothing. */
export async function askThrough(witness: Witness, relay: Relay, path: string, genuine: Uint8Array): Promise<Outcome> {
  relay.takeRefusals()
  const outcome = await askWitness(witness, relay.url, path, genuine)
  const refusal = relay.takeRefusals().find((line) => line.startsWith('503 '))
  if (outcome.verdict !== 'failed' || refusal === undefined) return outcome
  return { verdict: 'refused by the service', detail: `the index said ${refusal}` }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? `${error.constructor.name}: ${error.message}` : String(error)
