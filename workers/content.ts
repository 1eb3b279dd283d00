// Answers with the bytes of a target: the one place that decides between 200, 206, 304 and 416 and sends content.
//
// Bucket reads beside the timestamp's: none for HEAD, 304, 416 and what is in memory; one otherwise.
// Ranges of a file of at most WHOLE_BYTES_MAX are cut from its verified bytes. A larger one is streamed: whole, its end is
// withheld until its digest is right; a range of it cannot be verified by anybody (see `objects.ts`).
import { blobKey, type Place, pageKey } from '../tuf/layout.ts'
import type { Env } from './env.ts'
import type { ByteCache } from './memory.ts'
import { type Expected, streamRange, streamVerified } from './objects.ts'
import type { Target } from './publication.ts'
import { chooseRange, etagOf, noneMatches } from './ranges.ts'
import type { Reader } from './reader.ts'

/** Read whole into memory up to here, as uploads are: 12 × 5 MiB stay below half of an isolate's 128 MB. */
export const WHOLE_BYTES_MAX = 5 * 2 ** 20

/** Never changes under its URL; `no-transform`, because a compressed copy would lose its strong entity tag. */
export const IMMUTABLE = 'public, max-age=31536000, immutable, no-transform'

/** Of everything that people uploaded: never sniffed, never run, never shown in this origin's name. */
export const UNTRUSTED_CONTENT: Readonly<Record<string, string>> = {
  'Content-Type': 'application/octet-stream',
  'Content-Disposition': 'attachment',
  'Content-Security-Policy': "sandbox; default-src 'none'",
  'X-Content-Type-Options': 'nosniff',
}

const isPage = (path: string): boolean => path.startsWith('simple/')

/** Where a target's bytes are. */
export function objectOf(place: Place, { path, length, sha256, n, foreign }: Target): Expected {
  const key = isPage(path) && !foreign ? pageKey(place, path, sha256) : blobKey(place, sha256, n)
  return { key, length, sha256, what: `"${path}"` }
}

/** The cache that a target's bytes belong in. */
export const cacheOf = (reader: Reader, { path, foreign }: Target): ByteCache<Uint8Array> =>
  isPage(path) && !foreign ? reader.pages : reader.files

/** Headers that tell that something above the target is past its date. */
export const staleness = ({ stale }: Pick<Target, 'stale'>): Record<string, string> =>
  stale === undefined ? {} : { 'X-Index-Stale': stale }

/** @param headers everything but validators and lengths, which follow from `expected` */
export async function sendObject(
  env: Env,
  reader: Reader,
  request: Request,
  expected: Expected,
  cache: ByteCache<Uint8Array>,
  headers: Record<string, string>,
): Promise<Response> {
  const { length, sha256 } = expected
  const etag = etagOf(sha256)
  const all = { ...headers, ETag: etag, 'Accept-Ranges': 'bytes' }
  if (noneMatches(request.headers.get('If-None-Match'), etag)) return notModified(all)
  const sized = (bytes: number) => ({ ...all, 'Content-Length': String(bytes) })
  if (request.method === 'HEAD') return new Response(null, { headers: sized(length) })

  const range = chooseRange(request.headers.get('Range'), request.headers.get('If-Range'), etag, length)
  if (range === 'unsatisfiable') {
    const short = { 'Content-Range': `bytes */${length}`, 'Cache-Control': 'no-store', 'Accept-Ranges': 'bytes' }
    return new Response('The file does not have that range.\n', { status: 416, headers: short })
  }
  const whole = length <= WHOLE_BYTES_MAX ? await reader.whole(env, expected, cache) : undefined
  if (!range) return new Response(whole ?? (await streamVerified(env, expected)), { headers: sized(length) })

  const { first, last } = range
  const part = whole?.subarray(first, last + 1) ?? (await streamRange(env, expected, first, last + 1 - first))
  return new Response(part, {
    status: 206,
    headers: { ...sized(last + 1 - first), 'Content-Range': `bytes ${first}-${last}/${length}` },
  })
}

/** Bytes that are verified and in memory, without ranges. @param sha256 theirs */
export function sendBytes(request: Request, bytes: Uint8Array, sha256: string, headers: Record<string, string>) {
  const etag = etagOf(sha256)
  const all = { ...headers, ETag: etag }
  if (noneMatches(request.headers.get('If-None-Match'), etag)) return notModified(all)
  const body = request.method === 'HEAD' ? null : bytes
  return new Response(body, { headers: { ...all, 'Content-Length': String(bytes.length) } })
}

/** Repeats validators and caching headers (RFC 9110, 15.4.5); uv wants the same strong tag again. */
function notModified(headers: Record<string, string>): Response {
  const kept = Object.entries(headers).filter(
    ([name]) => !/^(?:Content-(?:Type|Disposition)|Accept-Ranges)$/.test(name),
  )
  return new Response(null, { status: 304, headers: Object.fromEntries(kept) })
}
