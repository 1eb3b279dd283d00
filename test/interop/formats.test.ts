// python-tuf, go-tuf and tuf-js read what our builders write, and what is written is what docs/design/formats.md says
// will never change.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TUF_CLIENTS } from './clients.ts'
import { prepare } from './environments.ts'
import { formatTests, strayTests } from './formats.ts'
import { filePath, PROFILES, pagePath, StaticRepository } from './static-repository.ts'

beforeAll(() => prepare(['tuf', 'gotuf']))
formatTests(TUF_CLIENTS)
strayTests(TUF_CLIENTS)

// Values are spelled out here, not imported: a constant that changes must not change its own test.
describe('frozen', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-frozen-'))
  const repositories: Record<string, StaticRepository> = {}
  beforeAll(async () => {
    for (const [kind, profile] of Object.entries(PROFILES))
      repositories[kind] = await StaticRepository.create(join(folder, kind), profile)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const signed = (kind: string, name: string) => JSON.parse(readFileSync(repositories[kind]!.path(name), 'utf8')).signed

  test('target paths', () => {
    expect(pagePath('foo', 'json')).toBe('simple/2c26/foo/vnd.pypi.simple.v1.json')
    expect(pagePath('foo', 'html')).toBe('simple/2c26/foo/vnd.pypi.simple.v1.html')
    expect(filePath('foo', 'foo-1.0.tar.gz')).toBe('files/2c26/foo/foo-1.0.tar.gz')
    expect(Object.keys(signed('sharded', '1.index.json').targets)).toEqual([
      'simple/vnd.pypi.simple.v1.html',
      'simple/vnd.pypi.simple.v1.json',
    ])
  })

  test('what targets delegates, in this order', () => {
    for (const kind of Object.keys(PROFILES)) {
      const roles = signed(kind, '1.targets.json').delegations.roles
      expect(roles.map(({ name, terminating, paths }: Record<string, unknown>) => [name, terminating, paths])).toEqual([
        ['team-by-hand', true, ['simple/6002/by-hand/*', 'files/6002/by-hand/*']],
        ['index', true, ['simple/vnd.pypi.simple.v1.json', 'simple/vnd.pypi.simple.v1.html']],
        ['bins', false, ['simple/*/*/*', 'files/*/*/*', 'index/*', 'meta/*/*/*']],
      ])
    }
  })

  test('what bins delegates', () => {
    const sharded = signed('sharded', '1.bins.json').delegations.roles
    expect(sharded).toHaveLength(256)
    expect(sharded[0x2c]).toMatchObject({ name: 'bin-2c', terminating: false, threshold: 1 })
    expect(sharded[0x2c].paths).toEqual(['simple/2c*/*/*', 'files/2c*/*/*'])
    const hashed = signed('hashed', '1.bins.json').delegations.roles
    expect(hashed).toHaveLength(256)
    expect(hashed[0x2c]).toMatchObject({ name: 'bin-2c', terminating: false, path_hash_prefixes: ['2c'] })
    const { succinct_roles: succinct, roles } = signed('succinct', '1.bins.json').delegations
    expect(roles).toBeUndefined()
    expect(succinct).toMatchObject({ bit_length: 8, name_prefix: 'bin', threshold: 1 })
  })

  test('targets carry a length and sha256, nothing else', () => {
    for (const [kind, repository] of Object.entries(repositories))
      for (const [role, { version }] of repository.roles)
        for (const target of Object.values(
          signed(kind, role === 'timestamp' ? 'timestamp.json' : `${version}.${role}.json`).targets ?? {},
        ))
          expect(target).toEqual({
            length: expect.any(Number),
            hashes: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
          })
  })

  test('snapshot lists every role but root, and no length for targets', () => {
    const { meta } = signed('sharded', '1.snapshot.json')
    expect(Object.keys(meta)).toHaveLength(256 + 4)
    expect(meta['root.json']).toBeUndefined()
    expect(meta['targets.json']).toEqual({ version: 1, hashes: { sha256: expect.any(String) } })
    expect(meta['bins.json']).toEqual({
      version: 1,
      length: expect.any(Number),
      hashes: { sha256: expect.any(String) },
    })
    expect(signed('sharded', 'timestamp.json').meta).toEqual({
      'snapshot.json': { version: 1, length: expect.any(Number), hashes: { sha256: expect.any(String) } },
    })
  })

  test('versions of the format, dates without milliseconds, keys named by their hash', () => {
    const root = signed('sharded', '1.root.json')
    expect(root).toMatchObject({ spec_version: '1.0.0', consistent_snapshot: true })
    expect(root.expires).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(Object.keys(root.roles).sort()).toEqual(['root', 'snapshot', 'targets', 'timestamp'])
    for (const key of Object.values(root.keys))
      expect(Object.keys(key as object)).toEqual(['keytype', 'keyval', 'scheme'])
  })
})
