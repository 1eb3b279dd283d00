// Makes a small wheel without Python: for the first package of a new index, for the demo and for tests.
import { createHash } from 'node:crypto'
import { strToU8, zipSync } from 'fflate'

export interface WheelInput {
  /** As the author writes it, e.g. hello-tuf-edge. */
  name: string
  version: string
  summary: string
  /** Extra lines of METADATA, e.g. `Requires-Python: >=3.9`. */
  metadata?: string[]
  /** Module files by path inside the wheel. */
  files: Record<string, string>
  /** Console scripts: name → module:function. */
  scripts?: Record<string, string>
}

export interface BuiltFile {
  filename: string
  bytes: Uint8Array
  metadata: string
}

/** A pure-Python wheel (PEP 427), the same bytes for the same input. */
export function buildWheel({ name, version, summary, metadata = [], files, scripts }: WheelInput): BuiltFile {
  const stem = `${name.replaceAll(/[-_.]+/g, '_').toLowerCase()}-${version}`
  const info = `${stem}.dist-info`
  const text = [
    'Metadata-Version: 2.1',
    `Name: ${name}`,
    `Version: ${version}`,
    `Summary: ${summary}`,
    ...metadata,
    '',
  ].join('\n')
  const entries: Record<string, string> = {
    ...files,
    [`${info}/METADATA`]: text,
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: tuf-edge\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
  }
  if (scripts) {
    const lines = Object.entries(scripts).map(([command, target]) => `${command} = ${target}`)
    entries[`${info}/entry_points.txt`] = `[console_scripts]\n${lines.join('\n')}\n`
  }
  const record = Object.entries(entries).map(([path, content]) => {
    const digest = createHash('sha256').update(content).digest('base64url')
    return `${path},sha256=${digest},${Buffer.byteLength(content)}`
  })
  entries[`${info}/RECORD`] = [...record, `${info}/RECORD,,`, ''].join('\n')
  const zipped: Record<string, Uint8Array> = {}
  for (const [path, content] of Object.entries(entries)) zipped[path] = strToU8(content)
  // The zip format counts from 1980; a fixed date keeps the bytes the same from run to run.
  const bytes = zipSync(zipped, { level: 6, mtime: new Date('2026-01-01T00:00:00Z') })
  return { filename: `${stem}-py3-none-any.whl`, bytes, metadata: text }
}
