// The wheel checker (PEP 427, the binary distribution format, Warehouse's upload checks). State of one check: names of all
// entries and the content of four small files of the .dist-info folder; the payload goes by unseen.
// Invariant: a report is given only after the zip's end has confirmed everything that it says.
import type { ArchiveChecker, ArchiveLimits, ArchiveReport } from './archive-report.ts'
import type { ByteFeed } from './byte-feed.ts'
import { checkerFor } from './checker.ts'
import { parseCoreMetadata } from './core-metadata.ts'
import { crc32 } from './crc32.ts'
import { checkEntryPoints } from './entry-points.ts'
import type { WheelFilename } from './filenames.ts'
import { parseHeaderFile } from './headers.ts'
import { inflateRaw } from './inflate.ts'
import { DIST_INFO_FILE_BYTES_MAX, METADATA_BYTES_MAX, RECORD_BYTES_MAX } from './limits.ts'
import { checkLicenseFiles, checkMetadataAgainstFilename } from './metadata-agreement.ts'
import { compareRecord, digestOf, parseRecord } from './record.ts'
import { Refusal, shown } from './refusal.ts'
import { isTarHeader, TAR_BLOCK_BYTES } from './tar-header.ts'
import { walkZip, type ZipMember } from './zip.ts'

/** Checks the bytes of the wheel that `file` names. */
export function wheelChecker(file: WheelFilename, limits: ArchiveLimits = {}): ArchiveChecker {
  const checker = checkerFor('wheel', (feed) => checkWheel(feed, file, limits))
  const head = new Uint8Array(TAR_BLOCK_BYTES)
  let headBytes = 0
  return {
    write: (chunk) => {
      if (headBytes < head.length) {
        const piece = chunk.subarray(0, head.length - headBytes)
        head.set(piece, headBytes)
        headBytes += piece.length
      }
      return checker.write(chunk)
    },
    end: async () => {
      const report = await checker.end()
      if (headBytes === head.length && isTarHeader(head))
        throw new Refusal('The wheel is a zip and a tar archive at once: build it with a current tool.')
      return report
    },
    abort: () => checker.abort(),
  }
}

async function checkWheel(feed: ByteFeed, file: WheelFilename, limits: ArchiveLimits): Promise<ArchiveReport> {
  const path = (name: string): string => `${file.distInfo}/${name}`
  const wanted = new Map([
    [path('METADATA'), limits.metadataBytesMax ?? METADATA_BYTES_MAX],
    [path('WHEEL'), DIST_INFO_FILE_BYTES_MAX],
    [path('RECORD'), RECORD_BYTES_MAX],
    [path('entry_points.txt'), DIST_INFO_FILE_BYTES_MAX],
  ])
  const content = new Map<string, Uint8Array>()
  const names = await walkZip(feed, async (member) => {
    checkDistInfoFolder(member.name, file)
    const bytesMax = wanted.get(member.name)
    if (bytesMax !== undefined) content.set(member.name, await unpack(member, bytesMax))
  })
  const need = (name: string): Uint8Array => {
    const bytes = content.get(path(name))
    if (!bytes) throw new Refusal(`The wheel has no ${path(name)}: build it with a current build backend.`)
    return bytes
  }
  checkWheelFile(need('WHEEL'), path('WHEEL'))
  const metadataBytes = need('METADATA')
  const metadata = parseCoreMetadata(metadataBytes, 'METADATA')
  checkMetadataAgainstFilename(metadata, file, 'METADATA')
  checkLicenseFiles(metadata, names, path('licenses/'), 'wheel')
  const entryPoints = content.get(path('entry_points.txt'))
  if (entryPoints) checkEntryPoints(entryPoints, path('entry_points.txt'))
  const record = parseRecord(need('RECORD'), path('RECORD'))
  content.delete(path('RECORD'))
  const differences = [...compareRecord(record, names, file.distInfo), ...(await digestDifferences(record, content))]
  if (limits.strictRecord && differences.length > 0) throw new Refusal(differences[0]!)
  return { metadataBytes, metadata, warnings: [...metadata.warnings, ...differences] }
}

// Two .dist-info folders, or one in another spelling, would be two packages; installers differ in which they take.
function checkDistInfoFolder(name: string, file: WheelFilename): void {
  const folder = name.slice(0, name.indexOf('/'))
  if (!name.includes('/') || folder === file.distInfo || !folder.toLowerCase().endsWith('.dist-info')) return
  throw new Refusal(
    `The wheel has the folder ${shown(folder)}, but ${shown(file.filename)} may only have ${shown(file.distInfo)}.`,
  )
}

async function unpack(member: ZipMember, bytesMax: number): Promise<Uint8Array> {
  // Deflate adds 5 bytes per 64 KiB at the worst: packed bytes far beyond the limit cannot be an honest file.
  if (member.size > bytesMax || member.packed > bytesMax + bytesMax / 8 + 64)
    throw new Refusal(`The wheel's ${member.name} is over ${bytesMax} bytes: shorten it.`)
  const complaint = `The wheel's ${member.name} does not unpack to its declared size and CRC-32: build it again.`
  const packed = await member.take()
  const bytes = member.isStored ? packed : await inflateRaw(packed, member.size, complaint)
  if (crc32(bytes) !== member.crc) throw new Refusal(complaint)
  return bytes
}

function checkWheelFile(bytes: Uint8Array, what: string): void {
  const version = parseHeaderFile(bytes, what).fields.get('wheel-version')?.[0]
  if (version === undefined || !/^\d+\.\d+$/.test(version))
    throw new Refusal(`${what} has no valid Wheel-Version: build the wheel with a current build backend.`)
  if (!version.startsWith('1.')) throw new Refusal(`${what} has the Wheel-Version ${version}: this index takes 1.x.`)
}

// The small files are in memory anyway: their digests cost nothing. Those of the payload are the installer's to check.
async function digestDifferences(
  record: ReadonlyMap<string, string>,
  content: ReadonlyMap<string, Uint8Array>,
): Promise<string[]> {
  const differences: string[] = []
  for (const [name, bytes] of content) {
    const declared = record.get(name)
    if (declared?.startsWith('sha256=') && declared !== (await digestOf(bytes)))
      differences.push(`RECORD has another digest for ${shown(name)} than the file.`)
  }
  return differences
}
