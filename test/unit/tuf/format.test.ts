// The byte level beside JSON: hex, digests, dates, paths, bins. Vectors are python-tuf's (test/vectors/generate.py).
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BINS_PATHS,
  binDelegations,
  binNames,
  binOfPath,
  INDEX_PATHS,
  type Profile,
  shardOf,
  topDelegations,
} from '../../../tuf/bins.ts'
import { canonicalize } from '../../../tuf/canonical.ts'
import { formatDate, parseDate } from '../../../tuf/dates.ts'
import { keysOfRole, readDelegations, rolesForTarget } from '../../../tuf/delegations.ts'
import { digestHex, sha256Hex, sha256HexSync, streamHash, timingSafeEqual } from '../../../tuf/digest.ts'
import { FormatError } from '../../../tuf/errors.ts'
import { fromHex, toHex } from '../../../tuf/hex.ts'
import { parseJson } from '../../../tuf/json.ts'
import { ed25519Key } from '../../../tuf/keys.ts'
import { checkTargetPath, encodeSegment, matchPattern, targetUrlName, targetUrlPath } from '../../../tuf/paths.ts'
import { succinctName } from '../../../tuf/succinct.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const read = (json: string) => parseJson(utf8(json))
const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as T

describe('hex, digests, dates', () => {
  test('hex is lower case, of even length, and goes both ways', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void expect(fromHex(toHex(bytes))).toEqual(bytes)))
    for (const bad of ['0', 'AB', 'zz', '0x', ' 00', '00\n']) expect(() => fromHex(bad)).toThrow(FormatError)
  })

  test('the three ways to a digest agree', async () => {
    const bytes = utf8('tuf')
    const hash = streamHash('sha256')
    hash.update(bytes.subarray(0, 1))
    hash.update(bytes.subarray(1))
    expect(hash.hex()).toBe(await sha256Hex(bytes))
    expect(sha256HexSync('tuf')).toBe(await digestHex('sha256', bytes))
    const long = streamHash('sha512')
    long.update(bytes)
    expect(long.hex()).toBe(await digestHex('sha512', bytes))
  })

  test('equal means same bytes and same length', () => {
    expect(timingSafeEqual(utf8('ab'), utf8('ab'))).toBe(true)
    expect(timingSafeEqual(utf8('ab'), utf8('ac'))).toBe(false)
    expect(timingSafeEqual(utf8('ab'), utf8('abc'))).toBe(false)
  })

  test('dates never carry milliseconds and go both ways', () => {
    expect(formatDate(Date.UTC(2030, 0, 2, 3, 4, 5, 999))).toBe('2030-01-02T03:04:05Z')
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (seconds) => {
        expect(parseDate(formatDate(seconds * 1000))).toBe(seconds * 1000)
      }),
    )
    for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, 253_402_300_800_000, 8.64e15 + 1])
      expect(() => formatDate(ms)).toThrow(FormatError)
  })

  test.each([
    '2030-01-02T03:04:05.000Z',
    '2030-01-02T03:04:05+00:00',
    '2030-01-02T03:04:05',
    '2030-01-02 03:04:05Z',
    '2030-01-02T03:04Z',
    '2030-02-30T00:00:00Z',
    '2030-13-01T00:00:00Z',
    '2030-01-01T24:00:00Z',
    '2030-01-01T00:00:60Z',
    '+02030-01-01T00:00:00Z',
    '2030-01-02T03:04:05z',
    '2030-01-02T03:04:05Z\n',
    '',
  ])('refuses the date %j', (date) => {
    expect(() => parseDate(date)).toThrow(FormatError)
  })
})

