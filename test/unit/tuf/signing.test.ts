// Metadata as we build and sign it, in one place or in parts.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { rootSigned, snapshotSigned, targetsSigned, timestampSigned, VERSION_MAX } from '../../../tuf/build.ts'
import { canonicalize } from '../../../tuf/canonical.ts'
import { FormatError, UsageError } from '../../../tuf/errors.ts'
import { ed25519Key, spkiKey } from '../../../tuf/keys.ts'
import { parseRoot, parseSnapshot, parseTargets, parseTimestamp } from '../../../tuf/metadata.ts'
import { ed25519Signer, signRole, webCryptoSigner, writeEnvelope } from '../../../tuf/sign.ts'
import { verifyRole } from '../../../tuf/verify.ts'
import { DAY, NOW, newSigner, text } from './repository.ts'

const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as T
interface KeyVector {
  name: string
  key: { keytype: string; scheme: string; keyval: { public: string } }
  keyid: string
  payload: string
  sig: string
}
const keyVectors = vectors<KeyVector[]>('keys')

describe('building and signing', () => {
  const expiresMs = NOW + DAY + 999
  const sha256 = 'ab'.repeat(32)

  test('a file is its canonical payload between two strings', async () => {
    const signer = await newSigner()
    const signed = timestampSigned({ version: 7, expiresMs, snapshot: { version: 3, length: 10, sha256 } })
    const bytes = await signRole(signed, [signer])
    const { payload, signatures } = parseTimestamp(bytes)
    expect(payload).toEqual(canonicalize(signed))
    expect(text(bytes)).toBe(
      `{"signatures":[{"keyid":"${signer.keyid}","sig":"${signatures[0]!.sig}"}],"signed":${text(payload)}}`,
    )
    expect(text(payload)).toBe(
      `{"_type":"timestamp","expires":"2030-06-02T00:00:00Z","meta":{"snapshot.json":{"hashes":{"sha256":"${sha256}"},"length":10,"version":3}},"spec_version":"1.0.0","version":7}`,
    )
  })

  test('a ceremony signs in parts: envelopes of one payload are put together', async () => {
    const [a, b] = [await newSigner(), await newSigner()]
    const role = { keyids: [a.keyid, b.keyid], threshold: 2 }
    const signed = rootSigned({
      version: 1,
      expiresMs,
      keys: [a.key, b.key],
      roles: { root: role, timestamp: role, snapshot: role, targets: role },
      extra: { 'x-tuf-edge': { development: true } },
    })
    const parts = [parseRoot(await signRole(signed, [a])), parseRoot(await signRole(signed, [b]))]
    const whole = parseRoot(
      writeEnvelope(
        parts[0]!.payload,
        parts.flatMap(({ signatures }) => signatures),
      ),
    )
    await verifyRole(whole, whole.signed.roles.root, whole.signed.keys, 'root')
    expect(whole.bytes).toEqual(await signRole(signed, [a, b]))
    expect(whole.signed.raw.get('x-tuf-edge')).toEqual(new Map([['development', true]]))
    await expect(signRole(signed, [a, a])).rejects.toThrow(UsageError)
  })

  test.each([
    ['ecdsa-sha2-nistp256', { name: 'ECDSA', namedCurve: 'P-256' }],
    ['ecdsa-sha2-nistp384', { name: 'ECDSA', namedCurve: 'P-384' }],
    [
      'rsassa-pss-sha256',
      { name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) },
    ],
    [
      'rsassa-pss-sha512',
      { name: 'RSA-PSS', hash: 'SHA-512', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) },
    ],
  ])('%s signs a root whose PEM key holds line feeds', async (scheme, algorithm) => {
    const pair = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair
    const key = spkiKey(scheme, new Uint8Array((await crypto.subtle.exportKey('spki', pair.publicKey)) as ArrayBuffer))
    const role = { keyids: [key.keyid], threshold: 1 }
    const signed = rootSigned({
      version: 1,
      expiresMs,
      keys: [key],
      roles: { root: role, timestamp: role, snapshot: role, targets: role },
    })
    // Several, because the DER of an ECDSA signature differs in length with its leading zeros.
    for (let i = 0; i < 8; i++) {
      const bytes = await signRole(signed, [webCryptoSigner(pair.privateKey, key)])
      JSON.parse(text(bytes))
      const root = parseRoot(bytes, { strict: true })
      expect(root.payload).toEqual(canonicalize(signed))
      await verifyRole(root, root.signed.roles.root, root.signed.keys, 'root')
    }
    expect(() => ed25519Signer(pair.privateKey, key)).toThrow(UsageError)
  })

  test('snapshot lists digests of all and the length of all but targets', () => {
    const meta = (roles: [string, { version: number; length?: number; sha256?: string }][]) =>
      parseSnapshot(writeEnvelope(canonicalize(snapshotSigned({ version: 1, expiresMs, meta: roles })), [])).signed.meta
    expect(
      Object.fromEntries(
        meta([
          ['targets', { version: 2, length: 9, sha256 }],
          ['bins', { version: 3, length: 9, sha256 }],
          ['bin-0a', { version: 4 }],
        ]),
      ),
    ).toEqual({
      targets: { version: 2, hashes: new Map([['sha256', sha256]]) },
      bins: { version: 3, length: 9, hashes: new Map([['sha256', sha256]]) },
      'bin-0a': { version: 4 },
    })
  })

  test('target paths that are dangerous as property names stay paths', async () => {
    const signed = targetsSigned({
      version: 1,
      expiresMs,
      targets: [
        ['__proto__', { length: 1, sha256 }],
        ['10', { length: 2, sha256 }],
        ['9', { length: 3, sha256 }],
      ],
    })
    const { targets } = parseTargets(await signRole(signed, [])).signed
    expect([...targets].map(([path, { length }]) => [path, length])).toEqual([
      ['10', 2],
      ['9', 3],
      ['__proto__', 1],
    ])
  })

  const key = ed25519Key(keyVectors[0]!.key.keyval.public)
  const role = { keyids: [key.keyid], threshold: 1 }
  const roles = { root: role, timestamp: role, snapshot: role, targets: role }
  const alias = { ...key, keyid: 'alias' }
  test.each<[string, () => unknown]>([
    ['a root with a key nobody gave', () => rootSigned({ version: 1, expiresMs, keys: [], roles })],
    ['a root with one public key twice', () => rootSigned({ version: 1, expiresMs, keys: [key, key], roles })],
    ['a root with a key under another name', () => rootSigned({ version: 1, expiresMs, keys: [alias], roles })],
    [
      'a threshold above the number of keys',
      () => rootSigned({ version: 1, expiresMs, keys: [key], roles: { ...roles, root: { ...role, threshold: 2 } } }),
    ],
    [
      'a threshold of 0',
      () => rootSigned({ version: 1, expiresMs, keys: [key], roles: { ...roles, root: { ...role, threshold: 0 } } }),
    ],
    [
      'an extra field that is a real one',
      () => rootSigned({ version: 1, expiresMs, keys: [key], roles, extra: { keys: {} } }),
    ],
    ['version 0', () => targetsSigned({ version: 0, expiresMs, targets: [] })],
    ['a version beyond 31 bits', () => targetsSigned({ version: VERSION_MAX + 1, expiresMs, targets: [] })],
    [
      'a version that is a clock',
      () => timestampSigned({ version: NOW, expiresMs, snapshot: { version: 1, length: 1, sha256 } }),
    ],
    [
      'a target twice',
      () =>
        targetsSigned({
          version: 1,
          expiresMs,
          targets: [
            ['a', { length: 1, sha256 }],
            ['a', { length: 1, sha256 }],
          ],
        }),
    ],
    [
      'a target path that leaves its directory',
      () => targetsSigned({ version: 1, expiresMs, targets: [['a/../b', { length: 1, sha256 }]] }),
    ],
    [
      'a digest in upper case',
      () => targetsSigned({ version: 1, expiresMs, targets: [['a', { length: 1, sha256: 'AB'.repeat(32) }]] }),
    ],
    ['a fractional length', () => targetsSigned({ version: 1, expiresMs, targets: [['a', { length: 1.5, sha256 }]] })],
    ['a snapshot without targets', () => snapshotSigned({ version: 1, expiresMs, meta: [['bins', { version: 1 }]] })],
    [
      'a role twice in snapshot',
      () =>
        snapshotSigned({
          version: 1,
          expiresMs,
          meta: [
            ['targets', { version: 1 }],
            ['targets', { version: 1 }],
          ],
        }),
    ],
    ['an impossible date', () => targetsSigned({ version: 1, expiresMs: Number.NaN, targets: [] })],
  ])('%s is not built', (_, build) => {
    expect(build).toThrow(FormatError)
  })
})
