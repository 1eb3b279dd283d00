// What can be wrong with TUF metadata, one class for each thing a caller may want to do about it.
// Invariant: only DownloadError is worth repeating unchanged; every other error is a refusal and stays one for the
// same bytes and the same trusted state.

/** Which refusal this is: what the audit, the proxy's status page and a client's exit message switch on. */
export type TufErrorCode = 'format' | 'signature' | 'expired' | 'rollback' | 'mismatch' | 'download' | 'limit' | 'usage'

/** Base of every error thrown by tuf/. The message is one sentence that says what is wrong. */
export class TufError extends Error {
  readonly code: TufErrorCode

  constructor(code: TufErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.name = new.target.name
  }
}

/** The bytes are not what the format allows: JSON, field types, keys, paths. */
export class FormatError extends TufError {
  constructor(message: string, options?: ErrorOptions) {
    super('format', message, options)
  }
}

/** Fewer distinct trusted keys signed than the delegator asks for (TUF 1.0.34, 4.2.2 and 5.3.4). */
export class SignatureError extends TufError {
  /** Distinct public keys whose signature verified. */
  readonly valid: number
  /** Distinct public keys that had to. */
  readonly threshold: number

  constructor(role: string, valid: number, threshold: number) {
    super('signature', `${role} is signed by ${valid} of the ${threshold} keys it needs.`)
    this.valid = valid
    this.threshold = threshold
  }
}

/** The metadata's date has passed (TUF 1.0.34, 5.3.10, 5.4.4, 5.5.6, 5.6.6). */
export class ExpiredError extends TufError {
  /** Expiry as the file states it, `YYYY-MM-DDTHH:MM:SSZ`. */
  readonly expires: string

  constructor(role: string, expires: string) {
    super('expired', `${role} expired at ${expires}.`)
    this.expires = expires
  }
}

/** Older than, or without something of, what was trusted before (TUF 1.0.34, 5.3.5, 5.4.3, 5.5.5). */
export class RollbackError extends TufError {
  constructor(message: string) {
    super('rollback', message)
  }
}

/** Length, digest or version differs from what the role above names: corrupt, mixed or malicious content. */
export class MismatchError extends TufError {
  constructor(message: string) {
    super('mismatch', message)
  }
}

/** The transport failed or answered with an error; the same request may succeed later. */
export class DownloadError extends TufError {
  /** HTTP status of the answer, when there was one. */
  readonly status: number | undefined

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super('download', message, options)
    this.status = status
  }
}

/** A bound that protects the reader was reached: too many bytes, or a search through too many roles. */
export class LimitError extends TufError {
  constructor(message: string) {
    super('limit', message)
  }
}

/** The caller asked for something in an order or form the workflow does not have. */
export class UsageError extends TufError {
  constructor(message: string) {
    super('usage', message)
  }
}
