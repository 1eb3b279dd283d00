// RECORD, the list of a wheel's files (binary distribution format). State: none.
// Invariant: every file of an accepted wheel is in its RECORD, so what the list says is all that an installer puts down.
import type { EntryNames } from './entry-names.ts'
import { Refusal, shown } from './refusal.ts'
import { decodeUtf8 } from './utf8.ts'

/** Differences told in full; the rest is a number. A wheel of a wrong RECORD has thousands. */
const TOLD_MAX = 3

// Path, digest, size: the CSV dialect of Python's csv module. A path with a comma or quote is in quotes.
const LINE = /^(?:"((?:[^"]|"")*)"|([^",]*)),([^",]*),(\d*)$/

/** Path → digest as written (`sha256=…`, or empty). Refuses what is not three columns. */
export function parseRecord(bytes: Uint8Array, what: string): Map<string, string> {
  const text = decodeUtf8(bytes)
  if (text === null) throw new Refusal(`${what} is not valid UTF-8: build the wheel again.`)
  const record = new Map<string, string>()
  for (const line of text.split(/\r\n|\n|\r/)) {
    if (line === '') continue
    const found = LINE.exec(line)
    if (!found) throw new Refusal(`${what} has the malformed line ${shown(line)}: each is path, digest and size.`)
    const path = found[1]?.replaceAll('""', '"') ?? found[2]!
    if (record.has(path)) throw new Refusal(`${what} has ${shown(path)} twice: build the wheel again.`)
    record.set(path, found[3]!)
  }
  return record
}

/**
 * Compares RECORD with the archive. Refuses files that RECORD does not name; gives sentences about names whose files are
 * missing.
 */
export function compareRecord(record: ReadonlyMap<string, string>, names: EntryNames, distInfo: string): string[] {
  // RECORD cannot hold its own digest and may leave itself out; signatures of it are made after it.
  const exempt = new Set(['RECORD', 'RECORD.jws', 'RECORD.p7s'].map((name) => `${distInfo}/${name}`))
  for (const name of names) {
    if (name.endsWith('/') || record.has(name) || exempt.has(name)) continue
    throw new Refusal(`The wheel has the file ${shown(name)}, which is not in its RECORD: build it again.`)
  }
  const missing = [...record.keys()].filter((path) => !names.has(path) && !exempt.has(path))
  const told = missing.slice(0, TOLD_MAX).map((path) => `RECORD names ${shown(path)}, which the wheel does not have.`)
  if (missing.length > TOLD_MAX) told.push(`RECORD names ${missing.length - TOLD_MAX} more files that are not there.`)
  return told
}

/** A file's digest as RECORD writes it: `sha256=` and URL-safe base64 without padding. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as BufferSource))
  const base64 = btoa(String.fromCharCode(...digest))
  return `sha256=${base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}`
}
