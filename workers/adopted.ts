// Metadata of a repository that is signed elsewhere, under `/tuf/`. Its roles have any name, which stands percent-encoded
// in the URL as clients write it, and is decoded once: whatever it holds, it is looked up as a name and never as a path.
//
// | asked for               | answered from                                          | bucket reads beside the timestamp's |
// |-------------------------|--------------------------------------------------------|-------------------------------------|
// | `timestamp.json`        | the verified present                                   | 0                                   |
// | `N.root.json`           | the trusted chain                                      | 0 (newest), 1                       |
// | `N.ROLE.json`, present  | the digest in the snapshot                             | 0 warm, 1 – 2 cold                  |
// | `N.ROLE.json`, replaced | the digest the publisher names, until it is collected  | 2, then 0                           |
// | `ROLE.json`             | the present, where root says consistent_snapshot false | 0 warm, 1 – 2 cold                  |
import { metadataKey } from '../tuf/layout.ts'
import { IMMUTABLE, sendBytes } from './content.ts'
import type { Env } from './env.ts'
import { bucket, NotFound, publisher } from './errors.ts'
import { answerTimestamp, digestOf, JSON_TYPE } from './metadata-answers.ts'
import { decodeOnce } from './paths.ts'
import type { Reader } from './reader.ts'

const VERSIONED = /^([1-9]\d{0,9})\.(.+)\.json$/s
const PLAIN = /^(.+)\.json$/s

/** @param rest of the path behind `/tuf/`, as it came */
export async function answerAdopted(env: Env, reader: Reader, request: Request, rest: string): Promise<Response> {
  const name = rest.includes('/') ? undefined : decodeOnce(rest)
  if (name === undefined) throw new NotFound()
  if (name === 'timestamp.json') return answerTimestamp(env, reader, request)
  const versioned = VERSIONED.exec(name)
  const plain = () => unversioned(env, reader, PLAIN.exec(name)?.[1])
  // A role may be called `5.targets`; who asks without numbers means that one. Roots have numbers everywhere (tuf/gate.ts).
  const present = versioned?.[2] === 'root' ? undefined : await plain()
  const found = !present && versioned && (await version(env, reader, Number(versioned[1]), versioned[2]!))
  if (found) return sendBytes(request, found, await digestOf(found), { ...JSON_TYPE, 'Cache-Control': IMMUTABLE })
  if (!present) throw new NotFound(`There is no ${name}.`)
  // It changes its content under its name, so everybody asks again.
  const headers = { ...JSON_TYPE, 'Cache-Control': 'no-cache, no-transform' }
  return sendBytes(request, present, await digestOf(present), headers)
}

async function version(env: Env, reader: Reader, number: number, role: string): Promise<Uint8Array | undefined> {
  if (role === 'root') return reader.trust.file(env, number)
  const publication = await reader.current(env)
  const snapshot = await publication.snapshot(env)
  if (role === 'snapshot' && snapshot.signed.version === number) return snapshot.bytes
  const named = snapshot.signed.meta.get(role)
  if (role !== 'snapshot' && named?.version === number) return present(env, reader, role)
  // Above the present there is nothing that was published, whatever the bucket holds.
  if (role === 'snapshot' || named === undefined || number > named.version) return undefined
  return replaced(env, reader, number, role)
}

/** A client in the middle of a run follows a snapshot that was replaced meanwhile: what it names is kept for a while. */
async function replaced(env: Env, reader: Reader, number: number, role: string): Promise<Uint8Array | undefined> {
  const { place } = await reader.trust.get(env)
  const key = metadataKey(place, number, role)
  // The object is looked for first, so that made-up names never reach the publisher.
  if (!(await bucket(() => env.BUCKET.head(key)))) return undefined
  const answer = await publisher(async () => env.PUBLIC.metadata(place.repository, role, number))
  if (!answer.ok) return undefined
  const { sha256, length } = answer
  return reader.whole(env, { key, sha256, length, what: `${number}.${role}.json` }, reader.pages)
}

async function present(env: Env, reader: Reader, role: string): Promise<Uint8Array | undefined> {
  const publication = await reader.current(env)
  const named = (await publication.snapshot(env)).signed.meta.get(role)
  const sha256 = named?.hashes?.get('sha256')
  if (!named || sha256 === undefined) return undefined
  const id = `${metadataKey(publication.trusted.place, named.version, role)} ${sha256}`
  return reader.remember(id, reader.pages, async () => (await publication.file(env, role))!)
}

/** What clients of a repository without consistent snapshots ask for. */
async function unversioned(env: Env, reader: Reader, role: string | undefined): Promise<Uint8Array | undefined> {
  const { root } = await reader.trust.get(env)
  if (role === undefined || root.signed.consistentSnapshot) return undefined
  if (role === 'root') return root.bytes
  if (role !== 'snapshot') return present(env, reader, role)
  return (await (await reader.current(env)).snapshot(env)).bytes
}
