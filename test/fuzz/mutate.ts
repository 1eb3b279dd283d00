// Makes hostile inputs out of good ones: tokens of the format, values that parsers trip over, and havoc. Seeded, so that a
// run can be repeated; no state but the generator's.

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export type Random = () => number

export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const below = (random: Random, limit: number): number => Math.floor(random() * limit)
export const oneOf = <T>(random: Random, choices: readonly T[]): T => choices[below(random, choices.length)]!

/** In every dictionary: what ends a string, leaves a folder, is no text, or is too large. */
const COMMON = [
  ...['', '\0', '\r\n', '\n', ' ', '\t', '"', "'", '\\', '/', '//', '.', '..', '../', '%', '%00', '%2f', '%2e%2e', '+'],
  ...['\u202e', '\u00ad', '\u2028', 'ß', 'İ', '\ufeff', '\u{1f600}', 'e\u0301', '__proto__', 'constructor', 'toString'],
  ...['0', '-0', '-1', '1e9', '00', '2147483648', '4294967296', '9007199254740993', 'NaN', '1'.repeat(400)],
  ...[
    'a'.repeat(300),
    ' '.repeat(300),
    '('.repeat(200),
    ';'.repeat(200),
    '-'.repeat(200),
    '[[[[[[[[',
    '{"a":'.repeat(80),
  ],
].map((text) => Buffer.from(text))
/** Not UTF-8: lone, overlong and cut sequences, half a surrogate pair. */
const BROKEN = ['80', 'ff', 'fffe', 'c0af', 'e280', 'eda080', 'f4908080'].map((hex) => Buffer.from(hex, 'hex'))
const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]

/** A new input out of `parent` and its siblings. */
export type Mutator = (random: Random, parent: Uint8Array, corpus: readonly Uint8Array[]) => Uint8Array

export function mutator(dictionary: readonly string[], bytesMax: number): Mutator {
  const own = dictionary.map((text) => Buffer.from(text))
  const token = (random: Random): Uint8Array =>
    oneOf(random, random() < 0.6 && own.length > 0 ? own : random() < 0.85 ? COMMON : BROKEN)
  return (random, parent, corpus) => {
    let bytes: Uint8Array = parent
    for (let steps = 1 + below(random, random() < 0.7 ? 3 : 12); steps > 0; steps--) {
      bytes = step(random, bytes, corpus, () => token(random))
      if (bytes.length > bytesMax) bytes = bytes.subarray(0, bytesMax)
    }
    return bytes
  }
}

function step(random: Random, bytes: Uint8Array, corpus: readonly Uint8Array[], token: () => Uint8Array): Uint8Array {
  const at = below(random, bytes.length + 1)
  const length = Math.min(bytes.length - at, 1 + below(random, oneOf(random, [2, 8, 64, 512])))
  const put = (piece: Uint8Array, skip: number) =>
    Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + skip)])
  switch (below(random, 11)) {
    case 0: // one bit
      return at < bytes.length ? put(Uint8Array.of(bytes[at]! ^ (1 << below(random, 8))), 1) : bytes
    case 1:
      return put(Uint8Array.of(below(random, 256)), below(random, 2))
    case 2: // a number of 1, 2 or 4 bytes, little-endian as in zip
      return put(number(oneOf(random, NUMBERS), oneOf(random, [1, 2, 4])), oneOf(random, [0, 1, 2, 4]))
    case 3:
      return put(new Uint8Array(), length)
    case 4: // again, somewhere else
      return put(bytes.subarray(below(random, at + 1)).subarray(0, length), 0)
    case 5: // many times
      return put(Buffer.concat(new Array(1 + below(random, 40)).fill(bytes.subarray(at, at + length))), 0)
    case 6:
      return bytes.subarray(0, at)
    case 7: {
      const other = oneOf(random, corpus)
      return Buffer.concat([bytes.subarray(0, at), other.subarray(below(random, other.length + 1))])
    }
    case 8:
      return replaceWord(random, bytes, at, token())
    default:
      return put(token(), random() < 0.5 ? 0 : length)
  }
}

function number(value: number, width: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes.subarray(0, width)
}

const isWord = (byte: number): boolean => byte > 0x2f && byte !== 0x3a && byte !== 0x3b && byte !== 0x3d && byte < 0x7f

/** A token in the place of the word around `at`: fields keep their form and change their meaning. */
function replaceWord(random: Random, bytes: Uint8Array, at: number, token: Uint8Array): Uint8Array {
  let [start, end] = [at, at]
  while (start > 0 && isWord(bytes[start - 1]!)) start--
  while (end < bytes.length && isWord(bytes[end]!)) end++
  return Buffer.concat([bytes.subarray(0, start), token, bytes.subarray(random() < 0.2 ? start : end)])
}
