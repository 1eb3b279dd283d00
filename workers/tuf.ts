// The TUF repository: metadata under `/tuf/`, targets under `/tuf/targets/` (TUF 1.0.34, 6.2).
//
// | asked for                      | answered from                                        | bucket reads beside the timestamp's |
// |--------------------------------|------------------------------------------------------|-------------------------------------|
// | `timestamp.json`               | the verified present                                 | 0                                   |
// | `N.root.json`, known           | a digest the trust names                             | 0 (newest), 1 (older)               |
// | `N+1.root.json`                | the chain, if both thresholds signed it, else 404    | 1                                   |
// | `N.ROLE.json`, present         | the publication                                      | 0 warm, 1 – 4 cold                  |
// | `N.ROLE.json`, older           | the bucket, if the role's present keys signed it     | 1, then 0                           |
// | a target                       | its (path, digest) pair is in the publication        | 0 warm, 1 – 5 cold                  |
// | a superseded page              | the publisher says that it is kept                   | 2, then 0                           |
// | a purged file, by its digest   | the publisher's list of them: 410                    | 0                                   |
//
// Everything else is exactly 404 and never stored: clients read any other status on `N+1.root.json` as they like, and a
// stored 404 would hide a rotation. Nothing redirects; User-Agent, Accept and the query string mean nothing here.
import { metadataKey } from '../tuf/layout.ts'
import { LIMITS } from '../tuf/limits.ts'
import { parseSnapshot, parseTargets } from '../tuf/metadata.ts'
import { verifyRole } from '../tuf/verify.ts'
import { answerAdopted } from './adopted.ts'
import { cacheOf, IMMUTABLE, objectOf, sendBytes, sendObject, staleness, UNTRUSTED_CONTENT } from './content.ts'
import type { Env } from './env.ts'
import { bucket, NotFound, Problem, verifying } from './errors.ts'
import { answerTimestamp, digestOf, JSON_TYPE } from './metadata-answers.ts'
import { bounded } from './objects.ts'
import { fromOrigin } from './origin-files.ts'
import { segmentsBehind } from './paths.ts'
import type { Publication, Signers, Target } from './publication.ts'
import type { Reader } from './reader.ts'

/** A counter without leading zeros, at most 10 digits (versions end at 2^31 - 1), and a role name as we write them. */
const METADATA_NAME = /^([1-9]\d{0,9})\.([a-z][a-z0-9-]{0,39})\.json$/
const HASHED_NAME = /^([0-9a-f]{64}|[0-9a-f]{128})\.(.+)$/s

/** @param path raw, beginning with `/tuf/` */
export async function answerTuf(env: Env, reader: Reader, request: Request, path: string): Promise<Response> {
  const { adopted } = await reader.trust.get(env)
  if (adopted && !path.startsWith('/tuf/targets/'))
    return answerAdopted(env, reader, request, path.slice('/tuf/'.length))
  const segments = segmentsBehind('/tuf/', path)
  if (!segments) throw new NotFound()
  const [first, ...rest] = segments
  if (first === 'targets' && rest.length > 0) return answerTarget(env, reader, request, rest)
  if (rest.length > 0) throw new NotFound()
  if (first === 'timestamp.json') return answerTimestamp(env, reader, request)
  const match = METADATA_NAME.exec(first!)
  if (!match) throw new NotFound('There is no metadata of that name.')
  const [version, role] = [Number(match[1]), match[2]!]
  const bytes = role === 'root' ? await reader.trust.file(env, version) : await roleFile(env, reader, version, role)
  if (!bytes) throw new NotFound(`There is no ${version}.${role}.json.`)
  return sendBytes(request, bytes, await digestOf(bytes), { ...JSON_TYPE, 'Cache-Control': IMMUTABLE })
}

async function roleFile(env: Env, reader: Reader, version: number, name: string): Promise<Uint8Array | undefined> {
  const publication = await reader.current(env)
  const snapshot = await publication.snapshot(env)
  const present = name === 'snapshot' ? snapshot.signed.version : snapshot.signed.meta.get(name)?.version
  // Above the present there is nothing that was published, whatever the bucket holds.
  if (present === undefined || version > present) return undefined
  if (version === present) return name === 'snapshot' ? snapshot.bytes : (await publication.role(env, name))?.bytes
  const signers = await publication.signersOf(env, name)
  return signers && oldFile(env, reader, publication, version, name, signers)
}

