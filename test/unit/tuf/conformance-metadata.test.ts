// The workflow of the four top-level roles as tuf-conformance judges it: requests, what is stored, dates, wrong files.
import { describe, expect, test } from 'vitest'
import { initStore } from '../../../tuf/client.ts'
import { DownloadError, ExpiredError, FormatError, MismatchError, SignatureError } from '../../../tuf/errors.ts'
import { keyId } from '../../../tuf/keys.ts'
import { encodeSegment } from '../../../tuf/paths.ts'
import { inside, list, Run } from './conformance.ts'
import { DAY, delegationsTo, MemoryStore, NOW, newSigner, text, utf8 } from './repository.ts'
import { append, expectStored } from './setup.ts'

const FIRST = ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json']
const NOT_A_DIGEST = '0'.repeat(64)

describe('a first refresh', () => {
  test('test_basic_refresh_requests: root 2, timestamp, snapshot and targets are asked for, each once', async () => {
    const run = await Run.start()
    await run.refresh()
    expect(run.asked()).toEqual(FIRST)
  })

  test('test_basic_refresh_trusted_data: what is stored is what was served', async () => {
    const run = await Run.start()
    await run.refresh()
    expectStored(run.store, run.repository, {
      'root.json': '1.root.json',
      'timestamp.json': 'timestamp.json',
      'snapshot.json': '1.snapshot.json',
      'targets.json': '1.targets.json',
    })
  })

  test('test_implicit_refresh: looking a target up refreshes first', async () => {
    const run = await Run.start()
    expect(await run.client().targetInfo('nothing')).toBeUndefined()
    expect(run.asked()).toEqual(FIRST)
    expect(run.stored).toEqual({ root: 1, timestamp: 1, snapshot: 1, targets: 1 })
  })

  test.each<[string, typeof FormatError | typeof SignatureError, (root: string) => string]>([
    ['test_invalid_initial_root: it has no version', FormatError, (root) => root.replace(/,"version":1/, '')],
    [
      'test_unsigned_initial_root: its signature is of something else',
      SignatureError,
      (root) => root.replace(/"sig":"[0-9a-f]+"/, `"sig":"${'0f'.repeat(64)}"`),
    ],
  ])('%s: it is not trusted, and nothing is asked for', async (_, error, damage) => {
    const run = await Run.start()
    const good = text(run.repository.files.get('1.root.json')!)
    const bad = utf8(damage(good))
    expect(text(bad)).not.toBe(good)
    const empty = new MemoryStore()
    await expect(initStore(empty, bad)).rejects.toThrow(error)
    expect(empty.files.size).toBe(0)
    // Nor if it came into the store another way.
    run.store.files.set('root.json', bad)
    await expect(run.refresh()).rejects.toThrow(error)
    expect(run.asked()).toEqual([])
  })

  test('test_metadata_bytes_match: white space after the last brace is kept', async () => {
    const run = await Run.start()
    append(run.repository, 'timestamp.json')
    await run.refresh()
    expect(text(run.store.files.get('timestamp.json')!)).toMatch(/\} $/)
  })

  test.each([true, false])('test_basic_metadata_hash_support: digests in snapshot: %s', async (hashes) => {
    const run = await Run.start()
    run.repository.hashes = hashes
    await run.repository.publish('targets')
    await run.refresh()
    expect(run.stored).toEqual({ root: 1, timestamp: 2, snapshot: 2, targets: 2 })
  })
})

