// The verifying client against a repository in memory that can be made to lie. Named after what a client must do
// (TUF 1.0.34, 5; the behaviours of tuf-conformance, and bounds that it does not cover).
import { describe, expect, test } from 'vitest'
import { binOfPath, type Profile, shardOf } from '../../../tuf/bins.ts'
import { rootSigned, snapshotSigned, timestampSigned } from '../../../tuf/build.ts'
import { Client, initStore } from '../../../tuf/client.ts'
import { sha256Hex } from '../../../tuf/digest.ts'
import {
  DownloadError,
  ExpiredError,
  FormatError,
  LimitError,
  MismatchError,
  RollbackError,
  SignatureError,
  UsageError,
} from '../../../tuf/errors.ts'
import type { Limits } from '../../../tuf/limits.ts'
import { type Signer, signRole } from '../../../tuf/sign.ts'
import { readAll, verifiedStream } from '../../../tuf/stream.ts'
import { type Transport, webTransport } from '../../../tuf/transport.ts'
import { TrustedSet } from '../../../tuf/trusted.ts'
import {
  BASE,
  DAY,
  delegationsTo,
  MemoryStore,
  NOW,
  newSigner,
  Repository,
  streamOf,
  text,
  utf8,
} from './repository.ts'

interface Setup {
  now?: number
  limits?: Partial<Limits>
  transport?: Transport
}

/** A client as a new process would start it over this store. */
function clientOf(
  repository: Repository,
  store: MemoryStore,
  { now = NOW, limits = {}, transport }: Setup = {},
): Client {
  return new Client({
    store,
    transport: transport ?? repository.transport(),
    metadataUrl: BASE,
    targetsUrl: `${BASE}targets/`,
    now: () => now,
    limits,
  })
}

async function setUp(): Promise<{ repository: Repository; store: MemoryStore }> {
  const repository = await Repository.make()
  return { repository, store: await repository.newStore() }
}

/** The stored file of each role is exactly what was served under this name. */
function expectStored(store: MemoryStore, repository: Repository, files: Record<string, string>): void {
  for (const [stored, served] of Object.entries(files))
    expect(text(store.files.get(stored)!), stored).toBe(text(repository.files.get(served)!))
}

