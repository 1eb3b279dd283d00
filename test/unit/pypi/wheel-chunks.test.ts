// A wheel that arrives in chunks of any size is judged as the whole is, in the memory of a few.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { wheelChecker } from '../../../pypi/archives.ts'
import { parseWheelFilename } from '../../../pypi/filenames.ts'
import { Refusal } from '../../../pypi/refusal.ts'
import { bytesOf, check, concat, DIST_INFO, type Entry, WHEEL_NAME, wheelEntries, type ZipEnd, zip } from './build.ts'

const FILE = parseWheelFilename(WHEEL_NAME)
const judge = (bytes: Uint8Array, sizes?: readonly number[]) => check(wheelChecker(FILE), bytes, sizes)
const wheel = (files?: Entry[], over?: Record<string, Partial<Entry> | undefined>, end?: ZipEnd) =>
  zip(wheelEntries(files, over), end)

const RECORD = `${DIST_INFO}/RECORD`
describe('a stream of chunks', () => {
  it('gives the same report however it is cut', async () => {
    const bytes = wheel([
      { name: 'large.bin', content: Uint8Array.from({ length: 5_000 }, (_, i) => (i * 7919) % 251) },
    ])
    const whole = await judge(bytes)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 20 }), async (sizes) => {
        expect(await judge(bytes, sizes)).toEqual(whole)
      }),
      { numRuns: 60 },
    )
  })

  it('that ends anywhere is refused', async () => {
    const bytes = wheel()
    for (let length = 0; length < bytes.length; length++)
      await expect(judge(bytes.subarray(0, length)), `${length}`).rejects.toThrow(/is cut short/)
  })

  it('with any byte changed is refused or says the same', async () => {
    const bytes = wheel()
    const whole = await judge(bytes)
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice()
      changed[at]! ^= 0x41
      const told = await judge(changed).catch((error: unknown) => error)
      if (told instanceof Error) expect(told, `${at}: ${told.stack}`).toBeInstanceOf(Refusal)
      else expect(told).toMatchObject({ metadataBytes: whole.metadataBytes })
    }
  })

  it('of random bytes, bare or behind a signature, only ever refuses', async () => {
    const start = fc.constantFrom('', 'PK\x03\x04', 'PK\x01\x02', 'PK\x05\x06', 'PK\x06\x06')
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 400 }), async (signature, noise) => {
        await expect(judge(concat(signature, noise), [7, 64])).rejects.toThrow(Refusal)
      }),
      { numRuns: 500 },
    )
  })

  it('tells the refusal at the write that finds it, and at every later call', async () => {
    const checker = wheelChecker(FILE)
    await expect(checker.write(bytesOf('no zip at all'))).rejects.toThrow(/belong to no zip record/)
    await expect(checker.write(bytesOf('more'))).rejects.toThrow(/belong to no zip record/)
    await expect(checker.end()).rejects.toThrow(/belong to no zip record/)
  })

  it('may be given up', async () => {
    const checker = wheelChecker(FILE)
    await checker.write(wheel().subarray(0, 100))
    checker.abort()
    await expect(checker.end()).rejects.toThrow(/was given up/)
  })

  it('holds nothing of the payload: 64 MiB go by in the memory of a few chunks', async () => {
    // One stored entry, given as the same chunk again and again; the checker is not at its end, and need not be.
    const chunk = new Uint8Array(1 << 16)
    const head = zip([{ name: 'big', content: '', stored: true, size: 64 << 20, packed: 64 << 20 }]).subarray(0, 33)
    const checker = wheelChecker(FILE)
    await checker.write(head)
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 1_023; i++) await checker.write(chunk)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20)
    checker.abort()
  })

  it('RECORD itself may be named by RECORD or not', async () => {
    const entries = wheelEntries()
    entries.at(-1)!.content = (entries.at(-1)!.content as string).replace(`${RECORD},,\n`, '')
    expect((await judge(zip(entries))).warnings).toEqual([])
  })
})