describe('a file that is wrong', () => {
  const steps = [
    ['root', { root: 1 }],
    ['timestamp', { root: 2 }],
    ['snapshot', { root: 2, timestamp: 2 }],
    ['targets', { root: 2, timestamp: 2, snapshot: 2 }],
  ] as const

  test.each(steps)('test_unsigned_metadata: %s', async (role, stored) => {
    const run = await Run.start()
    const { repository } = run
    await repository.publishRoot(role === 'root' ? [] : repository.signers.root)
    repository.signers[role] = []
    await repository.publish('targets')
    await expect(run.refresh()).rejects.toThrow(SignatureError)
    expect(run.stored).toEqual(stored)
  })

  test.each(steps.filter(([role]) => role !== 'timestamp'))(
    'test_url_and_metadata_version_mismatch: %s',
    async (role, stored) => {
      const run = await Run.start()
      const { repository } = run
      repository.hashes = false
      const ahead = (): Promise<void> =>
        run.alter(`2.${role}.json`, repository.signers[role], (signed) => signed.set('version', 3))
      await repository.publishRoot()
      await repository.publish('targets')
      await ahead()
      await repository.publishTimestamp()
      await run.refresh().then(
        () => expect.unreachable('3 is not 2'),
        (error) => expect(error.message).toMatch(/version 3/),
      )
      expect(run.stored).toEqual({ ...stored, ...('timestamp' in stored && { timestamp: 3 }) })
    },
  )

  test('test_timestamp_content_changes: another content under the version that is held is not taken', async () => {
    const run = await Run.start()
    await run.refresh()
    const kept = run.store.files.get('timestamp.json')
    run.asked()
    await run.alter('timestamp.json', run.repository.signers.timestamp, (signed) =>
      inside(signed, 'meta', 'snapshot.json').set('version', 100),
    )
    await run.refresh()
    expect(run.asked()).toEqual(['2.root.json', 'timestamp.json'])
    expect(run.store.files.get('timestamp.json')).toBe(kept)
  })

  test('test_targets_hash_mismatch: snapshot names another digest', async () => {
    const run = await Run.start()
    await run.refresh()
    const { repository } = run
    await repository.publish('targets')
    await run.alter('2.snapshot.json', repository.signers.snapshot, (signed) =>
      inside(signed, 'meta', 'targets.json', 'hashes').set('sha256', NOT_A_DIGEST),
    )
    await repository.publishTimestamp()
    await expect(run.refresh()).rejects.toThrow(MismatchError)
    expect(run.stored).toEqual({ root: 1, timestamp: 3, snapshot: 2, targets: 1 })
  })

  test('test_snapshot_hash_mismatch: timestamp names another digest', async () => {
    const run = await Run.start()
    await run.refresh()
    const { repository } = run
    await repository.publish('targets')
    await run.alter('timestamp.json', repository.signers.timestamp, (signed) =>
      inside(signed, 'meta', 'snapshot.json', 'hashes').set('sha256', NOT_A_DIGEST),
    )
    await expect(run.refresh()).rejects.toThrow(MismatchError)
    expect(run.stored).toEqual({ root: 1, timestamp: 2, snapshot: 1, targets: 1 })
  })

  test('test_snapshot_404: the timestamp that names it is kept', async () => {
    const run = await Run.start()
    await run.refresh()
    await run.repository.publish('targets')
    run.repository.files.delete('2.snapshot.json')
    await expect(run.refresh()).rejects.toThrow(DownloadError)
    expect(run.asked().at(-1)).toBe('2.snapshot.json')
    expect(run.stored).toEqual({ root: 1, timestamp: 2, snapshot: 1, targets: 1 })
  })

  test('test_targets_404: timestamp and snapshot are kept', async () => {
    const run = await Run.start()
    await run.refresh()
    await run.repository.publish('targets')
    run.repository.files.delete('2.targets.json')
    await expect(run.refresh()).rejects.toThrow(DownloadError)
    expect(run.asked().at(-1)).toBe('2.targets.json')
    expect(run.stored).toEqual({ root: 1, timestamp: 2, snapshot: 2, targets: 1 })
  })

  test('test_timestamp_404: nothing is up to date without it', async () => {
    const run = await Run.start()
    await run.refresh()
    run.repository.files.delete('timestamp.json')
    await expect(run.refresh()).rejects.toThrow(DownloadError)
    expect(run.asked().at(-1)).toBe('timestamp.json')
  })

  test('test_incorrect_metadata_type: all of a timestamp, signed as one, that says it is a snapshot', async () => {
    const run = await Run.start()
    await run.repository.publishRoot()
    await run.alter('timestamp.json', run.repository.signers.timestamp, (signed) => signed.set('_type', 'snapshot'))
    await expect(run.refresh()).rejects.toThrow(FormatError)
    expect(run.stored).toEqual({ root: 2 })
  })
})

