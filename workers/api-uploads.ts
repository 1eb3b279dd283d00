// Uploads in parts, for files over the platform's limit of a request: begin, put parts, finish. State: none; what is there
// is in the ledger, so an upload goes on after any interruption, from any machine.
//
// Invariants: a part goes from the request to the bucket as a stream and is never held here; nothing is staged before the
// whole was read back, has the digest it began with, and its archive was checked as every upload's is. The object that is
// read back lies under a key of this upload alone, which no reader can ask for before a publication names it.
//
// Cost of p parts: class A create + p + complete + METADATA = p + 3; class B 2 (head, read); RPCs 3 + 2 p.
import type { Refused, StageAnswer } from '../durable-objects/rpc.ts'
import type { LargeAnswer, LargeRequest } from '../durable-objects/rpc-large.ts'
import { archiveChecker } from '../pypi/archives.ts'
import { type DistributionFilename, parseFilename } from '../pypi/filenames.ts'
import { LARGE_FILE_BYTES_MAX } from '../pypi/limits.ts'
import { Refusal } from '../pypi/refusal.ts'
import { releaseKey } from '../pypi/versions.ts'
import { toHex } from '../tuf/hex.ts'
import { json } from './api-json.ts'
import type { Env } from './env.ts'
import { Problem } from './errors.ts'
import { type AnyOperation, changed, operation } from './operations.ts'
import { flag, given, hex64, integer, list, maybe, text, word } from './shapes.ts'
import { callMember } from './upload-member.ts'
import { checkDigest } from './upload-small.ts'
import { type Berth, keyOf, putMetadata, retrying, type StoredFile } from './upload-store.ts'

/** All parts but the last: three times the least that R2 takes, a sixth of the smallest request limit. */
export const LARGE_PART_BYTES = 16 * 1024 * 1024
/** Bytes of one read when the whole is checked. */
const CHUNK_BYTES = 64 * 1024

type Open = Extract<LargeAnswer, { kind: 'open' }>
type Granted = Exclude<LargeAnswer, Refused>

const at = { sha256: hex64, filename: text(255) }
const OPENED = given({
  state: word('open', 'stored', 'visible'),
  partBytes: integer(1),
  parts: list(integer(1)),
}).schema

export function uploadOperations(repository: string): AnyOperation[] {
  const requestOf = (token: string, file: DistributionFilename, sha256: string): LargeRequest => ({
    ...{ repository, token, project: file.project, filename: file.filename, sha256 },
  })
  const ask = (env: Env, request: LargeRequest) => callMember<Granted>(() => env.MEMBER.largeUpload(request))
  return [
    operation({
      id: 'beginUpload',
      method: 'POST',
      path: '/api/uploads',
      summary:
        'Begins an upload in parts, or says which parts of it are there. For files that are too large for one request.',
      scopes: ['upload'],
      params: {},
      query: {},
      body: { ...at, size: integer(1) },
      answers: { 200: { description: 'The parts that are there; all others are to be put.', schema: OPENED } },
      run: ({ env, token, body: { filename, sha256, size } }) =>
        refusing(async () => {
          if (size > LARGE_FILE_BYTES_MAX) throw new Problem(413, tooLarge())
          const request = requestOf(token, parseFilename(filename), sha256)
          return opened(await begun(env, repository, request, await ask(env, { ...request, size })))
        }),
    }),
    operation({
      id: 'putPart',
      method: 'PUT',
      path: '/api/uploads/{sha256}/{filename}/parts/{number}',
      summary: 'Puts one part: the bytes themselves, with their Content-Length. Putting it again replaces it.',
      scopes: ['upload'],
      params: { ...at, number: integer(1, 256) },
      query: {},
      raw: 'application/octet-stream',
      answers: { 200: { description: 'The parts that are there.', schema: OPENED } },
      refusals: [404],
      run: ({ env, request, token, path: { filename, sha256, number } }) =>
        refusing(async () => {
          const asked = requestOf(token, parseFilename(filename), sha256)
          const open = await begun(env, repository, asked, await ask(env, asked))
          if (open.kind === 'duplicate') return opened(open)
          const expected = Math.min(LARGE_PART_BYTES, open.size - (number - 1) * LARGE_PART_BYTES)
          const declared = request.headers.get('content-length')
          if (expected <= 0) throw new Problem(400, `There is no part ${number} of ${open.size} bytes.`)
          if (!request.body || declared !== String(expected))
            throw new Problem(400, `Part ${number} has ${expected} bytes: send them, with that Content-Length.`)
          const upload = env.BUCKET.resumeMultipartUpload(keyOf(berthOf(repository, asked, open)), open.uploadId!)
          // Ends in an error if other bytes come than were declared.
          const whole = new FixedLengthStream(expected)
          const [stored] = await Promise.all([
            upload.uploadPart(number, whole.readable),
            request.body.pipeTo(whole.writable),
          ])
          return opened(await ask(env, { ...asked, part: { number, etag: stored.etag } }))
        }),
    }),
    operation({
      id: 'finishUpload',
      method: 'POST',
      path: '/api/uploads/{sha256}/{filename}/finish',
      summary: 'Checks the whole as every upload is checked, and publishes it.',
      scopes: ['upload'],
      params: at,
      query: {},
      body: { uploaded: maybe(integer(1)), yanked: maybe(text(500)) },
      bodyOptional: true,
      answers: {
        200: { description: 'Visible.', schema: given({ visible: flag }).schema },
        202: { description: 'Stored for good, and visible in a moment.', schema: given({ visible: flag }).schema },
      },
      refusals: [404, 409],
      run: ({ env, token, path: { filename, sha256 }, body: { uploaded, yanked } }) =>
        refusing(async () => {
          const file = parseFilename(filename)
          const said = { ...(uploaded === undefined ? {} : { uploaded }), ...(yanked === undefined ? {} : { yanked }) }
          const imported = Object.keys(said).length > 0 ? { imported: said } : {}
          const request = { ...requestOf(token, file, sha256), ...imported }
          const open = await ask(env, request)
          if (open.kind === 'duplicate')
            return changed<StageAnswer & { ok: true }>(
              open.visible ? { ok: true, visible: true } : await env.MEMBER.whenVisible(request),
            )
          const stored = await whole(env, repository, request, file, open)
          const { requiresPython } = stored.report.metadata
          return changed<StageAnswer & { ok: true }>(
            await callMember<Exclude<StageAnswer, Refused>>(() =>
              env.MEMBER.stage({
                ...request,
                n: open.n,
                size: stored.size,
                version: file.version,
                release: releaseKey(file.version),
                filetype: file.kind,
                ...(requiresPython === undefined ? {} : { requiresPython }),
                ...(stored.metadata ? { metadata: stored.metadata } : {}),
              }),
            ),
          )
        }),
    }),
  ]
}