describe('a refresh', () => {
  test('asks for four files when it is new, for two when nothing has changed, and stores what it got byte for byte', async () => {
    const { repository, store } = await setUp()
    await clientOf(repository, store).refresh()
    expect(repository.asked()).toEqual(['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json'])
    const names = {
      'root.json': '1.root.json',
      'timestamp.json': 'timestamp.json',
      'snapshot.json': '1.snapshot.json',
      'targets.json': '1.targets.json',
    }
    expectStored(store, repository, names)

    store.puts.length = 0
    await clientOf(repository, store).refresh()
    expect(repository.asked()).toEqual(['2.root.json', 'timestamp.json'])
    expect(store.puts).toEqual([])

    await repository.publish('targets')
    await clientOf(repository, store).refresh()
    expect(repository.asked()).toEqual(['2.root.json', 'timestamp.json', '2.snapshot.json', '2.targets.json'])
    expect(store.puts).toEqual(['timestamp.json', 'snapshot.json', 'targets.json'])
  })

  test('asks for nothing when the store has no root, or one that is not signed', async () => {
    const { repository, store } = await setUp()
    await expect(clientOf(repository, new MemoryStore()).refresh()).rejects.toThrow(UsageError)
    const unsigned = utf8(text(store.files.get('root.json')!).replace(/"sig":"[^"]*"/, '"sig":""'))
    await expect(initStore(new MemoryStore(), unsigned)).rejects.toThrow(SignatureError)
    await expect(initStore(new MemoryStore(), utf8('{}'))).rejects.toThrow(FormatError)
    store.files.set('root.json', unsigned)
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(SignatureError)
    expect(repository.asked()).toEqual([])
  })

  test('replaces kept files that are damaged', async () => {
    const { repository, store } = await setUp()
    await clientOf(repository, store).refresh()
    for (const name of ['timestamp.json', 'snapshot.json', 'targets.json']) store.files.set(name, utf8('{"cut'))
    await clientOf(repository, store).refresh()
    expectStored(store, repository, {
      'timestamp.json': 'timestamp.json',
      'snapshot.json': '1.snapshot.json',
      'targets.json': '1.targets.json',
    })
  })

  test('a kept snapshot that is not the one the timestamp names by digest is fetched again', async () => {
    const { repository, store } = await setUp()
    await clientOf(repository, store).refresh()
    // The same version with other, well-signed content.
    const other = snapshotSigned({ version: 1, expiresMs: NOW + 9 * DAY, meta: [['targets', { version: 1 }]] })
    store.files.set('snapshot.json', await signRole(other, repository.signers.snapshot))
    await clientOf(repository, store).refresh()
    expectStored(store, repository, { 'snapshot.json': '1.snapshot.json' })
  })

  test('overlapping calls share one run, and look-ups go on with the former state', async () => {
    const { repository, store } = await setUp()
    const client = clientOf(repository, store)
    await Promise.all([client.refresh(), client.refresh()])
    expect(repository.asked()).toHaveLength(4)
    const before = client.trusted
    repository.files.set('timestamp.json', utf8('{}'))
    await expect(client.refresh()).rejects.toThrow(FormatError)
    expect(client.trusted).toBe(before)
    expect(await client.targetInfo('nothing')).toBeUndefined()
  })

  test('reads repositories without consistent snapshots under plain names', async () => {
    const repository = await Repository.make()
    repository.role('targets').files.set('a/b.txt', utf8('content'))
    await repository.publish('targets')
    const root = new Map(
      rootSigned({
        version: 1,
        expiresMs: NOW + DAY,
        keys: Object.values(repository.signers).map(([signer]) => signer!.key),
        roles: rolesOf(repository),
      }),
    )
    root.set('consistent_snapshot', false)
    const files = new Map([
      ['timestamp.json', repository.files.get('timestamp.json')!],
      ['snapshot.json', repository.files.get('2.snapshot.json')!],
      ['targets.json', repository.files.get('2.targets.json')!],
      ['targets/a/b.txt', utf8('content')],
    ])
    repository.files.clear()
    for (const [name, bytes] of files) repository.files.set(name, bytes)
    const store = new MemoryStore()
    await initStore(store, await signRole(root, repository.signers.root))
    const client = clientOf(repository, store)
    const info = await client.targetInfo('a/b.txt')
    expect(text(await client.download(info!))).toBe('content')
  })
})

describe('the root chain', () => {
  // Each row: keys, threshold and signatures of root 1, 2, …; all must be taken, or the last one refused.
  type Step = [keys: string, threshold: number, signatures: string]
  const rows: [title: string, steps: Step[], refused: boolean][] = [
    [
      'one key replaced, signed by both',
      [
        ['a', 1, 'a'],
        ['b', 1, 'ab'],
        ['b', 1, 'b'],
      ],
      false,
    ],
    [
      'signatures of strangers do not matter',
      [
        ['a', 1, 'xay'],
        ['b', 1, 'xbay'],
        ['b', 1, 'ybx'],
      ],
      false,
    ],
    [
      'not signed by the old key',
      [
        ['a', 1, 'a'],
        ['b', 1, 'bxy'],
      ],
      true,
    ],
    [
      'not signed by the new key',
      [
        ['a', 1, 'a'],
        ['b', 1, 'axy'],
      ],
      true,
    ],
    [
      'not signed',
      [
        ['a', 1, 'a'],
        ['a', 1, ''],
      ],
      true,
    ],
    [
      'another quorum each time',
      [
        ['abcde', 3, 'ace'],
        ['abcde', 3, 'bde'],
        ['abcde', 3, 'abd'],
        ['abcde', 3, 'cde'],
      ],
      false,
    ],
    [
      'two of three are not enough',
      [
        ['abcde', 3, 'ace'],
        ['abcde', 3, 'bd'],
      ],
      true,
    ],
    [
      'one of five replaced, quorum in both',
      [
        ['abcde', 3, 'ace'],
        ['abdef', 3, 'abe'],
      ],
      false,
    ],
    [
      'one of five replaced, no quorum of the new',
      [
        ['abcde', 3, 'ace'],
        ['abdef', 3, 'ace'],
      ],
      true,
    ],
    [
      'one of five replaced, no quorum of the old',
      [
        ['abcde', 3, 'ace'],
        ['abdef', 3, 'aef'],
      ],
      true,
    ],
    [
      'all replaced, both quorums sign the step',
      [
        ['abcde', 3, 'ace'],
        ['fghij', 3, 'acefgh'],
        ['fghij', 3, 'fgj'],
      ],
      false,
    ],
    [
      'all replaced, only the new sign',
      [
        ['abcde', 3, 'ace'],
        ['fghij', 3, 'fgh'],
      ],
      true,
    ],
    [
      'threshold raised and met',
      [
        ['abc', 1, 'a'],
        ['abc', 2, 'ab'],
        ['abc', 2, 'bc'],
      ],
      false,
    ],
    [
      'threshold raised and not met',
      [
        ['abc', 1, 'a'],
        ['abc', 2, 'a'],
      ],
      true,
    ],
    [
      'threshold lowered, the old one met',
      [
        ['abc', 2, 'ab'],
        ['abc', 1, 'ab'],
        ['abc', 1, 'c'],
      ],
      false,
    ],
    [
      'threshold lowered, the old one not met',
      [
        ['abc', 2, 'ab'],
        ['abc', 1, 'a'],
      ],
      true,
    ],
    [
      'a removed key no longer counts',
      [
        ['ab', 1, 'a'],
        ['b', 1, 'ab'],
        ['b', 1, 'a'],
      ],
      true,
    ],
  ]

  test.each(rows)('%s', async (_, steps, refused) => {
    const repository = await Repository.make()
    const people = new Map<string, Signer>()
    for (const name of 'abcdefghijxy') people.set(name, await newSigner())
    const signers = (names: string) => [...names].map((name) => people.get(name)!)
    repository.versions.root = 0
    for (const [keys, threshold, signatures] of steps) {
      repository.signers.root = signers(keys)
      repository.thresholds.root = threshold
      await repository.publishRoot(signers(signatures))
    }
    const store = await repository.newStore()
    const refresh = clientOf(repository, store).refresh()
    const last = refused ? steps.length - 1 : steps.length
    if (refused) await expect(refresh).rejects.toThrow(SignatureError)
    else await refresh
    expectStored(store, repository, { 'root.json': `${last}.root.json` })
    // Nothing below a chain that broke is looked at.
    if (refused) expect(repository.requests).not.toContain('timestamp.json')
  })

  test.each([[-1], [0], [2]])('a root whose version differs by %i from what follows is refused', async (step) => {
    const { repository, store } = await setUp()
    await repository.publishRoot()
    await clientOf(repository, store).refresh()
    repository.versions.root = 2 + step - 1
    const bytes = await repository.publishRoot()
    repository.files.set('3.root.json', bytes)
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(RollbackError)
    expectStored(store, repository, { 'root.json': '2.root.json' })
  })

  test('roots on the way may be expired; an expired last one is stored, and refused', async () => {
    const { repository, store } = await setUp()
    repository.expires.root = NOW - DAY
    await repository.publishRoot()
    await repository.publishRoot()
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(ExpiredError)
    expectStored(store, repository, { 'root.json': '3.root.json' })
    expect(repository.asked()).toEqual(['2.root.json', '3.root.json', '4.root.json', 'timestamp.json'])
    expect(store.files.has('timestamp.json')).toBe(false)
    repository.expires.root = NOW + DAY
    await repository.publishRoot()
    await clientOf(repository, store).refresh()
    expectStored(store, repository, { 'root.json': '4.root.json' })
  })

  test('a refresh takes at most so many roots, the next one the rest', async () => {
    const { repository, store } = await setUp()
    for (let i = 0; i < 5; i++) await repository.publishRoot()
    await clientOf(repository, store, { limits: { rootRotations: 3 } }).refresh()
    expectStored(store, repository, { 'root.json': '4.root.json' })
    await clientOf(repository, store, { limits: { rootRotations: 3 } }).refresh()
    expectStored(store, repository, { 'root.json': '6.root.json' })
  })

  test.each([403, 410, 500, 503, 301])(
    'status %i for the next root is a failure, not the end of the chain',
    async (status) => {
      const { repository, store } = await setUp()
      const transport: Transport = {
        fetch: async (url, max) =>
          url.endsWith('2.root.json') ? { status, body: streamOf(utf8('')) } : repository.transport().fetch(url, max),
      }
      await expect(clientOf(repository, store, { transport }).refresh()).rejects.toMatchObject({
        code: 'download',
        status,
      })
    },
  )
})

describe('timestamp, snapshot and targets', () => {
  // What is wrong, how it is made (after a first good refresh at version 1), what is thrown, and what stays stored.
  const rows: [title: string, lie: (repository: Repository) => Promise<void>, error: unknown, stored: string[]][] = [
    [
      'an unsigned timestamp',
      async (r) => {
        r.signers.timestamp = []
        await r.publish('targets')
      },
      SignatureError,
      [],
    ],
    [
      'a timestamp signed by a stranger',
      async (r) => {
        r.signers.timestamp = [await newSigner()]
        await r.publish('targets')
      },
      SignatureError,
      [],
    ],
    [
      'an expired timestamp',
      async (r) => {
        r.expires.timestamp = NOW
        await r.publish('targets')
      },
      ExpiredError,
      [],
    ],
    [
      'a timestamp of another role',
      async (r) => {
        r.files.set('timestamp.json', r.files.get('1.snapshot.json')!)
      },
      FormatError,
      [],
    ],
    [
      'a snapshot of another version than its name',
      async (r) => {
        r.files.set('2.snapshot.json', r.files.get('1.snapshot.json')!)
        r.versions.snapshot = 2
        await r.publishTimestamp()
      },
      MismatchError,
      ['timestamp.json'],
    ],
    [
      'a snapshot that is missing',
      async (r) => {
        await r.publish('targets')
        r.files.delete('2.snapshot.json')
      },
      DownloadError,
      ['timestamp.json'],
    ],
    [
      'an unsigned snapshot',
      async (r) => {
        r.signers.snapshot = []
        await r.publish('targets')
      },
      SignatureError,
      ['timestamp.json'],
    ],
    [
      'an expired snapshot',
      async (r) => {
        r.expires.snapshot = NOW
        await r.publish('targets')
      },
      ExpiredError,
      ['timestamp.json'],
    ],
    [
      'a snapshot with another digest',
      async (r) => {
        await r.publish('targets')
        flipByte(r, '2.snapshot.json')
      },
      MismatchError,
      ['timestamp.json'],
    ],
    [
      'a longer snapshot',
      async (r) => {
        await r.publish('targets')
        append(r, '2.snapshot.json')
      },
      LimitError,
      ['timestamp.json'],
    ],
    [
      'a shorter snapshot',
      async (r) => {
        await r.publish('targets')
        r.files.set('2.snapshot.json', r.files.get('2.snapshot.json')!.slice(1))
      },
      MismatchError,
      ['timestamp.json'],
    ],
    [
      'the old snapshot under the new name',
      async (r) => {
        await r.publish('targets')
        r.files.set('2.snapshot.json', r.files.get('1.snapshot.json')!)
      },
      MismatchError,
      ['timestamp.json'],
    ],
    [
      'targets that are missing',
      async (r) => {
        await r.publish('targets')
        r.files.delete('2.targets.json')
      },
      DownloadError,
      ['timestamp.json', 'snapshot.json'],
    ],
    [
      'unsigned targets',
      async (r) => {
        r.signers.targets = []
        await r.publish('targets')
      },
      SignatureError,
      ['timestamp.json', 'snapshot.json'],
    ],
    [
      'expired targets',
      async (r) => {
        r.role('targets').expires = NOW
        await r.publish('targets')
      },
      ExpiredError,
      ['timestamp.json', 'snapshot.json'],
    ],
    [
      'targets with another digest',
      async (r) => {
        await r.publish('targets')
        flipByte(r, '2.targets.json')
      },
      MismatchError,
      ['timestamp.json', 'snapshot.json'],
    ],
    [
      'old targets under the new name',
      async (r) => {
        r.hashes = false
        await r.publish('targets')
        r.files.set('2.targets.json', r.files.get('1.targets.json')!)
      },
      MismatchError,
      ['timestamp.json', 'snapshot.json'],
    ],
    [
      'an endless timestamp',
      async (r) => {
        r.files.set('timestamp.json', new Uint8Array(20_000))
      },
      LimitError,
      [],
    ],
  ]

  test.each(rows)('%s: refused, not stored, earlier steps stay', async (_, lie, error, stored) => {
    const { repository, store } = await setUp()
    await clientOf(repository, store).refresh()
    const before = new Map(store.files)
    await lie(repository)
    store.puts.length = 0
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(error as typeof FormatError)
    expect(store.puts).toEqual(stored)
    for (const [name, bytes] of before) if (!stored.includes(name)) expect(store.files.get(name)).toEqual(bytes)
  })

  test('an older timestamp, or one that names an older snapshot, is refused', async () => {
    const { repository, store } = await setUp()
    const first = repository.files.get('timestamp.json')!
    await repository.publish('targets')
    await clientOf(repository, store).refresh()
    const kept = store.files.get('timestamp.json')!

    repository.files.set('timestamp.json', first)
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(RollbackError)
    repository.versions = { ...repository.versions, timestamp: 7, snapshot: 1 }
    await repository.publishTimestamp()
    await expect(clientOf(repository, store).refresh()).rejects.toThrow('snapshot in timestamp has version 1')
    repository.versions = { ...repository.versions, timestamp: 0, snapshot: 2 }
    await repository.publishTimestamp()
    await expect(clientOf(repository, store).refresh()).rejects.toThrow('timestamp has version 1')
    expect(store.files.get('timestamp.json')).toBe(kept)
  })

  test('a timestamp of the same version changes nothing, whatever it says', async () => {
    const { repository, store } = await setUp()
    await clientOf(repository, store).refresh()
    repository.versions.timestamp = 0
    repository.expires.timestamp = NOW + 99 * DAY
    await repository.publishSnapshot()
    await repository.publishTimestamp()
    await clientOf(repository, store).refresh()
    expect(JSON.parse(text(store.files.get('timestamp.json')!)).signed.meta['snapshot.json'].version).toBe(1)
    // And it cannot make an expired one live longer.
    await expect(clientOf(repository, store, { now: NOW + 2 * DAY }).refresh()).rejects.toThrow(ExpiredError)
  })

  test('a kept timestamp that has expired still forbids older ones, and does not stop newer ones', async () => {
    const { repository, store } = await setUp()
    const first = repository.files.get('timestamp.json')!
    await repository.publish('targets')
    await clientOf(repository, store).refresh()
    const later = { now: NOW + 2 * DAY }
    repository.files.set('timestamp.json', first)
    await expect(clientOf(repository, store, later).refresh()).rejects.toThrow(RollbackError)
    repository.expires.timestamp = repository.expires.snapshot = NOW + 9 * DAY
    await repository.publish()
    await clientOf(repository, store, later).refresh()
  })

  test('a snapshot that lowers or drops a role is refused, also after the kept one has expired', async () => {
    const { repository, store } = await setUp()
    repository.role('team').signers = [await newSigner()]
    await repository.publish('targets', 'team')
    await clientOf(repository, store).refresh()
    const later = { now: NOW + 2 * DAY }
    repository.expires.timestamp = repository.expires.snapshot = NOW + 9 * DAY

    const team = repository.role('team')
    repository.roles.delete('team')
    await repository.publish('targets')
    for (const setup of [{}, later])
      await expect(clientOf(repository, store, setup).refresh()).rejects.toThrow('no longer lists the role "team"')
    repository.roles.set('team', team)
    repository.role('targets').version = 0
    await repository.publish('targets')
    for (const setup of [{}, later])
      await expect(clientOf(repository, store, setup).refresh()).rejects.toThrow(RollbackError)
    expect(JSON.parse(text(store.files.get('snapshot.json')!)).signed.version).toBe(2)
  })

  test('new timestamp and snapshot keys let a repository come back from versions an attacker raised', async () => {
    const { repository, store } = await setUp()
    repository.versions.timestamp = repository.versions.snapshot = 90_000
    repository.role('targets').version = 90_000
    await repository.publish('targets')
    await clientOf(repository, store).refresh()

    repository.versions.timestamp = repository.versions.snapshot = 10
    repository.role('targets').version = 10
    await repository.publish('targets')
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(RollbackError)
    repository.signers.timestamp = [await newSigner()]
    repository.signers.snapshot = [await newSigner()]
    await repository.publishRoot()
    await repository.publish('targets')
    await clientOf(repository, store).refresh()
    expectStored(store, repository, {
      'timestamp.json': 'timestamp.json',
      'snapshot.json': '12.snapshot.json',
      'targets.json': '12.targets.json',
    })
  })

  test('a new timestamp key alone does not let the snapshot go back', async () => {
    const { repository, store } = await setUp()
    repository.role('targets').version = 90
    await repository.publish('targets')
    await clientOf(repository, store).refresh()
    repository.role('targets').version = 10
    repository.signers.timestamp = [await newSigner()]
    await repository.publishRoot()
    await repository.publish('targets')
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(RollbackError)
  })

  test('a planned rotation in two roots has no step at which a client fails', async () => {
    const { repository, store } = await setUp()
    const old = repository.signers
    const next = { timestamp: [await newSigner()], snapshot: [await newSigner()], targets: [await newSigner()] }
    const check = async () => {
      await clientOf(repository, store).refresh()
      await clientOf(repository, await repository.newStore()).refresh()
    }
    await check()
    repository.signers = {
      root: old.root,
      timestamp: [...old.timestamp, ...next.timestamp],
      snapshot: [...old.snapshot, ...next.snapshot],
      targets: [...old.targets, ...next.targets],
    }
    await repository.publishRoot()
    await check()
    repository.signers = { root: old.root, ...next }
    await repository.publish('targets')
    await check()
    await repository.publishRoot()
    await check()
  })

  test('limits hold where nothing is signed about a length, and a signed length replaces them', async () => {
    const { repository, store } = await setUp()
    const limits = { snapshotBytes: 100, targetsBytes: 100 }
    // The timestamp gives the snapshot's length; nothing gives that of targets.
    await expect(clientOf(repository, store, { limits }).refresh()).rejects.toThrow(
      '1.targets.json is longer than the 100 bytes',
    )
    expect(store.files.has('snapshot.json')).toBe(true)
  })

  test('a snapshot larger than the default limit is read when its length is signed', async () => {
    const { repository, store } = await setUp()
    const meta = [
      ['targets', { version: 1 }] as const,
      ...Array.from(
        { length: 16_384 },
        (_, i) => [`bin-${i}`, { version: 1, length: 9, sha256: 'ab'.repeat(32) }] as const,
      ),
    ]
    const snapshot = await signRole(
      snapshotSigned({ version: 2, expiresMs: NOW + DAY, meta }),
      repository.signers.snapshot,
    )
    expect(snapshot.length).toBeGreaterThan(2_000_000)
    repository.files.set('2.snapshot.json', snapshot)
    const timestamp = timestampSigned({
      version: 2,
      expiresMs: NOW + DAY,
      snapshot: { version: 2, length: snapshot.length, sha256: await sha256Hex(snapshot) },
    })
    repository.files.set('timestamp.json', await signRole(timestamp, repository.signers.timestamp))
    const started = performance.now()
    await clientOf(repository, store).refresh()
    await clientOf(repository, store).refresh()
    // tuf-js needs minutes for this; quadratic work anywhere would show.
    expect(performance.now() - started).toBeLessThan(5000)
  })
})

describe('the trusted set', () => {
  test('takes files in the order of the workflow only', async () => {
    const { repository, store } = await setUp()
    const file = (name: string) => repository.files.get(name)!
    await repository.publishRoot()
    const set = await TrustedSet.start(store.files.get('root.json')!, NOW)
    await expect(set.updateSnapshot(file('1.snapshot.json'))).rejects.toThrow(UsageError)
    await expect(set.updateTargets(file('1.targets.json'))).rejects.toThrow(UsageError)
    expect(await set.updateTimestamp(file('timestamp.json'))).toBe(true)
    expect(await set.updateTimestamp(file('timestamp.json'))).toBe(false)
    await expect(set.updateRoot(file('2.root.json'))).rejects.toThrow(UsageError)
    await set.updateSnapshot(file('1.snapshot.json'))
    await expect(set.updateTimestamp(file('timestamp.json'))).rejects.toThrow(UsageError)
    await expect(set.updateSnapshot(file('1.snapshot.json'))).rejects.toThrow(UsageError)
    await expect(set.updateDelegated(file('1.targets.json'), 'team', 'targets')).rejects.toThrow(FormatError)
    await set.updateTargets(file('1.targets.json'))
    await expect(set.updateDelegated(file('1.targets.json'), 'targets', 'team')).rejects.toThrow(UsageError)
    expect(set.targets('targets')?.signed.version).toBe(1)
  })
})

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
    const { client } = await build(chain, { r31: ['near'], r33: ['far'] })
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

describe('a download', () => {
  const content = utf8('0123456789'.repeat(500))
  async function published() {
    const { repository, store } = await setUp()
    repository.role('targets').files.set('dir/x-y#.bin', content)
    await repository.publish('targets')
    const client = clientOf(repository, store)
    const info = (await client.targetInfo('dir/x-y#.bin'))!
    const name = `targets/dir/${await sha256Hex(content)}.x-y%23.bin`
    repository.asked()
    return { repository, client, info, name }
  }

  test('asks for the digest-prefixed, encoded name', async () => {
    const { repository, client, info, name } = await published()
    expect(await client.download(info)).toEqual(content)
    expect(repository.asked()).toEqual([name])
  })

  test.each<[string, (bytes: Uint8Array) => Uint8Array, unknown]>([
    [
      'one byte changed',
      (bytes) => {
        const copy = bytes.slice()
        copy[17]! ^= 1
        return copy
      },
      MismatchError,
    ],
    [
      'the last byte changed',
      (bytes) => {
        const copy = bytes.slice()
        copy[copy.length - 1]! ^= 1
        return copy
      },
      MismatchError,
    ],
    ['one byte less', (bytes) => bytes.slice(0, -1), MismatchError],
    ['one byte more', (bytes) => Uint8Array.from([...bytes, 0]), MismatchError],
    ['nothing', () => new Uint8Array(0), MismatchError],
  ])('%s: fails, and its reader never has the whole of it', async (_, change, error) => {
    const { repository, client, info, name } = await published()
    repository.files.set(name, change(content))
    await expect(client.download(info)).rejects.toThrow(error as typeof FormatError)
    const reader = (await client.stream(info)).getReader()
    let received = 0
    await expect(
      (async () => {
        for (let next = await reader.read(); !next.done; next = await reader.read()) received += next.value.length
      })(),
    ).rejects.toThrow(error as typeof FormatError)
    expect(received).toBeLessThan(info.length)
  })

  test('a missing target is a download error', async () => {
    const { repository, client, info, name } = await published()
    repository.files.delete(name)
    await expect(client.download(info)).rejects.toMatchObject({ code: 'download', status: 404 })
  })

  test('an endless body is cut off at the length', async () => {
    let sent = 0
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1000
        controller.enqueue(new Uint8Array(1000))
      },
      cancel() {
        cancelled = true
      },
    })
    const expected = { length: 5000, hashes: new Map([['sha256', 'ab'.repeat(32)]]) }
    await expect(readAll(verifiedStream(endless, expected, 'x'), 5000, 'x')).rejects.toThrow(MismatchError)
    expect(cancelled).toBe(true)
    expect(sent).toBeLessThan(10_000)
  })

  test('empty chunks do not push out what is withheld', async () => {
    const chunks = [content, new Uint8Array(0), new Uint8Array(0)]
    const body = () => {
      const rest = [...chunks]
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          const next = rest.shift()
          if (next) controller.enqueue(next)
          else controller.close()
        },
      })
    }
    const wrong = verifiedStream(
      body(),
      { length: content.length, hashes: new Map([['sha256', 'ab'.repeat(32)]]) },
      'x',
    ).getReader()
    await expect(wrong.read()).rejects.toThrow(MismatchError)
    const right = verifiedStream(
      body(),
      { length: content.length, hashes: new Map([['sha256', await sha256Hex(content)]]) },
      'x',
    )
    expect(await readAll(right, content.length, 'x')).toEqual(content)
  })

  test('an empty target is a target', async () => {
    const expected = { length: 0, hashes: new Map([['sha256', await sha256Hex(new Uint8Array(0))]]) }
    expect(await readAll(verifiedStream(streamOf(new Uint8Array(0)), expected, 'x'), 0, 'x')).toHaveLength(0)
  })

  test('every listed digest is checked, and an unknown one is never ignored', () => {
    const body = () => streamOf(content)
    const hashes = (entries: [string, string][]) => ({ length: content.length, hashes: new Map(entries) })
    expect(() => verifiedStream(body(), hashes([['blake2b-256', 'ab']]), 'x')).toThrow(FormatError)
    expect(() =>
      verifiedStream(
        body(),
        hashes([
          ['sha256', 'ab'],
          ['md5', 'cd'],
        ]),
        'x',
      ),
    ).toThrow(FormatError)
    expect(() => verifiedStream(body(), hashes([]), 'x')).toThrow(FormatError)
  })

  test('sha512 beside sha256 must be right too', async () => {
    const sha256 = await sha256Hex(content)
    const wrong = verifiedStream(
      streamOf(content),
      {
        length: content.length,
        hashes: new Map([
          ['sha256', sha256],
          ['sha512', 'ab'.repeat(64)],
        ]),
      },
      'x',
    )
    await expect(readAll(wrong, content.length, 'x')).rejects.toThrow('sha512')
  })
})

