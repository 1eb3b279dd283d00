// Every repository of a deployment behind one host: `main` and, under `/r/{repository}/`, any others, each an index or signed
// elsewhere.
//
// State: a face each, for as long as the isolate lives; each has its own reader, trust and present, so that what one knows
// is no other's. The caches of verified bytes are one, bounded together, and keyed by bucket keys, which begin with the
// repository. Invariant: a face is made for one repository and never hears of another.
import { MAIN } from '../tuf/layout.ts'
import { repositoryOf } from './addresses.ts'
import { Caches } from './caches.ts'
import type { Env } from './env.ts'
import { createFace, type RepositoryFace } from './face.ts'

/** Faces kept at once beside `main`'s; one is some kilobytes until it has read something. */
const FACES_MAX = 50

/** What the deployed script answers with. */
export interface Repositories {
  fetch(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response>
}

export function createRepositories(): Repositories {
  const caches = new Caches()
  const main = createFace(MAIN, caches)
  const others = new Map<string, RepositoryFace>()
  return {
    fetch(request, env, ctx) {
      const name = repositoryOf(request)
      if (name === MAIN) return main.fetch(request, env, ctx)
      const face = others.get(name) ?? createFace(name, caches)
      others.delete(name)
      others.set(name, face)
      if (others.size > FACES_MAX) others.delete(leastWanted(others))
      return face.fetch(request, env, ctx)
    },
  }
}

/** Names that strangers make up never drive out what a repository's readers know of it. */
function leastWanted(faces: ReadonlyMap<string, RepositoryFace>): string {
  for (const [name, { exists }] of faces) if (!exists()) return name
  return faces.keys().next().value!
}
