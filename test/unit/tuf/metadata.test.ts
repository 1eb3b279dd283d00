// The four kinds of metadata: what python-tuf writes is read, what nobody should accept is refused, and what is built here
// reads back.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Canonical } from '../../../tuf/canonical.ts'
import { sha256Hex } from '../../../tuf/digest.ts'
import { FormatError, MismatchError } from '../../../tuf/errors.ts'
import { checkBytes } from '../../../tuf/meta-file.ts'
import { parseRoot, parseSnapshot, parseTargets, parseTimestamp, type RoleType } from '../../../tuf/metadata.ts'
import { verifyRole } from '../../../tuf/verify.ts'
import { text, utf8 } from './repository.ts'

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

test('a file is held to its length and to every digest that names it, and to nothing else', async () => {
  const bytes = utf8('content')
  const sha256 = await sha256Hex(bytes)
  const check = (expected: { length?: number; hashes?: Map<string, string> }) => checkBytes(bytes, expected, 'x')
  await check({})
  await check({ length: 7, hashes: new Map([['sha256', sha256]]) })
  await expect(check({ length: 8 })).rejects.toThrow(MismatchError)
  await expect(check({ length: 6, hashes: new Map([['sha256', sha256]]) })).rejects.toThrow(MismatchError)
  for (const [name, hex] of [
    ['sha512', sha256],
    ['sha256', sha256.toUpperCase()],
    ['blake2b-256', sha256],
    ['toString', ''],
  ] as const)
    await expect(
      check({
        hashes: new Map([
          ['sha256', sha256],
          [name, hex],
        ]),
      }),
    ).rejects.toThrow(MismatchError)
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
