// What every step of a publication works with. The steps are functions of this and the ledger; they keep no state.
import type { Place } from '../../tuf/layout.ts'
import type { Custody } from '../custody.ts'
import type { Sql } from '../ledger/sql.ts'

export interface Context {
  sql: Sql
  storage: DurableObjectStorage
  bucket: R2Bucket
  /** The second bucket, if the deployment has one. */
  copy?: R2Bucket
  custody: Custody
  place: Place
  flipIntervalMs: number
  /** Unix milliseconds. */
  now(): number
  sleep(ms: number): Promise<void>
}

/** The same step may be tried again as it is: the bucket was slow, busy or unreachable. */
export class RetryableFault extends Error {
  override name = 'RetryableFault'
}

/** Signing stops until a person acts; the message says what is wrong and what to do. */
export class Halt extends Error {
  override name = 'Halt'
}
