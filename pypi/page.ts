// What a project page says, apart from how it is written: the types that renderers, reader and publisher share.
// Invariant: a file on a page has every value that clients fail without. No third-party imports.

/** The version of the simple API, in both forms. 1.5 would promise PEP 752, which is not built. */
export const API_VERSION = '1.4'

/** Where the provenance object of a file is. */
export interface Provenance {
  /** With scheme and host. */
  readonly url: string
  /** 64 lower-case hex digits. */
  readonly sha256: string
}

/** One distribution file on a project page. */
export interface PageFile {
  readonly filename: string
  /** 64 lower-case hex digits. */
  readonly sha256: string
  /** Bytes. */
  readonly size: number
  /** UTC, `yyyy-mm-ddThh:mm:ss[.f{1,6}]Z`; what `Date.toISOString()` writes. */
  readonly uploadTime: string
  /** `Requires-Python` of the file's own metadata; absent if it has none. */
  readonly requiresPython?: string
  /** sha256 of `{file}.metadata`, 64 lower-case hex digits; absent if there is no such file. */
  readonly coreMetadataSha256?: string
  /** Who says what of the file (PEP 740); absent if nobody does. */
  readonly provenance?: Provenance
  /** false, true, or the reason (PEP 592). */
  readonly yanked: boolean | string
}

/** PEP 792. `active` is what a page without a status means. */
export type ProjectStatus = 'active' | 'archived' | 'quarantined' | 'deprecated'

/** Everything a project page says. */
export interface ProjectPage {
  /** Normalised name. */
  readonly project: string
  /** The project's `{shard}`: four hex digits. */
  readonly shard: string
  /** Normalised versions; must cover every file (PEP 700). */
  readonly versions: readonly string[]
  readonly files: readonly PageFile[]
  readonly status?: ProjectStatus
  readonly statusReason?: string
  /** Written as PyPI writes its own: an index that never gives a number twice never writes the same page twice. */
  readonly serial?: number
}

/** PEP 700. */
export const UPLOAD_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z$/
const SHA256 = /^[0-9a-f]{64}$/
const PROVENANCE_URL = /^https?:\/\/[A-Za-z0-9.:[\]-]+\/[\w.~%/!+-]+$/

/** True if a file has every value the specifications want. What is signed cannot be taken back, so renderers ask. */
export function isPageFile(file: PageFile): boolean {
  return (
    file.filename !== '' &&
    SHA256.test(file.sha256) &&
    Number.isSafeInteger(file.size) &&
    file.size >= 0 &&
    UPLOAD_TIME.test(file.uploadTime) &&
    (file.coreMetadataSha256 === undefined || SHA256.test(file.coreMetadataSha256)) &&
    (file.provenance === undefined || (SHA256.test(file.provenance.sha256) && PROVENANCE_URL.test(file.provenance.url)))
  )
}
