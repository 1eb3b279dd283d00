// Keys, thresholds, rotations, and going back to older files, as tuf-conformance judges them.
import { describe, expect, test } from 'vitest'
import { FormatError, RollbackError, SignatureError } from '../../../tuf/errors.ts'
import { keyId } from '../../../tuf/keys.ts'
import type { Signer } from '../../../tuf/sign.ts'
import { inside, list, Run, signerOf } from './conformance.ts'
import { delegationsTo, newSigner, Repository, text } from './repository.ts'

const several = (count: number): Promise<Signer[]> => Promise.all(Array.from({ length: count }, () => newSigner()))

describe('thresholds', () => {
  test('test_snapshot_does_not_meet_threshold: two of three keys are not three', async () => {
    const run = await Run.start()
    const { repository } = run
    repository.signers.snapshot.push(...(await several(2)))
    repository.thresholds.snapshot = 3
    await repository.publishRoot()
    await repository.publish('targets')
    await run.refresh()
    repository.signers.snapshot.pop()
    await repository.publish('targets')
    await expect(run.refresh()).rejects.toThrow(SignatureError)
    expect(run.stored).toEqual({ root: 2, timestamp: 3, snapshot: 2, targets: 2 })
  })

  test('test_snapshot_has_too_few_keys: five keys are never six', async () => {
    const run = await Run.start()
    const { repository } = run
    repository.signers.snapshot.push(...(await several(4)))
    await repository.publishRoot()
    await run.alter('2.root.json', repository.signers.root, (signed) =>
      inside(signed, 'roles', 'snapshot').set('threshold', 6),
    )
    await repository.publish('targets')
    await expect(run.refresh()).rejects.toThrow(SignatureError)
    expect(run.stored).toEqual({ root: 2, timestamp: 2 })
  })

  test('test_duplicate_keys: one keyid listed nine times', async () => {
    const run = await Run.start()
    const { repository } = run
    await repository.publishRoot()
    await run.alter('2.root.json', repository.signers.root, (signed) => {
      const role = inside(signed, 'roles', 'snapshot')
      role.set('keyids', Array(9).fill(list(role, 'keyids')[0]))
      role.set('threshold', 6)
    })
    await repository.publish('targets')
    run.forge('2.snapshot.json', ([signature]) => Array(9).fill(signature))
    await repository.publishTimestamp()
    await expect(run.refresh()).rejects.toThrow(FormatError)
    expect(run.stored.snapshot).toBeUndefined()
  })

  test('test_duplicate_keys: nine keyids of one public key are one voice', async () => {
    const run = await Run.start()
    const { repository } = run
    const [signer] = await several(1)
    const aliases = Array.from({ length: 9 }, (_, i) => new Map([...signer!.key.raw, ['alias', i] as const]))
    await repository.publishRoot()
    await run.alter('2.root.json', repository.signers.root, (signed) => {
      for (const alias of aliases) inside(signed, 'keys').set(keyId(alias), alias)
      const role = inside(signed, 'roles', 'snapshot')
      role.set('keyids', aliases.map(keyId))
      role.set('threshold', 6)
    })
    repository.signers.snapshot = aliases.map((alias) => ({ ...signer!, keyid: keyId(alias) }))
    await repository.publish('targets')
    await expect(run.refresh()).rejects.toThrow(SignatureError)
    expect(run.stored).toEqual({ root: 2, timestamp: 2 })
  })

  test('test_duplicate_sig_keyids: a key that signs twice spoils a file that has its threshold', async () => {
    const run = await Run.start()
    run.forge('1.snapshot.json', ([signature]) => [signature!, signature!])
    await run.repository.publishTimestamp()
    await expect(run.refresh()).rejects.toThrow(FormatError)
    expect(run.stored).toEqual({ root: 1, timestamp: 2 })
  })

  test.each([
    ['rsassa-pss-sha256', () => signerOf('rsassa-pss-sha256')],
    ['ecdsa-sha2-nistp256', () => signerOf('ecdsa-sha2-nistp256')],
    ['ed25519', newSigner],
  ] as const)('test_keytype_and_scheme: %s', async (_, make) => {
    const run = await Run.start()
    const { repository } = run
    const signer = await make()
    repository.signers.root.push(signer)
    repository.thresholds.root = 2
    await repository.publishRoot()
    await run.refresh()
    expect(run.stored.root).toBe(2)

    await repository.publishRoot()
    const sigOf = (name: string): string =>
      JSON.parse(text(repository.files.get(name)!)).signatures.find(
        ({ keyid }: { keyid: string }) => keyid === signer.keyid,
      ).sig
    const former = sigOf('2.root.json')
    run.forge('3.root.json', (all) => all.map((s) => (s.keyid === signer.keyid ? { ...s, sig: former } : s)))
    await expect(run.refresh()).rejects.toThrow(SignatureError)
    expect(run.stored.root).toBe(2)
  })

  test('test_invalid_sig_in_valid_metadata: what is not needed may be wrong, or empty', async () => {
    const run = await Run.start()
    const { repository } = run
    const [first] = repository.signers.timestamp
    repository.signers.timestamp.push(await newSigner())
    await repository.publishRoot()
    for (const sig of ['ab'.repeat(64), '', 'not hex']) {
      await repository.publishTimestamp()
      run.forge('timestamp.json', (all) => all.map((s) => (s.keyid === first!.keyid ? { ...s, sig } : s)))
      await run.refresh()
      expect(run.stored.timestamp).toBe(repository.versions.timestamp)
    }
  })
})

