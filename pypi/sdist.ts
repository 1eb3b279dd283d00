// The sdist checker (PEP 517/625, the source distribution format). State of one check: an inflater between two pipes,
// the last bytes of the file, names of all members, PKG-INFO.
// Invariant: a report is given only if gzip, tar and metadata are whole and the file is nothing else besides.
import type { ArchiveChecker, ArchiveLimits, ArchiveReport } from './archive-report.ts'
import { ByteFeed } from './byte-feed.ts'
import { checkerFor } from './checker.ts'
import { parseCoreMetadata } from './core-metadata.ts'
import type { SdistFilename } from './filenames.ts'
import {
  BOMB_FREE_BYTES,
  BOMB_RATIO_MAX,
  INFLATE_SLICE_BYTES,
  INFLATED_CHUNK_BYTES,
  METADATA_BYTES_MAX,
  SDIST_UNPACKED_BYTES_MAX,
} from './limits.ts'
import { checkLicenseFiles, checkMetadataAgainstFilename } from './metadata-agreement.ts'
import { Refusal } from './refusal.ts'
import { Tail } from './tail.ts'
import { walkTar } from './tar.ts'

/** Checks the bytes of the sdist that `file` names. */
export function sdistChecker(file: SdistFilename, limits: ArchiveLimits = {}): ArchiveChecker {
  return checkerFor('sdist', (feed) => checkSdist(feed, file, limits))
}

async function checkSdist(packed: ByteFeed, file: SdistFilename, limits: ArchiveLimits): Promise<ArchiveReport> {
  const unpacked = new ByteFeed()
  const tail = new Tail()
  const inflating = inflate(packed, unpacked, tail)
  const walking = walk(unpacked, file, limits)
  // Whichever fails first decides; the other is stopped by the closed pipe, and its own complaint is of no interest.
  const stop = (error: unknown): never => {
    unpacked.close({ error })
    packed.close({ error })
    throw error
  }
  const [, report] = await Promise.all([inflating.catch(stop), walking.catch(stop)])
  return report
}

/** Moves everything from the packed pipe, inflated, to the other. */
async function inflate(packed: ByteFeed, unpacked: ByteFeed, tail: Tail): Promise<void> {
  const gzip = new DecompressionStream('gzip')
  const writer = gzip.writable.getWriter()
  const pump = new Pump(openReader(gzip.readable), unpacked, tail)
  try {
    let sinceIdle = 0
    while (!(await packed.atEnd())) {
      const slice = (await packed.takeSome(INFLATE_SLICE_BYTES - sinceIdle)).slice()
      tail.push(slice)
      // Whichever ends first: a pump that has refused no longer drains, and a write would wait for ever.
      await Promise.race([writer.write(slice), pump.done])
      sinceIdle += slice.length
      if (sinceIdle < INFLATE_SLICE_BYTES) continue
      await pump.idle()
      sinceIdle = 0
    }
    await Promise.race([writer.close(), pump.done])
    const size = await pump.done
    // Members after the first have their own trailer: a reader that stops at the first would see another archive.
    if (tail.uint32() !== size) throw new Refusal('The sdist is more than one gzip stream: compress it as one.')
    if (tail.looksLikeZip())
      throw new Refusal('The sdist ends like a zip archive, and some tools would read it as one.')
    unpacked.end()
  } catch (error) {
    await Promise.allSettled([writer.abort(), pump.cancel()])
    // Refusals are ours; everything else is the inflater's word for broken input.
    throw error instanceof Refusal ? error : new Refusal('The sdist is not a whole gzip file: build and send it again.')
  }
}

/** What a pump needs of a stream's reader. */
interface ChunkReader {
  /** The next bytes, valid until the next read; undefined at the end. */
  read(): Promise<Uint8Array | undefined>
  cancel(): Promise<void>
}

/**
 * A reader of an inflater's output. workerd's plain reader gives 4 KiB at a time, which costs more than the inflating; its
 * stream is a byte stream, which fills a larger buffer. Node's is none, and gives 16 KiB.
 */
function openReader(readable: ReadableStream<Uint8Array>): ChunkReader {
  let byob: ReadableStreamBYOBReader | undefined
  try {
    byob = readable.getReader({ mode: 'byob' })
  } catch {
    const reader = readable.getReader()
    return { read: async () => (await reader.read()).value, cancel: () => reader.cancel() }
  }
  const reader = byob
  let buffer = new ArrayBuffer(INFLATED_CHUNK_BYTES)
  return {
    read: async () => {
      const { done, value } = await reader.read(new Uint8Array(buffer))
      if (done || !value) return undefined
      buffer = value.buffer as ArrayBuffer
      return value
    },
    cancel: () => reader.cancel(),
  }
}

/** Moves what an inflater writes to the walker, and counts it. */
class Pump {
  /** Bytes inflated in all, when the inflater has ended. */
  readonly done: Promise<number>
  readonly #reader: ChunkReader
  readonly #unpacked: ByteFeed
  readonly #tail: Tail
  #reads = 0
  #ended = false

  constructor(reader: ChunkReader, unpacked: ByteFeed, tail: Tail) {
    this.#reader = reader
    this.#unpacked = unpacked
    this.#tail = tail
    this.done = this.#run().finally(() => {
      this.#ended = true
    })
    this.done.catch(() => undefined)
  }

  /**
   * Waits until everything inflated so far has been moved. workerd's inflater takes every write at once and holds all
   * that comes of it, so without this wait a bomb would be in memory before its first bytes are looked at. There is no
   * signal for "nothing left": a turn of the event loop in which no read ended is one.
   */
  async idle(): Promise<void> {
    for (let before = -1; before !== this.#reads && !this.#ended; ) {
      before = this.#reads
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
  }

  cancel(): Promise<void> {
    return this.#reader.cancel()
  }

  async #run(): Promise<number> {
    let size = 0
    for (;;) {
      const value = await this.#reader.read()
      this.#reads++
      if (!value) return size
      size += value.length
      if (size > SDIST_UNPACKED_BYTES_MAX)
        throw new Refusal(`The sdist unpacks to over ${SDIST_UNPACKED_BYTES_MAX / 1_048_576} MiB: leave files out.`)
      if (size > BOMB_FREE_BYTES && size > this.#tail.total * BOMB_RATIO_MAX)
        throw new Refusal(
          `The sdist unpacks to more than ${BOMB_RATIO_MAX} times its size: this index takes it for a bomb.`,
        )
      await this.#unpacked.write(value)
    }
  }
}

async function walk(unpacked: ByteFeed, file: SdistFilename, limits: ArchiveLimits): Promise<ArchiveReport> {
  const path = `${file.topDirectory}/PKG-INFO`
  const bytesMax = limits.metadataBytesMax ?? METADATA_BYTES_MAX
  let metadataBytes: Uint8Array | undefined
  const names = await walkTar(unpacked, file.topDirectory, async (member) => {
    if (member.name !== path) return
    if (member.size > bytesMax) throw new Refusal(`The sdist's PKG-INFO is over ${bytesMax} bytes: shorten it.`)
    metadataBytes = await member.take()
  })
  if (!metadataBytes) throw new Refusal(`The sdist has no ${path}: build it with a current build backend.`)
  const metadata = parseCoreMetadata(metadataBytes, 'PKG-INFO')
  checkMetadataAgainstFilename(metadata, file, 'PKG-INFO')
  checkLicenseFiles(metadata, names, `${file.topDirectory}/`, 'sdist')
  return { metadataBytes, metadata, warnings: metadata.warnings }
}
