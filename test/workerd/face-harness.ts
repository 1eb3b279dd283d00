// A face of its own for a test: one call is one isolate, cold. The bucket counts what is read, and doors can be replaced.
import { createExecutionContext, runInDurableObject } from 'cloudflare:test'
import { exports } from 'cloudflare:workers'
import { expect } from 'vitest'
import { type CeremonyResult, holdCeremony, makeOfflineKey, type OfflineKey } from '../../cli/ceremony.ts'
import { Custody } from '../../durable-objects/custody.ts'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { shardOf } from '../../tuf/bins.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey, blobMetadataKey, timestampKey } from '../../tuf/layout.ts'
import { parseTimestamp } from '../../tuf/metadata.ts'
import type { Signer } from '../../tuf/sign.ts'
import type { Env } from '../../workers/env.ts'
import { createFace } from '../../workers/face.ts'
import { BOOTSTRAP, bindings, STANDARD } from './repository.ts'

const doors = exports as unknown as { Public: Env['PUBLIC']; Member: Env['MEMBER'] }
export const ORIGIN = 'http://127.0.0.1'
const DAY_MS = 86_400_000

export interface Face {
  /** A path, or a URL with another host. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  get(path: string, headers?: Record<string, string>): Promise<Response>
  text(path: string, headers?: Record<string, string>): Promise<string>
  bytes(path: string, headers?: Record<string, string>): Promise<Uint8Array>
  /** Keys read since the last call, without the repository's prefix. */
  reads(): string[]
  refreshed: number
}

export interface FaceOptions {
  /** What the publisher's door answers instead of the real one. */
  publicDoor?: Partial<
    Record<'trust' | 'refresh' | 'retainsPage' | 'status' | 'recent' | 'purged', (...args: unknown[]) => unknown>
  >
  bucket?: R2Bucket
}

export function newFace(repository: string, { publicDoor = {}, bucket = bindings.BUCKET }: FaceOptions = {}): Face {
  const app = createFace(repository)
  let keys: string[] = []
  const counted = new Proxy(bucket, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        keys.push(String(args[0]).replace(/^r\/[^/]+\/e1\//, ''))
        return (member as (...args: unknown[]) => unknown).apply(target, args)
      }
    },
  })
  const door = {
    trust: (name: string) => (publicDoor.trust ?? ((n) => doors.Public.trust(n as string)))(name),
    status: (name: string) => (publicDoor.status ?? ((n) => doors.Public.status(n as string)))(name),
    recent: (name: string) => (publicDoor.recent ?? ((n) => doors.Public.recent(n as string)))(name),
    purged: (name: string) => (publicDoor.purged ?? ((n) => doors.Public.purged(n as string)))(name),
    retainsPage: (name: string, path: string, sha256: string) =>
      publicDoor.retainsPage
        ? publicDoor.retainsPage(name, path, sha256)
        : doors.Public.retainsPage(name, path, sha256),
    refresh: (name: string) => {
      face.refreshed++
      return (publicDoor.refresh ?? ((n) => doors.Public.refresh(n as string)))(name)
    },
  }
  const env = { BUCKET: counted, PUBLIC: door, MEMBER: doors.Member } as unknown as Env
  const face: Face = {
    refreshed: 0,
    fetch: async (path, init) =>
      app.fetch(new Request(path.startsWith('/') ? `${ORIGIN}${path}` : path, init), env, createExecutionContext()),
    get: (path, headers = {}) => face.fetch(path, { headers }),
    text: async (path, headers) => new TextDecoder().decode(await face.bytes(path, headers)),
    bytes: async (path, headers) => new Uint8Array(await (await face.get(path, headers)).arrayBuffer()),
    reads: () => {
      const read = keys
      keys = []
      return read
    },
  }
  return face
}

export interface KeyedRepository {
  name: string
  token: string
  offline: Record<'root' | 'targets' | 'bins', OfflineKey[]>
  signed: CeremonyResult
  place: { repository: string; epoch: number }
}

/** As `newRepository`, with the offline keys at hand, so that a test can sign the next root. */
export async function newKeyedRepository(name: string, development = true): Promise<KeyedRepository> {
  const keys = await doors.Member.createKeys(name, BOOTSTRAP)
  if (!keys.ok) throw new Error(keys.message)
  const offline = { root: [await makeOfflineKey()], targets: [await makeOfflineKey()], bins: [await makeOfflineKey()] }
  const thresholds = { root: 1, targets: 1, bins: 1 }
  const expiresMs = Date.now() + 365 * DAY_MS
  const signed = await holdCeremony({ online: keys, offline, thresholds, expiresMs, development })
  const { root, targets, bins } = signed
  const request = { repository: name, roots: [root], targets, bins, freshness: STANDARD }
  const done = await doors.Member.initialise(request, BOOTSTRAP)
  if (!done.ok) throw new Error(done.message)
  const expires = Math.floor(Date.now() / 1000) + 86_400
  const scopes = ['upload' as const, 'create' as const, 'yank' as const]
  const minted = await doors.Member.mint({ repository: name, name: 'test', scopes, expires }, BOOTSTRAP)
  if (!minted.ok) throw new Error(minted.message)
  return { name, token: minted.token, offline, signed, place: { repository: name, epoch: 1 } }
}

