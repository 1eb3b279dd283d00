// Uploads bytes that are in memory: the first package of a new index, the demo's, the tests'.
import { createHash } from 'node:crypto'
import { ApiError } from './api.ts'
import { sendForm } from './upload-form.ts'

export interface UploadInput {
  /** Index base, e.g. http://127.0.0.1:8787 */
  base: string
  token: string
  filename: string
  bytes: Uint8Array
  name: string
  version: string
}

/** @returns the HTTP status: 200 visible, 202 stored and about to appear. @throws ApiError with the index's sentence. */
export async function uploadFile({ base, token, filename, bytes, name, version }: UploadInput): Promise<number> {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  async function* open() {
    yield bytes
  }
  try {
    const { visible } = await sendForm({ filename, name, version, sha256, size: bytes.length, open }, { base, token })
    return visible ? 200 : 202
  } catch (error) {
    if (error instanceof ApiError) throw new ApiError(error.status, `${filename} was refused: ${error.message}`)
    throw error
  }
}
