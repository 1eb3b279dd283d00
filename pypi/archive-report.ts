// What an archive check promises. Both checkers, and everybody who feeds them, share these types.
import type { CoreMetadata } from './core-metadata.ts'

/** What a checked archive says about itself. */
export interface ArchiveReport {
  /** The exact bytes of METADATA (wheel) or PKG-INFO (sdist). */
  readonly metadataBytes: Uint8Array
  readonly metadata: CoreMetadata
  /** Sentences for the uploader about what is odd but accepted. */
  readonly warnings: readonly string[]
}

/**
 * Checks one archive while its bytes go by, in chunks of any size. Everything it finds wrong is a Refusal, thrown by the
 * `write` or `end` that comes first after the finding, and again by every later one. Calls do not overlap.
 */
export interface ArchiveChecker {
  /** Resolves when the chunk has been looked at and nothing of it is held. */
  write(chunk: Uint8Array): Promise<void>
  /** The archive is whole: the report, or a refusal. */
  end(): Promise<ArchiveReport>
  /** Lets go of everything when the upload ends for another reason. Nothing may be called after it. */
  abort(): void
}

/** Limits and switches of a check. Absent ones are those of limits.ts. */
export interface ArchiveLimits {
  /** Bytes of METADATA or PKG-INFO. */
  readonly metadataBytesMax?: number
  /** Refuse a wheel whose RECORD names files the wheel lacks or whose digests differ, instead of a warning. */
  readonly strictRecord?: boolean
}
