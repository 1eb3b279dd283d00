// Fills the ledger of a stopped service. The seeding publisher runs on the service's folder in place of the real one;
// afterwards the product is started on that folder, unchanged. 100,000 targets through uploads would take half an hour.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import { StateFolder } from '../cli/state-folder.ts'
import { Http } from './http.ts'
import { freePort } from './place.ts'

/** Files of a seeded project; with its two pages it has ten targets. */
export const FILES = 8
export const TARGETS_OF_PROJECT = FILES + 2
/** Projects of one transaction. */
const BATCH = 500

export const seededProject = (i: number): string => `seed-${i}`

/** Adds projects until the ledger in `folder` holds `targets` seeded ones. */
export async function seed(folder: string, targets: number): Promise<void> {
  const state = new StateFolder(folder)
  const { wrappingSecret, bootstrapSecret } = state.secrets()
  const port = await freePort()
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      log: new Log(LogLevel.ERROR),
      resourcePersistencePath: state.runtime,
      workers: [
        {
          name: 'tuf-edge-publisher',
          modules: [{ type: 'ESModule', path: 'index.mjs', contents: await seedScript() }],
          compatibilityDate: '2026-10-15',
          compatibilityFlags: ['no_nodejs_compat'],
          r2Buckets: { BUCKET: 'tuf-edge' },
          durableObjects: { PUBLISHER: { className: 'Publisher', useSQLite: true } },
          bindings: { WRAPPING_SECRET: wrappingSecret, BOOTSTRAP_SECRET: bootstrapSecret, FLIP_INTERVAL_MS: '0' },
          unsafeDirectSockets: [{ host: '127.0.0.1', port }],
        },
      ],
    }),
  )
  try {
    await miniflare.ready
    const http = new Http(`http://127.0.0.1:${port}`, 1)
    const projects = targets / TARGETS_OF_PROJECT
    for (let from = 0; from < projects; from += BATCH) {
      const body = JSON.stringify({ from, to: Math.min(projects, from + BATCH), files: FILES })
      const answer = await http.send({ method: 'POST', path: '/', body: [Buffer.from(body)] })
      if (answer.status !== 200) throw new Error(`Seeding was answered ${answer.status}: ${answer.bytes}`)
    }
    http.close()
  } finally {
    await miniflare.dispose()
  }
}

async function seedScript(): Promise<string> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL('workerd/seed-worker.ts', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2024',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*'],
    logLevel: 'warning',
  })
  return result.outputFiles[0]!.text
}
