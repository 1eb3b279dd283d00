// Which timestamp, snapshot and targets a refresh takes and which it refuses (TUF 1.0.34, 5.4 – 5.6; the behaviours of
// tuf-conformance).
import { describe, expect, test } from 'vitest'
import { snapshotSigned, timestampSigned } from '../../../tuf/build.ts'
import { sha256Hex } from '../../../tuf/digest.ts'
import {
  DownloadError,
  ExpiredError,
  FormatError,
  LimitError,
  MismatchError,
  RollbackError,
  SignatureError,
} from '../../../tuf/errors.ts'
import { signRole } from '../../../tuf/sign.ts'
import { DAY, NOW, newSigner, type Repository, text } from './repository.ts'
import { append, clientOf, expectStored, flipByte, setUp } from './setup.ts'

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
