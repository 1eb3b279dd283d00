// Ed25519 at its edges: whatever is asked, the answer is that of WebCrypto and of @noble/ed25519 in its strict mode
// together. The signatures are made by somebody who knows the private scalar and tries: points with a component of small
// order in key and nonce, numbers in other spellings.
import { Point, verifyAsync } from '@noble/ed25519'
import { describe, expect, test } from 'vitest'
import { isWellFormed } from '../../../tuf/ed25519.ts'
import { fromHex, toHex } from '../../../tuf/hex.ts'
import { type Key, parseKey } from '../../../tuf/keys.ts'
import { verifySignature } from '../../../tuf/verify.ts'

const P = 2n ** 255n - 19n
const L = Point.CURVE().n

const little = (n: bigint): Uint8Array => fromHex(n.toString(16).padStart(64, '0')).reverse()
const big = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes.slice().reverse())}`)
const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]))

/** The eight points of small order: multiples of what a point leaves behind when its part of large order is gone. */
const TORSION: Point[] = (() => {
  for (let y = 2n; ; y++) {
    try {
      const point = Point.fromBytes(little(y), false)
      const rest = point.multiply(L - 1n, false).add(point)
      if (!rest.double().double().is0()) return multiplesOf(rest)
    } catch {
      // no point has this y
    }
  }
})()

function multiplesOf(point: Point): Point[] {
  const all = [Point.ZERO]
  while (all.length < 8) all.push(all.at(-1)!.add(point))
  return all
}

const keyFrom = (bytes: Uint8Array): Key =>
  parseKey(
    new Map<string, string | Map<string, string>>([
      ['keytype', 'ed25519'],
      ['scheme', 'ed25519'],
      ['keyval', new Map([['public', toHex(bytes)]])],
    ]),
  )

async function challenge(r: Uint8Array, a: Uint8Array, message: Uint8Array): Promise<bigint> {
  const digest = await crypto.subtle.digest('SHA-512', joined(r, a, message) as Uint8Array<ArrayBuffer>)
  return big(new Uint8Array(digest)) % L
}

/** A signature by `scalar`, over whatever spelling of R and A is put into it. */
async function sign(scalar: bigint, nonce: bigint, r: Uint8Array, a: Uint8Array, message: Uint8Array) {
  return joined(r, little((nonce + (await challenge(r, a, message)) * scalar) % L))
}

async function both(a: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const web = await crypto.subtle
    .importKey('raw', a as Uint8Array<ArrayBuffer>, { name: 'Ed25519' }, false, ['verify'])
    .then((key) =>
      crypto.subtle.verify(
        { name: 'Ed25519' },
        key,
        signature as Uint8Array<ArrayBuffer>,
        message as Uint8Array<ArrayBuffer>,
      ),
    )
    .catch(() => false)
  return web && (await verifyAsync(signature, message, a, { zip215: false }))
}

const MESSAGE = new TextEncoder().encode('what was signed')
const SCALAR = 0x1234567890abcdefn * 0xfedcba0987654321n
const NONCE = 0xabcdef0123456789n * 0x1122334455667788n
const A = Point.BASE.multiply(SCALAR)
const R = Point.BASE.multiply(NONCE)

describe('the same answer as both', () => {
  test('key and nonce with every component of small order', async () => {
    const answers: boolean[] = []
    for (const inKey of TORSION)
      for (const inNonce of TORSION)
        for (const tail of [0, 1, 2, 3]) {
          const [a, r] = [A.add(inKey).toBytes(), R.add(inNonce).toBytes()]
          const message = joined(MESSAGE, Uint8Array.of(tail))
          const signature = await sign(SCALAR, NONCE, r, a, message)
          const answer = await verifySignature(keyFrom(a), message, toHex(signature))
          expect(answer).toBe(await both(a, message, signature))
          answers.push(answer)
        }
    // Not all of them one way: an honest one holds, and one whose parts do not cancel out does not.
    expect(answers[0]).toBe(true)
    expect(answers).toContain(false)
  })

  test('keys of small order, in each of their spellings, sign for nobody', async () => {
    for (const point of TORSION)
      for (const a of spellings(point))
        for (const inNonce of TORSION)
          for (const r of spellings(inNonce)) {
            const signature = joined(r, little(0n))
            expect(await verifySignature(keyFrom(a), MESSAGE, toHex(signature))).toBe(false)
          }
  })

  test('a nonce of small order, in each of its spellings', async () => {
    for (const inNonce of TORSION)
      for (const r of spellings(inNonce)) {
        const a = A.toBytes()
        const signature = await sign(SCALAR, 0n, r, a, MESSAGE)
        const answer = await verifySignature(keyFrom(a), MESSAGE, toHex(signature))
        expect(answer).toBe(await both(a, MESSAGE, signature))
      }
  })

  test('S at and above the order of the base point', async () => {
    const a = A.toBytes()
    const good = await sign(SCALAR, NONCE, R.toBytes(), a, MESSAGE)
    expect(await verifySignature(keyFrom(a), MESSAGE, toHex(good))).toBe(true)
    for (const times of [1n, 2n, 15n]) {
      const more = joined(good.slice(0, 32), little(big(good.slice(32)) + times * L))
      expect(isWellFormed(more)).toBe(false)
      expect(await verifySignature(keyFrom(a), MESSAGE, toHex(more))).toBe(false)
    }
  })
})

test('well-formed is what @noble/ed25519 decodes strictly, at every border', () => {
  const decodes = (r: Uint8Array): boolean => {
    try {
      Point.fromBytes(r, false)
      return true
    } catch {
      return false
    }
  }
  const sign = 2n ** 255n
  for (const y of [0n, 1n, 2n, P - 2n, P - 1n, P, P + 1n, P + 18n, 2n ** 255n - 1n])
    for (const r of [little(y), little(y + sign)]) {
      const well = isWellFormed(joined(r, little(L - 1n)))
      // That a y belongs to a point WebCrypto finds out by itself.
      if (decodes(r)) expect([y, well]).toEqual([y, true])
      if (y >= P || ((y === 1n || y === P - 1n) && r[31]! >= 0x80)) expect([y, well]).toEqual([y, false])
    }
  for (const s of [L, L + 1n, 2n ** 253n, 2n ** 256n - 1n])
    expect(isWellFormed(joined(R.toBytes(), little(s)))).toBe(false)
  for (const length of [0, 63, 65]) expect(isWellFormed(new Uint8Array(length))).toBe(false)
})

/** A point's bytes, and those that a lenient reader takes for it: y + p where that fits, and a sign where x is 0. */
function spellings(point: Point): Uint8Array[] {
  const bytes = point.toBytes()
  const sign = bytes[31]! >= 0x80 ? 2n ** 255n : 0n
  const y = big(bytes) - sign
  const all: Uint8Array[] = [bytes]
  for (const other of [y, y + P])
    for (const flag of [0n, 2n ** 255n])
      if (other < 2n ** 255n && (y === 0n || y === 1n || y === P - 1n || flag === sign)) all.push(little(other + flag))
  return all
}
