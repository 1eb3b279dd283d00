// JSON as this project reads and signs it: the strict reader and the canonical form. Vectors are python-tuf's
// (test/vectors/generate.py), the second opinion on canonical JSON is tuf-js's.
import { readFileSync } from 'node:fs'
import { canonicalize as tufjsCanonicalize } from '@tufjs/canonical-json'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Canonical, canonicalize } from '../../../tuf/canonical.ts'
import { FormatError } from '../../../tuf/errors.ts'
import { toHex } from '../../../tuf/hex.ts'
import { type Json, parseJson } from '../../../tuf/json.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const read = (json: string) => parseJson(utf8(json))
const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as T

describe('strict JSON', () => {
  test('objects are Maps in the order of the file, whatever their keys', () => {
    const object = read('{"10":1,"9":2,"__proto__":{"x":3},"constructor":[]}') as Map<string, Json>
    expect([...object.keys()]).toEqual(['10', '9', '__proto__', 'constructor'])
    expect(object.get('__proto__')).toEqual(new Map([['x', 3]]))
    expect(({} as Record<string, unknown>).x).toBeUndefined()
  })

  test.each([
    ['nothing', ''],
    ['white space only', '  '],
    ['a trailing byte', '{} x'],
    ['two values', '1 2'],
    ['a byte order mark', '\ufeff{}'],
    ['a duplicate key', '{"a":1,"b":2,"a":1}'],
    ['a duplicate key behind an escape', '{"a":1,"\\u0061":2}'],
    ['a fraction', '1.0'],
    ['an exponent', '1e3'],
    ['an integer beyond 2^53', '9007199254740992'],
    ['a huge integer', '1'.padEnd(400, '0')],
    ['minus zero', '-0'],
    ['a leading zero', '01'],
    ['a bare minus', '-'],
    ['a plus', '+1'],
    ['NaN', 'NaN'],
    ['a word cut off', 'tru'],
    ['a comment', '{} // x'],
    ['a trailing comma', '[1,]'],
    ['a trailing comma in an object', '{"a":1,}'],
    ['a missing comma', '[1 2]'],
    ['a missing colon', '{"a" 1}'],
    ['a key that is no string', '{a:1}'],
    ['an open object', '{"a":1'],
    ['an open array', '[1'],
    ['an open string', '"abc'],
    ['a string that ends in a backslash', '"abc\\'],
    ['a raw line feed in a string', '"a\nb"'],
    ['a raw control character after an escape', '"\\n\u0001"'],
    ['an unknown escape', '"\\x41"'],
    ['a short unicode escape', '"\\u12"'],
    ['half a surrogate pair', '"\\ud800"'],
    ['surrogates in the wrong order', '"\\udc00\\ud800"'],
    ['single quotes', "'a'"],
    ['other white space', '\u00a0{}'],
    ['deep nesting', '['.repeat(65) + ']'.repeat(65)],
  ])('refuses %s', (_, json) => {
    expect(() => read(json)).toThrow(FormatError)
  })

  test('refuses bytes that are not UTF-8', () => {
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0xaf, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
    ])
      expect(() => parseJson(Uint8Array.from(bytes))).toThrow(FormatError)
  })

  test('a million open brackets are refused, not a stack overflow', () => {
    expect(() => read('['.repeat(1_000_000))).toThrow(FormatError)
    expect(() => read('{"a":'.repeat(1_000_000))).toThrow(FormatError)
  })

  test('the depth bound can be set, and reading stops exactly there', () => {
    expect(parseJson(utf8('[[1]]'), { maxDepth: 2 })).toEqual([[1]])
    expect(() => parseJson(utf8('[[[1]]]'), { maxDepth: 2 })).toThrow(FormatError)
  })

  test('reads what JSON.stringify writes, in any JSON it writes', () => {
    fc.assert(
      fc.property(jsonValue(), fc.constantFrom(undefined, 2), (value, indent) => {
        expect(toPlain(read(JSON.stringify(value, null, indent)))).toEqual(value)
      }),
    )
  })

  test('never throws anything but FormatError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().chain(mutated)), (bytes) => {
        try {
          parseJson(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('canonical JSON', () => {
  test.each(
    vectors<{ json: string; canonical_hex: string }[]>('canonical').map((row) => [row.json, row.canonical_hex]),
  )('is what securesystemslib writes for %s', (json, hex) => {
    expect(toHex(canonicalize(read(json)))).toBe(hex)
    expect(toHex(canonicalize(JSON.parse(json) as Canonical))).toBe(hex)
  })

  test('is what tuf-js writes, for Maps and for plain objects', () => {
    fc.assert(
      fc.property(jsonValue(), (value) => {
        // tuf-js sorts keys by UTF-16 units; beyond U+FFFF only python's order is right.
        fc.pre(!/[\ud800-\udfff]/.test(JSON.stringify(value)))
        const expected = tufjsCanonicalize(value)
        expect(text(canonicalize(value as Canonical))).toBe(expected)
        expect(text(canonicalize(read(JSON.stringify(value))))).toBe(expected)
      }),
    )
  })

  test('does not depend on the order of keys', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: 'binary' }).filter((s) => s.isWellFormed())), (keys) => {
        const forth = new Map(keys.map((key) => [key, 1]))
        const back = new Map([...keys].reverse().map((key) => [key, 1]))
        expect(canonicalize(forth)).toEqual(canonicalize(back))
      }),
    )
  })

  test.each<[string, unknown]>([
    ['a fraction', 1.5],
    ['1e21', 1e21],
    ['an unsafe integer', 2 ** 53],
    ['minus zero', -0],
    ['NaN', Number.NaN],
    ['undefined', { a: undefined }],
    ['a Date', new Date(0)],
    ['bytes', new Uint8Array(1)],
    ['a big integer', 1n],
    ['half a surrogate pair', ['\ud800']],
    ['half a surrogate pair in a key', { '\udc00': 1 }],
  ])('refuses %s', (_, value) => {
    expect(() => canonicalize(value as Canonical)).toThrow(FormatError)
  })
})

/** JSON that this project's reader accepts: safe integers, well-formed strings. */
function jsonValue() {
  const string = fc.string({ unit: 'binary' }).filter((s) => s.isWellFormed())
  return fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      string,
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value')),
      fc.dictionary(string, tie('value')),
    ),
  })).value
}

/** The UTF-8 of `json` with one byte replaced. */
function mutated(json: string) {
  const bytes = utf8(json)
  return fc.tuple(fc.nat(Math.max(0, bytes.length - 1)), fc.nat(255)).map(([at, byte]) => {
    const copy = bytes.slice()
    copy[at] = byte
    return copy
  })
}

function toPlain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(toPlain)
  if (!(value instanceof Map)) return value
  const object = Object.create(null) as Record<string, unknown>
  for (const [key, item] of value)
    Object.defineProperty(object, key, { value: toPlain(item), enumerable: true, writable: true, configurable: true })
  return object
}
