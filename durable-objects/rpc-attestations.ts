// What crosses between the face and the publisher about attestations (PEP 740). Plain data, as in rpc.ts; fields are only
// ever added. The face verifies, because it holds every parser; the publisher keeps whom attestations are trusted by.
import type { Refused } from './rpc.ts'
import type { Source } from './rpc-oidc.ts'

export interface TrustRootRequest {
  repository: string
  token: string
  /** trusted_root.json as it is, checked by the face; null: attestations are no longer taken. */
  trustedRoot: string | null
  /** Where this index is, because pages have to name the provenance of a file with its host. Absent: as it was. */
  origin?: string
}

export type TrustRootAnswer =
  | {
      ok: true
      /** Null: attestations that are sent are dropped. */
      trustedRoot: string | null
      /** Null: none was ever set. */
      origin: string | null
    }
  | Refused

export type AttestationTrustAnswer =
  | {
      ok: true
      /** Absent: there is nobody to trust, so attestations are dropped. */
      trustedRoot?: string
      /** Trusted publishers of the project: one of them has to be the signer, if there are any. */
      publishers: Source[]
    }
  | Refused