describe('the web transport', () => {
  test('turns a broken connection into a download error, and leaves HTTP errors to the client', async () => {
    const broken = webTransport({
      fetch: async () => {
        throw new TypeError('fetch failed.')
      },
    })
    await expect(broken.fetch('http://x.test/', 1)).rejects.toThrow(
      new DownloadError('Fetching http://x.test/ failed: fetch failed.'),
    )
    const missing = webTransport({ fetch: async () => new Response(null, { status: 404 }) })
    const answer = await missing.fetch('http://x.test/', 1)
    expect(answer.status).toBe(404)
    expect(await readAll(answer.body, 0, 'x')).toHaveLength(0)
  })

  test('cuts off a server that never answers, or sends too slowly', async () => {
    const hanging = webTransport({
      graceMs: 20,
      fetch: (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    })
    await expect(hanging.fetch('http://x.test/', 1)).rejects.toThrow('the server is too slow')

    const dripping = webTransport({
      graceMs: 50,
      minBytesPerSecond: 1000,
      fetch: async (_, { signal }) => {
        const body = new ReadableStream<Uint8Array>({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 10))
            if (signal.aborted) controller.error(signal.reason)
            else controller.enqueue(new Uint8Array(1))
          },
        })
        return new Response(body)
      },
    })
    const { body } = await dripping.fetch('http://x.test/', 1000)
    await expect(readAll(body, 1000, 'x')).rejects.toThrow('the server is too slow')
  })
})

function rolesOf(repository: Repository) {
  const role = ([signer]: Signer[]) => ({ keyids: [signer!.keyid], threshold: 1 })
  const { root, timestamp, snapshot, targets } = repository.signers
  return { root: role(root), timestamp: role(timestamp), snapshot: role(snapshot), targets: role(targets) }
}

function flipByte(repository: Repository, name: string): void {
  const bytes = repository.files.get(name)!.slice()
  bytes[bytes.length >> 1]! ^= 1
  repository.files.set(name, bytes)
}

function append(repository: Repository, name: string): void {
  repository.files.set(name, Uint8Array.from([...repository.files.get(name)!, 0x20]))
}