export interface Published {
  project: string
  filename: string
  sha256: string
  bytes: Uint8Array
  /** Target paths. */
  path: string
  json: string
  html: string
  /** Bucket key of the bytes. */
  blob: string
}

export async function publish(
  { name, token, place }: KeyedRepository,
  project: string,
  version: string,
  bytes: Uint8Array,
  metadata?: string,
): Promise<Published> {
  const sha256 = await sha256Hex(bytes)
  const filename = `${project.replaceAll('-', '_')}-${version}-py3-none-any.whl`
  const request = { repository: name, token, project, filename, sha256 }
  const begun = await doors.Member.begin(request)
  if (!begun.ok || begun.kind !== 'store') throw new Error(JSON.stringify(begun))
  await bindings.BUCKET.put(blobKey(place, sha256, begun.n), bytes)
  const about = metadata === undefined ? undefined : new TextEncoder().encode(metadata)
  if (about) await bindings.BUCKET.put(blobMetadataKey(place, sha256, begun.n), about)
  const staged = await doors.Member.stage({
    ...request,
    n: begun.n,
    size: bytes.length,
    version,
    release: version,
    filetype: 'bdist_wheel',
    ...(about && { metadata: { sha256: await sha256Hex(about), size: about.length } }),
  })
  if (!staged.ok || !staged.visible) throw new Error(JSON.stringify(staged))
  const base = `${shardOf(project)}/${project}`
  return {
    project,
    filename,
    sha256,
    bytes,
    path: `files/${base}/${filename}`,
    json: `simple/${base}/vnd.pypi.simple.v1.json`,
    html: `simple/${base}/vnd.pypi.simple.v1.html`,
    blob: blobKey(place, sha256, begun.n),
  }
}

export async function yank({ name, token }: KeyedRepository, file: Published, yanked: boolean | string) {
  const { project, filename } = file
  const answer = await doors.Member.yank({ repository: name, token, project, filename, yanked })
  if (!answer.ok) throw new Error(answer.message)
}

export async function objectBytes(key: string): Promise<Uint8Array> {
  const object = await bindings.BUCKET.get(key)
  if (!object) throw new Error(`${key} is missing`)
  return new Uint8Array(await object.arrayBuffer())
}

/** Runs `work` while the object under `key` is something else (null: gone), and puts the old bytes back. */
export async function whileReplaced(key: string, bytes: Uint8Array | string | null, work: () => Promise<void>) {
  const before = await bindings.BUCKET.get(key).then((object) => object?.arrayBuffer())
  if (bytes === null) await bindings.BUCKET.delete(key)
  else await bindings.BUCKET.put(key, bytes)
  try {
    await work()
  } finally {
    if (before) await bindings.BUCKET.put(key, before)
    else await bindings.BUCKET.delete(key)
  }
}

/** The same bytes with one bit of the byte at `at` (from the end if negative) turned over. */
export function flipped(bytes: Uint8Array, at = -1): Uint8Array {
  const copy = bytes.slice()
  const index = at < 0 ? copy.length + at : at
  copy[index] = copy[index]! ^ 1
  return copy
}

export const timestampOf = ({ place }: KeyedRepository) => timestampKey(place)

export const presentOf = async (of: KeyedRepository) => parseTimestamp(await objectBytes(timestampOf(of))).signed

export const setClock = ({ name }: KeyedRepository, now: () => number) =>
  runInDurableObject(bindings.PUBLISHER.getByName(name), (publisher: Publisher) => {
    publisher.clock = now
  })

/** Signs as the publisher does, with its own keys: what only a stolen key could make. */
export const signAs = <T>(
  of: KeyedRepository,
  work: (signer: (role: 'timestamp' | 'snapshot' | 'bin') => Promise<Signer>) => Promise<T>,
) =>
  runInDurableObject(bindings.PUBLISHER.getByName(of.name), async (_: Publisher, state) => {
    const custody = new Custody(state.storage.sql, bindings.WRAPPING_SECRET)
    return work((role) => custody.signer(role))
  })

export async function expectCorrupt(answer: Response) {
  const body = await answer.text()
  expect([answer.status, body]).toEqual([503, expect.stringMatching(/^corrupt: [^\n]+\n$/)])
  expect([answer.headers.get('cache-control'), answer.headers.get('retry-after')]).toEqual(['no-store', '1'])
  expect(answer.headers.has('etag')).toBe(false)
}
