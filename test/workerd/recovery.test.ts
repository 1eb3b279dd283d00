// What the publisher does when ledger and bucket disagree, and how a person brings them together again: each halting row of
// the fence table, the resume of each, and the restored hour.
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, test, vi } from 'vitest'
import { makeOfflineKey } from '../../cli/ceremony.ts'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { targetsSigned, timestampSigned } from '../../tuf/build.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { baseOf, blobKey, metadataKey, timestampKey } from '../../tuf/layout.ts'
import { signRole } from '../../tuf/sign.ts'
import { faultyBucket } from './faults.ts'
import { newReader } from './reading.ts'
import {
  abort,
  adminOf,
  backUp,
  bucket,
  bytesOf,
  emptyObject,
  given,
  HOUR,
  heldAgain,
  keysOf,
  published,
  refresh,
  restore,
  resume,
  resumeFromPublic,
  rootNaming,
  signer,
  snapshotLike,
  sqlOf,
  statusOf,
  timestampOf,
} from './recovery-harness.ts'
import { BOOTSTRAP, bindings, STANDARD } from './repository.ts'
import { stageFile } from './staging.ts'

// Most of these wait out the eight seconds of an uploader who is not answered, some twice, beside other suites.
vi.setConfig({ testTimeout: 120_000 })

