// One upload from its form to the ledger. State: what the form has announced so far, and the content being taken.
// Invariants: nothing is buffered before the publisher has authorised the token for the project and file name, except
// where the form tells them after the file; a file is staged only after its bytes are in the bucket, whole and checked.
//
// Cost of an upload: 2 RPCs to the publisher (begin, stage), 3 with attestations; a duplicate 1, or 2 while it waits. Bucket: an sdist of
// ≤ 5 MiB 1 class A operation, a wheel 2, larger files parts + 2 or 3; provenance 1 more. No class B.
import type { BeginAnswer, BeginRequest, Refused, StageAnswer } from '../durable-objects/rpc.ts'
import { type DistributionFilename, parseFilename } from '../pypi/filenames.ts'
import { FILE_BYTES_MAX } from '../pypi/limits.ts'
import { Refusal } from '../pypi/refusal.ts'
import {
  checkFieldsAgainstFilename,
  checkUploadFields,
  type FilePart,
  type FileSink,
  type FormFields,
  readUploadForm,
  type UploadForm,
} from '../pypi/upload-form.ts'
import { releaseKey } from '../pypi/versions.ts'
import { provenanceFrom } from './attestations.ts'
import type { Env } from './env.ts'
import { PART_BUFFERS, PART_BYTES, PartSlots } from './part-slots.ts'
import { BODY_BYTES_MAX, type UploadBody } from './upload-body.ts'
import { UploadContent } from './upload-content.ts'
import { LargeUpload } from './upload-large.ts'
import { callMember } from './upload-member.ts'
import { type Berth, putProvenance, type StoredFile } from './upload-store.ts'

/**
 * Buffers for uploads that tell who they are after the file. No tool does; apart, so that whoever keeps them busy without
 * a token keeps nobody else from uploading.
 */
const LATE_BUFFERS = 1
export const slots = new PartSlots(PART_BUFFERS - LATE_BUFFERS)
export const lateSlots = new PartSlots(LATE_BUFFERS)

/**
 * Forms so small that a buffer of their own size is nothing beside a part: 64 × 128 KiB = 8 MiB, twice that with the
 * binding's copies. Once authorised they wait for nobody's 5 MiB.
 */
const SMALL_BYTES = 128 * 1024
export const smallSlots = new PartSlots(64)

/** Poetry and pdm give up when nothing moves for 15 s; this is before. */
const SLOT_WAIT_MS = 12_000

/** Bytes of one read of what lies in the bucket. */
const CHUNK_BYTES = 64 * 1024

/** What must come before `content` so that the publisher can be asked before a byte of it is kept. */
const ANNOUNCED = ['sha256_digest', 'name', 'version', 'filetype']

/** Where files go, and who brings them. */
export interface Uploader {
  readonly repository: string
  readonly token: string
}

export interface Taken {
  /** False: stored, but not in a live publication yet. */
  readonly visible: boolean
  /** Sentences for the uploader about what is odd but accepted. */
  readonly warnings: readonly string[]
}

/** Takes the upload in `body`. @throws Refusal, Problem: nothing of it is or will be visible; others: outcome unknown */
export async function takeUpload(
  env: Env,
  by: Uploader,
  contentType: string | null,
  body: UploadBody,
  wait: boolean,
): Promise<Taken> {
  // The file alone may be so long: the form around it has at most the rest.
  const fileBytes = Math.max((body.declared ?? 0) - (BODY_BYTES_MAX - FILE_BYTES_MAX), 0)
  const intake = new Intake(env, by, { declared: body.declared, fileBytes }, wait)
  try {
    const form = await readUploadForm(body.stream(), contentType, (part) => intake.open(part))
    return await intake.finish(form)
  } finally {
    await intake.close()
  }
}

/** Takes a file whose bytes lie in the bucket, as if it came with its form. Errors as in `takeUpload`. */
export async function takeStored(
  env: Env,
  by: Uploader,
  file: { filename: string; fields: FormFields },
  object: R2ObjectBody,
  wait: boolean,
): Promise<Taken> {
  const { size } = object
  const intake = new Intake(env, by, { declared: size, fileBytes: size }, wait)
  try {
    const sink = await intake.open(file)
    const reader = object.body.getReader({ mode: 'byob' })
    for (let buffer: ArrayBufferLike = new ArrayBuffer(CHUNK_BYTES); ; ) {
      const read: ReadableStreamReadResult<Uint8Array> = await reader.read(new Uint8Array(buffer))
      if (read.done) break
      await sink.write(read.value)
      buffer = read.value.buffer
    }
    return await intake.finish({ ...file, size })
  } finally {
    await intake.close()
  }
}

/** What is known of the bytes before they come. */
interface Arriving {
  /** Bytes of the file and what comes around it. */
  readonly declared: number | undefined
  /** Bytes the file has at least. */
  readonly fileBytes: number
}

