// The publication protocol inside workerd: what a client sees before and after everything that may go wrong.
import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { describe, expect, test } from 'vitest'
import { Custody } from '../../durable-objects/custody.ts'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { timestampSigned } from '../../tuf/build.ts'
import { metadataKey, pageKey, timestampKey } from '../../tuf/layout.ts'
import { parseSnapshot, parseTimestamp } from '../../tuf/metadata.ts'
import { signRole } from '../../tuf/sign.ts'
import { type Faults, faultyBucket } from './faults.ts'
import { newReader } from './reading.ts'
import { bindings, newRepository, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'

const HOUR = 3_600_000
const bucket = bindings.BUCKET

const bytesOf = async (key: string): Promise<Uint8Array> => {
  const object = await bucket.get(key)
  if (!object) throw new Error(`${key} is missing`)
  return new Uint8Array(await object.arrayBuffer())
}
const timestampOf = async (repository: TestRepository) =>
  parseTimestamp(await bytesOf(timestampKey(repository.place))).signed
const snapshotOf = async (repository: TestRepository) => {
  const { version } = (await timestampOf(repository)).snapshot
  return parseSnapshot(await bytesOf(metadataKey(repository.place, version, 'snapshot'))).signed
}
const sqlOf = <T extends Record<string, SqlStorageValue>>(
  repository: TestRepository,
  query: string,
  ...values: unknown[]
) => runInDurableObject(repository.stub, (_: Publisher, state) => state.storage.sql.exec<T>(query, ...values).toArray())
const setClock = (repository: TestRepository, offset: number) =>
  runInDurableObject(repository.stub, (publisher: Publisher) => {
    publisher.clock = () => Date.now() + offset
  })
/** Lets the object work on a bucket that fails on purpose, until it is aborted or given the real one back. */
const withBucket = (repository: TestRepository, other: R2Bucket) =>
  runInDurableObject(repository.stub, (publisher: Publisher) => {
    const inside = publisher as unknown as { env: Record<string, unknown>; forget(): void }
    inside.env = { ...inside.env, BUCKET: other }
    inside.forget()
  })
const statusOf = async (repository: TestRepository) => {
  const status = await repository.public.status(repository.name)
  if (!status.ok) throw new Error(status.message)
  return status
}

describe('publishing', () => {
  test('what a stage answered is visible to a fresh and to a warm client: file, page and list', async () => {
    const repository = await newRepository()
    const warm = await newReader(repository)
    expect(await warm.text('simple/vnd.pypi.simple.v1.json')).toContain('"projects":[]')
    const staged = await stageFile(repository, await repository.token(), 'alpha', '1.0')
    expect(staged.answer).toEqual({ ok: true, visible: true })
    for (const reader of [warm, await newReader(repository)]) {
      expect(await reader.read(staged.path)).toEqual(staged.bytes)
      expect(JSON.parse((await reader.text(staged.page))!).files).toMatchObject([{ hashes: { sha256: staged.sha256 } }])
      expect(await reader.text('simple/vnd.pypi.simple.v1.html')).toContain('alpha')
      expect(await reader.read(staged.path.replace('1.0', '2.0'))).toBeUndefined()
    }
  })

  test('a lone upload writes two pages, one bin, one snapshot and one timestamp', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    await stageFile(repository, token, 'alpha', '1.0')
    const faults = faultyBucket()
    await withBucket(repository, faults.bucket)
    await stageFile(repository, token, 'alpha', '1.1')
    const kinds = faults.puts.map((key) =>
      key.replace(/^.*\/(pages|tuf)\/.*?([a-z-]+)(?:[0-9a-f-]*)?\.(json|html)$/, '$1 $2 $3'),
    )
    expect(kinds.length).toBe(5)
    expect(faults.puts.at(-1)).toBe(timestampKey(repository.place))
    expect(faults.puts.at(-2)).toContain('.snapshot.json')
    expect(faults.violations).toEqual([])
  })

  test('uploads that wait together share a publication', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    const before = (await timestampOf(repository)).version
    const many = await Promise.all(Array.from({ length: 20 }, (_, i) => stageFile(repository, token, `p${i}`, '1.0')))
    expect(many.every((staged) => staged.answer.ok && staged.answer.visible)).toBe(true)
    expect((await timestampOf(repository)).version - before).toBeLessThan(15)
    const reader = await newReader(repository)
    for (const staged of many) expect(await reader.read(staged.path)).toEqual(staged.bytes)
  })

  test('the same file again is accepted without a publication, other bytes are refused', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    await stageFile(repository, token, 'alpha', '1.0')
    const { version } = await timestampOf(repository)
    expect((await stageFile(repository, token, 'alpha', '1.0')).answer).toEqual({ ok: true, visible: true })
    await expect(stageFile(repository, token, 'alpha', '1.0', 'other bytes')).rejects.toThrow('File already exists')
    expect((await timestampOf(repository)).version).toBe(version)
  })

  test('a yank changes the page and keeps the file', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    const staged = await stageFile(repository, token, 'alpha', '1.0')
    const filename = staged.path.split('/').pop()!
    const request = { repository: repository.name, token, project: 'alpha', filename }
    const reader = await newReader(repository)
    for (const [yanked, shown] of [
      ['broken', 'broken'],
      [true, true],
      [false, false],
    ] as const) {
      await repository.member.yank({ ...request, yanked })
      expect(JSON.parse((await reader.text(staged.page))!).files[0].yanked).toBe(shown)
    }
    expect(await reader.read(staged.path)).toEqual(staged.bytes)
  })

  test.each([
    ['no token', '', 'alpha', 401],
    ['a made-up token', `tue_${'x'.repeat(49)}`, 'alpha', 401],
  ])('%s begins nothing', async (_, token, project, status) => {
    const repository = await newRepository()
    const request = {
      repository: repository.name,
      token,
      project,
      filename: 'alpha-1-py3-none-any.whl',
      sha256: 'a'.repeat(64),
    }
    expect(await repository.member.begin(request)).toMatchObject({ ok: false, status })
    expect(await sqlOf(repository, 'SELECT * FROM blobs')).toEqual([])
  })

  test('a token reaches its own projects and scopes alone', async () => {
    const repository = await newRepository()
    const mine = await repository.token(['upload', 'create'], ['mine'])
    await stageFile(repository, mine, 'mine', '1.0')
    await expect(stageFile(repository, mine, 'theirs', '1.0')).rejects.toThrow(
      "isn't allowed to upload to project 'theirs'",
    )
    const noCreate = await repository.token(['upload'])
    await expect(stageFile(repository, noCreate, 'fresh', '1.0')).rejects.toThrow(
      "isn't allowed to create project 'fresh'",
    )
    await stageFile(repository, noCreate, 'mine', '1.1')
  })
})

