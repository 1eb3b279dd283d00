// POST /legacy/, the upload API of twine, uv, poetry, pdm, flit and hatch. State: none.
// Order of checks: origin, credentials, declared length; then, while the form arrives, its fields, the file name, the
// token's right (begin), digest, archive; then the ledger (stage).
import { Hono } from 'hono'
import { UNAUTHENTICATED } from '../pypi/refusal.ts'
import { attempts } from './attempts.ts'
import { CHALLENGE, tokenOf } from './credentials.ts'
import type { Env } from './env.ts'
import { Problem } from './errors.ts'
import { isForeign } from './origin.ts'
import { errorAnswer, failureAnswer, successAnswer } from './upload-answer.ts'
import { BODY_BYTES_MAX, TOO_LARGE, UploadBody } from './upload-body.ts'
import { takeUpload } from './upload-intake.ts'

export const upload = new Hono<{ Bindings: Env }>()

// Both in place: twine, poetry and hatch fail on a redirect, flit makes a GET of it.
for (const path of ['/legacy/', '/legacy']) {
  upload.post(path, (c) => {
    const work = receive(c.req.raw, c.env)
    // A client that goes away ends the request without its `finally`; as a background task it can still let go of
    // its buffer and abort what it stored.
    c.executionCtx.waitUntil(work)
    return work
  })
  upload.all(path, (c) =>
    errorAnswer(c.req.raw, 405, 'Files are uploaded here with POST; the index is at /simple/.', { Allow: 'POST' }),
  )
}

/** Never rejects. */
async function receive(request: Request, env: Env): Promise<Response> {
  if (isForeign(request)) return errorAnswer(request, 403, 'Pages of other origins may not upload here.')
  const body = new UploadBody(request)
  let answer: Response
  try {
    answer = successAnswer(await take(request, env, body))
  } catch (error) {
    answer = failureAnswer(request, error)
  }
  await body.drain()
  return answer
}

async function take(request: Request, env: Env, body: UploadBody) {
  const token = tokenOf(request.headers)
  if (token === undefined) throw new Problem(401, UNAUTHENTICATED, { 'WWW-Authenticate': CHALLENGE })
  if (body.declared !== undefined && body.declared > BODY_BYTES_MAX) throw new Problem(413, TOO_LARGE)
  const attempt = await attempts.admit(request, token, CHALLENGE)
  try {
    return await takeUpload(env, token, request.headers.get('content-type'), body, !prefersNow(request))
  } catch (error) {
    if (error instanceof Problem && error.status === 401) attempt.failed()
    throw error
  }
}

/** RFC 7240: whoever brings thousands of files asks later whether they are there, instead of waiting for each. */
const prefersNow = (request: Request): boolean =>
  (request.headers.get('prefer') ?? '').split(',').some((each) => each.trim().toLowerCase() === 'respond-async')
