// The search for a target through the delegations (TUF 1.0.34, 5.6.7), and through the three profiles of bins.
import { describe, expect, test } from 'vitest'
import { binOfPath, type Profile, shardOf } from '../../../tuf/bins.ts'
import {
  DownloadError,
  ExpiredError,
  FormatError,
  LimitError,
  MismatchError,
  SignatureError,
} from '../../../tuf/errors.ts'
import type { Signer } from '../../../tuf/sign.ts'
import { delegationsTo, NOW, newSigner, Repository, text, utf8 } from './repository.ts'
import { clientOf, flipByte } from './setup.ts'

describe('the search for a target', () => {
  type Delegation = [name: string, paths: string[], terminating?: boolean]
  /** `tree` says who delegates what; `files` which role lists which path. */
  async function build(tree: Record<string, Delegation[]>, files: Record<string, string[]>) {
    const repository = await Repository.make()
    const signer = await newSigner()
    const names = new Set([
      'targets',
      ...Object.values(tree)
        .flat()
        .map(([name]) => name),
    ])
    for (const name of names) {
      const role = repository.role(name)
      role.signers = [signer]
      if (tree[name])
        role.delegations = delegationsTo(
          ...tree[name].map(
            ([child, paths, terminating = false]) =>
              [child, [signer], paths, { terminating }] as [string, Signer[], string[], object],
          ),
        )
      for (const path of files[name] ?? []) role.files.set(path, utf8(`${path} of ${name}`))
    }
    await repository.publish(...names)
    const client = clientOf(repository, await repository.newStore())
    await client.refresh()
    repository.asked()
    return {
      repository,
      client,
      asked: () => repository.asked().map((name) => name.replace(/^\d+\.(.*)\.json$/, '$1')),
    }
  }

  const rows: [
    title: string,
    tree: Record<string, Delegation[]>,
    files: Record<string, string[]>,
    path: string,
    found: string | undefined,
    visited: string[],
  ][] = [
    ['the top-level role wins', { targets: [['a', ['*']]] }, { targets: ['x'], a: ['x'] }, 'x', 'targets', []],
    [
      'the first delegation that has it wins',
      {
        targets: [
          ['a', ['*']],
          ['b', ['*']],
        ],
      },
      { a: ['x'], b: ['x'] },
      'x',
      'a',
      ['a'],
    ],
    [
      'one that lacks it is passed',
      {
        targets: [
          ['a', ['*']],
          ['b', ['*']],
        ],
      },
      { b: ['x'] },
      'x',
      'b',
      ['a', 'b'],
    ],
    [
      'one whose paths do not hold it is not read',
      {
        targets: [
          ['a', ['y*']],
          ['b', ['x?']],
        ],
      },
      { a: ['x1'], b: ['x1'] },
      'x1',
      'b',
      ['b'],
    ],
    [
      'depth first',
      {
        targets: [
          ['a', ['*']],
          ['b', ['*']],
        ],
        a: [
          ['c', ['*']],
          ['d', ['*']],
        ],
      },
      { d: ['x'], b: ['x'] },
      'x',
      'd',
      ['a', 'c', 'd'],
    ],
    [
      'a path must be held by every delegation on the way',
      { targets: [['a', ['y']]], a: [['b', ['x']]] },
      { b: ['x'] },
      'x',
      undefined,
      [],
    ],
    ['a file outside its delegation does not exist', { targets: [['a', ['y*']]] }, { a: ['x'] }, 'x', undefined, []],
    [
      'a terminating role ends the search',
      {
        targets: [
          ['a', ['*'], true],
          ['b', ['*']],
        ],
      },
      { b: ['x'] },
      'x',
      undefined,
      ['a'],
    ],
    [
      'but not for paths it does not hold',
      {
        targets: [
          ['a', ['y'], true],
          ['b', ['*']],
        ],
      },
      { b: ['x'] },
      'x',
      'b',
      ['b'],
    ],
    [
      'nor what is below it',
      {
        targets: [
          ['a', ['*'], true],
          ['b', ['*']],
        ],
        a: [['c', ['*']]],
      },
      { c: ['x'], b: ['x'] },
      'x',
      'c',
      ['a', 'c'],
    ],
    [
      'terminating further down ends everything',
      {
        targets: [
          ['a', ['*']],
          ['b', ['*']],
        ],
        a: [
          ['c', ['*'], true],
          ['d', ['*']],
        ],
      },
      { d: ['x'], b: ['x'] },
      'x',
      undefined,
      ['a', 'c'],
    ],
    ['a cycle ends', { targets: [['a', ['*']]], a: [['b', ['*']]], b: [['a', ['*']]] }, {}, 'x', undefined, ['a', 'b']],
    ['case counts', { targets: [['a', ['X']]] }, { a: ['X', 'x'] }, 'x', undefined, []],
    [
      'a star stops at a slash',
      {
        targets: [
          ['a', ['*']],
          ['b', ['*/*']],
        ],
      },
      { a: ['d/x'], b: ['d/x'] },
      'd/x',
      'b',
      ['b'],
    ],
  ]
  test.each(rows)('%s', async (_, tree, files, path, found, visited) => {
    const { client, asked } = await build(tree, files)
    const info = await client.targetInfo(path)
    expect(info?.role).toBe(found)
    expect(asked()).toEqual(visited)
    if (info) expect(text(await client.download(info))).toBe(`${path} of ${found}`)
    // What has been read is not fetched again.
    await client.targetInfo(path)
    expect(asked().filter((name) => !name.startsWith('targets/'))).toEqual([])
  })

  test('a role that cannot be loaded ends the search, even if a later one has the target', async () => {
    const { repository, client } = await build(
      {
        targets: [
          ['a', ['*']],
          ['b', ['*']],
        ],
      },
      { b: ['x'] },
    )
    repository.files.delete('1.a.json')
    await expect(client.targetInfo('x')).rejects.toThrow(DownloadError)
  })

  test('more roles than the limit prove nothing: the search fails instead of saying no', async () => {
    const chain = Object.fromEntries(
      Array.from({ length: 33 }, (_, i) => [i === 0 ? 'targets' : `r${i}`, [[`r${i + 1}`, ['*']] as Delegation]]),
    )
    const { client } = await build(chain, { r31: ['near'], r32: ['far'] })
    expect((await client.targetInfo('near'))?.role).toBe('r31')
    await expect(client.targetInfo('far')).rejects.toThrow(LimitError)
  })

  test('a role is verified for each of its delegators, though it is fetched once', async () => {
    const repository = await Repository.make()
    const [mine, yours] = [await newSigner(), await newSigner()]
    for (const [name, signer] of [
      ['a', mine],
      ['b', mine],
      ['shared', mine],
    ] as const)
      repository.role(name).signers = [signer]
    repository.role('targets').delegations = delegationsTo(['a', [mine], ['a*']], ['b', [mine], ['b*']])
    repository.role('a').delegations = delegationsTo(['shared', [mine], ['*']])
    repository.role('b').delegations = delegationsTo(['shared', [yours], ['*']])
    for (const path of ['a1', 'b1']) repository.role('shared').files.set(path, utf8(path))
    await repository.publish('targets', 'a', 'b', 'shared')
    const store = await repository.newStore()
    for (const client of [clientOf(repository, store), clientOf(repository, store)]) {
      expect((await client.targetInfo('a1'))?.role).toBe('shared')
      await expect(client.targetInfo('b1')).rejects.toThrow(SignatureError)
      expect((await client.targetInfo('a1'))?.role).toBe('shared')
    }
  })

  test.each<[title: string, lie: (repository: Repository) => Promise<void>, error: unknown]>([
    [
      'unsigned',
      async (r) => {
        r.role('a').signers = []
        await r.publish('a')
      },
      SignatureError,
    ],
    [
      'expired',
      async (r) => {
        r.role('a').expires = NOW
        await r.publish('a')
      },
      ExpiredError,
    ],
    [
      'altered',
      async (r) => {
        await r.publish('a')
        flipByte(r, '2.a.json')
      },
      MismatchError,
    ],
    [
      'of an older version',
      async (r) => {
        r.hashes = false
        await r.publish('a')
        r.files.set('2.a.json', r.files.get('1.a.json')!)
      },
      MismatchError,
    ],
    [
      'absent from snapshot',
      async (r) => {
        r.roles.delete('a')
        await r.publish('targets')
      },
      FormatError,
    ],
    [
      'below its threshold',
      async (r) => {
        const [signer] = r.role('a').signers
        r.role('targets').delegations = delegationsTo(['a', [signer!, await newSigner()], ['*'], { threshold: 2 }])
        await r.publish('targets')
      },
      SignatureError,
    ],
  ])('a delegated role that is %s is refused and not stored', async (_, lie, error) => {
    const repository = await Repository.make()
    const signer = await newSigner()
    repository.role('a').signers = [signer]
    repository.role('a').files.set('x', utf8('x'))
    repository.role('targets').delegations = delegationsTo(['a', [signer], ['*']])
    await repository.publish('targets', 'a')
    await lie(repository)
    const store = await repository.newStore()
    await expect(clientOf(repository, store).targetInfo('x')).rejects.toThrow(error as typeof FormatError)
    expect(store.puts).toEqual(['timestamp.json', 'snapshot.json', 'targets.json'])
  })

  test.each(['?', '#', '/x', '../x', '.', '..', 'a b', 'é%2F', "!'()*", '10'])(
    'a role named %j is asked for and stored under its encoded name',
    async (name) => {
      const { repository, client } = await build({ targets: [[name, ['*']]] }, { [name]: ['x'] })
      const info = await client.targetInfo('x')
      expect(info?.role).toBe(name)
      expect(repository.requests).toHaveLength(1)
      expect(repository.requests[0]).toMatch(/^1\.[A-Za-z0-9_.~%-]+\.json$/)
      expect(decodeURIComponent(repository.requests[0]!)).toBe(`1.${name}.json`)
    },
  )

  const profiles: Profile[] = [
    { kind: 'sharded', bins: 16, prefix: 'bin' },
    { kind: 'succinct', bitLength: 4, prefix: 'bin' },
    { kind: 'hashed', bins: 16, prefix: 'bin' },
  ]
  test.each(profiles)('an index of %o: pages, files and the project list are found in their roles', async (profile) => {
    const repository = await Repository.index(profile)
    const client = clientOf(repository, await repository.newStore())
    const asked = () => repository.asked().filter((name) => !name.startsWith('targets/'))
    const page = `simple/${shardOf('foo')}/foo/vnd.pypi.simple.v1.json`
    await client.refresh()
    asked()
    expect((await client.targetInfo(page))?.role).toBe(binOfPath(profile, page))
    expect(asked()).toEqual(['1.bins.json', `1.${binOfPath(profile, page)}.json`])
    expect((await client.targetInfo('simple/vnd.pypi.simple.v1.json'))?.role).toBe('index')
    expect(asked()).toEqual(['1.index.json'])
    expect(await client.targetInfo('simple/vnd.pypi.simple.v1.html')).toBeUndefined()
    expect(await client.targetInfo(`files/${shardOf('bar')}/bar/none.whl`)).toBeUndefined()
    const file = await client.targetInfo(`files/${shardOf('foo')}/foo/foo-1!2.0+x.tar.gz`)
    expect(text(await client.download(file!))).toBe('a file')
  })
})
