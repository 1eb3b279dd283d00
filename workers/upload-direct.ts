// `uv publish --direct`: reserve, put, finalize (docs/publishing.md). State: none; what is reserved stands in the ledger.
//
// Invariants: the token is asked for its right at both ends, and only the ticket in between; the ticket is a header, so no
// address or log holds it. Bytes that come through here are stored only if the bucket finds the declared digest in them.
// Whoever brought them, they are hashed and checked while they are copied to where an upload's bytes lie.
//
// Cost beside that of an upload of their size: 3 RPCs, class A 1 (the put), class B 2 (head, get); the copy is kept a day.
import type { BeginRequest, Refused } from '../durable-objects/rpc.ts'
import type { ReserveAnswer, ReservedAnswer, TicketAnswer } from '../durable-objects/rpc-direct.ts'
import { parseFilename } from '../pypi/filenames.ts'
import { FILE_BYTES_MAX, LARGE_FILE_BYTES_MAX } from '../pypi/limits.ts'
import { Refusal, UNAUTHENTICATED } from '../pypi/refusal.ts'
import { checkFieldsAgainstFilename, checkUploadFields, type FormFields } from '../pypi/upload-form.ts'
import { uploadKey } from '../tuf/layout.ts'
import { attempts } from './attempts.ts'
import { CHALLENGE } from './credentials.ts'
import type { Env } from './env.ts'
import { Problem } from './errors.ts'
import type { UploadBody } from './upload-body.ts'
import { type Taken, takeStored, type Uploader } from './upload-intake.ts'
import { callMember } from './upload-member.ts'

type Granted<T> = Exclude<T, Refused>

/** Cloudflare's logs blot out headers with `token` in their name. */
const TICKET = 'X-Upload-Token'
const MIB = 1024 * 1024

/** Where bytes of a file are put through this face. */
export const UPLOADS = '/legacy/uploads/:sha256/:filename'

/**
 * 200: it is there. 201: where to put it; `upload_url` null: nothing is left to put.
 *
 * @param index its URL, without a slash at the end
 */
export async function reserve(env: Env, by: Uploader, index: string, fields: FormFields): Promise<Response> {
  const { request } = described(by, fields)
  const granted = await callMember<Granted<ReserveAnswer>>(() => env.MEMBER.reserve(request))
  if (granted.kind === 'duplicate') return granted.visible ? new Response(null, { status: 200 }) : placeAt(null)
  const { url, ticket, sha256, filename } = { ...granted, ...request }
  if (url !== undefined) return placeAt(url)
  const key = uploadKey({ repository: by.repository, epoch: granted.epoch }, granted.id)
  if ((await env.BUCKET.head(key))?.checksums.toJSON().sha256 === sha256) return placeAt(null)
  return placeAt(`${index}/legacy/uploads/${sha256}/${encodeURIComponent(filename)}`, { [TICKET]: ticket! })
}

const placeAt = (upload_url: string | null, upload_headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify({ upload_url, upload_headers }), {
    status: 201,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
  })

/** @throws Refusal, Problem: nothing is stored */
export async function put(
  env: Env,
  repository: string,
  request: Request,
  body: UploadBody,
  { sha256, filename: name }: { sha256: string; filename: string },
): Promise<Response> {
  const ticket = request.headers.get(TICKET)
  if (ticket === null) throw new Problem(401, UNAUTHENTICATED, { 'WWW-Authenticate': CHALLENGE })
  const size = body.declared ?? 0
  if (size < 1) throw new Problem(400, 'Send the bytes of the file, with their Content-Length.')
  if (size > FILE_BYTES_MAX)
    throw new Problem(
      413,
      `File too large. Limit for a file in one request is ${FILE_BYTES_MAX / MIB} MiB: send it with \`tuf-edge upload\`, ` +
        'or ask the operators to set R2_S3_ENDPOINT (docs/deploy.md), which lets it go to the bucket by itself.',
    )
  const { project, filename } = parseFilename(name)
  const attempt = await attempts.admit(request, ticket, CHALLENGE, `${repository} ${sha256}/${filename}`)
  const asked = { repository, project, filename, sha256, ticket, size }
  const { epoch, id } = await callMember<Granted<TicketAnswer>>(() => env.MEMBER.mayPut(asked)).catch((error) => {
    if (error instanceof Problem && error.status === 401) attempt.failed()
    throw error
  })
  const whole = new FixedLengthStream(size)
  const [stored, sent] = await Promise.allSettled([
    env.BUCKET.put(uploadKey({ repository, epoch }, id), whole.readable, { sha256 }),
    pass(body, whole.writable.getWriter()),
  ])
  if (stored.status === 'fulfilled') return new Response(null, { status: 200 })
  if (BAD_DIGEST.test(String(stored.reason)))
    throw new Refusal('The digest supplied does not match a digest calculated from the uploaded file: send it again.')
  // The bucket only misses bytes that did not come.
  throw sent.status === 'rejected' && (sent.reason instanceof Refusal || sent.reason instanceof Problem)
    ? sent.reason
    : stored.reason
}

/** One chunk after the other: the body lends each until the next but one. */
async function pass(body: UploadBody, to: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of body.stream()) await to.write(chunk)
    await to.close()
  } catch (error) {
    await to.abort(error).catch(() => undefined)
    throw error
  }
}

/** R2's number for it (developers.cloudflare.com/r2/api/error-codes). */
const BAD_DIGEST = /\(10037\)/

/** Takes what was put as every upload is taken. */
export async function finalize(env: Env, by: Uploader, fields: FormFields, wait: boolean): Promise<Taken> {
  const { request, filename } = described(by, fields)
  const granted = await callMember<Granted<ReservedAnswer>>(() => env.MEMBER.reserved(request))
  if (granted.kind === 'duplicate') return { visible: granted.visible || (await published(env, request)), warnings: [] }
  const { epoch, id } = granted
  const object = await env.BUCKET.get(uploadKey({ repository: by.repository, epoch }, id))
  if (!object)
    throw new Refusal(`The bytes of ${filename} have not come: put them to the upload address, and finalize.`)
  if (object.size > LARGE_FILE_BYTES_MAX)
    throw new Refusal(`File too large. Limit for a direct upload is ${LARGE_FILE_BYTES_MAX / MIB} MiB.`, 413)
  return takeStored(env, by, { filename, fields }, object, wait)
}

const published = async (env: Env, request: BeginRequest): Promise<boolean> =>
  (await callMember<{ ok: true; visible: boolean }>(() => env.MEMBER.whenVisible(request))).visible

/** What the form says of a file that it does not hold. @throws Refusal */
function described(by: Uploader, fields: FormFields): { request: BeginRequest; filename: string } {
  const checked = checkUploadFields(fields)
  const named = fields.get('filename')
  if (named === undefined) throw new Refusal("The form has no 'filename': it must be the name of the file.")
  const file = parseFilename(named)
  checkFieldsAgainstFilename(checked, file)
  const { project, filename } = file
  const { sha256, imported } = checked
  const request = { ...by, project, filename, sha256, ...(imported ? { imported } : {}) }
  return { request, filename }
}
