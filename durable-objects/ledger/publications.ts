// Publications and the exact bytes of their immutable objects. From the transaction that stores them these rows are what
// is put into the bucket, also after a crash; of a live publication they stay until a later one replaces the object, so
// that a lost bucket can be filled again; those of a superseded one go with it.
import { all, one, run, type Sql } from './sql.ts'

/** A row holds ≤ 2 MB (platform limit for SQLite-backed objects); 1.9 MB leaves room for the other columns. */
export const CHUNK_BYTES_MAX = 1_900_000

export interface Publication extends Record<string, string | number | null> {
  id: number
  state: 'open' | 'live' | 'superseded'
  /** Version of its snapshot. */
  snapshot: number
  created: number
  /** Unix milliseconds after which less than half of some role's life is left. */
  half_life: number
  reason: string | null
}

export interface StoredObject {
  key: string
  /** `metadata` we signed, `offline` metadata that people signed, or a `page`. */
  kind: 'metadata' | 'offline' | 'page'
  /** Role name, or target path of a page. */
  name: string
  /** Role a page belongs to. */
  bin: string | null
  version: number | null
  expires: number | null
  sha256: string
  /** None of what people signed: they are in `offline_bytes`. */
  bytes: Uint8Array
  /** Of a page: the MAC its row will have once it is live. */
  mac?: Uint8Array
}

type ObjectHead = Omit<StoredObject, 'bytes' | 'mac'> & { length: number; mac: ArrayBuffer | null } & Record<
    string,
    string | number | null | ArrayBuffer
  >

export const openPublication = (sql: Sql): Publication | undefined =>
  one<Publication>(sql, "SELECT * FROM publications WHERE state = 'open'")

export const findPublication = (sql: Sql, id: number): Publication | undefined =>
  one<Publication>(sql, 'SELECT * FROM publications WHERE id = ?', id)

export function insertPublication(sql: Sql, snapshot: number, created: number, halfLife: number): number {
  return one<{ id: number }>(
    sql,
    "INSERT INTO publications (state, snapshot, created, half_life) VALUES ('open', ?, ?, ?) RETURNING id",
    snapshot,
    created,
    halfLife,
  )!.id
}

export function insertObject(sql: Sql, publication: number, object: StoredObject): void {
  for (let chunk = 0, at = 0; at === 0 || at < object.bytes.length; chunk++, at += CHUNK_BYTES_MAX)
    run(
      sql,
      `INSERT INTO objects (publication, key, chunk, kind, name, bin, version, expires, sha256, length, bytes, mac)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      publication,
      object.key,
      chunk,
      object.kind,
      object.name,
      object.bin,
      object.version,
      object.expires,
      object.sha256,
      object.bytes.length,
      object.bytes.slice(at, at + CHUNK_BYTES_MAX),
      object.mac ?? null,
    )
}

/** Objects of a publication without their bytes; metadata of the snapshot last, so that nothing is named before it exists. */
export const objectsOf = (sql: Sql, publication: number): ObjectHead[] =>
  all<ObjectHead>(
    sql,
    `SELECT key, kind, name, bin, version, expires, sha256, length, mac FROM objects
     WHERE publication = ? AND chunk = 0 ORDER BY kind DESC, name = 'snapshot', name`,
    publication,
  )

export function objectBytes(sql: Sql, publication: number, key: string): Uint8Array {
  const chunks = all<{ bytes: ArrayBuffer }>(
    sql,
    'SELECT bytes FROM objects WHERE publication = ? AND key = ? ORDER BY chunk',
    publication,
    key,
  ).map((row) => new Uint8Array(row.bytes))
  if (chunks.length === 1) return chunks[0]!
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

export function endPublication(sql: Sql, id: number, state: 'live' | 'superseded', reason?: string): void {
  run(sql, 'UPDATE publications SET state = ?, reason = ? WHERE id = ?', state, reason ?? null, id)
  if (state === 'superseded') run(sql, 'DELETE FROM objects WHERE publication = ?', id)
}

/** Drops the bytes of one object; to be called when another takes its place, or when they are kept elsewhere. */
export function dropObject(sql: Sql, publication: number | null, key: string): void {
  if (publication !== null) run(sql, 'DELETE FROM objects WHERE publication = ? AND key = ?', publication, key)
}
