// Uploads a file the way twine does, through the legacy form.
import { createHash } from 'node:crypto'
import { ApiError } from './api.ts'

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
  const form = new FormData()
  const wheel = filename.endsWith('.whl')
  const fields: Record<string, string> = {
    ':action': 'file_upload',
    protocol_version: '1',
    metadata_version: '2.1',
    name,
    version,
    filetype: wheel ? 'bdist_wheel' : 'sdist',
    pyversion: wheel ? 'py3' : 'source',
    sha256_digest: createHash('sha256').update(bytes).digest('hex'),
  }
  for (const [field, value] of Object.entries(fields)) form.append(field, value)
  form.append('content', new Blob([bytes as Uint8Array<ArrayBuffer>]), filename)
  const authorization = `Basic ${Buffer.from(`__token__:${token}`).toString('base64')}`
  const response = await fetch(new URL('/legacy/', base), { method: 'POST', headers: { authorization }, body: form })
  const text = await response.text()
  if (!response.ok) {
    let message = text
    try {
      message = (JSON.parse(text) as { message: string }).message
    } catch {
      // plain text
    }
    throw new ApiError(response.status, `${filename} was refused: ${message}`)
  }
  return response.status
}
