// What crosses between the face and the publisher about tokens and who may read. Plain data, as in rpc.ts; fields are only ever added.
import type { Refused, Scope } from './rpc.ts'

/** A token as it is shown: never its secret, nor the digest that finds it. Times in Unix seconds. */
export interface TokenShown {
  id: string
  name: string
  scopes: Scope[]
  /** Null: every project. */
  projects: string[] | null
  /** Id of the admin token that minted it, `bootstrap`, or `publisher ID` of a trusted one. */
  by: string
  created: number
  expires: number
  revoked?: number
  /** To the hour. Absent: never. */
  lastUsed?: number
}

export interface ListTokensRequest {
  repository: string
  token: string
  /** Also those that were revoked or have expired. */
  ended: boolean
  /** Id of the last token of the page before. */
  after?: string
  limit: number
}

/** In the order of their ids. `next` absent: that was all. */
export type ListTokensAnswer = { ok: true; tokens: TokenShown[]; next?: string } | Refused

export interface RevokeRequest {
  repository: string
  token: string
  /** Of the token that ends. */
  id: string
  /** Takes back what it staged and is not live yet. */
  dropStaged: boolean
}

export type RevokeAnswer =
  | {
      ok: true
      /** `project/filename` of what was dropped. */
      dropped: string[]
      /** In a publication under way: dropped with it, unless it is live before; the journal says which. */
      withdrawing: string[]
    }
  | Refused

export interface ReadingRequest {
  repository: string
  token: string
  private: boolean
}

/** Unix milliseconds at which the token ends. */
export type MayReadAnswer = { ok: true; expires: number } | Refused