const tooLarge = () => `File too large. Limit for a file in parts is ${LARGE_FILE_BYTES_MAX / 1024 / 1024} MiB.`

const berthOf = (repository: string, { sha256 }: LargeRequest, { epoch, n }: Open): Berth => ({
  place: { repository, epoch },
  sha256,
  n,
})

const opened = (granted: Granted): Response =>
  json(
    200,
    {
      state: granted.kind === 'open' ? 'open' : granted.visible ? 'visible' : 'stored',
      partBytes: LARGE_PART_BYTES,
      parts: granted.kind === 'open' ? granted.parts.map(({ number }) => number) : [],
    },
    'application/json',
  )

/** Makes the bucket's upload, if nobody has; of two who do at once, the ledger's first is the one. */
async function begun(env: Env, repository: string, request: LargeRequest, granted: Granted): Promise<Granted> {
  if (granted.kind === 'duplicate' || granted.uploadId !== undefined) return granted
  const upload = await retrying(() => env.BUCKET.createMultipartUpload(keyOf(berthOf(repository, request, granted))))
  const noted = await callMember<Granted>(() => env.MEMBER.largeUpload({ ...request, uploadId: upload.uploadId }))
  if (noted.kind === 'duplicate' || noted.uploadId !== upload.uploadId) await upload.abort().catch(() => undefined)
  return noted
}

/** Completes and judges. @throws Refusal with the upload given up */
async function whole(
  env: Env,
  repository: string,
  request: LargeRequest,
  file: DistributionFilename,
  open: Open,
): Promise<StoredFile> {
  const berth = berthOf(repository, request, open)
  const there = new Set(open.parts.map(({ number }) => number))
  const count = Math.ceil(open.size / LARGE_PART_BYTES)
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((number) => !there.has(number))
  if (missing.length > 0 || open.uploadId === undefined)
    throw new Problem(409, `Parts are missing: ${missing.slice(0, 10).join(', ')}. Put them and finish again.`)
  const parts = open.parts.map(({ number, etag }) => ({ partNumber: number, etag }))
  // A finish that was cut short has completed it before: then the bucket knows the object and no longer the upload.
  if ((await retrying(() => env.BUCKET.head(keyOf(berth)))) === null)
    await env.BUCKET.resumeMultipartUpload(keyOf(berth), open.uploadId).complete(parts)
  try {
    const { report, size } = await judge(env.BUCKET, berth, file)
    const metadata = await putMetadata(env.BUCKET, berth, file, report)
    return { size, report, ...(metadata ? { metadata } : {}) }
  } catch (error) {
    if (error instanceof Refusal) await env.MEMBER.abandonLarge(request)
    throw error
  }
}

/** Reads the whole once, in chunks, for its digest and its archive. */
async function judge(bucket: R2Bucket, berth: Berth, file: DistributionFilename) {
  const object = await bucket.get(keyOf(berth))
  if (!object) throw new Error('What was completed is not there.')
  const digest = new crypto.DigestStream('SHA-256')
  const hash = digest.getWriter()
  const checker = archiveChecker(file)
  const reader = object.body.getReader({ mode: 'byob' })
  let refusal: Refusal | undefined
  let buffer: ArrayBufferLike = new ArrayBuffer(CHUNK_BYTES)
  try {
    for (;;) {
      const read: ReadableStreamReadResult<Uint8Array> = await reader.read(new Uint8Array(buffer))
      if (read.done) break
      const value: Uint8Array = read.value
      await hash.write(value)
      if (!refusal) refusal = await checker.write(value).then(() => undefined, onlyRefusal)
      buffer = value.buffer
    }
    await hash.close()
    // A damaged upload is most likely a damaged archive too: what went wrong is the digest.
    checkDigest(berth, toHex(new Uint8Array(await digest.digest)))
    if (refusal) throw refusal
    return { report: await checker.end(), size: object.size }
  } catch (error) {
    checker.abort()
    digest.digest.catch(() => undefined)
    await hash.abort().catch(() => undefined)
    throw error
  }
}

function onlyRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  throw error
}

async function refusing(work: () => Promise<Response>): Promise<Response> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof Refusal ? new Problem(error.status, error.message) : error
  }
}
