// What a test turns in a running repository: its clock, its bucket, its alarm; and what it looks up in its ledger.
import { runInDurableObject } from 'cloudflare:test'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { bucketPrefix, metadataKey, timestampKey } from '../../tuf/layout.ts'
import { parseSnapshot, parseTimestamp } from '../../tuf/metadata.ts'
import { bindings, type TestRepository } from './repository.ts'

export const HOUR = 3_600_000
export const DAY = 24 * HOUR

/** A stub of its own each time: those of before a reset are dead. */
const stubOf = ({ name }: Pick<TestRepository, 'name'>) => bindings.PUBLISHER.getByName(name)

export const sqlOf = <T extends Record<string, SqlStorageValue>>(
  repository: TestRepository,
  query: string,
  ...values: unknown[]
): Promise<T[]> =>
  runInDurableObject(stubOf(repository), (_: Publisher, state) => state.storage.sql.exec<T>(query, ...values).toArray())

/** Moves the object's clock by `offset` milliseconds against the true one, until the object is reset. */
export const setClock = (repository: TestRepository, offset: number): Promise<void> =>
  runInDurableObject(stubOf(repository), (publisher: Publisher) => {
    publisher.clock = () => Date.now() + offset
  })

/** Puts other bindings under the object, until it is reset. */
export const withBindings = (repository: TestRepository, bindings: Record<string, unknown>): Promise<void> =>
  runInDurableObject(stubOf(repository), (publisher: Publisher) => {
    const inside = publisher as unknown as { env: Record<string, unknown>; forget(): void }
    inside.env = { ...inside.env, ...bindings }
    inside.forget()
  })

/** Puts another bucket under the object, until it is reset. */
export const withBucket = (repository: TestRepository, bucket: R2Bucket): Promise<void> =>
  withBindings(repository, { BUCKET: bucket })

export const alarmOf = (repository: TestRepository): Promise<number | null> =>
  runInDurableObject(stubOf(repository), (_: Publisher, state) => state.storage.getAlarm())

export const dropAlarm = (repository: TestRepository): Promise<void> =>
  runInDurableObject(stubOf(repository), (_: Publisher, state) => state.storage.deleteAlarm())

export async function timestampOf({ place }: Pick<TestRepository, 'place'>) {
  const object = await bindings.BUCKET.get(timestampKey(place))
  return parseTimestamp(new Uint8Array(await object!.arrayBuffer())).signed
}

export async function snapshotOf(repository: TestRepository) {
  const { version } = (await timestampOf(repository)).snapshot
  const object = await bindings.BUCKET.get(metadataKey(repository.place, version, 'snapshot'))
  return parseSnapshot(new Uint8Array(await object!.arrayBuffer())).signed
}

export async function statusOf(repository: TestRepository) {
  const status = await repository.public.status(repository.name)
  if (!status.ok) throw new Error(status.message)
  return status
}

/** Everything the repository has in the bucket, by key without its prefix: bytes. */
export async function stored({ place }: TestRepository): Promise<Map<string, number>> {
  const prefix = bucketPrefix(place)
  const sizes = new Map<string, number>()
  for (let cursor: string | undefined; ; ) {
    const list = await bindings.BUCKET.list({ prefix, ...(cursor ? { cursor } : {}) })
    for (const { key, size } of list.objects) sizes.set(key.slice(prefix.length), size)
    if (!list.truncated) return sizes
    cursor = list.cursor
  }
}

type Call = (...args: unknown[]) => Promise<unknown>

/** The real bucket, with some of its methods replaced; each is given the real method. */
export function bucketWith(
  replaced: Partial<Record<'put' | 'get' | 'head' | 'delete', (real: Call, ...args: unknown[]) => Promise<unknown>>>,
): R2Bucket {
  return new Proxy(bindings.BUCKET, {
    get(target, property) {
      const member = Reflect.get(target, property) as Call
      if (typeof member !== 'function') return member
      const real = member.bind(target) as Call
      const other = replaced[property as 'put']
      return other ? (...args: unknown[]) => other(real, ...args) : real
    },
  })
}

/** Waits until `condition` holds. @param ms at most so long; then it throws */
export async function eventually(condition: () => boolean | Promise<boolean>, ms = 3_000): Promise<void> {
  const end = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`It did not come about within ${ms} ms.`)
    await scheduler.wait(10)
  }
}
