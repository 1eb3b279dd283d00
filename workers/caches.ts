// The verified bytes that an isolate keeps, of every repository it reads; their bounds are the isolate's (memory.ts).
// Invariant: each key is or begins with a bucket key, which begins with the repository, so none is answered another's.
import { ByteCache, FILES_BYTES_MAX, PAGES_BYTES_MAX, PROMISES_BYTES_MAX, ROLES_BYTES_MAX } from './memory.ts'
import type { Role } from './publication.ts'

/** What a project's page promises about one file's metadata. */
export interface Promised {
  file: string
  metadata: string | undefined
}

export class Caches {
  /** By bucket key and what the bytes were verified by. */
  readonly pages = new ByteCache<Uint8Array>(PAGES_BYTES_MAX)
  readonly files = new ByteCache<Uint8Array>(FILES_BYTES_MAX)
  /** By bucket key, digest and the keys that signed. */
  readonly roles = new ByteCache<Role>(ROLES_BYTES_MAX)
  /** By bucket key of a JSON page, which has its digest in it: file name → digest of the file and of its metadata. */
  readonly promises = new ByteCache<ReadonlyMap<string, Promised>>(PROMISES_BYTES_MAX)
}
