// The whole service in one process: both scripts in workerd, bucket and ledger in a folder, a direct socket on loopback.
// The only file that touches miniflare. A direct socket is used because the development proxy in front of it would open
// a SQL console on the index's own port and compress answers under an unchanged ETag.
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import { bundle } from './bundle.ts'

/** The watchdog's cron, as in durable-objects/wrangler.toml: every five minutes. Local runtimes never fire it. */
const CRON = '*/5 * * * *'
const CRON_MS = 300_000
const COMPATIBILITY = { compatibilityDate: '2026-10-15', compatibilityFlags: ['no_nodejs_compat'] }

export interface RuntimeOptions {
  port: number
  /** Everything the service keeps lies below this folder. */
  folder: string
  wrappingSecret: string
  bootstrapSecret: string
  /** Milliseconds; 0 locally, where no bucket limits writes to a key. */
  flipIntervalMs?: number
  /** Opens workerd's inspector on this port, for measuring memory. */
  inspectorPort?: number
  /** Source file of the publisher script, where it is not our own: one that exports the same and more. */
  publisherEntry?: string
  /** Takes what the service logs; without it that goes to this process's own output. */
  onLog?: (line: string) => void
}

export interface Runtime {
  url: string
  /** The bucket, for what a person with its token could do; null where the object is missing. */
  bucket: Bucket
  /** Runs the watchdog once. */
  watchdog(): Promise<void>
  stop(): Promise<void>
}

export interface Bucket {
  get(key: string): Promise<Uint8Array | null>
  put(key: string, bytes: Uint8Array): Promise<void>
  delete(key: string): Promise<void>
  list(prefix: string): Promise<string[]>
}

/** Starts workerd and answers when it listens. @throws if the port is taken or workerd does not start. */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const { onLog } = options
  const [face, publisher] = [await bundle('face'), await bundle('publisher', options.publisherEntry)]
  const module = (contents: string) => [{ type: 'ESModule' as const, path: 'index.mjs', contents }]
  const door = (entrypoint: string) => ({ name: 'tuf-edge-publisher', entrypoint })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const ours = new Map(signals.map((signal) => [signal, process.listeners(signal)]))
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      log: new Log(LogLevel.ERROR),
      resourcePersistencePath: options.folder,
      ...(onLog && { handleStructuredLogs: ({ message }: { message: string }) => onLog(message) }),
      ...(options.inspectorPort === undefined ? {} : { inspectorPort: options.inspectorPort }),
      workers: [
        {
          name: 'tuf-edge',
          modules: module(face.code),
          ...COMPATIBILITY,
          r2Buckets: { BUCKET: 'tuf-edge' },
          serviceBindings: { PUBLIC: door('Public'), MEMBER: door('Member') },
          unsafeDirectSockets: [{ host: '127.0.0.1', port: options.port }],
        },
        {
          name: 'tuf-edge-publisher',
          modules: module(publisher.code),
          ...COMPATIBILITY,
          r2Buckets: { BUCKET: 'tuf-edge' },
          durableObjects: { PUBLISHER: { className: 'Publisher', useSQLite: true } },
          bindings: {
            WRAPPING_SECRET: options.wrappingSecret,
            BOOTSTRAP_SECRET: options.bootstrapSecret,
            FLIP_INTERVAL_MS: String(options.flipIntervalMs ?? 0),
          },
        },
      ],
    }),
  )
  await miniflare.ready
  // It would end this process on the first signal, before the service has stopped and said so.
  for (const signal of signals)
    for (const listener of process.listeners(signal))
      if (!ours.get(signal)?.includes(listener)) process.removeListener(signal, listener)
  const watchdog = async () => {
    const worker = (await miniflare.getWorker('tuf-edge-publisher')) as unknown as Scheduled
    await worker.scheduled({ cron: CRON })
  }
  const timer = setInterval(() => void watchdog().catch(() => {}), CRON_MS)
  return {
    url: `http://127.0.0.1:${options.port}`,
    bucket: await openBucket(miniflare),
    watchdog,
    async stop() {
      clearInterval(timer)
      await miniflare.dispose()
    },
  }
}

// miniflare types these with the types of a Worker, which a Node program does not load; this is what is used of them.
interface Scheduled {
  scheduled(options: { cron: string }): Promise<unknown>
}
interface R2 {
  get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>
  put(key: string, bytes: Uint8Array): Promise<unknown>
  delete(key: string): Promise<void>
  list(options: {
    prefix: string
    cursor?: string
  }): Promise<{ objects: { key: string }[] } & ({ truncated: true; cursor: string } | { truncated: false })>
}

async function openBucket(miniflare: Miniflare): Promise<Bucket> {
  const r2 = (await miniflare.getR2Bucket('BUCKET', 'tuf-edge')) as unknown as R2
  return {
    async get(key) {
      const object = await r2.get(key)
      return object && new Uint8Array(await object.arrayBuffer())
    },
    async put(key, bytes) {
      await r2.put(key, bytes)
    },
    async delete(key) {
      await r2.delete(key)
    },
    async list(prefix) {
      const keys: string[] = []
      let cursor: string | undefined
      do {
        const page = await r2.list({ prefix, ...(cursor === undefined ? {} : { cursor }) })
        keys.push(...page.objects.map((object) => object.key))
        cursor = page.truncated ? page.cursor : undefined
      } while (cursor !== undefined)
      return keys
    },
  }
}
