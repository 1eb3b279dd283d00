// What a client reads at most: python-tuf's defaults, which tuf-js and go-tuf share, so that a repository one of them
// accepts is accepted here. Each bounds what a hostile server can make a reader keep in memory.

export interface Limits {
  /** Bytes of a root file. */
  readonly rootBytes: number
  /** Bytes of a timestamp file. */
  readonly timestampBytes: number
  /** Bytes of a snapshot file whose length the timestamp does not give. */
  readonly snapshotBytes: number
  /** Bytes of a targets file whose length the snapshot does not give. */
  readonly targetsBytes: number
  /** New roots taken in one refresh; a client further behind needs more than one. */
  readonly rootRotations: number
  /** Roles visited in the search for one target. */
  readonly delegations: number
}

/** python-tuf, `tuf/ngclient/config.py`. */
export const LIMITS: Limits = {
  rootBytes: 512_000,
  timestampBytes: 16_384,
  snapshotBytes: 2_000_000,
  targetsBytes: 5_000_000,
  rootRotations: 256,
  delegations: 32,
}
