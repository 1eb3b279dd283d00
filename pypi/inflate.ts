// Bounded inflating. State: none between calls. Invariant: an inflater is given INFLATE_SLICE_BYTES at a time and stopped
// as soon as it has written more than it may, so input decides neither memory nor time.
import { INFLATE_SLICE_BYTES } from './limits.ts'
import { Refusal } from './refusal.ts'

/** A raw deflate stream, inflated: exactly `size` bytes, or a refusal with `complaint`. */
export async function inflateRaw(packed: Uint8Array, size: number, complaint: string): Promise<Uint8Array> {
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
