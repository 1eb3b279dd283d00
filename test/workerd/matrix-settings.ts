// What a child of the SIGKILL matrix is told: where to stop, what becomes of the write there, and what still hangs.

/** `after X` and `inside X` are transactions (inside: rolled back by the kill); the others are bucket writes and calls. */
export const POINTS = [
  ['after begin', 'after begin'],
  ['after put', 'before stage'],
  ['after stage', 'after stage'],
  ['after sign', 'inside commit'],
  ['after commit', 'after commit'],
  ['after the 1st immutable', 'immutable 1'],
  ['after a middle immutable', 'immutable 2'],
  ['after the last immutable', 'immutable 4'],
  ['before flip', 'after timestamp'],
  ['flip unacknowledged', 'flip'],
  ['after flip, before finish', 'inside finish'],
  ['during collection', 'collection'],
] as const
export const FATES = ['lost', 'unacknowledged', 'refused', 'lands before a flip', 'lands at last'] as const
export type Fate = (typeof FATES)[number]

/** A write that hung when its process was killed: a put (base64, its condition) or a delete. */
export interface Held {
  key?: string
  base64?: string
  onlyIf?: unknown
  keys?: string[]
}

export interface FallSettings {
  /** The second name of one of POINTS; absent: the process goes on. */
  point?: string
  /** The fall is for the upload of this file; until it begins the process serves as usual. */
  filename?: string
  /** Of the write at the point. */
  fate?: Fate
  /** Of the first write of this process, where the point before was between writes. */
  first?: Fate
  held: Held[]
  landing: 'before a flip' | 'at last'
  /** Milliseconds the publisher's clock is ahead. */
  offset: number
  /** Milliseconds after which what was replaced may be deleted. */
  grace: number
}
