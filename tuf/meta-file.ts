// How one role names the file of another: its version and, if given, its exact bytes (TUF 1.0.34, 4.4 and 4.6).
import { digestHex, isHashName } from './digest.ts'
import { FormatError, MismatchError } from './errors.ts'
import { asInteger, asObject, asString } from './fields.ts'
import type { Json } from './json.ts'

export interface MetaFile {
  readonly version: number
  /** Bytes of the file; a reader's limit. */
  readonly length?: number
  /** Algorithm → lower-case hex; never empty. */
  readonly hashes?: ReadonlyMap<string, string>
}

/** Reads an entry of `meta`. */
export function readMetaFile(json: Json | undefined, what: string): MetaFile {
  const entry = asObject(json, what)
  const length = entry.get('length')
  const hashes = entry.get('hashes')
  return {
    version: asInteger(entry.get('version'), 1, `"version" of ${what}`),
    ...(length !== undefined && { length: asInteger(length, 1, `"length" of ${what}`) }),
    ...(hashes !== undefined && { hashes: readHashes(hashes, what) }),
  }
}

/** Reads a `hashes` object: at least one algorithm, each a string. Unknown names are kept and never verify. */
export function readHashes(json: Json | undefined, what: string): Map<string, string> {
  const hashes = new Map<string, string>()
  for (const [name, hex] of asObject(json, `"hashes" of ${what}`))
    hashes.set(name, asString(hex, `The ${name} of ${what}`))
  if (hashes.size === 0) throw new FormatError(`"hashes" of ${what} is empty.`)
  return hashes
}

/**
 * Checks a whole file against the length and every hash that names it; what is not given is not checked.
 *
 * @param what the file, for the refusal's sentence
 * @throws {MismatchError} if one differs, or cannot be computed because its algorithm is unknown
 */
export async function checkBytes(
  bytes: Uint8Array,
  expected: { readonly length?: number; readonly hashes?: ReadonlyMap<string, string> },
  what: string,
): Promise<void> {
  if (expected.length !== undefined && expected.length !== bytes.length)
    throw new MismatchError(`${what} has ${bytes.length} bytes instead of ${expected.length}.`)
  for (const [name, hex] of expected.hashes ?? []) {
    if (!isHashName(name))
      throw new MismatchError(`${what} is named by a ${name} digest, which cannot be verified here.`)
    if ((await digestHex(name, bytes)) !== hex)
      throw new MismatchError(`${what} does not have the ${name} digest it should.`)
  }
}
