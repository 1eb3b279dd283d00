// Keys, signatures and thresholds: what securesystemslib signs is verified, and keys under which anybody could sign, or
// one key under several names, count for nothing.
import { readFileSync } from 'node:fs'
import { verifyAsync } from '@noble/ed25519'
import { describe, expect, test } from 'vitest'
import { derToPem, ecdsaFromDer, ecdsaToDer, pemToDer } from '../../../tuf/der.ts'
import { FormatError, SignatureError } from '../../../tuf/errors.ts'
import { fromHex, toHex } from '../../../tuf/hex.ts'
import { type Json, parseJson } from '../../../tuf/json.ts'
import { ed25519Key, keyId, keyObject, parseKey, spkiKey } from '../../../tuf/keys.ts'
import type { Signer } from '../../../tuf/sign.ts'
import { verifyRole, verifySignature } from '../../../tuf/verify.ts'
import { newSigner, utf8 } from './repository.ts'

const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as T
const read = (value: unknown): Json => parseJson(utf8(JSON.stringify(value)))
const RSA_1024 = `-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDuL266kCW6OtTLvG2Ud7HdLvpR
fapOJkbsxIlBsQQveIcUyhTYRUKttVgUSgQdTPvBGkNPoF5rdqbD9C4iGIhgmTvU
TSFfcQ8D+cgezNbgPEaHJOlCrnN/wlBHL/Sv665dwrcAkuyA/8XpjacCRu988/3H
1xRMyYh/EE4pDSokMQIDAQAB
-----END PUBLIC KEY-----
`

interface KeyVector {
  name: string
  key: { keytype: string; scheme: string; keyval: { public: string } }
  keyid: string
  payload: string
  sig: string
}
const keyVectors = vectors<KeyVector[]>('keys')
const keyVector = (name: string) => keyVectors.find((row) => row.name === name)!

describe('keys of securesystemslib', () => {
  test.each(keyVectors.map((row) => [row.name, row] as const))('%s: keyid and signature', async (_, row) => {
    const key = parseKey(read(row.key), { keyid: row.keyid, strict: true })
    expect(keyId(keyObject(key))).toBe(row.keyid)
    expect(key.keyidMatches).toBe(true)
    expect(await verifySignature(key, utf8(row.payload), row.sig)).toBe(true)
    expect(await verifySignature(key, utf8(`${row.payload}.`), row.sig)).toBe(false)
    for (const bad of [
      '',
      'zz',
      '00',
      row.sig.slice(2),
      `${row.sig}00`,
      flip(row.sig, 20),
      flip(row.sig, row.sig.length - 1),
    ])
      expect(await verifySignature(key, utf8(row.payload), bad)).toBe(false)
  })

  test('a signature counts for its own key only', async () => {
    for (const row of keyVectors) {
      const key = parseKey(read(row.key))
      for (const other of keyVectors)
        if (other !== row) expect(await verifySignature(key, utf8(other.payload), other.sig)).toBe(false)
    }
  })
})

