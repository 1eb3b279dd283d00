import { baseOf, MAIN } from '../tuf/layout.ts'
import { pathInside } from './addresses.ts'
import { type ApiOf, createApi } from './api.ts'
import { Caches } from './caches.ts'
import { NotFound, NotInitialised, Problem } from './errors.ts'
import { Feeds } from './feeds.ts'
import { answerFile } from './files.ts'
import { HealthCheck } from './health.ts'
import { answerHome } from './home.ts'
import { answerProvenance } from './integrity.ts'
import { createOidc } from './oidc.ts'
import { isLoopback } from './paths.ts'
import { answerPypiJson } from './pypi-json.ts'
import { Reader } from './reader.ts'
import { guardReading } from './reading.ts'
import { answerSimple } from './simple.ts'
import { type Face, type FaceContext, newFace } from './surface.ts'
import type { Kind } from './trust.ts'
import { answerTuf } from './tuf.ts'
import { createUpload } from './upload.ts'

export interface RepositoryFace extends Face {
  /** Whether the publisher has said so; once it has, for ever. */
  exists(): boolean
}

const API = /^\/api(?:\/.*)?$/

/**
 * What says for itself who may do what: writing, and how CI comes to a token. Metrics and health do as well, because they
 * have to answer also when nothing can be read.
 */
const OWN_RULES: Readonly<Record<Kind, RegExp>> = {
  index:
    /^\/(?:api|api\/.*|legacy\/?|legacy\/\/?(?:reserve|finalize)|legacy\/uploads\/.*|_\/oidc\/.*|\.well-known\/pytp|metrics|healthz)$/,
  adopted: /^\/(?:api|api\/.*|metrics|healthz)$/,
}
/** Metadata and targets: all there is to read of a repository that is signed elsewhere. */
const ADOPTED_READS = /^\/tuf\//

/**
 * The face of one repository: the same routes for every one, under its own address. Which of them there are hangs on what
 * kind of repository it is. That `main` is an index is known; of any other the publisher says it with what is trusted.
 */
export function createFace(repository: string, caches = new Caches()): RepositoryFace {
  const base = baseOf(repository)
  const reader = new Reader(repository, caches)
  const health = new HealthCheck(reader)
  const feeds = new Feeds(reader)
  const kind = (): Kind | undefined => (repository === MAIN ? 'index' : reader.trust.kind)
  const words = {
    nothing: () =>
      kind() === 'index' ? `There is nothing here: the packages are under ${base}/simple/.` : 'There is nothing here.',
    // To `twine --repository-url` with the index's address, above all.
    readOnly: () =>
      kind() === 'index' ? `This can only be read: files are uploaded to ${base}/legacy/.` : 'This can only be read.',
  }
  const { face, reads } = newFace(
    (request) => pathInside(repository, request),
    words,
    async (c, next) => {
      const { path } = c.req
      if (path !== '/healthz') await admit(c, reader)
      const rules = OWN_RULES[kind() ?? 'index']
      if (rules.test(path)) return next()
      return guardReading(c, reader, () => {
        if (kind() === 'adopted' && !ADOPTED_READS.test(path)) throw new NotFound()
        return next()
      })
    },
  )
  const simple = (below: string) => (c: FaceContext) => answerSimple(c.env, reader, c.req.raw, below, c.req.path)

  face.route('/', createUpload(repository))
  const apis = new Map<Kind | undefined, ApiOf>()
  const api = (c: FaceContext): Response | Promise<Response> => {
    const of = kind()
    if (!apis.has(of)) apis.set(of, createApi(reader, of))
    return apis.get(of)!.fetch(c.req.raw, c.env, c.executionCtx)
  }
  face.all('/api', api)
  face.all('/api/*', api)
  face.route('/', createOidc(repository))
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
  return Object.assign(face, { exists: () => reader.trust.kind !== undefined })
}

/**
 * Before the first root only the API answers, because the ceremony goes through it, and uploads are refused in their own
 * form. A development repository is shown to this machine alone: its keys were never guarded, so nobody else may come to
 * trust it. (421, Misdirected Request: asking again does not help, another name does.)
 */
async function admit(c: FaceContext, reader: Reader): Promise<void> {
  const { path, method } = c.req
  try {
    const { development } = await reader.trust.get(c.env)
    if (development && !isLoopback(c.req.raw))
      throw new Problem(
        421,
        'This is a development index: it answers under 127.0.0.1, localhost and [::1] and no other name.',
      )
  } catch (error) {
    const writes = API.test(path) || method === 'POST'
    if (error instanceof NotInitialised && writes) return
    // Its owner mends it through the API, also where the bucket has lost what is trusted.
    if (reader.trust.kind === 'adopted' && OWN_RULES.adopted.test(path) && !isMisdirected(error)) return
    throw error
  }
}

const isMisdirected = (error: unknown): boolean => error instanceof Problem && error.status === 421