describe('fence table', () => {
  const publishOne = async () => {
    const repository = await newRepository()
    const token = await repository.token()
    const staged = await stageFile(repository, token, 'alpha', '1.0')
    return { repository, token, staged, warm: await newReader(repository) }
  }

  test.each([
    ['absent', async (key: string) => void (await bucket.delete(key))],
    ['not a timestamp', async (key: string) => void (await bucket.put(key, '{}'))],
    [
      'badly signed',
      async (key: string) => {
        const text = new TextDecoder().decode(await bytesOf(key))
        await bucket.put(key, text.replace('"version":', '"version":9'))
      },
    ],
  ])('%s: replaced by a fresh timestamp, journalled', async (_, spoil) => {
    const { repository, staged, warm } = await publishOne()
    const before = await timestampOf(repository)
    await spoil(timestampKey(repository.place))
    expect(await repository.public.refresh(repository.name)).toEqual({ ok: true })
    const after = await timestampOf(repository)
    expect(after.version).toBeGreaterThan(before.version)
    expect(after.snapshot.version).toBe(before.snapshot.version)
    expect(await warm.read(staged.path)).toEqual(staged.bytes)
    expect(await sqlOf(repository, "SELECT 1 AS x FROM journal WHERE event LIKE '%foreign-write%'")).toHaveLength(1)
  })

  test('ours and older than live: a replayed timestamp is replaced', async () => {
    const { repository, token, warm } = await publishOne()
    const key = timestampKey(repository.place)
    const old = await bytesOf(key)
    const second = await stageFile(repository, token, 'beta', '1.0')
    await bucket.put(key, old)
    await repository.public.refresh(repository.name)
    expect(await warm.read(second.path)).toEqual(second.bytes)
  })

  test('the fourth foreign write within an hour halts, and says what to do', async () => {
    const { repository } = await publishOne()
    for (let i = 0; i < 4; i++) {
      await bucket.put(timestampKey(repository.place), '{}')
      await repository.public.refresh(repository.name)
    }
    expect(await statusOf(repository)).toMatchObject({
      state: 'halted',
      halted: expect.stringContaining('tuf-edge resume'),
    })
  })

  test('a timestamp under our key that this ledger never stored halts: a second writer', async () => {
    const { repository, token } = await publishOne()
    const live = await timestampOf(repository)
    const { length, hashes } = live.snapshot
    const bytes = await runInDurableObject(repository.stub, async (_: Publisher, state) => {
      const custody = new Custody(state.storage.sql, bindings.WRAPPING_SECRET)
      const snapshot = { version: live.snapshot.version, length: length!, sha256: hashes!.get('sha256')! }
      const signed = timestampSigned({ version: live.version + 5, expiresMs: Date.now() + HOUR, snapshot })
      return signRole(signed, [await custody.signer('timestamp')])
    })
    await bucket.put(timestampKey(repository.place), bytes)
    expect(await repository.public.refresh(repository.name)).toMatchObject({ ok: false, code: 'halted' })
    expect(await bytesOf(timestampKey(repository.place))).toEqual(bytes)
    await expect(stageFile(repository, token, 'beta', '1.0')).rejects.toThrow('second writer')
  })

  test('an immutable name with other bytes burns the number; the next one is signed', async () => {
    const { repository, token, warm } = await publishOne()
    const { version } = (await timestampOf(repository)).snapshot
    await bucket.put(metadataKey(repository.place, version + 1, 'snapshot'), '{"planted":true}')
    const staged = await stageFile(repository, token, 'beta', '1.0')
    expect(staged.answer).toEqual({ ok: true, visible: true })
    expect((await timestampOf(repository)).snapshot.version).toBe(version + 2)
    expect(new TextDecoder().decode(await bytesOf(metadataKey(repository.place, version + 1, 'snapshot')))).toContain(
      'planted',
    )
    expect(await warm.read(staged.path)).toEqual(staged.bytes)
  })

  test('a stray 999.snapshot.json changes nothing', async () => {
    const { repository, token, warm } = await publishOne()
    await bucket.put(metadataKey(repository.place, 999, 'snapshot'), '{}')
    const staged = await stageFile(repository, token, 'beta', '1.0')
    expect(await warm.read(staged.path)).toEqual(staged.bytes)
    expect((await timestampOf(repository)).snapshot.version).toBeLessThan(10)
  })
})

