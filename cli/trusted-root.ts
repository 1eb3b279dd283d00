// The root a person trusts: one file, from the operator, over a way that is not the index itself.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TufError } from '../tuf/errors.ts'
import { parseRoot } from '../tuf/metadata.ts'
import { CommandError } from './terminal.ts'

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]'])

/** Where the local service puts its own. */
export const DEFAULT_ROOT = join('.tuf-edge', 'root.json')

export function readRoot(path: string): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(readFileSync(path))
  } catch {
    throw new CommandError(`There is no root to trust at ${path}: give the operator's root.json with --root.`)
  }
  try {
    parseRoot(bytes)
    return bytes
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    throw new CommandError(`${path} is no root: give the operator's root.json with --root. (${error.message})`)
  }
}

/** The keys of a development root were never guarded, so it must not vouch for anything but this machine. */
export function refuseDevelopmentRoot(root: Uint8Array, base: URL): void {
  const development = parseRoot(root).signed.raw.get('x-tuf-edge-development') === true
  if (development && !LOOPBACK.has(base.hostname))
    throw new CommandError(`The root is a development root: it is good for an index on this machine, not ${base.host}.`)
}
