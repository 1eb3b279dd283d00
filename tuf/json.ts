// A strict JSON reader for signed metadata: one byte string has one meaning or is refused.
//
// Objects become Maps, because a plain object reorders keys that look like integers and gives `__proto__` a meaning.
// Refused beyond RFC 8259: a byte order mark, bytes that are not UTF-8, a key that appears twice, fractions, exponents,
// -0 and integers that a double cannot hold exactly, escapes that leave half a surrogate pair, and deep nesting.
import { FormatError } from './errors.ts'

export type Json = null | boolean | number | string | Json[] | JsonObject
export type JsonObject = Map<string, Json>

/**
 * Nesting that is read by default. TUF's own deepest value (a path in a delegated role) is 6 deep; the rest is room for
 * `custom` and unknown fields, far below what would exhaust the stack.
 */
const DEPTH_MAX = 64

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const QUOTE = 0x22
const BACKSLASH = 0x5c
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/**
 * Reads one JSON value that fills `bytes` (white space around it allowed).
 *
 * @throws {FormatError} for anything but strict JSON as described above
 */
export function parseJson(bytes: Uint8Array, limits: { maxDepth?: number } = {}): Json {
  let text: string
  try {
    text = UTF8.decode(bytes)
  } catch {
    throw new FormatError('The JSON is not valid UTF-8.')
  }
  return new Reader(text, limits.maxDepth ?? DEPTH_MAX).document()
}

class Reader {
  readonly text: string
  readonly maxDepth: number
  position = 0

  constructor(text: string, maxDepth: number) {
    this.text = text
    this.maxDepth = maxDepth
  }

  document(): Json {
    const value = this.value(0)
    this.space()
    if (this.position !== this.text.length) this.fail('something follows the value')
    return value
  }

  value(depth: number): Json {
    this.space()
    const first = this.text[this.position]
    switch (first) {
      case '{':
        return this.object(depth + 1)
      case '[':
        return this.array(depth + 1)
      case '"':
        return this.string()
      case 't':
        return this.word('true', true)
      case 'f':
        return this.word('false', false)
      case 'n':
        return this.word('null', null)
      default:
        return this.integer()
    }
  }

  object(depth: number): JsonObject {
    this.enter(depth)
    const object: JsonObject = new Map()
    if (this.closes('}')) return object
    for (;;) {
      this.space()
      if (this.text.charCodeAt(this.position) !== QUOTE) this.fail('an object key is missing')
      const key = this.string()
      if (object.has(key)) this.fail(`the key ${JSON.stringify(key)} appears twice in one object`)
      this.space()
      if (this.text[this.position] !== ':') this.fail('a colon is missing')
      this.position++
      object.set(key, this.value(depth))
      if (this.closes('}')) return object
      this.comma()
    }
  }

  array(depth: number): Json[] {
    this.enter(depth)
    const array: Json[] = []
    if (this.closes(']')) return array
    for (;;) {
      array.push(this.value(depth))
      if (this.closes(']')) return array
      this.comma()
    }
  }

  string(): string {
    const { text } = this
    const start = ++this.position
    for (let at = start; ; at++) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) {
        this.position = at + 1
        return text.slice(start, at)
      }
      if (code === BACKSLASH) {
        this.position = at
        return this.escaped(text.slice(start, at))
      }
      if (!(code >= 0x20)) this.badStringEnd(at)
    }
  }

  /** The rest of a string whose first escape is at `position`; `read` is what came before. */
  escaped(read: string): string {
    const { text } = this
    let value = read
    let at = this.position
    let plain = at
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) {
        value += text.slice(plain, at)
        this.position = at + 1
        if (!value.isWellFormed()) this.fail('a string holds half of a surrogate pair')
        return value
      }
      if (code === BACKSLASH) {
        value += text.slice(plain, at)
        const letter = text[at + 1] ?? ''
        if (letter === 'u') {
          const digits = text.slice(at + 2, at + 6)
          if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail('a \\u escape needs four hex digits')
          value += String.fromCharCode(Number.parseInt(digits, 16))
          at += 6
        } else {
          const meaning = ESCAPES[letter]
          if (meaning === undefined) this.fail('a string holds an unknown escape')
          value += meaning
          at += 2
        }
        plain = at
      } else if (!(code >= 0x20)) {
        this.badStringEnd(at)
      } else {
        at++
      }
    }
  }

  integer(): number {
    const { text } = this
    const start = this.position
    let at = start
    if (text[at] === '-') at++
    const digits = at
    while (isDigit(text.charCodeAt(at))) at++
    if (at === digits) this.fail('a value is missing')
    if (text[digits] === '0' && at - digits > 1) this.fail('a number starts with 0')
    const next = text[at]
    if (next === '.' || next === 'e' || next === 'E') this.fail('only whole numbers without exponent are allowed')
    const value = Number(text.slice(start, at))
    if (!Number.isSafeInteger(value)) this.fail('a number is beyond 2^53 - 1')
    if (Object.is(value, -0)) this.fail('-0 is not a number here')
    this.position = at
    return value
  }

  word<T extends Json>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.position)) this.fail('a value is missing')
    this.position += word.length
    return value
  }

  enter(depth: number): void {
    if (depth > this.maxDepth) this.fail(`values are nested deeper than ${this.maxDepth}`)
    this.position++
  }

  closes(bracket: string): boolean {
    this.space()
    if (this.text[this.position] !== bracket) return false
    this.position++
    return true
  }

  comma(): void {
    if (this.text[this.position] !== ',') this.fail('a comma or a closing bracket is missing')
    this.position++
  }

  space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.position)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.position++
    }
  }

  /** `charCodeAt` is NaN past the end, so the same test finds both. */
  badStringEnd(at: number): never {
    this.position = at
    this.fail(at >= this.text.length ? 'a string does not end' : 'a string holds an unescaped control character')
  }

  fail(what: string): never {
    throw new FormatError(`The JSON is refused at character ${this.position}: ${what}.`)
  }
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}