describe('fence table', () => {
  test('a superseded instance whose flip arrives late changes nothing', async () => {
    const { repository, token, warm } = await published()
    // The old instance's put of timestamp.json hangs: what it sent is kept, and it dies.
    let late: [string, Uint8Array, R2PutOptions] | undefined
    const { bucket: slow } = faultyBucket()
    const hanging = new Proxy(slow, {
      get(target, property) {
        const member = Reflect.get(target, property) as unknown
        if (property !== 'put') return typeof member === 'function' ? member.bind(target) : member
        return (key: string, value: Uint8Array, options: R2PutOptions) => {
          if (!key.endsWith('timestamp.json')) return target.put(key, value, options)
          late ??= [key, new Uint8Array(value).slice(), options]
          return new Promise(() => {})
        }
      },
    })
    await runInDurableObject(repository.stub, (publisher: Publisher) => {
      const inside = publisher as unknown as { env: object; forget(): void }
      inside.env = { ...inside.env, BUCKET: hanging }
      inside.forget()
    })
    const upload = stageFile(repository, token, 'beta', '1.0').catch((error: Error) => error)
    while (!late) await new Promise((resolve) => setTimeout(resolve, 5))
    await abort(repository)
    await upload
    // The new instance publishes the same and one thing more.
    const beta = await stageFile(repository, token, 'beta', '1.0')
    const gamma = await stageFile(repository, token, 'gamma', '1.0')
    const before = await timestampOf(repository)
    expect(await bucket.put(...late)).toBeNull()
    expect((await timestampOf(repository)).version).toBe(before.version)
    expect(await refresh(repository)).toEqual({ ok: true })
    expect(await warm.read(beta.path)).toEqual(beta.bytes)
    expect(await warm.read(gamma.path)).toEqual(gamma.bytes)
  })

  test('a clone of the ledger on the same bucket: one of the two goes on, the other halts before it writes', async () => {
    const { repository, token, warm } = await published()
    const clone = bindings.PUBLISHER.getByName(`${repository.name}-clone`)
    await restore(clone, await backUp(repository.stub))
    await runInDurableObject(clone, (publisher: Publisher) => {
      publisher.clock = () => Date.now() + 2 * HOUR
    })
    expect(await clone.refresh()).toEqual({ ok: true })
    const { version } = await timestampOf(repository)
    const written = await keysOf(repository)
    await expect(stageFile(repository, token, 'beta', '1.0')).resolves.toMatchObject({ answer: { visible: false } })
    expect(await statusOf(repository)).toMatchObject({
      state: 'halted',
      halted: expect.stringContaining('second writer'),
    })
    expect((await timestampOf(repository)).version).toBe(version)
    expect((await keysOf(repository)).filter((key) => !written.includes(key) && !key.includes('/blobs/'))).toEqual([])

    // The clone is gone; the one that stays takes over what it made public, and what waited is published.
    await resumeFromPublic(repository, token)
    expect(await statusOf(repository)).toMatchObject({ state: 'live', staged: 0 })
    expect((await timestampOf(repository)).version).toBeGreaterThan(version)
    expect(await warm.text('simple/vnd.pypi.simple.v1.json')).toContain('beta')
  })

  test('an empty object beside a public repository refuses to initialise, and writes nothing', async () => {
    const { repository, token } = await published()
    const before = await timestampOf(repository)
    const keys = await emptyObject(repository)
    await expect(stageFile(repository, token, 'beta', '1.0')).rejects.toThrow('not initialised')
    const { root, targets, bins } = await heldAgain(repository, keys)
    const request = { repository: repository.name, roots: [repository.root, root], targets, bins, freshness: STANDARD }
    expect(await repository.member.initialise(request, BOOTSTRAP)).toMatchObject({
      status: 409,
      message: expect.stringContaining('resume --from-public'),
    })
    expect((await timestampOf(repository)).version).toBe(before.version)
  })

  test('a key that root names and that is not ours signed: handed over', async () => {
    const other = await makeOfflineKey()
    const { repository, token, first, warm } = await published({ rootOf: rootNaming(other) })
    const live = await timestampOf(repository)
    const { length, hashes } = live.snapshot
    const snapshot = { version: live.snapshot.version, length: length!, sha256: hashes!.get('sha256')! }
    const signed = timestampSigned({ version: live.version + 1, expiresMs: Date.now() + HOUR, snapshot })
    const bytes = await signRole(signed, [other.signer])
    await bucket.put(timestampKey(repository.place), bytes)
    expect(await refresh(repository)).toMatchObject({ code: 'halted', message: expect.stringContaining('handed over') })
    expect(await bytesOf(timestampKey(repository.place))).toEqual(bytes)
    // Its cause is still there: a plain resume halts again before it writes.
    expect(given(await resume(repository, token))).toMatchObject({ state: 'halted' })
    expect(await bytesOf(timestampKey(repository.place))).toEqual(bytes)
    expect(await warm.read(first.path)).toEqual(first.bytes)
    await resumeFromPublic(repository, token)
    const second = await stageFile(repository, token, 'beta', '1.0')
    expect(await warm.read(second.path)).toEqual(second.bytes)
  })

  test.each(['snapshot', 'bin'] as const)(
    'a %s under an immutable name that our key signed and this ledger never stored: second writer',
    async (role) => {
      const { repository, token, warm } = await published()
      const { version } = (await timestampOf(repository)).snapshot
      const [{ name, highest } = { name: '', highest: 0 }] = await sqlOf<{ name: string; highest: number }>(
        repository,
        "SELECT r.name AS name, r.highest AS highest FROM roles r JOIN projects p ON p.bin = r.name WHERE p.name = 'alpha'",
      )
      const key =
        role === 'bin'
          ? metadataKey(repository.place, highest + 1, name)
          : metadataKey(repository.place, version + 1, 'snapshot')
      const expiresMs = Date.now() + HOUR
      const content =
        role === 'bin'
          ? targetsSigned({ version: highest + 1, expiresMs, targets: [] })
          : await snapshotLike(repository, version + 1)
      await bucket.put(key, await signRole(content, [await signer(repository, role)]))
      const staged = await stageFile(repository, token, 'alpha', '1.1')
      expect(staged.answer).toMatchObject({ visible: false })
      expect(await statusOf(repository)).toMatchObject({ state: 'halted', halted: expect.stringContaining(key) })
      await resumeFromPublic(repository, token)
      expect(await statusOf(repository)).toMatchObject({ state: 'live', staged: 0 })
      expect(await warm.read(staged.path)).toEqual(staged.bytes)
    },
  )

  test('other bytes under the name of a page, which its digest fixes, are damage: replaced, and nothing is burned', async () => {
    const { repository, token, warm } = await published()
    const { version } = (await timestampOf(repository)).snapshot
    const faults = faultyBucket()
    let planted = 0
    const planting = new Proxy(faults.bucket, {
      get(target, property) {
        const member = Reflect.get(target, property) as unknown
        if (property !== 'put') return typeof member === 'function' ? member.bind(target) : member
        return async (key: string, value: Uint8Array, options: R2PutOptions) => {
          if (key.includes('/pages/') && planted++ < 2) await bucket.put(key, 'planted')
          return target.put(key, value, options)
        }
      },
    })
    await runInDurableObject(repository.stub, (publisher: Publisher) => {
      const inside = publisher as unknown as { env: object; forget(): void }
      inside.env = { ...inside.env, BUCKET: planting }
      inside.forget()
    })
    const staged = await stageFile(repository, token, 'alpha', '1.1')
    expect(staged.answer).toEqual({ ok: true, visible: true })
    expect(planted).toBeGreaterThanOrEqual(2)
    expect((await timestampOf(repository)).snapshot.version).toBe(version + 1)
    expect(await warm.text(staged.page)).toContain('1.1')
  })

  test('after foreign writes halted it, a plain resume repairs what is left of them', async () => {
    const { repository, token, first, warm } = await published()
    for (let i = 0; i < 4; i++) {
      await bucket.put(timestampKey(repository.place), '{}')
      await refresh(repository)
    }
    expect(await statusOf(repository)).toMatchObject({ state: 'halted' })
    expect(given(await resume(repository, token))).toMatchObject({ applied: true, state: 'live' })
    expect(await warm.read(first.path)).toEqual(first.bytes)
    expect(given(await resume(repository, token))).toMatchObject({ applied: false, state: 'live' })
  })
})

