// Where the repositories of a deployment lie: `main` has the public URL space for itself, every other one the same names
// below `/r/{repository}/`. State: none. Invariant: an address of one is never an address of another.
import { baseOf, MAIN, REPOSITORY_NAME } from '../tuf/layout.ts'
import { rawPath } from './paths.ts'

const BESIDE_MAIN = /^\/r\/([^/]*)\//
/** Where PEP 807 has clients ask about the path of any upload URL: at the root of the host. */
const DISCOVERY = '/.well-known/pytp'

/** The repository that a request is about. `main` has one address, so that nothing is cached under two. */
export function repositoryOf(request: Request): string {
  const path = rawPath(request)
  const name = BESIDE_MAIN.exec(path === DISCOVERY ? discovered(request.url) : path)?.[1]
  return name !== undefined && REPOSITORY_NAME.test(name) ? name : MAIN
}

/** The path that is asked about. Nobody has looked at the Host yet: what was sent may be no URL. */
const discovered = (url: string): string => new URLSearchParams(url.split('?', 2)[1]).get('discover') ?? ''

/** The path of the request below the repository's own address, undecoded. */
export function pathInside(repository: string, request: Request): string {
  const path = rawPath(request)
  const base = `${baseOf(repository)}/`
  return path.startsWith(base) ? path.slice(base.length - 1) : path
}

/** The URL of the repository, without a slash at its end: its pages are below. */
export const urlOf = (repository: string, request: Request): string => new URL(request.url).origin + baseOf(repository)

/** As people know it: the host, and what stands behind it. */
export const nameOf = (url: string): string => url.slice(url.indexOf('://') + 3)