describe('target paths', () => {
  test.each(
    vectors<{ patterns: { pattern: string; path: string; holds: boolean }[] }>('bins').patterns.map(
      ({ pattern, path, holds }) => [pattern, path, holds] as const,
    ),
  )('pattern %j and %j: %s, as python-tuf', (pattern, path, holds) => {
    expect(matchPattern(pattern, path)).toBe(holds)
  })

  test.each([
    ['files/*', 'files/.hidden', true],
    ['?.whl', 'é.whl', true],
    ['?.whl', '😀.whl', true],
    ['[ab]', 'a', false],
    ['[ab]', '[ab]', true],
    ['{foo,bar}', 'foo', false],
    ['!bar', 'foo', false],
    ['f\\oo', 'foo', false],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXbYbZ', false],
    ['**', 'a/b', false],
  ])('pattern %j and %j: %s', (pattern, path, holds) => {
    expect(matchPattern(pattern, path)).toBe(holds)
  })

  test('a hostile pattern costs no more than the product of the lengths', () => {
    const started = performance.now()
    expect(matchPattern(`${'*a'.repeat(500)}b`, 'a'.repeat(5000))).toBe(false)
    expect(performance.now() - started).toBeLessThan(1000)
  })

  test.each([
    '',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    './a',
    'a\\b',
    'a b',
    'é',
    'a\nb',
    'a"b',
    'a\u007f',
    '\ud800',
    `a/${'b'.repeat(252)}`,
    '#'.repeat(86),
  ])('the path %j is not published', (path) => {
    expect(() => checkTargetPath(path)).toThrow(FormatError)
  })

  test('odd but harmless paths are published', () => {
    for (const path of [
      'a',
      'files/0a12/bar/bar-1!2.0+local.tar.gz',
      'a/[x]{y}*?.whl',
      `a/${'b'.repeat(251)}`,
      '#'.repeat(85),
    ])
      checkTargetPath(path)
  })

  test('the digest goes before the last segment, and only what a URL cannot carry is encoded', () => {
    expect(targetUrlName('a/b.whl', 'ff')).toBe('a/ff.b.whl')
    expect(targetUrlName('b.whl', 'ff')).toBe('ff.b.whl')
    expect(targetUrlPath('a/b-1!2.0+x@y,$&=;:.whl')).toBe('a/b-1!2.0+x@y,$&=;:.whl')
    expect(targetUrlPath('a b/c?d#e%f/é')).toBe('a%20b/c%3Fd%23e%25f/%C3%A9')
    expect(encodeSegment("../x?#!'()*+~_-")).toBe('..%2Fx%3F%23%21%27%28%29%2A%2B~_-')
    for (const path of ['a/../b', '/a', 'a//b', '.']) expect(() => targetUrlPath(path)).toThrow(FormatError)
  })
})

