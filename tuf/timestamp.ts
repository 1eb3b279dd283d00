// timestamp: which snapshot is current (TUF 1.0.34, 4.6). The only file whose name never carries a version.
import { type Common, type Envelope, parseEnvelope } from './envelope.ts'
import { asObject } from './fields.ts'
import { type MetaFile, readMetaFile } from './meta-file.ts'

/** In a timestamp, `true`: whoever reads this repository shows a token. The switch is so part of the publication itself. */
export const PRIVATE_FIELD = 'x-tuf-edge-private'

export interface Timestamp extends Common {
  readonly snapshot: MetaFile
  readonly private: boolean
}

/** Reads a timestamp file; throws FormatError if it is not one. */
export function parseTimestamp(bytes: Uint8Array): Envelope<Timestamp> {
  return parseEnvelope(bytes, 'timestamp', (common) => {
    const meta = asObject(common.raw.get('meta'), '"meta" of timestamp')
    const snapshot = readMetaFile(meta.get('snapshot.json'), '"snapshot.json" in timestamp')
    return { ...common, snapshot, private: common.raw.get(PRIVATE_FIELD) === true }
  })
}