describe('faults', () => {
  const faulty = async (onPut: Faults['onPut']) => {
    const repository = await newRepository()
    const token = await repository.token()
    const first = await stageFile(repository, token, 'alpha', '1.0')
    const warm = await newReader(repository)
    await warm.read(first.path)
    const faults = faultyBucket()
    faults.onPut = onPut
    await withBucket(repository, faults.bucket)
    return { repository, token, warm, faults }
  }

  test.each(['fail-before', 'fail-after'] as const)(
    'one put of each publication fails (%s): nobody notices',
    async (mode) => {
      for (let failing = 0; failing < 5; failing++) {
        const { repository, token, warm, faults } = await faulty((_, index) => (index === failing ? mode : undefined))
        const staged = await stageFile(repository, token, 'alpha', '1.1')
        expect(staged.answer).toEqual({ ok: true, visible: true })
        expect(faults.violations).toEqual([])
        expect(await warm.read(staged.path)).toEqual(staged.bytes)
      }
    },
  )

  test.each([0, 2, 3, 4])('the object dies before put %i: the next event publishes the same bytes', async (at) => {
    const { repository, token, warm, faults } = await faulty(() => undefined)
    const died = await runInDurableObject(repository.stub, (_: Publisher, state) => {
      return () => state.abort('injected crash')
    })
    faults.onPut = (_, index) => {
      if (index !== at) return undefined
      died()
      return 'fail-before'
    }
    const upload = stageFile(repository, token, 'alpha', '1.1').catch((error: Error) => error)
    expect(await upload).toBeInstanceOf(Error)
    const again = await stageFile(repository, token, 'alpha', '1.1')
    expect(again.answer).toEqual({ ok: true, visible: true })
    expect(await warm.read(again.path)).toEqual(again.bytes)
  })

  test('bytes that are not in the bucket are never published; the file is quarantined by name', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    const other = await stageFile(repository, token, 'beta', '1.0')
    const lost = await stageFile(repository, token, 'alpha', '1.0', 'never put', { put: false })
    expect(lost.answer).toMatchObject({ ok: false, status: 503 })
    const reader = await newReader(repository)
    expect(await reader.read(lost.path)).toBeUndefined()
    expect(await reader.read(other.path)).toEqual(other.bytes)
  })

  test('a row changed in the database is never signed', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    const staged = await stageFile(repository, token, 'alpha', '1.0')
    await sqlOf(repository, "UPDATE files SET sha256 = ? WHERE project = 'alpha'", 'e'.repeat(64))
    const second = await stageFile(repository, token, 'alpha', '1.1')
    const reader = await newReader(repository)
    expect(await reader.read(staged.path)).toBeUndefined()
    expect(await reader.read(second.path)).toEqual(second.bytes)
    expect(await sqlOf(repository, "SELECT state FROM files WHERE filename LIKE '%1.0%'")).toEqual([
      { state: 'quarantined' },
    ])
  })
})

