// The legacy upload form, sent from a stream: a file is never held whole. State: none. Invariant: what is sent may be sent
// again, because the index knows a file by name and digest; so silence and 503 are repeated, and a refusal never is.
import { randomBytes } from 'node:crypto'
import type { CoreMetadata } from '../pypi/core-metadata.ts'
import { reasonOf } from '../tuf/transport.ts'
import { ApiError, apiUrl } from './api.ts'
import { nobodyThere } from './caller.ts'
import { CommandError } from './terminal.ts'

export interface FormFile {
  filename: string
  /** As in the file name, or as the uploader says. */
  name: string
  version: string
  sha256: string
  /** Bytes. */
  size: number
  open(): AsyncIterable<Uint8Array>
  metadata?: CoreMetadata
  /** What another index said of the file: PEP 700 and PEP 592. Takes a token with the scope admin. */
  uploadTime?: string
  yanked?: boolean | string
}

export interface FormTarget {
  /** Index base, e.g. http://127.0.0.1:8787 */
  base: string
  token: string
  /** False: do not wait for the publication. */
  wait?: boolean
  /** Told of every piece that is sent. */
  sent?(bytes: number): void
}

export interface FormAnswer {
  /** False: stored for good, and soon to be seen. */
  visible: boolean
  /** What the index says beside it. */
  warnings: string[]
}

/** Sends one form once. @throws ApiError with the index's sentence, TypeError if there is no answer */
export async function sendForm(file: FormFile, target: FormTarget): Promise<FormAnswer> {
  const boundary = randomBytes(16).toString('hex')
  const part = (head: string, value: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${value}`
  const head = Buffer.from(
    fieldsOf(file)
      .map(([name, value]) => part(`name="${name}"`, `${value}\r\n`))
      .join('') + part(`name="content"; filename="${escaped(file.filename)}"`, ''),
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  async function* body() {
    yield head
    for await (const chunk of file.open()) {
      target.sent?.(chunk.length)
      yield chunk
    }
    yield tail
  }
  const response = await fetch(apiUrl(target.base, '/legacy/'), {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`__token__:${target.token}`).toString('base64')}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + file.size + tail.length),
      ...(target.wait === false ? { prefer: 'respond-async' } : {}),
    },
    // Node takes an async iterable, which the types of the web do not know.
    body: body() as unknown as BodyInit,
    duplex: 'half',
  } as RequestInit)
  const text = await response.text()
  if (!response.ok) throw refusal(response, text)
  const lines = text.split('\n').filter((line) => line !== '')
  const visible = response.status === 200
  return { visible, warnings: visible ? lines : lines.slice(1) }
}

/** Nobody answered, however often it was asked. */
export class Silence extends CommandError {}

/** `fetch` had no answer: what it throws then is a TypeError with the connection's own error as its cause. */
const isSilence = (error: unknown): boolean => error instanceof TypeError && error.cause !== undefined

/** A busy index asks for five seconds; a queue of the most that may wait is published in twenty. */
const TRIES = 30
const PAUSE_MS = 1_000

/** Repeats what has no answer or is answered 503. @throws Silence, or what the last try threw */
export async function persist<T>(work: () => Promise<T>, tries = TRIES): Promise<T> {
  for (let left = tries; ; left--) {
    try {
      return await work()
    } catch (error) {
      const silent = isSilence(error)
      if (silent && left <= 1)
        throw new Silence(`The index did not answer: ${reasonOf(error)}. ${nobodyThere('--url')}`)
      if (left <= 1 || !(silent || (error instanceof ApiError && error.status === 503))) throw error
      const pause = error instanceof ApiError ? (error.retryAfterMs ?? PAUSE_MS) : PAUSE_MS
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
}

/** As browsers write it (HTML, multipart/form-data): no name can end the header. */
const escaped = (name: string): string => name.replace(/["\r\n]/g, (c) => encodeURIComponent(c))

function refusal(response: Response, text: string): ApiError {
  let message = text.trim()
  try {
    message = (JSON.parse(text) as { message: string }).message
  } catch {
    // plain text
  }
  const seconds = Number(response.headers.get('retry-after'))
  return new ApiError(response.status, message, seconds > 0 ? seconds * 1000 : undefined)
}

/** The digest comes before the file, so that the index can say no before it has read it. */
function fieldsOf(file: FormFile): [string, string][] {
  const { filename, name, version, sha256, metadata, uploadTime, yanked = false } = file
  const wheel = filename.endsWith('.whl')
  return [
    [':action', 'file_upload'],
    ['protocol_version', '1'],
    ['metadata_version', metadata?.metadataVersion ?? '2.1'],
    ['name', name],
    ['version', version],
    ['filetype', wheel ? 'bdist_wheel' : 'sdist'],
    ['pyversion', wheel ? (filename.split('-').at(-3) ?? 'py3') : 'source'],
    ['sha256_digest', sha256],
    ...(metadata ? metadataFields(metadata) : []),
    ...(uploadTime === undefined ? [] : ([['upload_time', uploadTime]] as [string, string][])),
    ...(yanked === false ? [] : ([['yanked', yanked === true ? 'true' : yanked]] as [string, string][])),
  ]
}

/** Names of the form that are not the field's own with `_` (Warehouse). */
const FORM_NAMES: Readonly<Record<string, string>> = { classifier: 'classifiers', 'project-url': 'project_urls' }
const SENT_BEFORE = ['metadata-version', 'name', 'version']

function metadataFields({ fields }: CoreMetadata): [string, string][] {
  return [...fields].flatMap(([name, values]) =>
    // The index reads all of it from the archive; a README need not travel twice.
    SENT_BEFORE.includes(name) || name === 'description'
      ? []
      : values.map((value): [string, string] => [FORM_NAMES[name] ?? name.replaceAll('-', '_'), value]),
  )
}
