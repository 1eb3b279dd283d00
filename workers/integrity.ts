// PyPI's Integrity API: `/integrity/{project}/{version}/{filename}/provenance`, who attested what of a file (PEP 740). State:
// none. The object is trusted by the digest on the signed JSON page, and only if that page means the very file that the bin
// names: what was verified when the file was uploaded is what is served.
// Bucket reads beside the timestamp's: 1 + 1 for the page, then 0 from memory.
import { parseFilename } from '../pypi/filenames.ts'
import { FORM_FIELD_BYTES_MAX } from '../pypi/limits.ts'
import { isValidName, normalizeName } from '../pypi/names.ts'
import { parseVersion, releaseKey } from '../pypi/versions.ts'
import { shardOf } from '../tuf/bins.ts'
import { blobProvenanceKey } from '../tuf/layout.ts'
import { sendBytes, staleness } from './content.ts'
import type { Env } from './env.ts'
import { NotFound, Problem } from './errors.ts'
import { readNamed } from './objects.ts'
import { segmentsBehind } from './paths.ts'
import { readProject } from './project-data.ts'
import type { Reader } from './reader.ts'

const TYPE = 'application/vnd.pypi.integrity.v1+json'
const ACCEPTED: ReadonlySet<string> = new Set([TYPE, 'application/json', 'application/*', '*/*'])
/** What was sent has at most the size of a form's field; with the names of its signers it may be a little more. */
const PROVENANCE_BYTES_MAX = 2 * FORM_FIELD_BYTES_MAX

/** @param path raw, beginning with `/integrity/` */
export async function answerProvenance(env: Env, reader: Reader, request: Request, path: string): Promise<Response> {
  const segments = segmentsBehind('/integrity/', path)
  if (segments?.length !== 4 || segments[3] !== 'provenance') throw new NotFound()
  const [name, version, filename] = segments as [string, string, string, string]
  const publication = await reader.current(env)
  if (!isValidName(name) || !parseVersion(version)) throw new NotFound(NONE)
  if (!accepts(request.headers.get('Accept'))) throw new Problem(406, `This index has: ${TYPE}.`, { Vary: 'Accept' })
  const project = normalizeName(name)
  const data = await readProject(env, reader, publication, project)
  const file = data?.page.files.find((each) => each.filename === filename)
  if (!file?.provenance || !isOf(filename, version)) throw new NotFound(NONE)
  const target = await publication.find(env, `files/${shardOf(project)}/${project}/${filename}`)
  if (target?.sha256 !== file.sha256) throw new NotFound(NONE)
  const { sha256 } = file.provenance
  const key = blobProvenanceKey(publication.trusted.place, target.sha256, target.n)
  const bytes = await reader.remember(`${key} ${sha256}`, reader.files, () => {
    const named = { hashes: new Map([['sha256', sha256]]) }
    return readNamed(env, key, named, PROVENANCE_BYTES_MAX, `the provenance of "${target.path}"`)
  })
  return sendBytes(request, bytes, sha256, {
    ...staleness(target),
    Vary: 'Accept',
    'Content-Type': TYPE,
    // Gone with the file, so it is asked for again.
    'Cache-Control': request.headers.has('Authorization') ? 'private, no-cache' : 'public, no-cache',
    'X-Content-Type-Options': 'nosniff',
  })
}

const NONE = 'There is no provenance of that file.'

/** In any spelling of the version that makes the same release. The name of a file on a signed page is one. */
const isOf = (filename: string, version: string): boolean =>
  releaseKey(parseFilename(filename).version) === releaseKey(version)

function accepts(accept: string | null): boolean {
  if (accept === null || accept.trim() === '') return true
  return accept.split(',').some((range) => {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    return ACCEPTED.has(type!) && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })
}
