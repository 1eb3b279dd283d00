// A batch of metadata on its way to the service: in one call, or in parts where it is larger. Its name is made of what is in
// it, so the same command run again finds what it left and sends the rest.
import { createHash } from 'node:crypto'
import type { SignedFile } from '../tuf/gate.ts'
import { ApiError, callApi, toBase64 } from './api.ts'
import { Progress } from './progress.ts'

/** Below it one call is quicker. A part has as much, or one file: 4 MB are sent and read in about a second. */
const PART_BYTES = 4_000_000
/** A part, or a look, whose answer was lost is repeated: both change nothing the second time. */
const TRIES = 4
const TRY_AGAIN_MS = 2_000

export interface Pushed {
  accepted: string[]
  held: { root: number; notBefore: number }[]
  warnings: string[]
  visible: boolean
  /** Nothing is taken yet: the call is to be repeated. */
  unchecked?: number
}

interface Finish {
  method: 'POST' | 'PUT'
  path: string
  /** What it says beside the files. */
  more?: object
}

/** @throws ApiError */
export async function handOver(
  service: string,
  token: string,
  files: readonly SignedFile[],
  { method, path, more = {} }: Finish,
): Promise<Pushed> {
  const finish = (what: object) => callApi<Pushed>(service, method, path, { token, body: { ...what, ...more } })
  const total = files.reduce((sum, { bytes }) => sum + bytes.length, 0)
  if (total <= PART_BYTES) return finish({ files: files.map(sendable) })
  const batch = nameOf(files)
  const progress = new Progress()
  try {
    await sendParts(service, token, { path: `/api/batches/${batch}`, files }, progress)
    for (;;) {
      const answer = await finish({ batch })
      if (answer.unchecked === undefined) return answer
      progress.show('checked', files.length - answer.unchecked, files.length)
    }
  } catch (error) {
    // Mended it is another batch, and the room for both is limited.
    if (error instanceof ApiError && error.status === 400)
      await callApi(service, 'DELETE', `/api/batches/${batch}`, { token }).catch(() => {})
    throw error
  } finally {
    progress.end()
  }
}

const sha256Of = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')

const nameOf = (files: readonly SignedFile[]): string =>
  sha256Of(
    files
      .map(({ role, bytes }) => `${sha256Of(bytes)} ${encodeURIComponent(role)}\n`)
      .sort()
      .join(''),
  )

interface Parts {
  path: string
  files: readonly SignedFile[]
}

async function sendParts(service: string, token: string, { path, files }: Parts, progress: Progress): Promise<void> {
  const named = files.map((file) => ({ ...file, sha256: sha256Of(file.bytes) }))
  const { digests } = await again(() => callApi<{ digests: string[] }>(service, 'GET', path, { token }))
  const there = new Set(digests)
  // Two roles may have the same bytes: then both are sent again, which changes nothing.
  const twice = new Set(named.map(({ sha256 }) => sha256)).size < named.length
  const missing = named.filter(({ sha256 }) => twice || !there.has(sha256))
  let sent = named.length - missing.length
  for (const part of partsOf(missing)) {
    await again(() => callApi(service, 'PUT', path, { token, body: { files: part.map(sendable) } }))
    sent += part.length
    progress.show('sent', sent, named.length)
  }
}

const sendable = ({ role, bytes }: SignedFile) => ({ role, bytes: toBase64(bytes) })

function* partsOf<T extends SignedFile>(files: readonly T[]): Generator<T[]> {
  let part: T[] = []
  let length = 0
  for (const file of files) {
    if (part.length > 0 && length + file.bytes.length > PART_BYTES) {
      yield part
      part = []
      length = 0
    }
    part.push(file)
    length += file.bytes.length
  }
  if (part.length > 0) yield part
}

async function again<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      const passing = error instanceof ApiError && (error.status === 0 || error.status === 503)
      if (!passing || attempt === TRIES) throw error
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS))
    }
  }
}
