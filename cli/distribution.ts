// A distribution file on this disk: read once for its digest and, where asked, judged as the index will judge it, so that
// what would be refused is refused before a byte is sent. Memory: one chunk, however large the file.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { archiveChecker } from '../pypi/archives.ts'
import type { CoreMetadata } from '../pypi/core-metadata.ts'
import { type DistributionFilename, parseFilename } from '../pypi/filenames.ts'
import type { FormFile } from './upload-form.ts'

/** What a read asks of the disk at once. */
const CHUNK_BYTES = 256 * 1024

export const readChunks = (path: string, start = 0, end = Number.POSITIVE_INFINITY): AsyncIterable<Uint8Array> =>
  createReadStream(path, { highWaterMark: CHUNK_BYTES, start, end })

export interface Digested {
  /** Lower-case hex. */
  sha256: string
  /** Bytes. */
  size: number
}

export async function digestFile(path: string): Promise<Digested> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of readChunks(path)) {
    hash.update(chunk)
    size += chunk.length
  }
  return { sha256: hash.digest('hex'), size }
}

export interface Distribution extends Digested {
  path: string
  file: DistributionFilename
  metadata: CoreMetadata
}

/** @throws Refusal, in the words the index would use */
export async function readDistribution(path: string): Promise<Distribution> {
  const file = parseFilename(basename(path))
  const hash = createHash('sha256')
  const checker = archiveChecker(file)
  let size = 0
  try {
    for await (const chunk of readChunks(path)) {
      hash.update(chunk)
      size += chunk.length
      await checker.write(chunk)
    }
    const { metadata } = await checker.end()
    return { path, file, size, sha256: hash.digest('hex'), metadata }
  } catch (error) {
    checker.abort()
    throw error
  }
}

/** The form's view of a file on disk. */
export const formFileOf = (path: string, file: DistributionFilename, { sha256, size }: Digested): FormFile => ({
  filename: file.filename,
  name: file.project,
  version: file.version,
  sha256,
  size,
  open: () => readChunks(path),
})
