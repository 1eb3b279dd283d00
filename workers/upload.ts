// /legacy/, the upload API of twine, uv, poetry, pdm, flit and hatch, and the three steps of `uv publish --direct` below it.
// State: none. Order of checks: origin, credentials, declared length; then, while the form arrives, its fields, the file
// name, the token's right (begin), digest, archive; then the ledger (stage).
import { type Context, Hono } from 'hono'
import { UNAUTHENTICATED } from '../pypi/refusal.ts'
import { readFileDescription } from '../pypi/upload-form.ts'
import { baseOf } from '../tuf/layout.ts'
import { urlOf } from './addresses.ts'
import { attempts } from './attempts.ts'
import { CHALLENGE, tokenOf } from './credentials.ts'
import type { Env } from './env.ts'
import { Problem } from './errors.ts'
import { isForeign } from './origin.ts'
import { errorAnswer, failureAnswer, successAnswer } from './upload-answer.ts'
import { BODY_BYTES_MAX, TOO_LARGE, UploadBody } from './upload-body.ts'
import { finalize, put, reserve, UPLOADS } from './upload-direct.ts'
import { takeUpload, type Uploader } from './upload-intake.ts'

type FaceContext = Context<{ Bindings: Env }>
type Take = (request: Request, env: Env, body: UploadBody, by: Uploader) => Promise<Response>

const TAKES: [string, Take][] = [
  // Both in place: twine, poetry and hatch fail on a redirect, flit makes a GET of it.
  ...['/legacy/', '/legacy'].map((path): [string, Take] => [path, takeFile]),
  // uv appends to the address as it is given: two slashes if it ends with one.
  ...['/legacy/reserve', '/legacy//reserve'].map((path): [string, Take] => [path, takeReservation]),
  ...['/legacy/finalize', '/legacy//finalize'].map((path): [string, Take] => [path, takeFinal]),
]

/** @param repository the one that is uploaded to */
export function createUpload(repository: string): Hono<{ Bindings: Env }> {
  const upload = new Hono<{ Bindings: Env }>()
  const wrongMethod = `Files are uploaded here with POST; the index is at ${baseOf(repository)}/simple/.`
  for (const [path, take] of TAKES) {
    upload.post(path, (c) => receive(c, (request, env, body) => authenticated(request, env, body, repository, take)))
    upload.all(path, (c) => errorAnswer(c.req.raw, 405, wrongMethod, { Allow: 'POST' }))
  }
  upload.put(UPLOADS, (c) => receive(c, (request, env, body) => put(env, repository, request, body, c.req.param())))
  upload.all(UPLOADS, (c) => errorAnswer(c.req.raw, 405, 'Bytes of a file are put here.', { Allow: 'PUT' }))
  return upload
}

/** Never rejects. */
function receive(
  c: FaceContext,
  take: (request: Request, env: Env, body: UploadBody) => Promise<Response>,
): Promise<Response> {
  const request = c.req.raw
  const work = async (): Promise<Response> => {
    if (isForeign(request)) return errorAnswer(request, 403, 'Pages of other origins may not upload here.')
    const body = new UploadBody(request)
    let answer: Response
    try {
      answer = await take(request, c.env, body)
    } catch (error) {
      answer = failureAnswer(request, error)
    }
    await body.drain()
    return answer
  }
  const answer = work()
  // A client that goes away ends the request without its `finally`; as a background task it can still let go of
  // its buffer and abort what it stored.
  c.executionCtx.waitUntil(answer)
  return answer
}

async function authenticated(
  request: Request,
  env: Env,
  body: UploadBody,
  repository: string,
  take: Take,
): Promise<Response> {
  const token = tokenOf(request.headers)
  if (token === undefined) throw new Problem(401, UNAUTHENTICATED, { 'WWW-Authenticate': CHALLENGE })
  if (body.declared !== undefined && body.declared > BODY_BYTES_MAX) throw new Problem(413, TOO_LARGE)
  const attempt = await attempts.admit(request, token, CHALLENGE, repository)
  try {
    return await take(request, env, body, { repository, token })
  } catch (error) {
    if (error instanceof Problem && error.status === 401) attempt.failed()
    throw error
  }
}

async function takeFile(request: Request, env: Env, body: UploadBody, by: Uploader): Promise<Response> {
  const type = request.headers.get('content-type')
  return successAnswer(await takeUpload(env, by, type, body, !prefersNow(request)))
}

async function takeReservation(request: Request, env: Env, body: UploadBody, by: Uploader): Promise<Response> {
  const fields = await readFileDescription(body.stream(), request.headers.get('content-type'))
  return reserve(env, by, urlOf(by.repository, request), fields)
}

async function takeFinal(request: Request, env: Env, body: UploadBody, by: Uploader): Promise<Response> {
  const fields = await readFileDescription(body.stream(), request.headers.get('content-type'))
  return successAnswer(await finalize(env, by, fields, !prefersNow(request)))
}

/** RFC 7240: whoever brings thousands of files asks later whether they are there, instead of waiting for each. */
const prefersNow = (request: Request): boolean =>
  (request.headers.get('prefer') ?? '').split(',').some((each) => each.trim().toLowerCase() === 'respond-async')
