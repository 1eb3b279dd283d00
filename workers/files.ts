// Distribution files and their metadata: `/files/{shard}/{project}/{filename}` and the same with `.metadata` (PEP 658).
//
// A file is a target. Its metadata is not: it is trusted by the `core-metadata` digest on the signed JSON page, and only
// if that page means the very file that the bin names. A deleted file is gone from the present publication, so its URL
// answers 404 from the next request on.
// Bucket reads beside the timestamp's: file 1, or 0 from memory and for HEAD, 304; metadata 1 + 1 for the page, then 0.
import { PageError, parseProjectJson } from '../pypi/simple.ts'
import { blobMetadataKey } from '../tuf/layout.ts'
import type { Promised } from './caches.ts'
import { IMMUTABLE, objectOf, sendBytes, sendObject, staleness, UNTRUSTED_CONTENT } from './content.ts'
import type { Env } from './env.ts'
import { Corrupt, NotFound } from './errors.ts'
import { readNamed } from './objects.ts'
import { segmentsBehind } from './paths.ts'
import type { Publication, Target } from './publication.ts'
import type { Reader } from './reader.ts'
import { projectTarget } from './simple.ts'

/** What readers take at most (our verifying proxy and client); a METADATA file of PyPI is some kB. */
const METADATA_BYTES_MAX = 8 * 10 ** 6
const METADATA_ENDING = '.metadata'

/** @param path raw, beginning with `/files/` */
export async function answerFile(env: Env, reader: Reader, request: Request, path: string): Promise<Response> {
  const segments = segmentsBehind('/files/', path)
  if (segments?.length !== 3) throw new NotFound()
  const [, project, filename] = segments as [string, string, string]
  const publication = await reader.current(env)
  // No file's name may end in `.metadata` (an upload is refused), so the ending decides.
  const wanted = filename.endsWith(METADATA_ENDING) ? filename.slice(0, -METADATA_ENDING.length) : filename
  const target = await publication.find(env, `files/${segments.with(2, wanted).join('/')}`)
  if (!target) throw new NotFound('There is no such file.')
  const headers = { ...UNTRUSTED_CONTENT, ...staleness(target), 'Cache-Control': cacheControl(request) }
  if (wanted === filename)
    return sendObject(env, reader, request, objectOf(publication.trusted.place, target), reader.files, headers)
  const held = await metadataOf(env, reader, publication, project, target)
  if (!held) throw new NotFound('That file has no metadata of its own.')
  return sendBytes(request, held.bytes, held.sha256, headers)
}

/** The metadata of `file`, verified, or undefined: its page promises none. */
export async function metadataOf(
  env: Env,
  reader: Reader,
  publication: Publication,
  project: string,
  file: Target,
): Promise<{ bytes: Uint8Array; sha256: string } | undefined> {
  const sha256 = await promisedMetadata(env, reader, publication, project, file)
  if (sha256 === undefined) return undefined
  const key = blobMetadataKey(publication.trusted.place, file.sha256, file.n)
  const bytes = await reader.remember(`${key} ${sha256}`, reader.files, () => {
    const named = { hashes: new Map([['sha256', sha256]]) }
    return readNamed(env, key, named, METADATA_BYTES_MAX, `the metadata of "${file.path}"`)
  })
  return { bytes, sha256 }
}

const cacheControl = (request: Request): string =>
  request.headers.has('Authorization') ? IMMUTABLE.replace('public', 'private') : IMMUTABLE

/** The digest that the project's page promises for the metadata of `file`, or undefined: it promises none. */
async function promisedMetadata(
  env: Env,
  reader: Reader,
  publication: Publication,
  project: string,
  file: Target,
): Promise<string | undefined> {
  const page = await publication.find(env, projectTarget(project, 'json'))
  if (!page) return undefined
  const [, shard, , filename] = file.path.split('/') as [string, string, string, string]
  const object = objectOf(publication.trusted.place, page)
  let promises = reader.promises.get(object.key)
  if (!promises) {
    const bytes = await reader.whole(env, object, reader.pages)
    promises = readPromises(bytes, project, shard)
    reader.promises.set(object.key, promises, bytes.length)
  }
  const promised = promises.get(filename)
  return promised?.file === file.sha256 ? promised.metadata : undefined
}

function readPromises(bytes: Uint8Array, project: string, shard: string): ReadonlyMap<string, Promised> {
  try {
    const { files } = parseProjectJson(bytes, project, shard)
    return new Map(
      files.map(({ filename, sha256, coreMetadataSha256 }) => [
        filename,
        { file: sha256, metadata: coreMetadataSha256 },
      ]),
    )
  } catch (error) {
    if (error instanceof PageError) throw new Corrupt(`the page of ${project} cannot be read: ${error.message}.`)
    throw error
  }
}
