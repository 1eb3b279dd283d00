// What crosses between the face and the publisher about trusted publishing. Plain data, as in rpc.ts; fields are only ever
// added. A trusted publisher is a workflow of somebody's CI that may upload to one project: it proves itself with a JWT of
// its CI, and is given a token of fifteen minutes.
import type { Refused } from './rpc.ts'

/** What a JWT has to say. `issuer` is its `iss`, letter by letter. */
export type Source =
  | {
      kind: 'github'
      issuer: string
      /** `owner/name` */
      repository: string
      /** Digits: whoever takes over the owner's name later has another. */
      ownerId: string
      /** File in `.github/workflows/`. */
      workflow: string
      /** Absent: any, or none. */
      environment?: string
    }
  | {
      kind: 'gitlab'
      issuer: string
      /** `group/…/name` */
      repository: string
      /** Digits: a project that takes over the path later has another. */
      projectId: string
      /** Path of the CI configuration in the repository. */
      workflow: string
      /** Absent: any, or none. */
      environment?: string
    }
  | {
      kind: 'oidc'
      issuer: string
      /** Each of them, letter by letter. */
      claims: Record<string, string>
    }

export interface TrustedPublisher {
  id: string
  /** Normalised name. */
  project: string
  /** The project does not exist yet: this publisher may create it. */
  pending: boolean
  source: Source
  /** Unix seconds. */
  created: number
  /** Id of the token that added it. */
  by: string
}

export interface AddPublisherRequest {
  repository: string
  token: string
  project: string
  pending: boolean
  /** As the caller wrote it: which sources there are is the publisher's to know. */
  source: Record<string, unknown>
}

export type AddPublisherAnswer = { ok: true; id: string } | Refused

export interface ListPublishersRequest {
  repository: string
  token: string
  /** Absent: of every project. */
  project?: string
  /** Id of the last one of the page before. */
  after?: string
}

/** In the order of their ids. `next` absent: that was all. */
export type ListPublishersAnswer = { ok: true; publishers: TrustedPublisher[]; next?: string } | Refused

export interface RemovePublisherRequest {
  repository: string
  token: string
  id: string
}

export interface AudienceRequest {
  repository: string
  token: string
  audience: string
}

export type AudienceAnswer = { ok: true; audience: string } | Refused

export interface ExchangeRequest {
  repository: string
  /** The JWT. */
  identity: string
}

/** Codes as PyPI has them; `unavailable` may be repeated with another JWT. */
export type DenialCode =
  | 'invalid-payload'
  | 'invalid-token'
  | 'invalid-publisher'
  | 'invalid-reuse-token'
  | 'unavailable'

/** The JWT gives no token. */
export interface Denied {
  ok: false
  denied: DenialCode
  /** One sentence. */
  message: string
}

export type ExchangeAnswer =
  | {
      ok: true
      token: string
      /** Unix seconds. */
      expires: number
    }
  | Denied
  | Refused

export const denied = (code: DenialCode, message: string): Denied => ({ ok: false, denied: code, message })
