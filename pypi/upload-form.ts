// The legacy upload form, read while it arrives (multipart/form-data, RFC 7578). State of one reader: which part it is in,
// what fields it has kept, the bytes counted so far. Invariants: memory holds one network chunk and the kept fields,
// never the file; a chunk is not read before the sink took the one before; every end but the closing delimiter is a refusal.
//
// multipasta finds delimiters and reads part headers; the rest of its parser is not used, because 0.2.8 loses its
// place when a chunk ends between the two dashes of the closing delimiter.
import * as HeadersParser from 'multipasta/HeadersParser'
import * as DelimiterSearch from 'multipasta/Search'
import { FILE_BYTES_MAX, FORM_FIELD_BYTES_MAX, FORM_FIELDS_MAX, FORM_TOTAL_BYTES_MAX } from './limits.ts'
import { parseParameters } from './media-type.ts'
import { Refusal, shown } from './refusal.ts'
import { checkAction, DESCRIBED_FIELDS, type FormFields, KEPT_FIELDS } from './upload-fields.ts'
import { decodeUtf8 } from './utf8.ts'

export type { FormFields, UploadFields } from './upload-fields.ts'
export { checkFieldsAgainstFilename, checkUploadFields, declaredSha256 } from './upload-fields.ts'

/** The `content` part as it begins. */
export interface FilePart {
  readonly filename: string
  /** Media type of the part, lower case; absent from uv and flit. */
  readonly contentType?: string
  /** The fields that came before it; the action is already checked. */
  readonly fields: FormFields
}

/** Takes the file's bytes. `write` is awaited before more of the body is read; the chunk is the sink's to keep. */
export interface FileSink {
  write(chunk: Uint8Array): Promise<void> | void
}

/** A form read to its end. */
export interface UploadForm {
  readonly filename: string
  readonly contentType?: string
  /** Bytes of the file. */
  readonly size: number
  /** All fields that are read, before and after the file. */
  readonly fields: FormFields
}

/** Called once, when the `content` part begins; gives the sink for its bytes. */
export type OnFile = (part: FilePart) => Promise<FileSink> | FileSink

type Event = { readonly kind: 'open'; readonly part: FilePart } | { readonly kind: 'bytes'; readonly bytes: Uint8Array }

/**
 * Reads an upload form. Rejects with Refusal for bad input, and with whatever `onFile`, the sink or the body throws.
 * After a rejection the body's lock is released and its rest unread: the caller drains or cancels it.
 *
 * @param contentType the request's `Content-Type`
 * @param fileBytesMax bytes of the largest file taken
 */
export async function readUploadForm(
  body: ReadableStream<Uint8Array>,
  contentType: string | null,
  onFile: OnFile,
  fileBytesMax = FILE_BYTES_MAX,
): Promise<UploadForm> {
  const form = new FormParser(boundaryOf(contentType), fileBytesMax)
  const reader = body.getReader()
  let sink: FileSink | undefined
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      for (const event of form.write(value)) {
        if (event.kind === 'bytes') await sink!.write(event.bytes)
        else sink = await onFile(event.part)
      }
    }
  } finally {
    reader.releaseLock()
  }
  return form.end()
}

/**
 * Reads a form that tells of a file and does not hold it: what `uv publish --direct` sends before and after the bytes.
 *
 * @returns the fields that are read, `filename` among them
 */
export async function readFileDescription(
  body: ReadableStream<Uint8Array>,
  contentType: string | null,
): Promise<FormFields> {
  const form = new FormParser(boundaryOf(contentType), Number.POSITIVE_INFINITY, DESCRIBED_FIELDS)
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (form.write(value).length > 0)
        throw new Refusal("The form holds the file: send it to the upload address, and here its 'filename' alone.")
    }
  } finally {
    reader.releaseLock()
  }
  return form.endFields()
}

function boundaryOf(contentType: string | null): string {
  const { value, parameters } = parseParameters(contentType ?? '')
  const boundary = parameters.get('boundary') ?? ''
  // RFC 2046, 5.1.1: 1 to 70 characters of this set, not ending in a space.
  if (value === 'multipart/form-data' && /^[A-Za-z0-9'()+_,\-./:=? ]{0,69}[A-Za-z0-9'()+_,\-./:=?]$/.test(boundary))
    return boundary
  throw new Refusal('The upload is not multipart/form-data with a boundary: upload with twine, uv or a build tool.')
}

