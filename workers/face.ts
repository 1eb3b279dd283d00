import { createApi } from './api.ts'
import { NotInitialised, Problem } from './errors.ts'
import { Feeds } from './feeds.ts'
import { answerFile } from './files.ts'
import { HealthCheck } from './health.ts'
import { answerHome } from './home.ts'
import { answerProvenance } from './integrity.ts'
import { oidc } from './oidc.ts'
import { isLoopback, rawPath } from './paths.ts'
import { answerPypiJson } from './pypi-json.ts'
import { Reader } from './reader.ts'
import { guardReading } from './reading.ts'
import { answerSimple } from './simple.ts'
import { type Face, type FaceContext, newFace } from './surface.ts'
import { answerTuf } from './tuf.ts'
import { upload } from './upload.ts'

/** To `twine --repository-url` with the index's address, above all. */
const READ_ONLY = 'This can only be read: files are uploaded to /legacy/.'

/**
 * What says for itself who may do what: writing, and how CI comes to a token. Metrics and health do as well, because they
 * have to answer also when nothing can be read.
 */
const OWN_RULES =
  /^\/(?:api|api\/.*|legacy\/?|legacy\/\/?(?:reserve|finalize)|legacy\/uploads\/.*|_\/oidc\/.*|\.well-known\/pytp|metrics|healthz)$/

/** @param repository whose bucket keys are read; the public URL space has one repository */
export function createFace(repository: string): Face {
  const reader = new Reader(repository)
  const health = new HealthCheck(reader)
  const feeds = new Feeds(reader)
  const words = { nothing: 'There is nothing here: the packages are under /simple/.', readOnly: READ_ONLY }
  const { face, reads } = newFace(rawPath, words, async (c, next) => {
    if (c.req.path !== '/healthz') await admit(c, reader)
    await (OWN_RULES.test(c.req.path) ? next() : guardReading(c, reader, next))
  })
  const simple = (base: string) => (c: FaceContext) => answerSimple(c.env, reader, c.req.raw, base, c.req.path)

  face.route('/', upload)
  face.route('/', createApi(reader))
  face.route('/', oidc)
  reads('/', (c) => answerHome(c.env, reader, c.req.raw))
  reads('/healthz', (c) => health.answer(c.env, c.req.raw))
  reads('/metrics', (c) => health.metrics(c.env, c.req.raw))
  reads('/simple/*', simple('/simple/'))
  // What hatch asks before an upload, as devpi has it: its plus arrives encoded, other people's does not.
  for (const plus of ['+', '%2B', '%2b']) reads(`/legacy/${plus}simple/*`, simple(`/legacy/${plus}simple/`))
  reads('/files/*', (c) => answerFile(c.env, reader, c.req.raw, c.req.path))
  reads('/integrity/*', (c) => answerProvenance(c.env, reader, c.req.raw, c.req.path))
  reads('/pypi/*', (c) => answerPypiJson(c.env, reader, c.req.raw, c.req.path))
  reads('/rss/*', (c) => feeds.answer(c.env, c.req.raw, c.req.path))
  reads('/tuf/*', (c) => answerTuf(c.env, reader, c.req.raw, c.req.path))
  return face
}

/**
 * Before the first root only the API answers, because the ceremony goes through it, and uploads are refused in their own
 * form. A development repository is shown to this machine alone: its keys were never guarded, so nobody else may come to
 * trust it. (421, Misdirected Request: asking again does not help, another name does.)
 */
async function admit(c: FaceContext, reader: Reader): Promise<void> {
  try {
    const { development } = await reader.trust.get(c.env)
    if (development && !isLoopback(c.req.raw))
      throw new Problem(
        421,
        'This is a development index: it answers under 127.0.0.1, localhost and [::1] and no other name.',
      )
  } catch (error) {
    const writes = c.req.path.startsWith('/api/') || c.req.method === 'POST'
    if (!(error instanceof NotInitialised && writes)) throw error
  }
}
