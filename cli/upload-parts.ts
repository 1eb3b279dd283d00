// A file that is too large for one request, sent in parts. State: none here; what is there already is the index's to say,
// so an upload that was cut short goes on from any machine. Memory: a part's stream, three at a time.
import { Readable } from 'node:stream'
import { ApiError, apiUrl, callApi } from './api.ts'
import { readChunks } from './distribution.ts'
import { inLanes } from './lanes.ts'
import { type FormAnswer, persist } from './upload-form.ts'

/** Parts under way: more only share the same line. */
const LANES = 3

export interface LargeFile {
  path: string
  filename: string
  sha256: string
  size: number
  uploadTime?: string
  yanked?: boolean | string
}

interface Target {
  base: string
  token: string
  /** Told of every piece that is sent, or was there before. */
  sent?(bytes: number): void
}

interface Opened {
  state: 'open' | 'stored' | 'visible'
  partBytes: number
  parts: number[]
}

/** @throws ApiError with the index's sentence */
export async function sendParts(file: LargeFile, target: Target, tries?: number): Promise<FormAnswer> {
  const { base, token } = target
  const { filename, sha256, size, uploadTime, yanked = false } = file
  const asked = (path: string, body: object) =>
    persist(() => callApi<unknown>(base, 'POST', path, { token, body }), tries)
  const opened = (await asked('/api/uploads', { filename, sha256, size })) as Opened
  if (opened.state === 'visible') return { visible: true, warnings: [] }
  const there = new Set(opened.parts)
  const numbers = Array.from({ length: Math.ceil(size / opened.partBytes) }, (_, i) => i + 1)
  const bytesOf = (number: number) => Math.min(opened.partBytes, size - (number - 1) * opened.partBytes)
  for (const number of there) target.sent?.(bytesOf(number))
  const address = `/api/uploads/${sha256}/${encodeURIComponent(filename)}`
  if (opened.state === 'open')
    await inLanes(
      numbers.filter((number) => !there.has(number)),
      (number) => {
        const start = (number - 1) * opened.partBytes
        return persist(() => putPart(`${address}/parts/${number}`, file.path, start, bytesOf(number), target), tries)
      },
      LANES,
    )
  const { visible } = (await asked(`${address}/finish`, {
    ...(uploadTime === undefined ? {} : { uploaded: Date.parse(uploadTime) }),
    ...(yanked === false ? {} : { yanked: yanked === true ? '' : yanked }),
  })) as { visible: boolean }
  return { visible, warnings: [] }
}

async function putPart(path: string, file: string, start: number, bytes: number, target: Target): Promise<void> {
  async function* body() {
    for await (const chunk of readChunks(file, start, start + bytes - 1)) {
      target.sent?.(chunk.length)
      yield chunk
    }
  }
  const response = await fetch(apiUrl(target.base, path), {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${target.token}`,
      'content-type': 'application/octet-stream',
      'content-length': String(bytes),
    },
    body: Readable.toWeb(Readable.from(body())) as unknown as BodyInit,
    duplex: 'half',
  } as RequestInit)
  const text = await response.text()
  if (response.ok) return
  const seconds = Number(response.headers.get('retry-after'))
  throw new ApiError(response.status, sentenceOf(text), seconds > 0 ? seconds * 1000 : undefined)
}

function sentenceOf(text: string): string {
  try {
    return String((JSON.parse(text) as { detail: unknown }).detail)
  } catch {
    return text.trim()
  }
}