const DASH = 0x2d
const BROKEN = 'The upload form is malformed: send it again, with a current version of your tool.'

const CRLF = new TextEncoder().encode('\r\n')

/** A search for delimiters that takes the body's first one too, which no line break precedes. */
function searchFor(boundary: string, between: (index: number, bytes: Uint8Array) => void): Search {
  const search = DelimiterSearch.make(`\r\n--${boundary}`, between)
  search.write(CRLF)
  return search
}

type Search = ReturnType<typeof DelimiterSearch.make>

/** A header that is there once; two of them would be two meanings. */
function header(headers: HeadersParser.Headers['headers'], name: string): string | undefined {
  const value = headers[name]
  if (Array.isArray(value)) throw new Refusal(BROKEN)
  return value
}

function decodeField(name: string, bytes: Uint8Array): string {
  const text = decodeUtf8(bytes)
  if (text === null) throw new Refusal(`The field ${shown(name)} is not valid UTF-8: send it again in UTF-8.`)
  return text
}

class FormParser {
  readonly #fileBytesMax: number
  readonly #kept: ReadonlySet<string>
  readonly #search: Search
  readonly #fields = new Map<string, string>()
  readonly #seen = new Set<string>()
  #events: Event[] = []
  #part = 0
  #state: 'preamble' | 'delimiter' | 'headers' | 'file' | 'field' | 'skipped' | 'done' = 'preamble'
  /** First byte after a delimiter, while the second has not arrived. */
  #delimiterByte: number | undefined
  #parseHeaders = HeadersParser.make()
  #fieldName = ''
  #fieldChunks: Uint8Array[] = []
  #fieldBytes = 0
  #totalBytes = 0
  #file: { filename: string; contentType?: string; size: number } | undefined

  constructor(boundary: string, fileBytesMax: number, kept = KEPT_FIELDS) {
    this.#fileBytesMax = fileBytesMax
    this.#kept = kept
    this.#search = searchFor(boundary, (index, chunk) => this.#between(index, chunk))
  }