describe('freshness', () => {
  test('a tick bumps the timestamp over the same snapshot, and a warm client follows', async () => {
    const repository = await newRepository()
    const before = await timestampOf(repository)
    const warm = await newReader(repository, { now: () => Date.now() + 2 * HOUR })
    await setClock(repository, 2 * HOUR)
    await runDurableObjectAlarm(repository.stub)
    const after = await timestampOf(repository)
    expect(after.version).toBe(before.version + 1)
    expect(after.snapshot.version).toBe(before.snapshot.version)
    await warm.client.refresh()
  })

  test.each([
    ['a month', 30 * 24 * HOUR],
    ['four years', 4 * 365 * 24 * HOUR],
  ])('after %s asleep one call makes everything fresh', async (_, asleep) => {
    const repository = await newRepository()
    const staged = await stageFile(repository, await repository.token(), 'alpha', '1.0')
    const warm = await newReader(repository)
    await warm.read(staged.path)
    await setClock(repository, asleep)
    expect(await repository.public.refresh(repository.name)).toEqual({ ok: true })
    // Offline roles live a year: only they may be past their date.
    const { expiresMs } = await snapshotOf(repository)
    expect(expiresMs).toBeGreaterThan(Date.now() + asleep)
    if (asleep > 365 * 24 * HOUR) return
    const later = await newReader(repository, { store: warm.store, now: () => Date.now() + asleep })
    expect(await later.read(staged.path)).toEqual(staged.bytes)
  })

  test('a clock that ran ahead and came back is mended at once: no date stays beyond twice its life', async () => {
    const repository = await newRepository()
    await setClock(repository, 4 * 365 * 24 * HOUR)
    await repository.public.refresh(repository.name)
    await setClock(repository, 0)
    await repository.public.refresh(repository.name)
    for (const role of [await timestampOf(repository), await snapshotOf(repository)])
      expect(role.expiresMs).toBeLessThan(Date.now() + 48 * HOUR)
    const far = await sqlOf(
      repository,
      "SELECT name FROM roles WHERE name LIKE 'bin-%' AND expires > ?",
      Date.now() + 48 * HOUR,
    )
    expect(far).toEqual([])
  })

  test('what was replaced goes after the grace, roots and live files never', async () => {
    const repository = await newRepository()
    const token = await repository.token()
    const first = await stageFile(repository, token, 'alpha', '1.0')
    const old = (await timestampOf(repository)).snapshot.version
    const page = first.page
    const [{ sha256 } = { sha256: '' }] = await sqlOf<{ sha256: string }>(
      repository,
      'SELECT sha256 FROM pages WHERE path = ?',
      page,
    )
    await stageFile(repository, token, 'alpha', '1.1')
    expect(await repository.public.retainsPage(repository.name, page, sha256)).toBe(true)
    await setClock(repository, 20 * HOUR)
    await repository.public.refresh(repository.name)
    expect(await bucket.head(metadataKey(repository.place, old, 'snapshot'))).not.toBeNull()
    await setClock(repository, 60 * HOUR)
    await repository.public.refresh(repository.name)
    expect(await bucket.head(metadataKey(repository.place, old, 'snapshot'))).toBeNull()
    expect(await bucket.head(pageKey(repository.place, page, sha256))).toBeNull()
    expect(await repository.public.retainsPage(repository.name, page, sha256)).toBe(false)
    const reader = await newReader(repository, { now: () => Date.now() + 60 * HOUR })
    expect(await reader.read(first.path)).toEqual(first.bytes)
    expect(await bucket.head(metadataKey(repository.place, 1, 'root'))).not.toBeNull()
  })
})
