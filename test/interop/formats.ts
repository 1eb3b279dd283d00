// Our formats against real TUF clients: one table of who reads what, and the cases that hold each entry to it. The
// table is that of docs/design/formats.md.
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest'
import { binOfPath, INDEX_PATHS, type Profile } from '../../tuf/bins.ts'
import { clientVersion, type Driver, driver, type Repository, type TufClient } from './clients.ts'
import { filePath, PROFILES, pagePath, StaticRepository, TEAM_PROJECT } from './static-repository.ts'
import { type StaticServer, serveFolder } from './static-server.ts'

/**
 * `all`: every target is found. `unbinned`: only what is not in a bin (the project list, teams' projects); everything
 * else is "not found". `refused`: the repository cannot be loaded.
 */
type Reading = 'all' | 'unbinned' | 'refused'

export const READS: Record<TufClient, Record<Profile['kind'], Reading>> = {
  'python-tuf': { sharded: 'all', succinct: 'all', hashed: 'all' },
  'tuf-js': { sharded: 'all', succinct: 'all', hashed: 'all' },
  // path_hash_prefixes are compared with the base64 of the digest: go-tuf#783, in no release.
  'go-tuf': { sharded: 'all', succinct: 'all', hashed: 'unbinned' },
  // succinct_roles do not parse: "missing field `roles`".
  tough: { sharded: 'all', succinct: 'refused', hashed: 'all' },
}

/**
 * Who, by what the online key lists where it should not, can be made to take a file that its owner never signed: nobody.
 * `refused` is the whole repository, for everybody who uses that client.
 */
export const STRAYS: Record<TufClient, Record<'of a team' | 'of another bin', 'not found' | 'refused'>> = {
  'python-tuf': { 'of a team': 'not found', 'of another bin': 'not found' },
  'tuf-js': { 'of a team': 'not found', 'of another bin': 'not found' },
  'go-tuf': { 'of a team': 'not found', 'of another bin': 'not found' },
  tough: { 'of a team': 'not found', 'of another bin': 'refused' },
}

/** Targets that no repository here has: a project never heard of, a file of a known one, a depth nobody is given. */
const ABSENT = [
  pagePath('never-heard-of', 'json'),
  filePath('sample', 'sample-9.9.tar.gz'),
  filePath(TEAM_PROJECT, 'by_hand-9.9.tar.gz'),
  'elsewhere/x/y/z/w',
]

/** Defines the tests of these clients against every profile. */
export function formatTests(clients: readonly TufClient[]): void {
  describe.for(Object.keys(PROFILES) as Profile['kind'][])('%s', (kind) => {
    let scratch: string
    let repository: StaticRepository
    let server: StaticServer
    let location: Repository
    beforeAll(async () => {
      scratch = mkdtempSync(join(tmpdir(), 'tuf-edge-formats-'))
      repository = await StaticRepository.create(join(scratch, 'repository'), PROFILES[kind])
      server = await serveFolder(repository.folder)
      location = {
        root: join(repository.folder, 'initial_root.json'),
        metadataUrl: `${server.url}metadata/`,
        targetsUrl: `${server.url}targets/`,
      }
    })
    afterAll(async () => {
      await server.close()
      rmSync(scratch, { recursive: true, force: true })
    })

    describe.for([...clients])('%s', (name) => {
      const reading = READS[name][kind]
      let folders = 0
      const fresh = (context: TestContext): Promise<Driver> =>
        driver(context, name, location, join(scratch, `${name}-${folders++}`))

      test(`the table names this release, ${clientVersion(name)}`, () => {
        const table = readFileSync(new URL('../../docs/design/formats.md', import.meta.url), 'utf8')
        const rows = table.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
        const row = rows.find(([, first]) => first === `${name} ${clientVersion(name)}`)
        expect(row, `docs/design/formats.md has no row "${name} ${clientVersion(name)}"`).toBeDefined()
        const cell = row![2 + Object.keys(PROFILES).indexOf(kind)]!
        expect(/^\w+/.exec(cell)?.[0]).toBe({ all: 'yes', unbinned: 'no', refused: 'no' }[reading])
      })

      if (reading === 'refused') {
        test('cannot load the repository', async (context) => {
          const { status, lines } = await (await fresh(context)).refresh()
          expect(status).toBe(1)
          expect(lines[0]!.error).toContain('roles')
        })
        return
      }

      test('refreshes, and downloads every page, file and list', async (context) => {
        const client = await fresh(context)
        const { lines } = await client.refresh()
        const versions = [...repository.roles].map(([role, { version }]) => [role, version])
        expect(lines).toEqual([{ ok: true, version: expect.objectContaining(topLevel(versions)) }])
        await expectTargets(client, reading, repository)
      })

      test('does not find what is not there', async (context) => {
        const { status, lines } = await (await fresh(context)).download(ABSENT)
        expect(status).toBe(1)
        expect(lines).toEqual(ABSENT.map((target) => ({ ok: false, target, error: 'not found' })))
      })

      test('a warm client follows a publication', async (context) => {
        const client = await fresh(context)
        await client.refresh()
        const added = filePath('sample', `sample-2.${folders}.tar.gz`)
        await repository.publish({ [added]: Buffer.from('a new file') })
        const { lines } = await client.download([added, pagePath('sample', 'json')])
        if (reading === 'all') expect(lines.map(({ ok }) => ok)).toEqual([true, true])
        await expectTargets(client, reading, repository)
      })

      test('keeps its snapshot over a timestamp that was only renewed', async (context) => {
        const client = await fresh(context)
        const before = (await client.refresh()).lines[0]!.version!
        await repository.tick()
        const from = server.log.length
        const after = (await client.refresh()).lines[0]!.version!
        expect(after).toEqual({ ...before, timestamp: before.timestamp + 1 })
        const asked = server.log.slice(from).map((line) => line.split('/').at(-1)!.replace(/ .*/, ''))
        expect(asked).toContain('timestamp.json')
        // tough keeps no delegated role: it reads everything again.
        if (name !== 'tough') expect(asked).toEqual([`${before.root + 1}.root.json`, 'timestamp.json'])
      })

      test('refuses an older timestamp', async (context) => {
        const client = await fresh(context)
        const old = readFileSync(repository.path('timestamp.json'))
        await repository.tick()
        await client.refresh()
        const newest = readFileSync(repository.path('timestamp.json'))
        writeFileSync(repository.path('timestamp.json'), old)
        const restore = () => writeFileSync(repository.path('timestamp.json'), newest)
        const { status, lines } = await client.refresh().finally(restore)
        expect(status).toBe(1)
        expect(lines[0]!.error).toMatch(/version|older/i)
      })

      test('refuses a timestamp past its date', async (context) => {
        const client = await fresh(context)
        await repository.tick(-1)
        const { status, lines } = await client.refresh().finally(() => repository.tick())
        expect(status).toBe(1)
        expect(lines[0]!.error).toMatch(/expired/i)
      })

      // tough cannot be told the time.
      test.skipIf(name === 'tough')('refuses a timestamp that was good yesterday', async (context) => {
        const client = await fresh(context)
        const tomorrow = new Date(Date.now() + 2 * 86_400_000).toISOString().replace(/\.\d+/, '')
        expect((await client.refresh()).status).toBe(0)
        const { status, lines } = await client.refresh({ time: tomorrow })
        expect(status).toBe(1)
        expect(lines[0]!.error).toMatch(/expired/i)
      })

      test('refuses a target with other bytes', async (context) => {
        const path = INDEX_PATHS[0]!
        const good = repository.targets.get(path)!
        const bad = Buffer.from(good)
        bad[0]! ^= 1
        const client = await fresh(context)
        writeTarget(repository, path, good, bad)
        const { status, lines } = await client.download([path]).finally(() => writeTarget(repository, path, good, good))
        expect(status).toBe(1)
        expect(lines[0]).toMatchObject({ ok: false, target: path })
        expect(lines[0]!.error).not.toBe('not found')
      })
    })
  })
}