  /** What a chunk of the body brought of the file, in order. */
  write(chunk: Uint8Array): Event[] {
    if (this.#state === 'done') return [] // the epilogue means nothing (RFC 2046)
    this.#search.write(chunk)
    const events = this.#events
    this.#events = []
    return events
  }

  end(): UploadForm {
    const fields = this.endFields()
    if (!this.#file) throw new Refusal("The upload form has no 'content': send the file in a part of that name.")
    return { ...this.#file, fields }
  }

  endFields(): FormFields {
    if (this.#state !== 'done' && this.#state !== 'preamble') this.#search.end()
    if (this.#state !== 'done') throw new Refusal('The upload ended before its form did: send it again.')
    return this.#fields
  }

  /** Bytes after the `index`-th delimiter and before the next. */
  #between(index: number, bytes: Uint8Array): void {
    if (this.#state === 'done') return
    if (index === 0) throw new Refusal(BROKEN) // no tool sends a preamble
    while (this.#part < index) {
      if (this.#part > 0) this.#closePart()
      this.#part++
      this.#state = 'delimiter'
    }
    let rest = bytes
    if (this.#state === 'delimiter') rest = this.#afterDelimiter(rest)
    if (this.#state === 'headers' && rest.length > 0) rest = this.#headers(rest)
    if (rest.length === 0) return
    if (this.#state === 'file') this.#fileBytes(rest)
    else if (this.#state === 'field' || this.#state === 'skipped') this.#fieldChunk(rest)
  }

  /** A delimiter is followed by a line break, or by two dashes at the end of the form. */
  #afterDelimiter(bytes: Uint8Array): Uint8Array {
    let at = 0
    if (this.#delimiterByte === undefined) this.#delimiterByte = bytes[at++]
    if (at === bytes.length) return bytes.subarray(at)
    const [first, second] = [this.#delimiterByte, bytes[at++]]
    this.#delimiterByte = undefined
    if (first === DASH && second === DASH) this.#state = 'done'
    else if (first === 0x0d && second === 0x0a) this.#state = 'headers'
    else throw new Refusal(BROKEN)
    return this.#state === 'done' ? new Uint8Array() : bytes.subarray(at)
  }

  #headers(bytes: Uint8Array): Uint8Array {
    this.#count(0)
    const result = this.#parseHeaders(bytes, 0)
    if (result._tag === 'Continue') return new Uint8Array()
    if (result._tag === 'Failure') throw new Refusal(BROKEN)
    this.#openPart(header(result.headers, 'content-disposition'), header(result.headers, 'content-type'))
    return bytes.subarray(result.endPosition)
  }

  #openPart(dispositionText: string | undefined, typeText: string | undefined): void {
    const disposition = parseParameters(dispositionText ?? '')
    const name = disposition.parameters.get('name')
    if (disposition.value !== 'form-data' || !name) throw new Refusal(BROKEN)
    this.#fieldName = name
    if (this.#part > FORM_FIELDS_MAX)
      throw new Refusal(`The upload form has more than ${FORM_FIELDS_MAX} fields: shorten the project's metadata.`)
    if (name === 'content') {
      this.#openFile(disposition.parameters, typeText)
      return
    }
    if (!this.#kept.has(name)) {
      this.#state = 'skipped'
      return
    }
    // Two values of one field: which one counts would be our choice, not the uploader's.
    if (this.#seen.has(name)) throw new Refusal(`The upload form has the field ${shown(name)} twice: send it once.`)
    this.#seen.add(name)
    this.#state = 'field'
  }

  #openFile(parameters: ReadonlyMap<string, string>, typeText: string | undefined): void {
    if (this.#file) throw new Refusal("The upload form has two files in 'content': upload one file at a time.")
    const filename = parameters.get('filename*') ?? parameters.get('filename')
    if (filename === undefined) throw new Refusal("The part 'content' has no file name: send it as a file.")
    const contentType = typeText === undefined ? undefined : parseParameters(typeText).value || undefined
    if (contentType?.startsWith('image/'))
      throw new Refusal(`The file is sent as ${shown(contentType)}: upload wheels and sdists, not images.`)
    checkAction(this.#fields)
    const named = { filename, ...(contentType === undefined ? {} : { contentType }) }
    this.#file = { ...named, size: 0 }
    // A copy: fields after the file may be in the same chunk, and are read before the event is.
    this.#events.push({ kind: 'open', part: { ...named, fields: new Map(this.#fields) } })
    this.#state = 'file'
  }

  #fileBytes(bytes: Uint8Array): void {
    const file = this.#file!
    file.size += bytes.length
    if (file.size > this.#fileBytesMax) {
      const mib = Math.floor(this.#fileBytesMax / 1_048_576)
      const project = this.#fields.get('name')
      throw new Refusal(`File too large. Limit for project ${shown(project ?? file.filename)} is ${mib} MiB.`, 413)
    }
    this.#events.push({ kind: 'bytes', bytes })
  }

  #fieldChunk(bytes: Uint8Array): void {
    this.#count(bytes.length)
    if (this.#state === 'skipped') return
    this.#fieldBytes += bytes.length
    if (this.#fieldBytes > FORM_FIELD_BYTES_MAX)
      throw new Refusal(`The field ${shown(this.#fieldName)} is over ${FORM_FIELD_BYTES_MAX} bytes: shorten it.`)
    this.#fieldChunks.push(bytes.slice()) // a copy: the chunk it is part of would stay in memory with it
  }

  #count(bytes: number): void {
    this.#totalBytes += bytes
    if (this.#totalBytes > FORM_TOTAL_BYTES_MAX)
      throw new Refusal(`The form's fields are together over ${FORM_TOTAL_BYTES_MAX} bytes: shorten the metadata.`)
  }

  #closePart(): void {
    if (this.#state === 'headers' || this.#state === 'delimiter') throw new Refusal(BROKEN)
    if (this.#state !== 'field') return
    const joined = new Uint8Array(this.#fieldBytes)
    let at = 0
    for (const chunk of this.#fieldChunks) {
      joined.set(chunk, at)
      at += chunk.length
    }
    this.#fieldChunks = []
    this.#fieldBytes = 0
    const value = decodeField(this.#fieldName, joined).trim()
    if (value === '' || value === 'UNKNOWN') return
    this.#fields.set(this.#fieldName, value)
    // After the file too: twine and uv send it first, but nothing in the format says so.
    if (this.#fieldName === ':action') checkAction(this.#fields)
  }
}
