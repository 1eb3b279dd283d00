// What a ceremony hands over, as the API takes it. State: none; what the files say is the publisher's to judge.
import type { InitialiseRequest } from '../durable-objects/rpc.ts'
import { base64, freshness, list, type Values } from './shapes.ts'

/** Ten roots, targets and bins of at most 512,000 bytes each (what clients accept), in base64: 12 × 683 kB. */
export const CEREMONY_BYTES_MAX = 8 * 1024 * 1024

export const CEREMONY = { roots: list(base64), targets: base64, bins: base64, freshness }

export const ceremonyOf = (ceremony: Values<typeof CEREMONY>): Omit<InitialiseRequest, 'repository'> => ({
  ...ceremony,
  // Which profiles there are is the publisher's to know.
  freshness: ceremony.freshness as InitialiseRequest['freshness'],
})
