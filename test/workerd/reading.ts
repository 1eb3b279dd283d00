// Reads a repository as a TUF client would, straight from the bucket: no face between, so what it proves is the
// publisher's work alone. Keep the returned client's store to be a warm client.
import { Client, initStore, type Store } from '../../tuf/client.ts'
import { blobKey, bucketPrefix, pageKey } from '../../tuf/layout.ts'
import { targetUrlName } from '../../tuf/paths.ts'
import type { TargetInfo } from '../../tuf/search.ts'
import { bindings, type TestRepository } from './repository.ts'

/** A store with a copy of what another one trusts, or an empty one. */
export function memoryStore(trusted?: Map<string, Uint8Array>): Store & { files: Map<string, Uint8Array> } {
  const files = new Map(trusted)
  return {
    files,
    get: async (file) => files.get(file),
    put: async (file, bytes) => void files.set(file, bytes),
  }
}

export interface Reader {
  client: Client
  store: ReturnType<typeof memoryStore>
  /** Refreshes and fetches a target with all checks. Undefined: the repository has no such target. */
  read(path: string): Promise<Uint8Array | undefined>
  text(path: string): Promise<string | undefined>
  /** Another target of the snapshot that the last `read` saw. */
  readSame(path: string): Promise<Uint8Array | undefined>
}

export async function newReader(
  repository: Pick<TestRepository, 'place' | 'root'>,
  {
    store = memoryStore(),
    now = Date.now,
    bucket = bindings.BUCKET,
  }: { store?: ReturnType<typeof memoryStore>; now?: () => number; bucket?: R2Bucket } = {},
): Promise<Reader> {
  if (store.files.size === 0) await initStore(store, repository.root)
  const base = 'https://bucket.test/'
  const prefix = bucketPrefix(repository.place)
  const fetchKey = async (key: string) => {
    const object = await bucket.get(key)
    return object ? { status: 200, body: object.body } : { status: 404, body: new Blob([]).stream() }
  }
  const makeClient = (blobs: Map<string, string>) =>
    new Client({
      store,
      now,
      metadataUrl: `${base}tuf/`,
      targetsUrl: `${base}targets/`,
      transport: {
        fetch: (url) => {
          const path = decodeURIComponent(url.slice(base.length))
          return fetchKey(
            path.startsWith('tuf/') ? prefix + path : (blobs.get(path.slice('targets/'.length)) ?? 'none'),
          )
        },
      },
    })
  const blobs = new Map<string, string>()
  const keyOf = (info: TargetInfo): string => {
    const sha256 = info.hashes.get('sha256')!
    const n = Number(info.custom?.get('n') ?? 1)
    return info.path.startsWith('files/')
      ? blobKey(repository.place, sha256, n)
      : pageKey(repository.place, info.path, sha256)
  }
  const reader: Reader = {
    client: makeClient(blobs),
    store,
    async read(path) {
      // A new client each time: look-ups of one client belong to one snapshot.
      reader.client = makeClient(blobs)
      await reader.client.refresh()
      return reader.readSame(path)
    },
    async readSame(path) {
      const info = await reader.client.targetInfo(path)
      if (!info) return undefined
      blobs.set(targetUrlName(path, info.hashes.get('sha256')!), keyOf(info))
      return new Uint8Array(await new Response(await reader.client.stream(info)).arrayBuffer())
    },
    async text(path) {
      const bytes = await reader.read(path)
      return bytes && new TextDecoder().decode(bytes)
    },
  }
  return reader
}
