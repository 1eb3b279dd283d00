// A repository that is brought out of step with its bucket: its ledger put back, emptied, its instance ended.
import { runInDurableObject } from 'cloudflare:test'
import { expect } from 'vitest'
import { holdCeremony, type OfflineKey, type OnlineKeys } from '../../cli/ceremony.ts'
import { Custody, type OnlineRole } from '../../durable-objects/custody.ts'
import type { Publisher } from '../../durable-objects/publisher.ts'
import type { Refused, ResumeAnswer } from '../../durable-objects/rpc.ts'
import { rootSigned, snapshotSigned } from '../../tuf/build.ts'
import { ed25519Key } from '../../tuf/keys.ts'
import { bucketPrefix, metadataKey, timestampKey } from '../../tuf/layout.ts'
import { parseSnapshot, parseTimestamp } from '../../tuf/metadata.ts'
import { signRole } from '../../tuf/sign.ts'
import { newReader } from './reading.ts'
import { BOOTSTRAP, bindings, newRepository, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'

export const HOUR = 3_600_000
export const bucket = bindings.BUCKET

export type Row = Record<string, SqlStorageValue>
export type Dump = Map<string, Row[]>

export const sqlOf = <T extends Row>(repository: TestRepository, query: string, ...values: unknown[]) =>
  runInDurableObject(repository.stub, (_: Publisher, state) => state.storage.sql.exec<T>(query, ...values).toArray())

export const tablesOf = (sql: SqlStorage): string[] =>
  sql
    .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'")
    .toArray()
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('sqlite_'))

/** Every row of the ledger, as a backup of the database would hold it. */
export const backUp = (stub: TestRepository['stub']): Promise<Dump> =>
  runInDurableObject(stub, (_: Publisher, { storage: { sql } }) => {
    const dump: Dump = new Map()
    for (const table of tablesOf(sql)) dump.set(table, sql.exec<Row>(`SELECT * FROM ${table}`).toArray())
    return dump
  })

/** Puts a backup in place of what is there, as a restore to an earlier moment does. */
export const restore = (stub: TestRepository['stub'], dump: Dump): Promise<void> =>
  runInDurableObject(stub, (publisher: Publisher, { storage }) => {
    storage.transactionSync(() => {
      for (const [table, rows] of dump) {
        storage.sql.exec(`DELETE FROM ${table}`)
        for (const row of rows) {
          const names = Object.keys(row)
          storage.sql.exec(
            `INSERT INTO ${table} (${names.join()}) VALUES (${names.map(() => '?').join()})`,
            ...names.map((name) => row[name]),
          )
        }
      }
    })
    publisher.forget()
  })

export const keysOf = async (repository: TestRepository, folder = ''): Promise<string[]> => {
  const keys: string[] = []
  for (let cursor: string | undefined; ; ) {
    const page = await bucket.list({ prefix: bucketPrefix(repository.place) + folder, ...(cursor ? { cursor } : {}) })
    keys.push(...page.objects.map(({ key }) => key))
    if (!page.truncated) return keys
    cursor = page.cursor
  }
}
export const bytesOf = async (key: string): Promise<Uint8Array> =>
  new Uint8Array(await new Response((await bucket.get(key))?.body).arrayBuffer())
export const timestampOf = async (repository: TestRepository) =>
  parseTimestamp(await bytesOf(timestampKey(repository.place))).signed

export const statusOf = async (repository: TestRepository) => {
  const status = await repository.public.status(repository.name)
  if (!status.ok) throw new Error(status.message)
  return status
}
export const refresh = async (repository: TestRepository) => ({ ...(await repository.public.refresh(repository.name)) })

export const adminOf = (repository: TestRepository) => repository.token(['admin', 'upload', 'create', 'yank', 'audit'])

export type Given = Exclude<ResumeAnswer, Refused>
export const given = (answer: ResumeAnswer): Given => {
  if (!answer.ok) throw new Error(answer.message)
  return answer
}
export const resume = (repository: TestRepository, token: string, more: object = {}): Promise<ResumeAnswer> =>
  repository.member.resume({ repository: repository.name, ...more }, token)
