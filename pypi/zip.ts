// One forward pass over a zip file. State: every entry's name and declared values, until the central directory has
// confirmed them. Invariants: the local headers touch each other from byte 0, the central directory touches the last
// of them, the end record is the end of the file; both directories say the same. So a reader that streams, one that starts
// at the end, and one that scans for signatures all see the same archive (Warehouse's rule).
import type { ByteFeed } from './byte-feed.ts'
import { checkEntryName, decodeEntryName, EntryNames } from './entry-names.ts'
import { BOMB_FREE_BYTES, BOMB_RATIO_MAX, ZIP_ENTRIES_MAX } from './limits.ts'
import { Refusal, shown } from './refusal.ts'
import * as records from './zip-records.ts'

/** An entry as its local header announces it. `take` may be called once, at once; what it leaves is skipped. */
export interface ZipMember extends records.ZipEntry {
  readonly name: string
  readonly isStored: boolean
  /** The bytes in the archive, a copy. The caller has looked at `packed` first. */
  take(): Promise<Uint8Array>
}

interface Seen extends records.ZipEntry {
  readonly offset: number
}

/** The end of the central directory, as the entries showed it. */
interface Directory {
  readonly entries: number
  readonly offset: number
  readonly bytes: number
}

function disagreement(): Refusal {
  return new Refusal("The wheel's central directory and its entries do not agree: build it with a current tool.")
}

function agree(condition: boolean): void {
  if (!condition) throw disagreement()
}

/**
 * Walks a whole zip file and gives its names. `visit` is awaited for each entry in file order, before the central
 * directory has confirmed anything: it must not publish what it sees until this function has returned.
 */
export async function walkZip(feed: ByteFeed, visit: (member: ZipMember) => Promise<void>): Promise<EntryNames> {
  const names = new EntryNames('wheel', ZIP_ENTRIES_MAX)
  const seen = new Map<string, Seen>()
  let unpacked = 0
  let signature = await takeSignature(feed)
  while (signature === records.LOCAL_FILE) {
    const offset = feed.position - 4
    const { name, entry } = await localEntry(feed)
    names.add(name)
    seen.set(name, { ...entry, offset })
    unpacked += entry.size
    let left = entry.packed
    const take = async (): Promise<Uint8Array> => {
      const bytes = (await feed.take(entry.packed)).slice()
      left = 0
      return bytes
    }
    await visit({ ...entry, name, isStored: records.isStored(entry), take })
    await feed.skip(left)
    signature = await takeSignature(feed)
  }
  const directory = await walkDirectory(feed, signature, seen)
  // Declared sizes decide here; one that lies is found by whoever unpacks that entry, and its CRC-32 with it.
  if (unpacked > BOMB_FREE_BYTES && unpacked > feed.position * BOMB_RATIO_MAX)
    throw new Refusal(
      `The wheel unpacks to more than ${BOMB_RATIO_MAX} times its size: this index takes it for a bomb.`,
    )
  agree(directory.entries === seen.size)
  return names
}

async function takeSignature(feed: ByteFeed): Promise<number> {
  return records.view(await feed.take(4)).getUint32(0, true)
}

async function localEntry(feed: ByteFeed): Promise<{ name: string; entry: records.ZipEntry }> {
  const raw = records.parseLocalFile(await feed.take(records.LOCAL_FILE_BYTES))
  const variable = await feed.take(raw.nameBytes + raw.extraBytes)
  const rawName = variable.subarray(0, raw.nameBytes)
  const name = decodeEntryName(rawName, 'wheel')
  checkEntryName(name, 'wheel')
  const { flags, method, crc, packed, size } = records.applyExtra(raw, variable.subarray(raw.nameBytes), rawName, name)
  const entry = { flags, method, crc, packed, size }
  records.checkEntry(entry, name)
  return { name, entry }
}

