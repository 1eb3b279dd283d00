// Reading the bucket. Invariant: no byte leaves this file before its length and digest are what signed metadata says,
// but for two cases that say so: the start of a large file (its end is withheld), and a range of one.
import { waitUntil } from 'cloudflare:workers'
import { algorithmOf, digestHex } from '../tuf/digest.ts'
import { toHex } from '../tuf/hex.ts'
import { checkBytes } from '../tuf/meta-file.ts'
import type { Env } from './env.ts'
import { bucket, Corrupt, log, Missing, verifying } from './errors.ts'

/** What signed metadata says about an object in the bucket. */
export interface Expected {
  key: string
  /** Bytes. */
  length: number
  /** Lower-case hex; of 128 digits it is a sha512, for files of other people that have no other. */
  sha256: string
  /** The object, for a refusal's sentence. */
  what: string
}

/** The whole of an object, verified. One bucket read. */
export async function readVerified(env: Env, { key, length, sha256, what }: Expected): Promise<Uint8Array> {
  const bytes = await readExactly(env, key, what, length)
  if ((await digestHex(algorithmOf(sha256), bytes)) !== sha256)
    throw new Corrupt(`${what} does not have the digest it should.`)
  return bytes
}

/**
 * An object by what names it, of which the length may be unknown. One bucket read.
 *
 * @param named length and digests; where nothing is given nothing is checked, and a signature must be
 * @param max bytes, where no length is given
 */
export async function readNamed(
  env: Env,
  key: string,
  named: { readonly length?: number; readonly hashes?: ReadonlyMap<string, string> },
  max: number,
  what: string,
): Promise<Uint8Array> {
  const object = await bucket(() => env.BUCKET.get(key))
  if (!object) throw new Missing(what)
  const bytes = await bounded(object, named.length ?? max, what)
  await verifying(() => checkBytes(bytes, named, what))
  return bytes
}

/** The body of `object` if it has at most `max` bytes: what is too long is never read into memory. */
export async function bounded(object: R2ObjectBody, max: number, what: string): Promise<Uint8Array> {
  if (object.size > max) {
    await object.body.cancel()
    throw new Corrupt(`${what} has ${object.size} bytes; at most ${max} are right.`)
  }
  return new Uint8Array(await bucket(() => object.arrayBuffer()))
}

async function readExactly(env: Env, key: string, what: string, length: number): Promise<Uint8Array> {
  const object = await bucket(() => env.BUCKET.get(key))
  if (!object) throw new Missing(what)
  await checkSize(object, length, what)
  return new Uint8Array(await bucket(() => object.arrayBuffer()))
}

async function checkSize(object: R2ObjectBody, length: number, what: string): Promise<void> {
  if (object.size === length) return
  await object.body.cancel()
  throw new Corrupt(`${what} has ${object.size} bytes instead of ${length}.`)
}

/**
 * A range of an object too large to be read whole. Only its total length is checked: no digest covers a part, so nobody
 * can verify it; clients that ask for ranges check what they put together (pip, uv: the hash on the signed page).
 */
export async function streamRange(env: Env, expected: Expected, offset: number, length: number) {
  const { key, what } = expected
  const object = await bucket(() => env.BUCKET.get(key, { range: { offset, length } }))
  if (!object) throw new Missing(what)
  await checkSize(object, expected.length, what)
  return object.body.pipeThrough(new FixedLengthStream(length))
}

/**
 * An object too large to be read whole, verified on its way: the last chunk is withheld until digest and length are
 * right. If they are not, the stream errors and the client's connection ends before its Content-Length: it never gets a
 * complete body.
 */
export async function streamVerified(env: Env, expected: Expected): Promise<ReadableStream<Uint8Array>> {
  const { key, length, what } = expected
  const object = await bucket(() => env.BUCKET.get(key))
  if (!object) throw new Missing(what)
  await checkSize(object, length, what)
  const { readable, writable } = new FixedLengthStream(length)
  waitUntil(pump(object.body, writable, expected))
  return readable
}

/** Never rejects: the reader of `writable` sees the failure. */
async function pump(body: ReadableStream<Uint8Array>, writable: WritableStream, { sha256, what }: Expected) {
  // Native code, 4 ms/MB measured in workerd; a JavaScript digest takes several times that.
  const digest = new crypto.DigestStream(algorithmOf(sha256) === 'sha512' ? 'SHA-512' : 'SHA-256')
  digest.digest.catch(() => {})
  const hasher = digest.getWriter()
  const out = writable.getWriter()
  const reader = body.getReader()
  try {
    let held: Uint8Array | undefined
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (value.length === 0) continue
      await hasher.write(value)
      if (held) await out.write(held)
      held = value
    }
    await hasher.close()
    const found = toHex(new Uint8Array(await digest.digest))
    if (found !== sha256) throw new Corrupt(`${what} does not have the digest it should.`)
    if (held) await out.write(held)
    await out.close()
  } catch (error) {
    log('stream', error)
    // Each may have failed already; that is why we are here.
    await Promise.allSettled([out.abort(error), hasher.abort(error), reader.cancel(error)])
  }
}
