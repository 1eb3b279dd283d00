// Reading what somebody else sends: never more than a limit, and for a target never its end before it is proven.
import { type HashName, isHashName, streamHash } from './digest.ts'
import { FormatError, LimitError, MismatchError } from './errors.ts'

/** What a target must be; see `TargetFile`. */
export interface Expected {
  /** Bytes. */
  readonly length: number
  /** Algorithm → lower-case hex. */
  readonly hashes: ReadonlyMap<string, string>
}

/**
 * The whole of `body`.
 *
 * @param what the file, for the refusal's sentence
 * @throws {LimitError} as soon as more than `maxBytes` arrive; the stream is cancelled
 */
export async function readAll(body: ReadableStream<Uint8Array>, maxBytes: number, what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > maxBytes) {
      const error = new LimitError(`${what} is longer than the ${maxBytes} bytes that are read.`)
      await reader.cancel(error)
      throw error
    }
    chunks.push(value)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/**
 * `body`, checked on its way: the last bytes are withheld until length and every digest are right, so a reader that got
 * all of it got the right file, and one that got the wrong file sees the stream fail before its end. Bytes before the end
 * are not proven; who cannot take them back must wait for the end.
 *
 * @param what the file, for the refusal's sentence
 * @throws {FormatError} at once, if a digest's algorithm is unknown or there is none
 */
export function verifiedStream(
  body: ReadableStream<Uint8Array>,
  expected: Expected,
  what: string,
): ReadableStream<Uint8Array> {
  const hashes = startHashes(expected.hashes, what)
  const reader = body.getReader()
  let length = 0
  let withheld: Uint8Array | undefined
  const finish = (): Uint8Array | undefined => {
    if (length !== expected.length)
      throw new MismatchError(`${what} ended after ${length} of its ${expected.length} bytes.`)
    for (const { name, hash, hex } of hashes)
      if (hash.hex() !== hex) throw new MismatchError(`${what} does not have the ${name} digest it should.`)
    return withheld
  }
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) {
          const last = finish()
          if (last) controller.enqueue(last)
          return controller.close()
        }
        // An empty chunk must not push out the one that is withheld.
        if (value.length === 0) continue
        length += value.length
        if (length > expected.length) {
          const error = new MismatchError(`${what} is longer than its ${expected.length} bytes.`)
          await reader.cancel(error)
          throw error
        }
        for (const { hash } of hashes) hash.update(value)
        const ready = withheld
        withheld = value
        if (ready) return controller.enqueue(ready)
      }
    },
    async cancel(why) {
      await reader.cancel(why)
    },
  })
}

function startHashes(hashes: ReadonlyMap<string, string>, what: string) {
  if (hashes.size === 0) throw new FormatError(`${what} has no digest to be verified by.`)
  return [...hashes].map(([name, hex]) => {
    if (!isHashName(name)) throw new FormatError(`${what} is named by a ${name} digest, which cannot be verified here.`)
    return { name: name satisfies HashName, hash: streamHash(name), hex }
  })
}
