// Names of archive entries. State of EntryNames: every name seen, bounded in number and bytes.
// Invariant: an accepted name means the same path on every system and to every unpacker, inside the folder unpacked to.
import { ENTRY_NAME_BYTES_MAX, ENTRY_NAMES_BYTES_MAX } from './limits.ts'
import { Refusal, shown } from './refusal.ts'
import { decodeUtf8 } from './utf8.ts'

// What Python's str.isprintable() refuses, unassigned characters aside: those depend on the Unicode version at hand.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u

/** Decodes an entry's name. `kind` names the archive in messages. */
export function decodeEntryName(bytes: Uint8Array, kind: string): string {
  const name = decodeUtf8(bytes)
  if (name === null) throw new Refusal(`The ${kind} has a file name that is not UTF-8: rename the file.`)
  return name
}

/** Refuses names that leave the folder they are unpacked to or that unpackers read differently. */
export function checkEntryName(name: string, kind: string): void {
  const complain = (why: string): Refusal => new Refusal(`The ${kind} has the entry ${shown(name)}, ${why}.`)
  if (name === '') throw new Refusal(`The ${kind} has an entry without a name: build it again.`)
  if (UNPRINTABLE.test(name)) throw complain('whose name has unprintable characters: rename the file')
  if (name.includes('\\')) throw complain("whose name has a backslash: write paths with '/'")
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) throw complain('whose path is absolute: it must be relative')
  const path = name.endsWith('/') ? name.slice(0, -1) : name
  for (const segment of path.split('/')) {
    if (segment === '..') throw complain("whose path goes up with '..': it must stay inside")
    if (segment === '.' || segment === '') throw complain("whose path has an empty or '.' segment: build it again")
  }
  if (new TextEncoder().encode(name).length > ENTRY_NAME_BYTES_MAX)
    throw complain(`whose path is over ${ENTRY_NAME_BYTES_MAX} bytes: shorten it`)
}

/** The names of one archive's files. */
export class EntryNames {
  readonly #kind: string
  readonly #entriesMax: number
  readonly #names = new Set<string>()
  #bytes = 0

  constructor(kind: string, entriesMax: number) {
    this.#kind = kind
    this.#entriesMax = entriesMax
  }

  /** Takes a name; refuses one that is there already. */
  add(name: string): void {
    if (this.#names.has(name))
      throw new Refusal(`The ${this.#kind} has the entry ${shown(name)} twice: unpackers differ in which they keep.`)
    if (this.#names.size >= this.#entriesMax)
      throw new Refusal(`The ${this.#kind} has more than ${this.#entriesMax} entries: leave files out.`)
    this.#bytes += name.length
    if (this.#bytes > ENTRY_NAMES_BYTES_MAX)
      throw new Refusal(`The ${this.#kind} has file names of over ${ENTRY_NAMES_BYTES_MAX} bytes: leave files out.`)
    this.#names.add(name)
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.#names.values()
  }
}
