// Single values of the ledger by name. Every name it may hold is listed here with its meaning.
import { one, run, type Sql } from './sql.ts'

interface FactTypes {
  schema: number
  repository: string
  epoch: number
  /** Random, made with the ledger: binds wrapped keys and row MACs to this ledger. */
  repositoryId: string
  /** Tells at load whether WRAPPING_SECRET is the one the keys were wrapped with. */
  wrappingCheck: string
  state: 'keys' | 'live' | 'released'
  /** Absent: an index made here. `adopted`: roots, targets and delegated roles are signed elsewhere. */
  kind: 'adopted'
  /** Where the face finds target files of an adopted repository that the bucket lacks; ends with a slash. */
  origin: string
  /** Whether a batch of an adopted repository waits for the files it names. */
  targets: 'required' | 'warn' | 'ignore'
  /** JSON: where new metadata of an adopted repository is fetched, and how often. */
  pull: string
  /** Unix milliseconds of the next pull. */
  pullAt: number
  /** JSON: how the last pull ended. */
  pulled: string
  /** JSON: version of each role that the former signer's snapshot listed and nobody delegates to. */
  formerRoles: string
  /** Version of the root that hands an adopted repository back; with it the state becomes `released`. */
  releasing: number
  /** One sentence; its presence stops all signing. */
  halted: string
  freshness: string
  development: number
  /** Last seen `timestamp.json` that was ours: etag and version. */
  pointerEtag: string
  pointerVersion: number
  /** Unix milliseconds of the last flip. */
  flippedAt: number
  /** Unix milliseconds when the project list was last rendered. */
  listedAt: number
  /** 1 while the project list lacks a change. */
  listDirty: number
  /** JSON: number and bytes of the files that are not deleted. */
  held: string
  /** JSON array of the times (ms) of foreign writes in the last hour. */
  foreignWrites: string
  /** Why the last pass failed; gone after a good one. */
  lastError: string
  /** Unix milliseconds before which a delete that failed is not tried again. */
  collectRetryAt: number
  /** 1 while a second bucket is bound and every live file is in it or in `uncopied`. */
  copying: number
  /** Unix milliseconds before which a copy that failed is not tried again. */
  copyRetryAt: number
  /** JSON: where notices go, and the sealed secret they are signed with. */
  webhook: string
  /** Newest row of the journal that was looked at for notices. */
  noticedSeq: number
  /** How often something staged was taken back (withdraw.ts). */
  withdrawals: number
  /** What JWTs of trusted publishers must be made for, if it was set. */
  audience: string
  /** 1: reading takes a token. What readers go by is the timestamp that says so (reading.ts). */
  private: number
  /** JSON: of the open publication, how many objects are in the bucket (apply.ts). */
  applied: string
  /** Failed passes in a row, for the back-off. */
  failures: number
}

export type Fact = keyof FactTypes

export function getFact<F extends Fact>(sql: Sql, name: F): FactTypes[F] | undefined {
  return one<{ value: string | number }>(sql, 'SELECT value FROM facts WHERE name = ?', name)?.value as
    | FactTypes[F]
    | undefined
}

export function setFact<F extends Fact>(sql: Sql, name: F, value: FactTypes[F]): void {
  run(
    sql,
    'INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    name,
    value,
  )
}

export function clearFact(sql: Sql, name: Fact): void {
  run(sql, 'DELETE FROM facts WHERE name = ?', name)
}

/** Whether its ceremony, or its adoption, is over. */
export const isInitialised = (sql: Sql): boolean => !['keys', undefined].includes(getFact(sql, 'state'))
