// Wheels to upload and the form around them, made before the clock starts.
import { createHash, randomBytes } from 'node:crypto'
import { buildWheel } from '../cli/wheel.ts'
import type { Send } from './http.ts'

export interface Distribution {
  project: string
  version: string
  filename: string
  /** The file in parts, so that large ones may share theirs. */
  parts: readonly Uint8Array[]
  size: number
  sha256: string
}

/** Random, so that it does not compress: with metadata and zip records the wheel has about 2 kB, as in peers' benches. */
const MODULE_BYTES = 900

export function smallWheel(project: string, version: string): Distribution {
  const module = project.replaceAll('-', '_')
  const source = `DATA = "${randomBytes(MODULE_BYTES).toString('base64')}"\n`
  const { filename, bytes } = buildWheel({
    name: project,
    version,
    summary: 'A wheel of a benchmark',
    metadata: ['Requires-Python: >=3.8'],
    files: { [`${module}.py`]: source },
  })
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { project, version, filename, parts: [bytes], size: bytes.length, sha256 }
}

const BOUNDARY = 'tuf-edge-bench-boundary-7d1f0c2a'

/** The upload as twine sends it; `path` is where the index takes uploads. */
export function uploadOf(file: Distribution, path: string, authorization?: string): Send {
  const fields: Record<string, string> = {
    ':action': 'file_upload',
    protocol_version: '1',
    metadata_version: '2.1',
    name: file.project,
    version: file.version,
    summary: 'A wheel of a benchmark',
    filetype: 'bdist_wheel',
    pyversion: 'py3',
    sha256_digest: file.sha256,
  }
  const head = Object.entries(fields)
    .map(([name, value]) => `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
    .join('')
  const content =
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="${file.filename}"\r\n` +
    'Content-Type: application/octet-stream\r\n\r\n'
  return {
    method: 'POST',
    path,
    headers: {
      'Content-Type': `multipart/form-data; boundary=${BOUNDARY}`,
      ...(authorization === undefined ? {} : { Authorization: authorization }),
    },
    body: [Buffer.from(head + content), ...file.parts, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)],
  }
}

export const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
