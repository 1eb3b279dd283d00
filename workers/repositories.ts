// Every repository of a deployment behind one address: `main`, the index, has the public URL space; a repository that is
// signed elsewhere lies under `/r/{repository}/`, with the same names below it.
//
// State: a face each, for as long as the isolate lives; each has its own reader, caches and trust, so that what one
// knows is no other's. Invariant: a face is made for one repository and never hears of another; where the path ends in
// none, the publisher's "not initialised" is all there is to learn.
import { createAdoptedApi } from './api.ts'
import type { Env } from './env.ts'
import { createFace } from './face.ts'
import { HealthCheck } from './health.ts'
import { rawPath } from './paths.ts'
import { Reader } from './reader.ts'
import { guardReading } from './reading.ts'
import { type Face, newFace } from './surface.ts'
import { answerTuf } from './tuf.ts'

/** Faces kept at once; one is some kilobytes until it has read something. */
const FACES_MAX = 50
const REPOSITORY_PATH = /^\/r\/([a-z][a-z0-9-]{0,39})(\/.*)$/s

/** What says for itself who may do what; see the index's face. */
const OWN_RULES = /^\/(?:api|api\/.*|metrics|healthz)$/

const WORDS = { nothing: 'There is nothing here.', readOnly: 'This can only be read.' }

/** The path below the repository's own address. */
const pathInside = (request: Request): string => REPOSITORY_PATH.exec(rawPath(request))?.[2] ?? '/'

/** What the deployed script answers with. */
export interface Repositories {
  fetch(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response>
}

export function createRepositories(): Repositories {
  const main = createFace('main')
  const others = new Map<string, Face>()
  return {
    fetch(request, env, ctx) {
      const name = REPOSITORY_PATH.exec(rawPath(request))?.[1]
      // `main` has one address, so that nothing is cached under two.
      if (name === undefined || name === 'main') return main.fetch(request, env, ctx)
      const face = others.get(name) ?? createAdoptedFace(name)
      others.delete(name)
      others.set(name, face)
      if (others.size > FACES_MAX) others.delete(others.keys().next().value!)
      return face.fetch(request, env, ctx)
    },
  }
}

/** The face of a repository that is signed elsewhere: TUF metadata, targets, health, and its API. */
export function createAdoptedFace(repository: string): Face {
  const reader = new Reader(repository)
  const health = new HealthCheck(reader)
  const { face, reads } = newFace(pathInside, WORDS, (c, next) =>
    OWN_RULES.test(c.req.path) ? next() : guardReading(c, reader, next),
  )
  face.route('/', createAdoptedApi(reader, `/r/${repository}`))
  reads('/healthz', (c) => health.answer(c.env, c.req.raw))
  reads('/metrics', (c) => health.metrics(c.env, c.req.raw))
  reads('/tuf/*', (c) => answerTuf(c.env, reader, c.req.raw, c.req.path))
  return face
}
