// The two ways to inflate a small file say the same: at once, and through the platform's stream.
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inflateRaw } from '../../../pypi/inflate.ts'

const COMPLAINT = 'not what it says'
const small = fc.uint8Array({ maxLength: 8_000 })

test('gives back what was deflated, at every level', async () => {
  await fc.assert(
    fc.asyncProperty(small, fc.integer({ min: 0, max: 9 }), async (bytes, level) => {
      const packed = new Uint8Array(deflateRawSync(bytes, { level }))
      expect(await inflateRaw(packed, bytes.length, COMPLAINT)).toEqual(bytes)
    }),
    { numRuns: 200 },
  )
})

test('refuses another size, a missing end, and anything behind the end', async () => {
  await fc.assert(
    fc.asyncProperty(small, fc.uint8Array({ minLength: 1, maxLength: 40 }), async (bytes, junk) => {
      const packed = new Uint8Array(deflateRawSync(bytes))
      const refused = (input: Uint8Array, size: number) =>
        expect(inflateRaw(input, size, COMPLAINT)).rejects.toThrow(COMPLAINT)
      await refused(packed, bytes.length + 1)
      if (bytes.length > 0) await refused(packed, bytes.length - 1)
      await refused(packed.subarray(0, -1), bytes.length)
      const longer = new Uint8Array(packed.length + junk.length)
      longer.set(packed)
      longer.set(junk, packed.length)
      await refused(longer, bytes.length)
    }),
    { numRuns: 200 },
  )
})

test('a file too large to be inflated at once goes through the stream with the same rules', async () => {
  const bytes = new Uint8Array(100_000).fill(65)
  const packed = new Uint8Array(deflateRawSync(bytes))
  expect(await inflateRaw(packed, bytes.length, COMPLAINT)).toEqual(bytes)
  for (const size of [99_999, 100_001]) await expect(inflateRaw(packed, size, COMPLAINT)).rejects.toThrow(COMPLAINT)
})