async function walkDirectory(feed: ByteFeed, first: number, seen: ReadonlyMap<string, Seen>): Promise<Directory> {
  const offset = feed.position - 4
  const confirmed = new Set<string>()
  let signature = first
  while (signature === records.CENTRAL_ENTRY) {
    const name = await centralEntry(feed, seen)
    agree(!confirmed.has(name))
    confirmed.add(name)
    signature = await takeSignature(feed)
  }
  const directory = { entries: confirmed.size, offset, bytes: feed.position - 4 - offset }
  let hasZip64 = false
  if (signature === records.ZIP64_END) {
    await zip64End(feed, directory)
    hasZip64 = true
    signature = await takeSignature(feed)
  }
  if (signature !== records.END) throw new Refusal('The wheel has bytes that belong to no zip record: build it again.')
  await endRecord(feed, directory, hasZip64)
  return directory
}

async function centralEntry(feed: ByteFeed, seen: ReadonlyMap<string, Seen>): Promise<string> {
  const raw = records.parseCentralEntry(await feed.take(records.CENTRAL_ENTRY_BYTES))
  const variable = await feed.take(raw.nameBytes + raw.extraBytes)
  const rawName = variable.subarray(0, raw.nameBytes)
  const name = decodeEntryName(rawName, 'wheel')
  const entry = records.applyExtra(raw, variable.subarray(raw.nameBytes), rawName, name)
  const local = seen.get(name)
  if (!local) throw disagreement()
  agree(entry.flags === local.flags && entry.method === local.method && entry.crc === local.crc)
  agree(entry.packed === local.packed && entry.size === local.size && entry.offset === local.offset && entry.disk === 0)
  if (raw.commentBytes > 0) throw new Refusal(`The wheel has a comment on the entry ${shown(name)}: build it without.`)
  if (raw.isSymlink) throw new Refusal(`The wheel has the symbolic link ${shown(name)}: wheels hold files only.`)
  return name
}

/** The ZIP64 end record and its locator, without extensible data. Needless ones are allowed if they agree. */
async function zip64End(feed: ByteFeed, directory: Directory): Promise<void> {
  const start = feed.position - 4
  const end = records.view(await feed.take(records.ZIP64_END_BYTES))
  // 44 is the record without extensible data: its own signature and length field are not counted (APPNOTE 4.3.14.1).
  if (records.uint64(end, 0) !== 44)
    throw new Refusal('The wheel has extensible ZIP64 data: build it with a current tool.')
  agree(end.getUint32(12, true) === 0 && end.getUint32(16, true) === 0)
  agree(records.uint64(end, 20) === directory.entries && records.uint64(end, 28) === directory.entries)
  agree(records.uint64(end, 36) === directory.bytes && records.uint64(end, 44) === directory.offset)
  agree((await takeSignature(feed)) === records.ZIP64_LOCATOR)
  const locator = records.view(await feed.take(records.ZIP64_LOCATOR_BYTES))
  agree(locator.getUint32(0, true) === 0 && records.uint64(locator, 4) === start && locator.getUint32(12, true) === 1)
}

async function endRecord(feed: ByteFeed, directory: Directory, hasZip64: boolean): Promise<void> {
  const data = records.view(await feed.take(records.END_BYTES))
  const is = (found: number, wanted: number, seeZip64: number): boolean =>
    found === wanted || (hasZip64 && found === seeZip64)
  agree(is(data.getUint16(0, true), 0, records.SEE_ZIP64_16) && is(data.getUint16(2, true), 0, records.SEE_ZIP64_16))
  agree(is(data.getUint16(4, true), directory.entries, records.SEE_ZIP64_16))
  agree(is(data.getUint16(6, true), directory.entries, records.SEE_ZIP64_16))
  agree(is(data.getUint32(8, true), directory.bytes, records.SEE_ZIP64_32))
  agree(is(data.getUint32(12, true), directory.offset, records.SEE_ZIP64_32))
  const comment = await feed.take(data.getUint16(16, true))
  // Readers look for the end record from the end of the file: a comment may not look like another one.
  for (let at = 0; at + 1 < comment.length; at++)
    if (comment[at] === 0x50 && comment[at + 1] === 0x4b)
      throw new Refusal('The wheel has an archive comment with a zip signature in it: build it without a comment.')
  if (!(await feed.atEnd())) throw new Refusal('The wheel has bytes after its end: build it again.')
}
