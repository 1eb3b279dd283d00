// snapshot: the version of every targets role, so that all of them belong to one moment (TUF 1.0.34, 4.4).
import { type Common, type Envelope, parseEnvelope } from './envelope.ts'
import { FormatError } from './errors.ts'
import { asObject } from './fields.ts'
import { type MetaFile, readMetaFile } from './meta-file.ts'

export interface Snapshot extends Common {
  /** Role name (without `.json`) → its file; in the order of the file. */
  readonly meta: ReadonlyMap<string, MetaFile>
}

const SUFFIX = '.json'

/** Reads a snapshot file; throws FormatError if it is not one. */
export function parseSnapshot(bytes: Uint8Array): Envelope<Snapshot> {
  return parseEnvelope(bytes, 'snapshot', (common) => {
    const meta = new Map<string, MetaFile>()
    for (const [file, entry] of asObject(common.raw.get('meta'), '"meta" of snapshot')) {
      if (!file.endsWith(SUFFIX))
        throw new FormatError(`snapshot lists "${file}", which is not the name of a role's file.`)
      meta.set(file.slice(0, -SUFFIX.length), readMetaFile(entry, `"${file}" in snapshot`))
    }
    return { ...common, meta }
  })
}