describe('older files', () => {
  test('test_new_timestamp_version_rollback', async () => {
    const run = await Run.start()
    await run.repository.publishTimestamp()
    await run.refresh()
    run.repository.versions.timestamp = 0
    await run.repository.publishTimestamp()
    await expect(run.refresh()).rejects.toThrow(RollbackError)
    expect(run.asked().at(-1)).toBe('timestamp.json')
    expect(run.stored.timestamp).toBe(2)
  })

  test.each([true, false])('test_snapshot_rollback: digests %s', async (hashes) => {
    const run = await Run.start()
    const { repository } = run
    const bare = async (): Promise<void> => {
      await repository.publishTimestamp()
      if (hashes) return
      await run.alter('timestamp.json', repository.signers.timestamp, (signed) => {
        const meta = inside(signed, 'meta')
        meta.set('snapshot.json', { version: repository.versions.snapshot })
      })
    }
    await repository.publishSnapshot()
    await bare()
    await run.refresh()
    repository.versions.snapshot = 0
    await repository.publishSnapshot()
    await bare()
    await expect(run.refresh()).rejects.toThrow(RollbackError)
    expect(run.asked().at(-1)).toBe('timestamp.json')
    expect(run.stored).toEqual({ root: 1, timestamp: 2, snapshot: 2, targets: 1 })
  })

  test.each([true, false])('test_targets_rollback: digests %s', async (hashes) => {
    const run = await Run.start()
    const { repository } = run
    repository.hashes = hashes
    await repository.publish('targets')
    await run.refresh()
    repository.role('targets').version = 0
    await repository.publish('targets')
    await expect(run.refresh()).rejects.toThrow(RollbackError)
    expect(run.stored).toEqual({ root: 1, timestamp: 3, snapshot: 2, targets: 2 })
  })

  async function withDelegated(): Promise<Run> {
    const run = await Run.start()
    const signer = await newSigner()
    run.repository.role('delegated').signers = [signer]
    run.repository.role('targets').delegations = delegationsTo(['delegated', [signer], ['dir/*']])
    await run.repository.publish('delegated', 'targets')
    return run
  }

  test('test_targets_role_removal: a role does not leave snapshot', async () => {
    const run = await withDelegated()
    await run.refresh()
    run.repository.roles.delete('delegated')
    await run.repository.publishSnapshot()
    await run.repository.publishTimestamp()
    await expect(run.refresh()).rejects.toThrow(RollbackError)
    expect(run.stored.snapshot).toBe(2)
  })

  test('test_targets_fast_forward_recovery: a new snapshot key forgets versions and roles', async () => {
    const run = await withDelegated()
    const { repository } = run
    repository.role('targets').version = 99
    await repository.publish('targets')
    await run.refresh()
    expect(run.stored.targets).toBe(100)
    repository.signers.snapshot = await several(1)
    repository.role('targets').version = 0
    repository.roles.delete('delegated')
    await repository.publishRoot()
    await repository.publish('targets')
    await run.refresh()
    expect(run.stored.targets).toBe(1)
  })

  test('test_new_snapshot_fast_forward_recovery: new snapshot and timestamp keys forget its version', async () => {
    const run = await Run.start()
    const { repository } = run
    repository.versions.snapshot = 99
    await repository.publish('targets')
    await run.refresh()
    expect(run.stored.snapshot).toBe(100)
    repository.signers.snapshot = await several(1)
    repository.signers.timestamp = await several(1)
    repository.versions.snapshot = 0
    await repository.publishRoot()
    await repository.publish('targets')
    await run.refresh()
    expect(run.stored.snapshot).toBe(1)
  })

  test('test_new_timestamp_fast_forward_recovery: a new timestamp key forgets its version', async () => {
    const run = await Run.start()
    const { repository } = run
    repository.versions.timestamp = 99
    await repository.publishTimestamp()
    await run.refresh()
    expect(run.stored.timestamp).toBe(100)
    repository.signers.timestamp = await several(1)
    repository.versions.timestamp = 0
    await repository.publishRoot()
    await repository.publishTimestamp()
    await run.refresh()
    expect(run.stored.timestamp).toBe(1)
  })
})