/** Defines the tests of what an abused online key can do with a bin. */
export function strayTests(clients: readonly TufClient[]): void {
  const strays = {
    'of a team': filePath(TEAM_PROJECT, 'by_hand-6.6.tar.gz'),
    'of another bin': filePath('sample', 'sample-6.6.tar.gz'),
  }
  describe.for(['of a team', 'of another bin'] as const)('a bin that lists a file %s', (kind) => {
    const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-strays-'))
    let server: StaticServer
    beforeAll(async () => {
      const repository = await StaticRepository.create(join(folder, 'repository'), PROFILES.sharded)
      const bin = binOfPath(PROFILES.sharded, strays[kind])
      await repository.stray(kind === 'of a team' ? bin : bin === 'bin-00' ? 'bin-01' : 'bin-00', strays[kind])
      server = await serveFolder(repository.folder)
    })
    afterAll(async () => {
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    })

    test.for([...clients])('%s', async (name, context) => {
      const location = {
        root: join(folder, 'repository', 'initial_root.json'),
        metadataUrl: `${server.url}metadata/`,
        targetsUrl: `${server.url}targets/`,
      }
      const client = await driver(context, name, location, join(folder, name))
      const { lines } = await client.download([strays[kind]])
      const expected = STRAYS[name][kind]
      if (expected === 'refused') expect(lines).toEqual([{ ok: false, error: expect.stringContaining('delegat') }])
      else expect(lines).toEqual([{ ok: false, target: strays[kind], error: 'not found' }])
    })
  })
}

async function expectTargets(client: Driver, reading: Reading, repository: StaticRepository): Promise<void> {
  const { lines } = await client.download([...repository.targets.keys()])
  const expected = [...repository.targets].map(([target, bytes]) => {
    const role = repository.roleOf(target)
    return reading === 'unbinned' && role.startsWith(`${repository.profile.prefix}-`)
      ? { ok: false, target, error: 'not found' }
      : { ok: true, target, path: expect.any(String), sha256: sha256(bytes) }
  })
  expect(lines).toEqual(expected)
}

function topLevel(versions: (string | number)[][]): Record<string, number> {
  const all = Object.fromEntries(versions)
  return { root: all.root, timestamp: all.timestamp, snapshot: all.snapshot, targets: all.targets }
}

/** Puts bytes where clients look for the good ones. */
function writeTarget(repository: StaticRepository, path: string, good: Buffer, bytes: Buffer): void {
  const cut = path.lastIndexOf('/') + 1
  const names = [`${path.slice(0, cut)}${sha256(good)}.${path.slice(cut)}`, `${sha256(good)}.${path}`]
  for (const name of names) writeFileSync(join(repository.folder, 'targets', name), bytes)
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