describe('bins', () => {
  const rows = vectors<{
    succinct: { path: string; bit_length: number; prefix: string; role: string }[]
    names: { bit_length: number; prefix: string; names: string[] }[]
    hash_prefixes: { path: string; prefix: string; holds: boolean }[]
  }>('bins')
  const key = ed25519Key(publicHex())

  test("succinct bins are python-tuf's", () => {
    for (const { path, bit_length, prefix, role } of rows.succinct) {
      expect(succinctName({ namePrefix: prefix, bitLength: bit_length }, sha256HexSync(path))).toBe(role)
      if (bit_length <= 16) expect(binOfPath({ kind: 'succinct', bitLength: bit_length, prefix }, path)).toBe(role)
    }
    for (const { bit_length, prefix, names } of rows.names)
      expect(binNames({ kind: 'succinct', bitLength: bit_length, prefix })).toEqual(names)
  })

  test('the bins of the wire format', () => {
    const succinct: Profile = { kind: 'succinct', bitLength: 14, prefix: 'bin' }
    expect(binOfPath(succinct, 'simple/foo/vnd.pypi.simple.v1.json')).toBe('bin-31a2')
    expect(binOfPath(succinct, 'simple/2c26/foo/vnd.pypi.simple.v1.json')).toBe('bin-1efe')
    expect(shardOf('foo')).toBe('2c26')
    expect(binOfPath({ kind: 'sharded', bins: 256, prefix: 'bin' }, 'simple/2c26/foo/vnd.pypi.simple.v1.json')).toBe(
      'bin-2c',
    )
  })

  test('path_hash_prefixes hold what python-tuf says', () => {
    for (const { path, prefix, holds } of rows.hash_prefixes) {
      const delegations = {
        keys: new Map(),
        roles: [{ name: 'r', keyids: [], threshold: 1, terminating: false, pathHashPrefixes: [prefix] }],
      }
      expect(rolesForTarget(delegations, path)).toHaveLength(holds ? 1 : 0)
    }
  })

  const profiles: Profile[] = [
    { kind: 'sharded', bins: 16, prefix: 'bin' },
    { kind: 'sharded', bins: 32, prefix: 'bin' },
    { kind: 'sharded', bins: 256, prefix: 'b2' },
    { kind: 'hashed', bins: 2, prefix: 'bin' },
    { kind: 'hashed', bins: 256, prefix: 'bin' },
    { kind: 'hashed', bins: 512, prefix: 'bin' },
    { kind: 'succinct', bitLength: 1, prefix: 'bin' },
    { kind: 'succinct', bitLength: 10, prefix: 'bin' },
  ]
  test.each(profiles)('every path is in exactly the bin that the delegations say: %o', (profile) => {
    const delegations = readDelegations(read(text(canonicalize(binDelegations(profile, key)))), { strict: true })
    const names = binNames(profile)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(keysOfRole(delegations, name)?.keyids).toEqual([key.keyid])
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9]{1,12}$/), fc.constantFrom('simple', 'files'), (project, kind) => {
        const path = `${kind}/${shardOf(project)}/${project}/x-1.0.tar.gz`
        const bin = binOfPath(profile, path)
        expect(rolesForTarget(delegations, path).map(({ name }) => name)).toEqual([bin])
        expect(names).toContain(bin)
      }),
      { numRuns: 30 },
    )
  })

  test("a project's pages and files share one sharded bin; the project list is in none", () => {
    const profile: Profile = { kind: 'sharded', bins: 4096, prefix: 'bin' }
    expect(binOfPath(profile, 'files/2c26/foo/foo-1.whl')).toBe('bin-2c2')
    expect(binOfPath(profile, 'simple/2c26/foo/vnd.pypi.simple.v1.html')).toBe('bin-2c2')
    for (const path of [...INDEX_PATHS, 'files/2c26/foo', 'files/2c26/foo/a/b', 'other/2c26/foo/a', 'files/2C26/foo/a'])
      expect(() => binOfPath(profile, path)).toThrow(FormatError)
  })

  test.each<Profile>([
    { kind: 'sharded', bins: 0, prefix: 'bin' },
    { kind: 'sharded', bins: 1, prefix: 'bin' },
    { kind: 'sharded', bins: 100, prefix: 'bin' },
    { kind: 'hashed', bins: 2 ** 17, prefix: 'bin' },
    { kind: 'succinct', bitLength: 0, prefix: 'bin' },
    { kind: 'succinct', bitLength: 17, prefix: 'bin' },
    { kind: 'succinct', bitLength: 1.5, prefix: 'bin' },
    { kind: 'sharded', bins: 16, prefix: '2b' },
    { kind: 'sharded', bins: 16, prefix: '' },
    { kind: 'sharded', bins: 16, prefix: 'a/b' },
  ])('refuses the profile %o', (profile) => {
    expect(() => binNames(profile)).toThrow(FormatError)
    expect(() => binDelegations(profile, key)).toThrow(FormatError)
  })

  test('a succinct role is known only under a name of the right form and range', () => {
    const delegations = readDelegations(
      read(text(canonicalize(binDelegations({ kind: 'succinct', bitLength: 5, prefix: 'bin' }, key)))),
      {},
    )
    for (const name of ['bin-00', 'bin-1f']) expect(keysOfRole(delegations, name)).toBeDefined()
    for (const name of ['bin-20', 'bin-0', 'bin-001', 'bin-1F', 'bin-', 'bin', 'bim-00', 'bin-0x'])
      expect(keysOfRole(delegations, name)).toBeUndefined()
  })

  test('targets delegates to teams, then the project list, then bins; only bins goes on', () => {
    const other = ed25519Key(publicHex(1))
    const top = topDelegations({
      indexKey: key,
      binsKeys: [other],
      binsThreshold: 1,
      teams: [{ name: 'team-foo', keys: [other], threshold: 1, projects: ['foo'] }],
    })
    const delegations = readDelegations(read(text(canonicalize(top))), { strict: true })
    const search = (path: string) =>
      rolesForTarget(delegations, path).map(({ name, terminating }) => `${name}${terminating ? '!' : ''}`)
    expect(search('simple/vnd.pypi.simple.v1.json')).toEqual(['index!'])
    expect(search('simple/vnd.pypi.simple.v1.html')).toEqual(['index!'])
    expect(search('simple/2c26/foo/vnd.pypi.simple.v1.json')).toEqual(['team-foo!', 'bins'])
    expect(search('files/2c26/foo/foo-1.whl')).toEqual(['team-foo!', 'bins'])
    expect(search('files/fcde/bar/bar-1.whl')).toEqual(['bins'])
    expect(search('files/2c26/foo')).toEqual([])
    expect(delegations.keys.size).toBe(2)
    expect(BINS_PATHS.every((pattern) => /^[a-z]+(\/\*)+$/.test(pattern))).toBe(true)
    for (const project of ['foo*', '*', 'Foo', 'foo/bar', ''])
      expect(() =>
        topDelegations({
          indexKey: key,
          binsKeys: [other],
          binsThreshold: 1,
          teams: [{ name: 'team', keys: [other], threshold: 1, projects: [project] }],
        }),
      ).toThrow(FormatError)
    expect(() => topDelegations({ indexKey: key, binsKeys: [other], binsThreshold: 2 })).toThrow(FormatError)
    expect(() =>
      topDelegations({
        indexKey: key,
        binsKeys: [other],
        binsThreshold: 1,
        teams: [{ name: 'Team', keys: [other], threshold: 1, projects: [] }],
      }),
    ).toThrow(FormatError)
  })
})

/** Public halves of well-known test keys: RFC 8032, 7.1, tests 1 and 2. */
function publicHex(which = 0): string {
  return [
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  ][which]!
}
