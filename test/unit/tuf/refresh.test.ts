// What a client asks for and keeps in a refresh, and in which order (TUF 1.0.34, 5.3 – 5.6).
import { describe, expect, test } from 'vitest'
import { rootSigned, snapshotSigned } from '../../../tuf/build.ts'
import { initStore } from '../../../tuf/client.ts'
import { FormatError, SignatureError, UsageError } from '../../../tuf/errors.ts'
import { signRole } from '../../../tuf/sign.ts'
import { TrustedSet } from '../../../tuf/trusted.ts'
import { DAY, MemoryStore, NOW, Repository, text, utf8 } from './repository.ts'
import { clientOf, expectStored, rolesOf, setUp } from './setup.ts'

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

  test('does not wait for one file to be kept before it asks for the next, and ends when all of them are', async () => {
    const { repository, store } = await setUp()
    let release = () => {}
    const disk = new Promise<void>((resolve) => {
      release = resolve
    })
    const slow = {
      get: (file: string) => store.get(file),
      put: (file: string, bytes: Uint8Array) => disk.then(() => store.put(file, bytes)),
    }
    const client = clientOf(repository, slow)
    let ended = false
    const run = client.refresh().then(() => {
      ended = true
    })
    const everything = ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json']
    await expect.poll(() => repository.requests).toEqual(everything)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect([ended, client.trusted, store.puts]).toEqual([false, undefined, []])
    release()
    await run
    expect(store.puts).toEqual(['timestamp.json', 'snapshot.json', 'targets.json'])
  })

  test('a new root is kept before anything is asked that its keys sign', async () => {
    const { repository, store } = await setUp()
    await repository.publishRoot()
    const full = {
      get: (file: string) => store.get(file),
      put: () => Promise.reject(new Error('the disk is full')),
    }
    await expect(clientOf(repository, full).refresh()).rejects.toThrow('the disk is full')
    expect(repository.asked()).toEqual(['2.root.json'])
  })

  test('fails with what could not be kept, and succeeds when there is room again', async () => {
    const { repository, store } = await setUp()
    let isFull = true
    const disk = {
      get: (file: string) => store.get(file),
      put: (file: string, bytes: Uint8Array) =>
        isFull && file === 'snapshot.json' ? Promise.reject(new Error('the disk is full')) : store.put(file, bytes),
    }
    const client = clientOf(repository, disk)
    await expect(client.refresh()).rejects.toThrow('the disk is full')
    expect(client.trusted).toBeUndefined()
    isFull = false
    await client.refresh()
    expect(store.puts).toContain('snapshot.json')
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
