// targets and delegated roles: files and their digests, and who else may name files (TUF 1.0.34, 4.5).
import { type Delegations, readDelegations } from './delegations.ts'
import { type Common, type Envelope, parseEnvelope } from './envelope.ts'
import { asInteger, asObject } from './fields.ts'
import type { JsonObject } from './json.ts'
import { readHashes } from './meta-file.ts'
import type { KeyPolicy } from './root.ts'

export interface TargetFile {
  /** Bytes of the file. */
  readonly length: number
  /** Algorithm → lower-case hex; never empty. */
  readonly hashes: ReadonlyMap<string, string>
  readonly custom?: JsonObject
}

export interface Targets extends Common {
  /** Target path → file, in the order of the file. */
  readonly targets: ReadonlyMap<string, TargetFile>
  readonly delegations?: Delegations
}

/**
 * Reads the file of `targets` or of a delegated role.
 *
 * @param policy `strict` refuses keys that could not be used, instead of keeping them as unusable
 * @throws {FormatError} if it is not one
 */
export function parseTargets(bytes: Uint8Array, policy: KeyPolicy = {}): Envelope<Targets> {
  return parseEnvelope(bytes, 'targets', (common) => {
    const targets = new Map<string, TargetFile>()
    for (const [path, entry] of asObject(common.raw.get('targets'), '"targets"')) {
      const what = `the target "${path}"`
      const file = asObject(entry, what)
      const custom = file.get('custom')
      targets.set(path, {
        length: asInteger(file.get('length'), 0, `"length" of ${what}`),
        hashes: readHashes(file.get('hashes'), what),
        ...(custom !== undefined && { custom: asObject(custom, `"custom" of ${what}`) }),
      })
    }
    const delegations = common.raw.get('delegations')
    return {
      ...common,
      targets,
      ...(delegations !== undefined && { delegations: readDelegations(delegations, policy) }),
    }
  })
}