describe('what a client does not know', () => {
  test('test_custom_fields: unknown fields are under the signature, and a key that has one counts', async () => {
    const run = await Run.start()
    await run.refresh()
    const { repository } = run
    const signer = await newSigner()
    const raw = new Map([...signer.key.raw, ['extra', new Map([['a', 1]])] as const])
    const keyid = keyId(raw)
    const signers = [...repository.signers.root, { ...signer, keyid }]
    await repository.publishRoot()
    await run.alter('2.root.json', signers, (signed) => {
      signed.set('extra', 'value')
      inside(signed, 'keys').set(keyid, raw)
      const role = inside(signed, 'roles', 'root')
      role.set('extra', 'value')
      role.set('keyids', [...list(role, 'keyids'), keyid])
      role.set('threshold', 2)
    })
    await run.refresh()
    expect(run.stored.root).toBe(2)
  })

  test('test_deprecated_keyid_hash_algorithms: a key that names md5 there is a key like any other', async () => {
    const run = await Run.start()
    const { repository } = run
    const signer = await newSigner()
    const raw = new Map([...signer.key.raw, ['keyid_hash_algorithms', 'md5'] as const])
    const keyid = keyId(raw)
    await repository.publishRoot()
    await run.alter('2.root.json', repository.signers.root, (signed) => {
      inside(signed, 'keys').set(keyid, raw)
      inside(signed, 'roles', 'snapshot').set('keyids', [keyid])
    })
    repository.signers.snapshot = [{ ...signer, keyid }]
    await repository.publish('targets')
    await run.refresh()
    expect(run.stored).toEqual({ root: 2, timestamp: 2, snapshot: 2, targets: 2 })
  })

  test('test_static_repository: laid out for people, with places for signatures that are not there yet', async () => {
    const run = await Run.start()
    const { repository } = run
    repository.hashes = false
    repository.role('targets').files.set('dir/file.txt', utf8('content'))
    await repository.publish('targets')
    for (const name of ['2.targets.json', '2.snapshot.json']) {
      run.forge(name, (signatures) => [{ keyid: 'ab'.repeat(32), sig: '' }, ...signatures])
      const laidOut = JSON.stringify(JSON.parse(text(repository.files.get(name)!)), undefined, 1)
      repository.files.set(name, utf8(`${laidOut}\n`))
    }
    await repository.publishTimestamp()
    const client = run.client()
    expect(text(await client.download((await client.targetInfo('dir/file.txt'))!))).toBe('content')
    expectStored(run.store, repository, { 'targets.json': '2.targets.json', 'snapshot.json': '2.snapshot.json' })
  })
})

describe('dates', () => {
  test('test_faketime, test_root_expired: a root is taken when it has expired, and nothing after it', async () => {
    const run = await Run.start()
    const { repository } = run
    repository.expires = { root: NOW + 7 * DAY, timestamp: NOW + 90 * DAY, snapshot: NOW + 90 * DAY, targets: 0 }
    await repository.publishRoot()
    await repository.publish('targets')
    await run.refresh()
    await expect(run.refresh({ now: NOW + 8 * DAY })).rejects.toThrow(/root.*expired/)

    repository.expires.root = NOW - DAY
    await repository.publishRoot()
    await repository.publish('targets')
    await expect(run.refresh()).rejects.toThrow(ExpiredError)
    expect(run.stored).toEqual({ root: 3, timestamp: 2, snapshot: 2, targets: 2 })
  })

  test.each([
    ['test_timestamp_expired', 'timestamp', { root: 1, timestamp: 1, snapshot: 1, targets: 1 }],
    ['test_snapshot_expired', 'snapshot', { root: 1, timestamp: 2, snapshot: 1, targets: 1 }],
    ['test_targets_expired', 'targets', { root: 1, timestamp: 2, snapshot: 2, targets: 1 }],
  ] as const)('%s: it is not stored', async (_, role, stored) => {
    const run = await Run.start()
    await run.refresh()
    if (role === 'targets') run.repository.role('targets').expires = NOW - 5 * DAY
    else run.repository.expires[role] = NOW - 5 * DAY
    await run.repository.publish('targets')
    await expect(run.refresh()).rejects.toThrow(ExpiredError)
    expect(run.stored).toEqual(stored)
  })

  test.each([
    ['test_expired_local_root', 'root'],
    ['test_expired_local_timestamp', 'timestamp'],
  ] as const)('%s: a newer one replaces it', async (_, role) => {
    const run = await Run.start()
    const { repository } = run
    const far = NOW + 90 * DAY
    repository.expires = { root: far, timestamp: far, snapshot: far, targets: far, [role]: NOW + 7 * DAY }
    await repository.publishRoot()
    await repository.publish('targets')
    await run.refresh()
    repository.expires[role] = NOW + 21 * DAY
    await repository.publishRoot()
    await repository.publish('targets')
    await run.refresh({ now: NOW + 18 * DAY })
    expect(run.stored).toEqual({ root: 3, timestamp: 3, snapshot: 3, targets: 3 })
  })
})

test.each(['?', '#', '/role', '../role'])(
  'test_unusual_role_name: %s is one segment, in the URL and in the store',
  async (name) => {
    const run = await Run.start()
    const { repository } = run
    const signer = await newSigner()
    repository.role(name).signers = [signer]
    repository.role('targets').delegations = delegationsTo([name, [signer], ['*']])
    await repository.publish(name, 'targets')
    expect(await run.client().targetInfo('nothing')).toBeUndefined()
    const file = `${encodeURIComponent(name)}.json`
    expect(run.asked()).toContain(`1.${file}`)
    expect(file).toBe(`${encodeSegment(name)}.json`)
    expect([...run.store.files.keys()].sort()).toEqual(
      [file, 'root.json', 'snapshot.json', 'targets.json', 'timestamp.json'].sort(),
    )
  },
)
