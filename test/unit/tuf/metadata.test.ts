// Keys, signatures and the four kinds of metadata: what python-tuf signs is verified, what nobody should accept is
// refused, and what is built here reads back.
import { readFileSync } from 'node:fs'
import { verifyAsync } from '@noble/ed25519'
import { describe, expect, test } from 'vitest'
import { rootSigned, snapshotSigned, targetsSigned, timestampSigned, VERSION_MAX } from '../../../tuf/build.ts'
import { type Canonical, canonicalize } from '../../../tuf/canonical.ts'
import { derToPem, ecdsaFromDer, ecdsaToDer, pemToDer } from '../../../tuf/der.ts'
import { sha256Hex } from '../../../tuf/digest.ts'
import { FormatError, SignatureError, UsageError } from '../../../tuf/errors.ts'
import { fromHex, toHex } from '../../../tuf/hex.ts'
import { type Json, parseJson } from '../../../tuf/json.ts'
import { ed25519Key, keyId, keyObject, parseKey, spkiKey } from '../../../tuf/keys.ts'
import { parseRoot, parseSnapshot, parseTargets, parseTimestamp, type RoleType } from '../../../tuf/metadata.ts'
import { ed25519Signer, type Signer, signRole, webCryptoSigner, writeEnvelope } from '../../../tuf/sign.ts'
import { verifyRole, verifySignature } from '../../../tuf/verify.ts'
import { DAY, NOW, newSigner, text, utf8 } from './repository.ts'

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

describe('metadata of python-tuf', () => {
  const rows = vectors<{ role: string; compact: string; indented: string; canonical_sha256: string }[]>('metadata')
  const row = (role: string) => rows.find((item) => item.role === role)!
  const root = parseRoot(utf8(row('root').compact), { strict: true })
  const parsers = {
    root: parseRoot,
    targets: parseTargets,
    succinct: parseTargets,
    snapshot: parseSnapshot,
    timestamp: parseTimestamp,
  }

  test.each(Object.entries(parsers))('%s verifies, compact and indented, over the same bytes', async (role, parse) => {
    for (const file of [row(role).compact, row(role).indented]) {
      const envelope = parse(utf8(file))
      expect(await sha256Hex(envelope.payload)).toBe(row(role).canonical_sha256)
      expect(text(envelope.bytes)).toBe(file)
      const delegator = role === 'succinct' ? 'targets' : (role as RoleType)
      await verifyRole(envelope, root.signed.roles[delegator], root.signed.keys, role)
    }
  })

  test('root: six kinds of key, all needed', () => {
    expect(root.signed).toMatchObject({ version: 3, consistentSnapshot: true, expires: '2035-01-02T03:04:05Z' })
    expect(root.signed.expiresMs).toBe(Date.UTC(2035, 0, 2, 3, 4, 5))
    expect(root.signed.roles.root.threshold).toBe(6)
    expect([...root.signed.keys.values()].every((key) => key.keyidMatches && key.identity !== undefined)).toBe(true)
    expect(root.signed.raw.get('x-note')).toBeInstanceOf(Map)
  })

  test('targets, delegations, snapshot and timestamp say what they said', () => {
    const { targets, delegations } = parseTargets(utf8(row('targets').compact)).signed
    expect([...targets.keys()].sort()).toEqual(['10', '9', 'a.txt', 'dir/b é.txt'])
    expect(targets.get('a.txt')).toMatchObject({ length: 5 })
    expect([...targets.get('a.txt')!.hashes.keys()].sort()).toEqual(['sha256', 'sha512'])
    expect(delegations!.roles).toMatchObject([
      { name: 'team', threshold: 1, terminating: true, paths: ['simple/2c26/foo/*', 'files/2c26/foo/*'] },
      { name: 'hashed', threshold: 1, terminating: false, pathHashPrefixes: ['2c', '0a'] },
    ])
    expect(parseTargets(utf8(row('succinct').compact)).signed.delegations!.succinct).toMatchObject({
      bitLength: 14,
      namePrefix: 'bin',
      threshold: 1,
    })
    expect(Object.fromEntries(parseSnapshot(utf8(row('snapshot').compact)).signed.meta)).toEqual({
      '10': { version: 4, length: 120 },
      targets: { version: 2, hashes: new Map([['sha256', 'ab'.repeat(32)]]) },
      team: { version: 1 },
    })
    expect(parseTimestamp(utf8(row('timestamp').compact)).signed.snapshot).toEqual({
      version: 5,
      length: 1234,
      hashes: new Map([['sha256', 'cd'.repeat(32)]]),
    })
  })
})

