// The simple index (PEP 503, 691): `/simple/`, `/simple/{project}/`. The bytes that are served are the signed bytes.
//
// Bucket reads of a page: 1 warm (the timestamp), the same for a 304 or a HEAD; cold one more for the page and those of
// `publication.ts`. Every answer is of the present, so `no-cache`: pip obeys max-age, which would hide new uploads.
//
// No Last-Modified: signed metadata has no date for a page, and the bucket's date of an object is not verified, changes
// when a page is repaired, and would cost a read for each 304. The strong entity tag is enough for pip, uv and poetry.

import { isValidName, normalizeName } from '../pypi/names.ts'
import { chooseForm, contentTypeOf, PAGE_TYPES, type PageForm } from '../pypi/negotiate.ts'
import { shardOf } from '../tuf/bins.ts'
import { baseOf } from '../tuf/layout.ts'
import { objectOf, sendObject, staleness, WHOLE_BYTES_MAX } from './content.ts'
import type { Env } from './env.ts'
import { NotFound, Problem } from './errors.ts'
import type { Expected } from './objects.ts'
import { segmentsBehind } from './paths.ts'
import { etagOf, noneMatches } from './ranges.ts'
import type { Reader } from './reader.ts'
import { serialOf } from './serial.ts'

const VARY = { Vary: 'Accept' }
/** A page opened in a browser is a list of links and nothing else. */
const PAGE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export const listTarget = (form: PageForm): string => `simple/vnd.pypi.simple.v1.${form === 'json' ? 'json' : 'html'}`

export const projectTarget = (project: string, form: PageForm): string =>
  `simple/${shardOf(project)}/${project}/vnd.pypi.simple.v1.${form === 'json' ? 'json' : 'html'}`

/** @param base `/simple/`, or the alias that hatch asks before an upload; @param path raw */
export async function answerSimple(
  env: Env,
  reader: Reader,
  request: Request,
  base: string,
  path: string,
): Promise<Response> {
  // Asked first, so that even a redirect or a 404 comes from a repository that exists and verifies.
  const publication = await reader.current(env)
  const redirect = (to: string) => moved(baseOf(reader.repository) + to)
  if (`${path}/` === base) return redirect(base)
  const segments = segmentsBehind(base, path)
  if (!segments) throw new NotFound()
  const [name, slash, ...rest] = segments
  if (rest.length > 0 || (slash !== undefined && slash !== '')) throw new NotFound()

  const project = name === '' ? undefined : normalizeName(name!)
  if (project !== undefined && !isValidName(name!)) throw new NotFound(noProject(reader))
  if (project !== undefined && (name !== project || slash === undefined)) return redirect(`${base}${project}/`)

  const query = new URL(request.url).searchParams.get('format')
  const form = chooseForm(request.headers.get('Accept'), query)
  if (!form) throw new Problem(406, `This index has: ${Object.values(PAGE_TYPES).join(', ')}.`, VARY)
  const target = await publication.find(env, project === undefined ? listTarget(form) : projectTarget(project, form))
  if (!target) throw new Problem(404, noProject(reader), VARY)
  const expected = objectOf(publication.trusted.place, target)
  const serial = await lastSerial(env, reader, request, expected)
  const privately = request.headers.has('Authorization')
  return sendObject(env, reader, request, expected, reader.pages, {
    ...VARY,
    ...(serial === undefined ? {} : { 'X-PyPI-Last-Serial': String(serial) }),
    ...staleness(target),
    'Content-Type': contentTypeOf(form),
    'Cache-Control': privately ? 'private, no-cache' : 'public, no-cache',
    'Content-Security-Policy': PAGE_POLICY,
    'X-Content-Type-Options': 'nosniff',
  })
}

/** From the bytes, where they are sent or in memory: a 304 or a HEAD reads no page for it. */
async function lastSerial(env: Env, reader: Reader, request: Request, page: Expected): Promise<number | undefined> {
  const sent = request.method === 'GET' && !noneMatches(request.headers.get('If-None-Match'), etagOf(page.sha256))
  const bytes =
    sent && page.length <= WHOLE_BYTES_MAX
      ? await reader.whole(env, page, reader.pages)
      : reader.pages.get(`${page.key} ${page.sha256}`)
  return bytes && serialOf(bytes)
}

const noProject = ({ repository }: Reader): string =>
  `There is no project of that name: ${baseOf(repository)}/simple/ lists what is here.`

/** `to` is made of the repository's name and a normalised one alone, so nothing of the request can turn it into another place. */
const moved = (to: string): Response =>
  new Response(null, { status: 301, headers: { ...VARY, Location: to, 'Cache-Control': 'public, no-cache' } })