/** A client in the middle of a run follows a timestamp that was replaced meanwhile: what it names is still there. */
async function oldFile(
  env: Env,
  reader: Reader,
  { trusted }: Publication,
  version: number,
  name: string,
  signers: Signers,
): Promise<Uint8Array | undefined> {
  const key = metadataKey(trusted.place, version, name)
  const id = `${key} (${signers.id})`
  const held = reader.pages.get(id)
  if (held) return held
  const object = await bucket(() => env.BUCKET.get(key))
  if (!object) return undefined
  const what = `${version}.${name}.json`
  const bytes = await bounded(object, name === 'snapshot' ? LIMITS.snapshotBytes : LIMITS.targetsBytes, what)
  const envelope = await verifying(async () => {
    const read = name === 'snapshot' ? parseSnapshot(bytes) : parseTargets(bytes)
    await verifyRole(read, signers.role, signers.keys, what)
    return read
  }).catch(() => undefined)
  if (envelope?.signed.version !== version) return undefined
  reader.pages.set(id, bytes, bytes.length)
  return bytes
}

async function answerTarget(env: Env, reader: Reader, request: Request, segments: string[]): Promise<Response> {
  const publication = await reader.current(env)
  for (const { path, sha256 } of readings(segments)) {
    const target = await findPair(env, reader, publication, path, sha256)
    if (!target) continue
    const cache = sha256 === undefined ? 'public, no-cache, no-transform' : IMMUTABLE
    const headers = { ...UNTRUSTED_CONTENT, ...staleness(target), 'Cache-Control': cache }
    const object = objectOf(publication.trusted.place, target)
    const send = () => sendObject(env, reader, request, object, cacheOf(reader, target), headers)
    const { adopted } = publication.trusted
    return adopted ? fromOrigin(env, reader.trust, target, object, request, send) : send()
  }
  if (await wasPurged(env, reader, publication, segments))
    throw new Problem(410, 'This file was purged: its bytes are gone, and its name is never used again.')
  throw new NotFound('There is no such target in the present publication.')
}

async function wasPurged(env: Env, reader: Reader, { trusted }: Publication, segments: string[]): Promise<boolean> {
  if (trusted.adopted) return false
  for (const { path, sha256 } of readings(segments))
    if (
      sha256 !== undefined &&
      path.startsWith('files/') &&
      (await reader.purges.has(env, reader.repository, path, sha256))
    )
      return true
  return false
}

/** What a target URL can mean: `dir/HASH.name`, `HASH.dir/name` as tough asks, and `dir/name`. */
function readings(segments: string[]): { path: string; sha256?: string }[] {
  const found: { path: string; sha256?: string }[] = []
  const last = segments.length - 1
  for (const i of last === 0 ? [0] : [last, 0]) {
    const match = HASHED_NAME.exec(segments[i]!)
    if (match) found.push({ path: segments.with(i, match[2]!).join('/'), sha256: match[1]! })
  }
  return [...found, { path: segments.join('/') }]
}

/** The target only if path *and* digest belong together now, or did in a publication whose pages are kept. */
async function findPair(
  env: Env,
  reader: Reader,
  publication: Publication,
  path: string,
  sha256: string | undefined,
): Promise<Target | undefined> {
  const target = await publication.find(env, path)
  const digests = [undefined, target?.sha256, target?.foreign?.sha512]
  if (target && digests.includes(sha256)) return target
  if (sha256 === undefined || publication.trusted.adopted || !isPagePath(path)) return undefined
  return reader.retainedPage(env, publication.trusted, path, sha256)
}

const isPagePath = (path: string): boolean =>
  /^simple\/(?:[0-9a-f]{4}\/[^/]+\/)?vnd\.pypi\.simple\.v1\.(?:json|html)$/.test(path)