describe('refusals', () => {
  const SIGS: Canonical[] = []
  const KEY = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: keyVectors[0]!.key.keyval.public } }
  const ROLE = { keyids: ['k'], threshold: 1 }
  const COMMON = { spec_version: '1.0.0', version: 1, expires: '2030-01-01T00:00:00Z' }
  const ROOT = {
    _type: 'root',
    ...COMMON,
    consistent_snapshot: true,
    keys: { k: KEY },
    roles: { root: ROLE, timestamp: ROLE, snapshot: ROLE, targets: ROLE },
  }
  const TIMESTAMP = { _type: 'timestamp', ...COMMON, meta: { 'snapshot.json': { version: 1 } } }
  const SNAPSHOT = { _type: 'snapshot', ...COMMON, meta: { 'targets.json': { version: 1 } } }
  const FILE = { length: 0, hashes: { sha256: 'ab' } }
  const DELEGATED = { name: 'r', ...ROLE, terminating: false, paths: ['*'] }
  const TARGETS = {
    _type: 'targets',
    ...COMMON,
    targets: { a: FILE },
    delegations: { keys: { k: KEY }, roles: [DELEGATED] },
  }
  const file = (signed: unknown, signatures: unknown = SIGS) => utf8(JSON.stringify({ signatures, signed }))
  const delegating = (delegations: unknown) => file({ ...TARGETS, delegations })
  const without = (object: object, name: string) =>
    Object.fromEntries(Object.entries(object).filter(([key]) => key !== name))

  test('the bases of this table are accepted, with unknown fields and two-part versions', () => {
    const root = parseRoot(file({ ...ROOT, x: [{}], spec_version: '1.9' }))
    expect(root.signed.raw.get('x')).toEqual([new Map()])
    expect(parseRoot(file(without(ROOT, 'consistent_snapshot'))).signed.consistentSnapshot).toBe(false)
    parseTimestamp(file(TIMESTAMP))
    parseSnapshot(file(SNAPSHOT))
    parseTargets(file(TARGETS))
    parseTargets(file({ ...TARGETS, targets: {} }))
    parseTargets(utf8(`{"signatures":[{"keyid":"k","sig":"","x":1}],"x":{},"signed":${JSON.stringify(TARGETS)}}`))
  })

  test.each<[string, RoleType, Uint8Array]>([
    ['an array', 'root', utf8('[]')],
    ['no signed', 'root', utf8('{"signatures":[]}')],
    ['no signatures', 'root', utf8(`{"signed":${JSON.stringify(ROOT)}}`)],
    ['signatures as an object', 'root', file(ROOT, {})],
    ['a signature without keyid', 'root', file(ROOT, [{ sig: '' }])],
    ['a signature without sig', 'root', file(ROOT, [{ keyid: 'k' }])],
    [
      'a keyid that signs twice',
      'root',
      file(ROOT, [
        { keyid: 'k', sig: 'ab' },
        { keyid: 'k', sig: 'cd' },
      ]),
    ],
    [
      'a duplicate field',
      'root',
      utf8(`{"signatures":[],"signed":${JSON.stringify(ROOT).replace('{', '{"version":2,')}}`),
    ],
    ['two values of signed', 'root', utf8(`{"signatures":[],"signed":{},"signed":${JSON.stringify(ROOT)}}`)],
    ['another type', 'root', file({ ...ROOT, _type: 'targets' })],
    ['no type', 'root', file(without(ROOT, '_type'))],
    ['spec 2.0', 'root', file({ ...ROOT, spec_version: '2.0.0' })],
    ['spec 1', 'root', file({ ...ROOT, spec_version: '1' })],
    ['spec as a number', 'root', utf8(`{"signatures":[],"signed":${JSON.stringify(ROOT).replace('"1.0.0"', '1')}}`)],
    ['version 0', 'root', file({ ...ROOT, version: 0 })],
    ['version as a string', 'root', file({ ...ROOT, version: '1' })],
    ['version 1.0', 'root', utf8(text(file(ROOT)).replace('"version":1', '"version":1.0'))],
    ['milliseconds', 'root', file({ ...ROOT, expires: '2030-01-01T00:00:00.000Z' })],
    ['an offset', 'root', file({ ...ROOT, expires: '2030-01-01T00:00:00+00:00' })],
    ['no expiry', 'root', file(without(ROOT, 'expires'))],
    ['a fifth role', 'root', file({ ...ROOT, roles: { ...ROOT.roles, mirrors: ROLE } })],
    ['a role missing', 'root', file({ ...ROOT, roles: without(ROOT.roles, 'snapshot') })],
    [
      'a role replaced by another',
      'root',
      file({ ...ROOT, roles: { ...without(ROOT.roles, 'snapshot'), mirrors: ROLE } }),
    ],
    ['threshold 0', 'root', file({ ...ROOT, roles: { ...ROOT.roles, root: { ...ROLE, threshold: 0 } } })],
    [
      'a keyid listed twice',
      'root',
      file({ ...ROOT, roles: { ...ROOT.roles, root: { keyids: ['k', 'k'], threshold: 2 } } }),
    ],
    [
      'keyids that are no strings',
      'root',
      file({ ...ROOT, roles: { ...ROOT.roles, root: { keyids: [1], threshold: 1 } } }),
    ],
    ['keys as an array', 'root', file({ ...ROOT, keys: [KEY] })],
    ['consistent_snapshot as a string', 'root', file({ ...ROOT, consistent_snapshot: 'true' })],
    ['no snapshot', 'timestamp', file({ ...TIMESTAMP, meta: {} })],
    ['a snapshot without version', 'timestamp', file({ ...TIMESTAMP, meta: { 'snapshot.json': {} } })],
    ['length 0', 'timestamp', file({ ...TIMESTAMP, meta: { 'snapshot.json': { version: 1, length: 0 } } })],
    ['empty hashes', 'timestamp', file({ ...TIMESTAMP, meta: { 'snapshot.json': { version: 1, hashes: {} } } })],
    [
      'a hash that is no string',
      'timestamp',
      file({ ...TIMESTAMP, meta: { 'snapshot.json': { version: 1, hashes: { sha256: 1 } } } }),
    ],
    ['null for length', 'timestamp', file({ ...TIMESTAMP, meta: { 'snapshot.json': { version: 1, length: null } } })],
    ['an entry without .json', 'snapshot', file({ ...SNAPSHOT, meta: { targets: { version: 1 } } })],
    ['version 0 of a role', 'snapshot', file({ ...SNAPSHOT, meta: { 'targets.json': { version: 0 } } })],
    ['targets as an array', 'targets', file({ ...TARGETS, targets: [] })],
    ['a target without length', 'targets', file({ ...TARGETS, targets: { a: without(FILE, 'length') } })],
    ['a negative length', 'targets', file({ ...TARGETS, targets: { a: { ...FILE, length: -1 } } })],
    ['a target without hashes', 'targets', file({ ...TARGETS, targets: { a: without(FILE, 'hashes') } })],
    ['a target with empty hashes', 'targets', file({ ...TARGETS, targets: { a: { ...FILE, hashes: {} } } })],
    ['custom as a string', 'targets', file({ ...TARGETS, targets: { a: { ...FILE, custom: 'x' } } })],
    ['delegations without keys', 'targets', delegating({ roles: [] })],
    ['delegations to nobody', 'targets', delegating({ keys: {} })],
    [
      'roles and succinct_roles',
      'targets',
      delegating({ keys: {}, roles: [], succinct_roles: { ...ROLE, bit_length: 4, name_prefix: 'b' } }),
    ],
    [
      'a role named as a top-level one',
      'targets',
      delegating({ keys: {}, roles: [{ ...DELEGATED, name: 'snapshot' }] }),
    ],
    ['a role without a name', 'targets', delegating({ keys: {}, roles: [{ ...DELEGATED, name: '' }] })],
    ['a role delegated twice', 'targets', delegating({ keys: {}, roles: [DELEGATED, DELEGATED] })],
    [
      'paths and path_hash_prefixes',
      'targets',
      delegating({ keys: {}, roles: [{ ...DELEGATED, path_hash_prefixes: ['0'] }] }),
    ],
    ['neither of them', 'targets', delegating({ keys: {}, roles: [without(DELEGATED, 'paths')] })],
    ['no terminating', 'targets', delegating({ keys: {}, roles: [without(DELEGATED, 'terminating')] })],
    ['bit_length 0', 'targets', delegating({ keys: {}, succinct_roles: { ...ROLE, bit_length: 0, name_prefix: 'b' } })],
    [
      'bit_length 33',
      'targets',
      delegating({ keys: {}, succinct_roles: { ...ROLE, bit_length: 33, name_prefix: 'b' } }),
    ],
  ])('%s (%s) is refused', (_, type, bytes) => {
    const parse = { root: parseRoot, timestamp: parseTimestamp, snapshot: parseSnapshot, targets: parseTargets }[type]
    expect(() => parse(bytes)).toThrow(FormatError)
  })

  test('a key nobody can use spoils a file only when strict', () => {
    const odd = { keytype: 'new', scheme: 'new', keyval: { public: 'x' } }
    expect(parseRoot(file({ ...ROOT, keys: { k: odd } })).signed.keys.get('k')!.problem).toBeDefined()
    expect(() => parseRoot(file({ ...ROOT, keys: { k: odd } }), { strict: true })).toThrow(FormatError)
    expect(() => parseTargets(delegating({ keys: { k: odd }, roles: [] }), { strict: true })).toThrow(FormatError)
  })
})

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
