// What every face does, whatever it shows. Invariant: no answer leaves without `nosniff`, none carries a stack or an
// internal message, and nothing is answered to a Host that is none.
import { type Context, Hono, type Next } from 'hono'
import type { Env } from './env.ts'
import { answerTo, NotFound, Problem } from './errors.ts'
import { hasHost } from './paths.ts'

export type Face = Hono<{ Bindings: Env }>
export type FaceContext = Context<{ Bindings: Env }>

interface Words {
  /** Behind a 404. */
  nothing(): string
  /** Behind a 405. */
  readOnly(): string
}

/**
 * A face without its routes.
 *
 * @param pathOf what is matched, undecoded
 * @param guard stands before every route: throws, or calls `next`
 */
export function newFace(
  pathOf: (request: Request) => string,
  { nothing, readOnly }: Words,
  guard: (c: FaceContext, next: Next) => Promise<unknown>,
) {
  const face: Face = new Hono<{ Bindings: Env }>({ getPath: pathOf })
  face.onError((error) => answerTo(error))
  face.notFound(() => answerTo(new NotFound(nothing())))
  face.use('*', async (c, next) => {
    await next()
    if (!c.res.headers.has('X-Content-Type-Options')) c.header('X-Content-Type-Options', 'nosniff')
  })
  face.use('*', async (c: FaceContext, next: Next) => {
    if (!hasHost(c.req.raw)) throw new Problem(400, 'The Host of the request is malformed.')
    await guard(c, next)
  })
  const reads = (path: string, answer: (c: FaceContext) => Promise<Response>): void => {
    face.get(path, answer)
    face.all(path, () => answerTo(new Problem(405, readOnly(), { Allow: 'GET, HEAD' })))
  }
  return { face, reads }
}
