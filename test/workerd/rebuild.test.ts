// A lost bucket is filled again from the ledger, and what the ledger says of itself: the journal.
import { describe, expect, test, vi } from 'vitest'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey, bucketPrefix, metadataKey } from '../../tuf/layout.ts'
import { bucket, bytesOf, keysOf, published, refresh, sqlOf, timestampOf } from './recovery-harness.ts'
import { BOOTSTRAP, newRepository, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'

// Most of these wait out the eight seconds of an uploader who is not answered, some twice, beside other suites.
vi.setConfig({ testTimeout: 120_000 })

describe('rebuild', () => {
  const rebuild = async (repository: TestRepository, token: string, limit = 100) => {
    const all = { restored: [] as string[], replaced: [] as string[], missing: [] as { key: string; why: string }[] }
    let batches = 0
    for (let cursor: string | undefined; ; batches++) {
      const answer = await repository.member.rebuild(
        { repository: repository.name, limit, ...(cursor === undefined ? {} : { cursor }) },
        token,
      )
      if (!answer.ok) throw new Error(answer.message)
      all.restored.push(...answer.restored)
      all.replaced.push(...answer.replaced)
      all.missing.push(...answer.missing)
      cursor = answer.cursor
      if (cursor === undefined) return { ...all, batches: batches + 1 }
    }
  }

  test('the ledger keeps the bytes of exactly what is live', async () => {
    const { repository, token } = await published()
    await stageFile(repository, token, 'alpha', '1.1')
    await stageFile(repository, token, 'beta', '1.0')
    const kept = await sqlOf<{ key: string }>(repository, 'SELECT key FROM objects ORDER BY key')
    const roles = await sqlOf<{ name: string; version: number }>(
      repository,
      "SELECT name, version FROM roles WHERE name NOT IN ('root', 'targets', 'bins', 'timestamp')",
    )
    const pages = await sqlOf(repository, 'SELECT path FROM pages')
    expect(kept).toHaveLength(roles.length + pages.length)
    for (const { name, version } of roles)
      expect(kept).toContainEqual({ key: metadataKey(repository.place, version, name) })
  })

  test('a lost bucket is filled again byte for byte; lost files are named', async () => {
    const { repository, token, first, warm } = await published()
    const second = await stageFile(repository, token, 'alpha', '1.1')
    await stageFile(repository, token, 'beta', '1.0')
    const live = new Set<string>()
    for (const { key } of await sqlOf<{ key: string }>(repository, 'SELECT key FROM objects')) live.add(key)
    for (const name of ['1.root', '1.targets', '1.bins', 'timestamp'])
      live.add(`${bucketPrefix(repository.place)}tuf/${name}.json`)
    const before = new Map<string, Uint8Array>()
    for (const key of live) before.set(key, await bytesOf(key))
    const blobs = await keysOf(repository, 'blobs/')
    expect(blobs).toHaveLength(3)

    const everything = await keysOf(repository)
    for (let at = 0; at < everything.length; at += 1_000) await bucket.delete(everything.slice(at, at + 1_000))
    // The token proves itself by the ledger, which is found through the bucket: with that gone it takes the other secret.
    const report = await rebuild(repository, BOOTSTRAP)
    expect(report.batches).toBeGreaterThan(2)
    expect(new Set(report.restored)).toEqual(live)
    expect(report.replaced).toEqual([])
    expect(report.missing.map(({ key }) => key).sort()).toEqual(blobs.sort())
    for (const [key, bytes] of before) expect(await bytesOf(key), key).toEqual(bytes)
    expect(await refresh(repository)).toEqual({ ok: true })
    expect((await warm.text(first.page))!).toContain('1.1')
    // A copy of the files put back completes it.
    await bucket.put(blobKey(repository.place, second.sha256, 1), second.bytes)
    expect(await warm.read(second.path)).toEqual(second.bytes)
    expect((await rebuild(repository, token)).missing).toHaveLength(2)
  })

  test('damaged objects are replaced, sound ones are left alone', async () => {
    const { repository, token, first, warm } = await published()
    const [{ key: page } = { key: '' }] = await sqlOf<{ key: string }>(
      repository,
      "SELECT key FROM objects WHERE kind = 'page' AND name LIKE '%alpha%' AND name LIKE '%.json'",
    )
    const { version } = (await timestampOf(repository)).snapshot
    const damaged = [page, metadataKey(repository.place, version, 'snapshot'), metadataKey(repository.place, 1, 'root')]
    const before = await Promise.all(damaged.map(bytesOf))
    for (const key of damaged) await bucket.put(key, 'damaged')
    const gone = metadataKey(repository.place, 1, 'bins')
    await bucket.delete(gone)
    const report = await rebuild(repository, token, 50)
    expect(report.replaced.sort()).toEqual([...damaged].sort())
    expect(report).toMatchObject({ restored: [gone], missing: [] })
    expect(await Promise.all(damaged.map(bytesOf))).toEqual(before)
    expect(await warm.read(first.path)).toEqual(first.bytes)
    expect(await rebuild(repository, token)).toMatchObject({ restored: [], replaced: [], missing: [] })
    expect(await sqlOf(repository, "SELECT 1 AS x FROM journal WHERE event LIKE '%rebuilt%'")).not.toEqual([])
  })
})

test('the journal is a feed of rows whose hashes chain, for the scope audit or admin', async () => {
  const { repository, token } = await published()
  const first = await repository.member.journal(repository.name, 0, 2, token)
  if (!first.ok) throw new Error(first.message)
  expect(first.rows.map(({ seq }) => seq)).toEqual([1, 2])
  expect(first.head).toBeGreaterThan(2)
  let previous = '0'.repeat(64)
  for (let after = 0; ; ) {
    const page = await repository.member.journal(repository.name, after, 100, token)
    if (!page.ok) throw new Error(page.message)
    for (const { seq, time, event, hash } of page.rows) {
      expect(seq).toBe(++after)
      expect(await sha256Hex(new TextEncoder().encode(`${previous}\n${seq}\n${time}\n${event}`))).toBe(hash)
      previous = hash
    }
    if (after === page.head) break
  }
  const other = await newRepository()
  const uploader = await other.token(['upload', 'read'])
  expect(await other.member.journal(other.name, 0, 2, uploader)).toMatchObject({ status: 403 })
  expect(await other.member.journal(other.name, 0, 2, 'x')).toMatchObject({ status: 401 })
})
