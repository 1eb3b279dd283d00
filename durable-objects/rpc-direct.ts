// What crosses between the face and the publisher about direct uploads. Plain data, as in rpc.ts; fields are only added.
import type { BeginRequest, Refused } from './rpc.ts'

export type ReserveAnswer =
  /** Bytes go under `uploads/{id}`: to `url`, where there is one, else through the face, with the ticket. */
  | { ok: true; kind: 'reserved'; epoch: number; id: string; url?: string; ticket?: string }
  | { ok: true; kind: 'duplicate'; visible: boolean }
  | Refused

export type ReservedAnswer =
  | { ok: true; kind: 'reserved'; epoch: number; id: string }
  | { ok: true; kind: 'duplicate'; visible: boolean }
  | Refused

/** Bytes are about to come; nothing but the ticket says from whom. */
export interface TicketRequest extends Omit<BeginRequest, 'token'> {
  ticket: string
  size: number
}

export type TicketAnswer = { ok: true; epoch: number; id: string } | Refused
