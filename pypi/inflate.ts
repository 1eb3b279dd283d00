// Bounded inflating. State: none between calls. Invariant: an inflater is given INFLATE_SLICE_BYTES at a time and stopped
// as soon as it has written more than it may, so input decides neither memory nor time.
import { inflateSync } from 'fflate'
import { INFLATE_SLICE_BYTES } from './limits.ts'
import { Refusal } from './refusal.ts'

/**
 * Up to here bytes are inflated at once: the platform's stream costs 1.5 ms of set-up a file, and a wheel has four. Deflate
 * makes at most 1,032 bytes of one, so the worst input is 8 KiB × 1,032 = 8 MB, a tenth of a second.
 */
const AT_ONCE_BYTES_MAX = 8_192

/** A raw deflate stream, inflated: exactly `size` bytes, or a refusal with `complaint`. */
export async function inflateRaw(packed: Uint8Array, size: number, complaint: string): Promise<Uint8Array> {
  if (packed.length <= AT_ONCE_BYTES_MAX && size <= AT_ONCE_BYTES_MAX) return inflateAtOnce(packed, size, complaint)
  const stream = new DecompressionStream('deflate-raw')
  const feeding = feed(stream.writable, packed)
  const reader = stream.readable.getReader()
  const inflated = new Uint8Array(size)
  let filled = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (filled + value.length > size) throw new Refusal(complaint)
      inflated.set(value, filled)
      filled += value.length
    }
    await feeding
  } catch {
    await reader.cancel().catch(() => undefined)
    throw new Refusal(complaint)
  }
  if (filled !== size) throw new Refusal(complaint)
  return inflated
}

function inflateAtOnce(packed: Uint8Array, size: number, complaint: string): Uint8Array {
  const inflated = tryInflate(packed, size)
  // The library ignores what follows the stream's end. If the last byte is not needed, something follows.
  if (inflated?.length !== size || tryInflate(packed.subarray(0, -1), size) !== undefined) throw new Refusal(complaint)
  return inflated
}

/** Undefined if the stream is broken or cut off. One byte more than `size` shows an output that is too long. */
function tryInflate(packed: Uint8Array, size: number): Uint8Array | undefined {
  try {
    return inflateSync(packed, { out: new Uint8Array(size + 1) })
  } catch {
    return undefined
  }
}

/** Writes bytes to an inflater in slices. Never rejects early: the reader of its output sees the same error. */
function feed(writable: WritableStream<BufferSource>, packed: Uint8Array): Promise<void> {
  const feeding = (async () => {
    const writer = writable.getWriter()
    for (let at = 0; at < packed.length; at += INFLATE_SLICE_BYTES)
      await writer.write(packed.slice(at, at + INFLATE_SLICE_BYTES))
    await writer.close()
  })()
  feeding.catch(() => undefined)
  return feeding
}
