// One tuf-edge of its own for a scenario, started as `npm start` starts it, and what can be read off it from outside.
import { readFileSync } from 'node:fs'
import { callApi } from '../cli/api.ts'
import type { Bucket } from '../cli/runtime.ts'
import { startService } from '../cli/serve.ts'
import type { Send } from './http.ts'
import { freePort, temporaryFolder } from './place.ts'
import { basic, type Distribution, uploadOf } from './uploads.ts'

export interface Options {
  /** Milliseconds between two flips; 0 unless the scenario is about it. */
  flipIntervalMs?: number
  inspectorPort?: number
  /** A folder that has a service's state already; it is the caller's to remove. */
  folder?: string
}

export interface Service {
  url: string
  bucket: Bucket
  /** Root that a TUF client is given. */
  root: Uint8Array
  /** The request that uploads a file here. */
  upload(file: Distribution): Send
  status(): Promise<Status>
  stop(): Promise<void>
}

export interface Status {
  files: number
  staged: number
  live: { timestamp: number; snapshot: number; publication: number }
}

export async function startBench({ folder, ...rest }: Options = {}): Promise<Service> {
  const place = folder === undefined ? temporaryFolder() : { path: folder, remove: () => {} }
  const options: { flipIntervalMs?: number } & Options = rest
  const service = await startService(await freePort(), place.path, options)
  const { runtime, tokens } = service
  await readable(runtime.url)
  const authorization = basic('__token__', tokens.upload)
  return {
    url: runtime.url,
    bucket: runtime.bucket,
    root: readFileSync(service.folder.rootFile),
    upload: (file) => uploadOf(file, '/legacy/', authorization),
    status: () => callApi<Status>(runtime.url, 'GET', '/api/status', { token: tokens.admin }),
    async stop() {
      await runtime.stop()
      service.folder.release()
      place.remove()
    },
  }
}

/** A face that was asked before the ceremony remembers for a second that there was nothing. */
async function readable(url: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const answer = await fetch(`${url}/simple/`)
    await answer.arrayBuffer()
    if (answer.ok) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('The service did not become readable.')
}

/** Objects by kind. `timestamp` is the number of times that the one mutable key was written. */
export interface Puts {
  blobs: number
  metadata: number
  pages: number
  roles: number
  timestamp: number
  total: number
  /** Snapshots among `roles`: one a publication. */
  publications: number
  keys: string[]
}

/**
 * Successful puts so far. Every key but the timestamp's is written once and nothing is deleted within the grace, so the
 * number of keys is the number of puts; the timestamp's puts are its version.
 */
export async function countPuts({ bucket, status }: Service): Promise<Puts> {
  const keys = (await bucket.list('r/main/')).filter((key) => !key.endsWith('/timestamp.json'))
  const count = (pattern: RegExp) => keys.filter((key) => pattern.test(key)).length
  const timestamp = (await status()).live.timestamp
  return {
    blobs: count(/\/blobs\/[0-9a-f]{64}\/\d+$/),
    metadata: count(/\/blobs\/.*\.metadata$/),
    pages: count(/\/pages\//),
    roles: count(/\/tuf\/\d+\./),
    timestamp,
    total: keys.length + timestamp,
    publications: count(/\.snapshot\.json$/),
    keys,
  }
}

export function putsBetween(before: Puts, after: Puts): Puts {
  const known = new Set(before.keys)
  return {
    blobs: after.blobs - before.blobs,
    metadata: after.metadata - before.metadata,
    pages: after.pages - before.pages,
    roles: after.roles - before.roles,
    timestamp: after.timestamp - before.timestamp,
    total: after.total - before.total,
    publications: after.publications - before.publications,
    keys: after.keys.filter((key) => !known.has(key)),
  }
}

/** Waits until nothing accepted is still to be published. @throws after a minute */
export async function settled({ status }: Service): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if ((await status()).staged === 0) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('Accepted files were still not published after a minute.')
}