describe('keys', () => {
  // Every point of order 1, 2, 4 and 8, then encodings that are not canonical.
  const weak = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    '0100000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    // y = 2 is not on the curve.
    '0200000000000000000000000000000000000000000000000000000000000000',
  ]

  test.each(weak)('the Ed25519 key %s is refused, or kept and never counts', async (publicHex) => {
    expect(() => ed25519Key(publicHex)).toThrow(FormatError)
    const object = read({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: publicHex } })
    expect(() => parseKey(object, { strict: true })).toThrow(FormatError)
    const key = parseKey(object)
    expect(key.identity).toBeUndefined()
    expect(key.problem).toMatch(/Ed25519/)
    expect(await verifySignature(key, utf8('any message'), `01${'00'.repeat(63)}`)).toBe(false)
  })

  test('the fixed signature under a small-order key, which a permissive verifier takes for every message', async () => {
    const attack = fromHex(`01${'00'.repeat(63)}`)
    const neutral = fromHex(weak[0]!)
    for (let i = 0; i < 20; i++) expect(await verifyAsync(attack, utf8(`message ${i}`), neutral)).toBe(true)

    const raw = new Map<string, Json>([
      ['keytype', 'ed25519'],
      ['scheme', 'ed25519'],
      ['keyval', new Map([['public', weak[0]!]])],
    ])
    const key = parseKey(raw)
    const envelope = { payload: utf8('message'), signatures: [{ keyid: key.keyid, sig: toHex(attack) }] }
    const role = { keyids: [key.keyid], threshold: 1 }
    await expect(verifyRole(envelope, role, new Map([[key.keyid, key]]), 'root')).rejects.toThrow(SignatureError)
  })

  const ec = keyVector('ecdsa-p256')
  const rsa = keyVector('rsassa-pss-sha256')
  const withKey = (row: KeyVector, change: object) => ({ ...row.key, ...change })
  test.each<[string, object]>([
    ['an unknown type', { keytype: 'sphincs', scheme: 'sphincs-shake-128s', keyval: { public: 'ab' } }],
    ['a scheme of another type', withKey(ec, { scheme: 'ed25519' })],
    ['a scheme that is a property of every object', withKey(ec, { scheme: 'constructor' })],
    ['RSA with PKCS #1 v1.5', withKey(rsa, { scheme: 'rsa-pkcs1v15-sha256' })],
    ['ed25519 in upper case', { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: 'A'.repeat(64) } }],
    ['ed25519 of 31 bytes', { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: 'ab'.repeat(31) } }],
    ['a P-384 key listed as P-256', withKey(keyVector('ecdsa-p384'), { scheme: 'ecdsa-sha2-nistp256' })],
    ['an RSA key listed as ECDSA', withKey(rsa, { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256' })],
    ['an ECDSA key listed as RSA', withKey(ec, { keytype: 'rsa', scheme: 'rsassa-pss-sha256' })],
    ['a compressed point', withKey(ec, { keyval: { public: `02${ecPoint(ec).slice(2, 66)}` } })],
    ['a point that is not on the curve', withKey(ec, { keyval: { public: flip(ecPoint(ec), 129) } })],
    ['a PEM cut off', withKey(ec, { keyval: { public: ec.key.keyval.public.slice(0, 100) } })],
    [
      'a PEM with something behind the key',
      withKey(ec, { keyval: { public: derToPem(concat(pemToDer(ec.key.keyval.public), [0])) } }),
    ],
    [
      'a PEM of a certificate',
      withKey(ec, { keyval: { public: ec.key.keyval.public.replaceAll('PUBLIC KEY', 'CERTIFICATE') } }),
    ],
    ['an RSA key of 1,024 bits', withKey(rsa, { keyval: { public: RSA_1024 } })],
  ])('%s is refused when strict, else kept and never counts', async (_, object) => {
    expect(() => parseKey(read(object), { strict: true })).toThrow(FormatError)
    const key = parseKey(read(object))
    expect(key.problem).toBeDefined()
    expect(await verifySignature(key, utf8(ec.payload), ec.sig)).toBe(false)
  })

  test.each<[string, unknown]>([
    ['no object', 'key'],
    ['no keytype', { scheme: 'ed25519', keyval: { public: 'ab' } }],
    ['no scheme', { keytype: 'ed25519', keyval: { public: 'ab' } }],
    ['no keyval', { keytype: 'ed25519', scheme: 'ed25519' }],
    ['a public part that is no string', { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: 1 } }],
  ])('%s is never a key', (_, object) => {
    expect(() => parseKey(read(object))).toThrow(FormatError)
  })

  test('a keyid that is not the hash is flagged, and refused when strict', () => {
    const object = read(ec.key)
    expect(parseKey(object, { keyid: 'other' })).toMatchObject({ keyid: 'other', keyidMatches: false })
    expect(() => parseKey(object, { keyid: 'other', strict: true })).toThrow(FormatError)
    // python-tuf keeps unknown fields of a key in its hash.
    const more = read({ ...ec.key, keyid_hash_algorithms: ['bogus'] })
    expect(parseKey(more, { keyid: keyId(more as Map<string, Json>), strict: true }).identity).toBe(
      parseKey(object).identity,
    )
  })

  test('one public key has one identity, however it is spelled', () => {
    const pem = ec.key.keyval.public
    const spellings = [pem, `\n${pem.trim()}\n\n`, pem.replaceAll('\n', '\r\n'), derToPem(pemToDer(pem)), ecPoint(ec)]
    const keys = spellings.flatMap((spelling) =>
      ['ecdsa', 'ecdsa-sha2-nistp256'].map((keytype) =>
        parseKey(read({ ...ec.key, keytype, keyval: { public: spelling } })),
      ),
    )
    expect(new Set(keys.map(({ keyid }) => keyid)).size).toBeGreaterThan(5)
    expect(new Set(keys.map(({ identity }) => identity)).size).toBe(1)
    const sha512 = parseKey(read(withKey(rsa, { scheme: 'rsassa-pss-sha512' })))
    expect(sha512.identity).toBe(parseKey(read(rsa.key)).identity)
  })

  test('PEM and key object are what securesystemslib writes', () => {
    for (const row of [ec, rsa, keyVector('ecdsa-p384')]) {
      const key = spkiKey(row.key.scheme, pemToDer(row.key.keyval.public))
      expect(key.keyid).toBe(row.keyid)
    }
  })

  test('ECDSA signatures: only one DER form is read, and raw goes there and back', () => {
    const der = fromHex(ec.sig)
    expect(ecdsaToDer(ecdsaFromDer(der, 32))).toEqual(der)
    const tiny = new Uint8Array(64)
    tiny[31] = 1
    tiny[63] = 0x80
    expect(toHex(ecdsaToDer(tiny))).toBe('300702010102020080')
    expect(ecdsaFromDer(ecdsaToDer(tiny), 32)).toEqual(tiny)
    expect(toHex(ecdsaToDer(new Uint8Array(64)))).toBe('3006020100020100')
    for (const bad of [
      '',
      '30',
      '3007',
      '3007020101020200',
      '30070201010202008000',
      '300802010102030000 80'.replace(' ', ''),
      '3006020101020180',
      '308107020101020200 80'.replace(' ', ''),
      '310702010102020080',
      '30080201010202008000',
      '3004020002 00'.replace(' ', ''),
      `3026022101${'00'.repeat(32)}020101`,
    ])
      expect(() => ecdsaFromDer(fromHex(bad), 32)).toThrow(FormatError)
  })
})