/** Shows the difference and confirms exactly that. */
export const resumeFromPublic = async (repository: TestRepository, token: string, more: object = {}) => {
  const shown = given(await resume(repository, token, { fromPublic: true, ...more }))
  expect(shown.applied).toBe(false)
  const done = given(await resume(repository, token, { fromPublic: true, ...more, confirm: shown.confirm }))
  expect(done.applied).toBe(true)
  return { shown: shown.difference!, done }
}

export const signer = (repository: TestRepository, role: OnlineRole) =>
  runInDurableObject(repository.stub, (_: Publisher, state) =>
    new Custody(state.storage.sql, bindings.WRAPPING_SECRET).signer(role),
  )

/** A repository with one file, an admin's token that may upload too, and a warm client that follows it. */
export async function published(options: Parameters<typeof newRepository>[0] = {}) {
  const repository = await newRepository(options)
  const token = await adminOf(repository)
  const first = await stageFile(repository, token, 'alpha', '1.0')
  const warm = await newReader(repository)
  expect(await warm.read(first.path)).toEqual(first.bytes)
  return { repository, token, first, warm }
}

/** What an operator brings to a repository whose ledger is empty. */
export async function heldAgain({ offline }: TestRepository, online: OnlineKeys) {
  const thresholds = { root: 1, targets: 1, bins: 1 }
  const expiresMs = Date.now() + 300 * 24 * HOUR
  return holdCeremony({ online, offline, thresholds, expiresMs, development: true, version: 2 })
}

/** Ends the instance; the next call starts another. */
export const abort = (repository: TestRepository): Promise<unknown> =>
  runInDurableObject(repository.stub, (_: Publisher, state) => state.abort('injected')).catch(() => undefined)

/** Empties the object as `deleteAll` does; the next call starts a new instance. */
export async function emptyObject(repository: TestRepository): Promise<OnlineKeys> {
  await runInDurableObject(repository.stub, (_: Publisher, state) => state.storage.deleteAll())
  await abort(repository)
  expect(await refresh(repository)).toMatchObject({ ok: false, status: 503 })
  const keys = await repository.member.createKeys(repository.name, BOOTSTRAP)
  if (!keys.ok) throw new Error(keys.message)
  return keys
}

/** A snapshot that says what the live one says, under another number. */
export async function snapshotLike(repository: TestRepository, version: number) {
  const live = await timestampOf(repository)
  const { meta } = parseSnapshot(await bytesOf(metadataKey(repository.place, live.snapshot.version, 'snapshot'))).signed
  const entries = [...meta].map(([role, { version: of, length, hashes }]) => {
    const sha256 = hashes?.get('sha256')
    return [role, { version: of, ...(length ? { length } : {}), ...(sha256 ? { sha256 } : {}) }] as const
  })
  return snapshotSigned({ version, expiresMs: Date.now() + HOUR, meta: entries })
}

/** A root whose timestamp role names another key beside the publisher's. */
export const rootNaming =
  (other: OfflineKey) =>
  (online: OnlineKeys, { root, targets }: TestRepository['offline']): Promise<Uint8Array> => {
    const key = (role: string) => ed25519Key(online.keys.find((each) => each.role === role)!.public)
    const [timestamp, snapshot] = [key('timestamp'), key('snapshot')]
    const single = (keyid: string) => ({ keyids: [keyid], threshold: 1 })
    const signed = rootSigned({
      version: 1,
      expiresMs: Date.now() + 300 * 24 * HOUR,
      keys: [root[0]!.key, targets[0]!.key, timestamp, snapshot, other.key],
      roles: {
        root: single(root[0]!.key.keyid),
        targets: single(targets[0]!.key.keyid),
        timestamp: { keyids: [timestamp.keyid, other.key.keyid], threshold: 1 },
        snapshot: single(snapshot.keyid),
      },
    })
    return signRole(signed, [root[0]!.signer])
  }
