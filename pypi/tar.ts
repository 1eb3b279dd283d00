// One forward pass over a tar archive. State: the names seen, folders and links among them, and what a pax or GNU record
// says about the next member. Invariants: every member is under one top folder; every link leads to a place under it, in
// whatever order an unpacker creates them; nothing but zeros follows the first zero block.
import type { ByteFeed } from './byte-feed.ts'
import { checkEntryName, decodeEntryName, type EntryNames } from './entry-names.ts'
import { TAR_EXTENSION_BYTES_MAX, TAR_MEMBERS_MAX } from './limits.ts'
import { Refusal, shown } from './refusal.ts'
import { isZeroBlock, parseTarHeader, TAR_BLOCK_BYTES, type TarHeader } from './tar-header.ts'
import { TarTree } from './tar-tree.ts'

/** A regular file of the archive. `take` may be called once, at once; what it leaves is skipped. */
export interface TarMember {
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** The content, a copy. The caller has looked at `size` first. */
  take(): Promise<Uint8Array>
}

/** What records before a member say about it. */
interface Overrides {
  path?: string
  linkpath?: string
  size?: number
}

/** Walks a whole archive under the folder `top` and gives its file names. `visit` is awaited for each regular file. */
export async function walkTar(
  feed: ByteFeed,
  top: string,
  visit: (member: TarMember) => Promise<void>,
): Promise<EntryNames> {
  const tree = new TarTree(top)
  let overrides: Overrides = {}
  let members = 0
  for (;;) {
    const block = await feed.take(TAR_BLOCK_BYTES)
    if (isZeroBlock(block)) break
    // A copy of all it says: the block is a view of a chunk that is gone after the next read.
    const header = parseTarHeader(block.slice())
    if (++members > TAR_MEMBERS_MAX)
      throw new Refusal(`The sdist has more than ${TAR_MEMBERS_MAX} members: leave files out.`)
    if ('xgLK'.includes(header.type)) {
      overrides = await extension(feed, header, overrides)
      continue
    }
    const name = overrides.path ?? decodeEntryName(header.rawName, 'sdist')
    const link = overrides.linkpath ?? decodeEntryName(header.rawLink, 'sdist')
    const size = overrides.size ?? header.size
    overrides = {}
    await member(feed, tree, { type: header.type, name, link, size }, visit)
  }
  if (Object.keys(overrides).length > 0) throw new Refusal('The sdist ends after a header for a file: build it again.')
  await onlyZeros(feed)
  return tree.names
}

async function member(
  feed: ByteFeed,
  tree: TarTree,
  { type, name, link, size }: { type: string; name: string; link: string; size: number },
  visit: (member: TarMember) => Promise<void>,
): Promise<void> {
  checkEntryName(name, 'sdist')
  const isFolder = type === '5' || (type === '0' && name.endsWith('/'))
  if (isFolder || type === '1' || type === '2') {
    if (size !== 0) throw new Refusal(`The sdist has the member ${shown(name)} with content it cannot have.`)
    if (isFolder) tree.addFolder(name)
    else if (type === '2') tree.addSymlink(name, link)
    else tree.addHardLink(name, link)
    return
  }
  if (type === 'S') throw new Refusal(`The sdist has the sparse member ${shown(name)}: build it with a Python tool.`)
  if (type !== '0') throw new Refusal(`The sdist has the member ${shown(name)} that is no file, folder or link.`)
  tree.addFile(name)
  let left = size
  const take = async (): Promise<Uint8Array> => {
    const bytes = (await feed.take(size)).slice()
    left = 0
    return bytes
  }
  await visit({ name, size, take })
  await feed.skip(left + padding(size))
}

function padding(size: number): number {
  return (TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES
}

/** A record about the next member ('x', 'L', 'K') or about all ('g'). */
async function extension(feed: ByteFeed, header: TarHeader, before: Overrides): Promise<Overrides> {
  if (header.size > TAR_EXTENSION_BYTES_MAX)
    throw new Refusal(`The sdist has a tar record over ${TAR_EXTENSION_BYTES_MAX} bytes: shorten its paths.`)
  const body = (await feed.take(header.size)).slice()
  await feed.skip(padding(header.size))
  const twice = new Refusal('The sdist has two names for one member: build it with a current tool.')
  if (header.type === 'L' || header.type === 'K') {
    const key = header.type === 'L' ? 'path' : 'linkpath'
    if (before[key] !== undefined) throw twice
    const nul = body.indexOf(0)
    return { ...before, [key]: decodeEntryName(nul < 0 ? body : body.subarray(0, nul), 'sdist') }
  }
  const found = parsePax(body)
  const isGlobal = header.type === 'g'
  // git archive writes a global comment; global paths and sizes are nobody's, and readers differ over them.
  if (isGlobal && Object.keys(found).length > 0)
    throw new Refusal('The sdist has a global tar header with a path or size: build it with a current tool.')
  for (const key of Object.keys(found) as (keyof Overrides)[]) if (before[key] !== undefined) throw twice
  return { ...before, ...found }
}

/** pax records: `{length} {key}={value}\n`, the length in decimal and counting itself. */
function parsePax(body: Uint8Array): Overrides {
  const malformed = new Refusal('The sdist has a malformed pax header: build it with a current tool.')
  const found: Overrides = {}
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at)
    if (space < 0 || space - at > 6) throw malformed
    const length = String.fromCharCode(...body.subarray(at, space))
    const end = at + (/^[1-9]\d*$/.test(length) ? Number(length) : 0)
    // Beyond the space, so that every round of this loop goes on.
    if (end <= space + 1 || end > body.length || body[end - 1] !== 0x0a) throw malformed
    const text = decodeEntryName(body.subarray(space + 1, end - 1), 'sdist')
    const equals = text.indexOf('=')
    if (equals < 1) throw malformed
    setPax(found, text.slice(0, equals), text.slice(equals + 1), malformed)
    at = end
  }
  return found
}

function setPax(found: Overrides, key: string, value: string, malformed: Refusal): void {
  if (key.startsWith('GNU.sparse'))
    throw new Refusal('The sdist has a sparse member: build it with a Python tool, or tar without --sparse.')
  if (key === 'path' || key === 'linkpath') {
    if (found[key] !== undefined) throw malformed
    found[key] = value
  } else if (key === 'size') {
    if (found.size !== undefined || !/^\d{1,15}$/.test(value)) throw malformed
    found.size = Number(value)
  } else if (key === 'hdrcharset') throw malformed
}

async function onlyZeros(feed: ByteFeed): Promise<void> {
  while (!(await feed.atEnd()))
    if (!isZeroBlock(await feed.takeSome(Number.MAX_SAFE_INTEGER)))
      throw new Refusal('The sdist has data after its end: build it again.')
}