describe('resume --from-public', () => {
  test('a restored older database: the lost hour comes back from signed metadata, and clients notice nothing', async () => {
    const { repository, token, first, warm } = await published()
    const origin = `https://pypi.example.org${baseOf(repository.name)}`
    const trustRoot = { repository: repository.name, token, trustedRoot: '{}', origin }
    expect(await repository.member.setTrustRoot(trustRoot)).toMatchObject({ ok: true })
    const backup = await backUp(repository.stub)
    const again = await stageFile(repository, token, 'alpha', '1.1')
    const beta = await stageFile(repository, token, 'beta', '2.0', undefined, { provenance: 'who' })
    const attested = () => sqlOf(repository, 'SELECT project, provenance_sha256 AS sha256 FROM files ORDER BY project')
    const wasAttested = await attested()
    expect(wasAttested.at(-1)).toEqual({ project: 'beta', sha256: await sha256Hex(new TextEncoder().encode('who')) })
    const filename = first.path.split('/').pop()!
    await repository.member.yank({ repository: repository.name, token, project: 'alpha', filename, yanked: 'broken' })
    await warm.client.refresh()
    const pages = async () => JSON.parse((await (await newReader(repository)).text(first.page))!).files
    const before = await pages()
    const { version } = await timestampOf(repository)

    await restore(repository.stub, backup)
    expect(await refresh(repository)).toMatchObject({ code: 'halted' })
    expect(given(await resume(repository, token))).toMatchObject({ state: 'halted' })
    expect(await refresh(repository)).toMatchObject({ code: 'halted' })
    const shown = given(await resume(repository, token, { fromPublic: true }))
    expect(shown.difference).toMatchObject({
      timestamp: version,
      added: expect.arrayContaining([again, beta].map(({ path }) => path.split('/').slice(2).join('/'))),
      missing: [],
      differing: [{ file: `alpha/${filename}`, why: expect.stringContaining('yanked') }],
    })
    expect(await statusOf(repository)).toMatchObject({ state: 'halted', files: 1 })
    expect(await resume(repository, token, { fromPublic: true, confirm: 'f'.repeat(64) })).toMatchObject({
      status: 409,
    })
    const done = given(await resume(repository, token, { fromPublic: true, confirm: shown.confirm }))
    expect(done).toMatchObject({ applied: true, state: 'live' })
    expect(await attested()).toEqual(wasAttested)

    expect((await timestampOf(repository)).version).toBeGreaterThan(version)
    for (const { path, bytes } of [first, again, beta]) expect(await warm.read(path)).toEqual(bytes)
    expect(await pages()).toEqual(before)
    const later = await stageFile(repository, token, 'alpha', '1.2')
    expect(await warm.read(later.path)).toEqual(later.bytes)
    // Restored rows are accepted rows: the same bytes are a duplicate, others are refused.
    expect((await stageFile(repository, token, 'beta', '2.0')).answer).toEqual({ ok: true, visible: true })
    await expect(stageFile(repository, token, 'beta', '2.0', 'other')).rejects.toThrow('already exists')
    expect(await sqlOf(repository, "SELECT 1 AS x FROM files WHERE state = 'quarantined'")).toEqual([])
    expect(await sqlOf(repository, "SELECT 1 AS x FROM journal WHERE event LIKE '%resumed-from-public%'")).toHaveLength(
      1,
    )
  })

  test.each([
    ['published again', false],
    ['withdrawn if the operator says so', true],
  ])('files that public does not have are %s', async (_, withdrawMissing) => {
    const { repository, token } = await published()
    const clone = bindings.PUBLISHER.getByName(`${repository.name}-clone`)
    await restore(clone, await backUp(repository.stub))
    const beta = await stageFile(repository, token, 'beta', '1.0')
    // The clone, put on the present etag, makes its own view public: beta is not in it.
    const { etag } = (await bucket.head(timestampKey(repository.place)))!
    await runInDurableObject(clone, (publisher: Publisher, { storage: { sql } }) => {
      sql.exec("UPDATE facts SET value = ? WHERE name = 'pointerEtag'", etag)
      sql.exec("UPDATE roles SET highest = 50 WHERE name = 'timestamp'")
      publisher.clock = () => Date.now() + 2 * HOUR
    })
    expect(await clone.refresh()).toEqual({ ok: true })
    expect(await refresh(repository)).toMatchObject({ code: 'halted' })
    const { shown } = await resumeFromPublic(repository, token, { withdrawMissing })
    expect(shown.missing).toEqual([beta.path.split('/').slice(2).join('/')])
    const read = await (await newReader(repository)).read(beta.path)
    if (withdrawMissing) expect(read).toBeUndefined()
    else expect(read).toEqual(beta.bytes)
  })

  test('bucket contents as such are never taken over', async () => {
    const { repository, token } = await published()
    const evil = new TextEncoder().encode('evil')
    await bucket.put(blobKey(repository.place, await sha256Hex(evil), 1), evil)
    const live = await timestampOf(repository)
    await bucket.put(metadataKey(repository.place, live.snapshot.version + 1, 'snapshot'), '{"planted":true}')
    await bucket.put(metadataKey(repository.place, 2, 'root'), '{"planted":true}')
    const { shown } = await resumeFromPublic(repository, token)
    expect(shown).toMatchObject({ added: [], missing: [], differing: [], roles: [] })
    // A timestamp that does not verify is nothing to resume from, and an older one neither.
    await bucket.put(timestampKey(repository.place), '{}')
    expect(await resume(repository, token, { fromPublic: true })).toMatchObject({
      status: 409,
      message: expect.stringContaining('does not verify'),
    })
  })

  test('wants the scope admin; the bootstrap secret repairs nothing while ledger and bucket are there', async () => {
    const { repository } = await published()
    const { member, name } = repository
    for (const call of [
      (secret: string) => member.resume({ repository: name }, secret),
      (secret: string) => member.rebuild({ repository: name, limit: 10 }, secret),
    ]) {
      expect(await call('nonsense')).toMatchObject({ status: 401 })
      expect(await call(BOOTSTRAP)).toMatchObject({ status: 403 })
    }
  })

  test('an emptied ledger: a ceremony with new online keys takes the public repository over', async () => {
    const { repository, first, warm } = await published()
    const before = await timestampOf(repository)
    const keys = await emptyObject(repository)
    expect(keys.keys[0]!.keyid).not.toBe(repository.online.keys[0]!.keyid)
    const { root, targets, bins } = await heldAgain(repository, keys)
    const request = { ceremony: { roots: [repository.root, root], targets, bins, freshness: STANDARD } }
    expect(await resume(repository, BOOTSTRAP, { fromPublic: true })).toMatchObject({ status: 400 })
    const { shown } = await resumeFromPublic(repository, BOOTSTRAP, request)
    expect(shown.added).toHaveLength(1)
    expect(await statusOf(repository)).toMatchObject({ state: 'live', files: 1, staged: 0 })
    const after = await timestampOf(repository)
    expect(after.version).toBeGreaterThan(before.version)
    expect(after.snapshot.version).toBeGreaterThan(before.snapshot.version)
    for (const reader of [warm, await newReader(repository)]) expect(await reader.read(first.path)).toEqual(first.bytes)
    const second = await stageFile(repository, await adminOf(repository), 'alpha', '1.1')
    expect(await warm.read(second.path)).toEqual(second.bytes)
  })
})