/** An upload the publisher has answered for. */
type Begun = { readonly request: BeginRequest; readonly file: DistributionFilename } & (
  | { readonly kind: 'duplicate'; readonly visible: boolean }
  | { readonly kind: 'store'; readonly berth: Berth }
)

type Granted<T> = Exclude<T, Refused>

const LATE = 'The file was there before: the attestations that were sent with it now were not stored.'

const DROP: FileSink = { write: () => undefined }

class Intake {
  readonly #env: Env
  readonly #by: Uploader
  readonly #arriving: Arriving
  readonly #wait: boolean
  #begun: Begun | undefined
  #content: UploadContent | undefined

  constructor(env: Env, by: Uploader, arriving: Arriving, wait: boolean) {
    this.#env = env
    this.#by = by
    this.#arriving = arriving
    this.#wait = wait
  }

  /** The file begins. */
  async open({ filename, fields }: FilePart): Promise<FileSink> {
    const file = parseFilename(filename)
    const isAnnounced = ANNOUNCED.every((name) => fields.has(name))
    const begun = isAnnounced ? await this.#begin(fields, file) : undefined
    this.#begun = begun
    if (begun?.kind === 'duplicate') return DROP
    const { declared } = this.#arriving
    const small = begun && declared !== undefined && declared <= SMALL_BYTES
    const lease = await (small ? smallSlots : begun ? slots : lateSlots).acquire(SLOT_WAIT_MS)
    this.#content = new UploadContent(lease, declared, async () => {
      if (begun) return LargeUpload.start(this.#env.BUCKET, begun.berth, file)
      throw new Refusal(
        `A file over ${PART_BYTES / 1024 / 1024} MiB is taken only if ${ANNOUNCED.map((name) => `'${name}'`).join(', ')} ` +
          "come before 'content' in the form: upload with twine, uv or a build tool.",
      )
    })
    return this.#content
  }

  /** The form has ended. */
  async finish({ filename, fields }: UploadForm): Promise<Taken> {
    const begun = this.#begun ?? (await this.#begin(fields, parseFilename(filename)))
    const attestations = fields.get('attestations')
    if (begun.kind === 'duplicate') {
      const warnings = attestations === undefined ? [] : [LATE]
      return { visible: begun.visible || (await this.#whenVisible(begun)), warnings }
    }
    // Before a byte is stored: what is said of it holds, or there is nothing to take back.
    const verified = attestations === undefined ? {} : await provenanceFrom(this.#env, begun.request, attestations)
    const stored = await this.#content!.store(this.#env.BUCKET, begun.berth, begun.file)
    const text = verified.provenance
    const provenance = text === undefined ? undefined : await putProvenance(this.#env.BUCKET, begun.berth, text)
    const { visible } = await this.#stage(begun, begun.berth.n, stored, provenance)
    const warnings = verified.warning === undefined ? [] : [verified.warning]
    return { visible, warnings: [...stored.report.warnings, ...warnings] }
  }

  async close(): Promise<void> {
    await this.#content?.close()
  }

  async #begin(fields: FormFields, file: DistributionFilename): Promise<Begun> {
    const checked = checkUploadFields(fields)
    checkFieldsAgainstFilename(checked, file)
    const { sha256, imported } = checked
    const { project, filename } = file
    const request = {
      ...{ ...this.#by, project, filename, sha256 },
      ...(imported ? { imported } : {}),
      ...(this.#wait ? {} : { wait: false }),
    }
    // What is over a quota already now is refused before a byte of it is kept.
    const size = this.#arriving.fileBytes
    const answer = await callMember<Granted<BeginAnswer>>(() => this.#env.MEMBER.begin({ ...request, size }))
    if (answer.kind === 'duplicate') return { request, file, kind: 'duplicate', visible: answer.visible }
    const place = { repository: this.#by.repository, epoch: answer.epoch }
    return { request, file, kind: 'store', berth: { place, sha256, n: answer.n } }
  }

  async #whenVisible({ request }: Begun): Promise<boolean> {
    return (await callMember<Granted<StageAnswer>>(() => this.#env.MEMBER.whenVisible(request))).visible
  }

  async #stage(
    { request, file }: Begun,
    n: number,
    { size, report, metadata }: StoredFile,
    provenance: { sha256: string } | undefined,
  ): Promise<StageAnswer & { ok: true }> {
    const { requiresPython } = report.metadata
    const stage = {
      ...request,
      n,
      size,
      version: file.version,
      release: releaseKey(file.version),
      filetype: file.kind,
      ...(requiresPython === undefined ? {} : { requiresPython }),
      ...(metadata ? { metadata } : {}),
      ...(provenance ? { provenance } : {}),
    }
    return callMember<Granted<StageAnswer>>(() => this.#env.MEMBER.stage(stage))
  }
}