describe('thresholds', () => {
  test('count distinct public keys, ignore everything else', async () => {
    const [a, b, stranger] = await Promise.all([newSigner(), newSigner(), newSigner()])
    const payload = utf8('payload')
    const by = async (signer: Signer, keyid = signer.keyid) => ({ keyid, sig: toHex(await signer.sign(payload)) })
    const sigA = await by(a!)
    const sigB = await by(b!)
    // The key of `a` under a second name.
    const alias = { ...a!.key, keyid: 'alias' }
    const keys = new Map([a!.key, b!.key, stranger!.key, alias].map((key) => [key.keyid, key]))
    const keyids = [a!.keyid, b!.keyid, 'alias', 'missing']
    const check = (signatures: { keyid: string; sig: string }[], threshold: number) =>
      verifyRole({ payload, signatures }, { keyids, threshold }, keys, 'root')

    await check([sigA], 1)
    await check([sigA, sigB], 2)
    await check([{ keyid: b!.keyid, sig: '' }, await by(stranger!), { keyid: 'missing', sig: 'zz' }, sigA], 1)
    await expect(check([], 1)).rejects.toThrow('root is signed by 0 of the 1 keys it needs.')
    await expect(check([sigA, { ...sigA, keyid: 'alias' }], 2)).rejects.toMatchObject({ valid: 1, threshold: 2 })
    await expect(check([sigA, await by(stranger!)], 2)).rejects.toThrow(SignatureError)
    await expect(check([sigA, { keyid: b!.keyid, sig: sigA.sig }], 2)).rejects.toThrow(SignatureError)
    await expect(check([sigA, sigB], 3)).rejects.toThrow(SignatureError)
  })
})

function flip(hex: string, at: number): string {
  return hex.slice(0, at) + (hex[at] === '0' ? '1' : '0') + hex.slice(at + 1)
}

/** The uncompressed point inside an ECDSA vector's PEM, as hex. */
function ecPoint(row: KeyVector): string {
  return toHex(pemToDer(row.key.keyval.public).slice(-65))
}

function concat(bytes: Uint8Array, more: number[]): Uint8Array {
  return Uint8Array.from([...bytes, ...more])
}
