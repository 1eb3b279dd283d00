// The second bucket: every live file gets there, nothing else does, and a lost bucket comes back from ledger and copy.
import { describe, expect, test } from 'vitest'
import { blobKey, blobKeys, blobProvenanceKey, bucketPrefix } from '../../tuf/layout.ts'
import { eventually, HOUR, setClock, statusOf, withBindings } from './controls.ts'
import { newReader } from './reading.ts'
import { BOOTSTRAP, bindings, newRepository, STANDARD, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'

/** A bucket in a corner of the real one. @param broken answers a put with an error while it says true */
function corner(name: string, broken: () => boolean = () => false): R2Bucket {
  const at = (key: string) => `${name}/${key}`
  const { BUCKET } = bindings
  return {
    head: (key: string) => BUCKET.head(at(key)),
    get: (key: string) => BUCKET.get(at(key)),
    put: async (key: string, value: ReadableStream, options: R2PutOptions) => {
      if (!broken()) return BUCKET.put(at(key), value, options)
      await value.cancel()
      throw new Error('injected: the copy does not answer')
    },
    delete: (keys: string[]) => BUCKET.delete(keys.map(at)),
  } as unknown as R2Bucket
}

const bind = (repository: TestRepository, copy: R2Bucket | undefined) => withBindings(repository, { COPY: copy })

const uncopied = async (repository: TestRepository) => (await statusOf(repository)).uncopied
const refresh = ({ public: door, name }: TestRepository) => door.refresh(name)

describe('a second bucket', () => {
  test('gets what is live when it is bound and what becomes live; a lost file comes back from it', async () => {
    const repository = await newRepository()
    const { place, name } = repository
    const token = await repository.token()
    const before = await stageFile(repository, token, 'alpha', '1.0')
    expect(await uncopied(repository)).toBeUndefined()
    await bind(repository, corner('c1'))
    await refresh(repository)
    const after = await stageFile(repository, token, 'alpha', '1.1', undefined, { provenance: 'who' })
    await eventually(async () => (await uncopied(repository)) === 0)
    for (const { sha256 } of [before, after])
      expect(await bindings.BUCKET.head(`c1/${blobKey(place, sha256, 1)}`)).not.toBeNull()

    // Everything of the first bucket is gone but what the ledger knows.
    const { objects } = await bindings.BUCKET.list({ prefix: bucketPrefix(place) })
    await bindings.BUCKET.delete(objects.map(({ key }) => key))
    const rebuilt = await repository.member.rebuild({ repository: name, limit: 250 }, BOOTSTRAP)
    let cursor = rebuilt.ok ? rebuilt.cursor : undefined
    const missing: unknown[] = rebuilt.ok ? [...rebuilt.missing] : ['refused']
    while (cursor !== undefined) {
      const more = await repository.member.rebuild({ repository: name, limit: 250, cursor }, BOOTSTRAP)
      if (!more.ok) throw new Error(more.message)
      missing.push(...more.missing)
      cursor = more.cursor
    }
    expect(missing).toEqual([])
    const reader = await newReader(repository)
    expect(await reader.text(before.path)).toBe('alpha 1.0')
    expect(await reader.text(after.path)).toBe('alpha 1.1')
    const provenance = blobProvenanceKey(place, after.sha256, 1)
    expect(await (await bindings.BUCKET.get(provenance))?.text()).toBe('who')

    // What no bucket has is named.
    await bind(repository, undefined)
    await bindings.BUCKET.delete(provenance)
    const admin = await repository.token(['admin'])
    const lost = await repository.member.rebuild({ repository: name, limit: 250, cursor: 'files:' }, admin)
    expect(lost).toMatchObject({
      missing: [{ key: provenance, why: expect.stringMatching(/^the provenance of alpha-1.1/) }],
    })
  })

  test('that fails keeps no upload waiting and is caught up with', async () => {
    const repository = await newRepository()
    let broken = true
    await bind(
      repository,
      corner('c2', () => broken),
    )
    const token = await repository.token()
    const staged = await stageFile(repository, token, 'alpha', '1.0')
    await eventually(async () => (await uncopied(repository)) === 1)
    expect(await (await newReader(repository)).text(staged.path)).toBe('alpha 1.0')
    broken = false
    await setClock(repository, 2 * 60_000)
    await refresh(repository)
    await eventually(async () => (await uncopied(repository)) === 0)
    expect(await bindings.BUCKET.head(`c2/${blobKey(repository.place, staged.sha256, 1)}`)).not.toBeNull()
  })

  test('loses what the collector deletes', async () => {
    const repository = await newRepository({ freshness: { ...STANDARD, timestampSeconds: 3_600, tickSeconds: 600 } })
    await bind(repository, corner('c3'))
    const token = await repository.token(['upload', 'create', 'delete'])
    const staged = await stageFile(repository, token, 'alpha', '1.0', undefined, { provenance: 'who' })
    await eventually(async () => (await uncopied(repository)) === 0)
    const keys = blobKeys(repository.place, staged.sha256, 1).flatMap((key) => [key, `c3/${key}`])
    for (const key of keys.filter((each) => !each.endsWith('.metadata')))
      expect(await bindings.BUCKET.head(key)).not.toBeNull()
    const request = { repository: repository.name, token, project: 'alpha', filename: staged.path.split('/').pop()! }
    expect(await repository.member.remove({ ...request, purge: false })).toMatchObject({ ok: true })
    await setClock(repository, 5 * HOUR)
    await refresh(repository)
    for (const key of keys) expect(await bindings.BUCKET.head(key)).toBeNull()
  })
})