describe('rotations', () => {
  /** `KEYS/THRESHOLD:SIGNATURES` of one version, a letter for each key. */
  type Version = `${string}/${number}:${string}`

  async function pick(keys: Map<string, Signer>, letters: string): Promise<Signer[]> {
    for (const letter of letters) if (!keys.has(letter)) keys.set(letter, await newSigner())
    return [...letters].map((letter) => keys.get(letter)!)
  }
  function read(version: Version): { names: string; threshold: number; signatures: string } {
    const [, names, threshold, signatures] = /^(\w+)\/(\d):(\w*)$/.exec(version)!
    return { names: names!, threshold: Number(threshold), signatures: signatures! }
  }

  test.each<[title: string, versions: Version[], taken: boolean]>([
    ['one key by another', ['b/1:b', 'c/1:cb', 'c/1:c'], true],
    ['strangers sign too', ['b/1:dbe', 'c/1:dcbe', 'c/1:dce'], true],
    ['three of five, other ones each time', ['abcde/3:ace', 'abcde/3:aeb', 'abcde/3:abd', 'abcde/3:abd'], true],
    ['three of five, one replaced', ['abcde/3:ace', 'abdef/3:aeb'], true],
    ['one replaced, both quorums sign', ['abcde/3:ace', 'abdef/3:acef', 'abdef/3:aef'], true],
    ['all replaced, both quorums sign', ['abcde/3:ace', 'fghij/3:acefgh', 'fghij/3:fgh'], true],
    ['threshold from one to two of three', ['bcd/1:b', 'bcd/2:bc'], true],
    ['threshold from two to one of three', ['bcd/2:bc', 'bcd/1:bc', 'bcd/1:b'], true],
    ['threshold from one of one to two of two', ['b/1:b', 'bc/2:bc'], true],
    ['the old key does not sign', ['b/1:b', 'c/1:cde'], false],
    ['the new key does not sign', ['b/1:b', 'c/1:bde'], false],
    ['two of three new', ['abcde/3:ace', 'abdef/3:ace'], false],
    ['two of three old', ['abcde/3:ace', 'abdef/3:aef'], false],
    ['the higher threshold is not reached', ['bcd/1:b', 'bcd/2:c'], false],
    ['the threshold before was higher', ['bcd/2:bc', 'bcd/1:b'], false],
  ])('test_root_rotation: %s', async (_, versions, taken) => {
    const repository = await Repository.make()
    const keys = new Map<string, Signer>()
    repository.versions.root = 0
    for (const version of versions) {
      const { names, threshold, signatures } = read(version)
      repository.signers.root = await pick(keys, names)
      repository.thresholds.root = threshold
      await repository.publishRoot(await pick(keys, signatures))
    }
    const run = new Run(repository, await repository.newStore())
    if (taken) await run.refresh()
    else await expect(run.refresh()).rejects.toThrow(SignatureError)
    const last = versions.length - (taken ? 0 : 1)
    expect(run.store.files.get('root.json')).toEqual(repository.files.get(`${last}.root.json`))
  })

  const rows: [title: string, version: Version, taken: boolean][] = [
    ['one key by another', 'c/1:c', true],
    ['strangers sign too', 'b/1:dbe', true],
    ['the new key does not sign', 'c/1:bde', false],
    ['a stranger is one of three', 'abdef/3:ace', false],
    ['two of three', 'abdef/3:ae', false],
    ['three of five', 'abcde/3:ace', true],
    ['three others', 'abcde/3:aeb', true],
    ['three others again', 'abcde/3:abd', true],
    ['the middle three', 'abcde/3:bcd', true],
    ['the last three', 'abcde/3:cde', true],
  ]
  test.each(
    rows.flatMap((row) => (['timestamp', 'snapshot', 'targets'] as const).map((role) => [role, ...row] as const)),
  )('test_non_root_rotations: %s, %s', async (role, _, version, taken) => {
    const run = await Run.start()
    const { repository } = run
    const keys = new Map<string, Signer>()
    const { names, threshold, signatures } = read(version)
    repository.signers[role] = await pick(keys, names)
    repository.thresholds[role] = threshold
    await repository.publishRoot()
    repository.signers[role] = await pick(keys, signatures)
    await repository.publish('targets')
    if (taken) await run.refresh()
    else await expect(run.refresh()).rejects.toThrow(SignatureError)
    expect(run.stored[role]).toBe(taken ? 2 : undefined)
  })
})
