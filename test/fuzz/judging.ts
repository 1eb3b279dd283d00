// What is asked of every reader of uploads, beside what is asked of every target (no hang, bounded input):
// - the only error is a Refusal, of one sentence without control characters;
// - how the bytes are cut on their way changes nothing: neither the verdict nor what was read (only which of two faults
//   is named: a stream that breaks is found before or after what it held).
import { readdirSync, readFileSync } from 'node:fs'
import { Refusal } from '../../pypi/refusal.ts'
import { chunkSizes, simplified } from './fuzz.ts'
import type { Random } from './mutate.ts'

const VECTORS = new URL('../vectors/', import.meta.url)
export const vectors = (folder: string, ending: string): Uint8Array[] =>
  readdirSync(new URL(folder, VECTORS))
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(new URL(`${folder}${name}`, VECTORS)))
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** The outcome of `work`, or of its refusal. @throws what is no refusal, and a refusal that is not fit to be shown */
export async function judged(work: () => unknown): Promise<string> {
  try {
    return `taken ${JSON.stringify(await work())}`
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { message, status } = error
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    if (/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(message) || message.length > 700)
      throw new Error(`A refusal that would spoil a terminal: ${JSON.stringify(message)}`)
    return `refused ${status} ${message}`
  }
}

/** Twice, whole and in pieces. @throws if that made a difference */
export async function twice(random: Random, work: (sizes: number[]) => Promise<unknown>): Promise<string> {
  const whole = await judged(() => work([2 ** 20]))
  const sizes = chunkSizes(random)
  const cut = await judged(() => work(sizes))
  const verdict = (outcome: string) => outcome.replace(/^refused (\d+) .*/s, 'refused $1')
  if (verdict(whole) !== verdict(cut)) throw new Error(`Cut at ${sizes} it is something else:\n${whole}\n${cut}`)
  return simplified(whole)
}
