// The publisher's secrets: no private key in the clear, none for a repository that nobody begins, no bootstrap for ever.
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, test } from 'vitest'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { newRepository, type TestRepository } from './repository.ts'

const sqlOf = <T extends Record<string, SqlStorageValue>>(
  repository: TestRepository,
  query: string,
  ...values: unknown[]
) => runInDurableObject(repository.stub, (_: Publisher, state) => state.storage.sql.exec<T>(query, ...values).toArray())
describe('custody', () => {
  test('no object exists before its ceremony, and nobody without the secret makes one', async () => {
    const nobody = 'never-initialised'
    expect(await (await newRepository()).public.trust(nobody)).toMatchObject({ ok: false, status: 503 })
    const { member } = await newRepository()
    expect(await member.createKeys(nobody, 'wrong')).toMatchObject({ ok: false, status: 401 })
    expect(
      await member.mint({ repository: nobody, name: 'x', scopes: ['admin'], expires: 2e9 }, 'wrong'),
    ).toMatchObject({ ok: false })
  })

  test('the ledger holds no private key in the clear', async () => {
    const repository = await newRepository()
    const rows = await sqlOf<{ wrapped: ArrayBuffer }>(repository, 'SELECT wrapped FROM online_keys')
    expect(rows).toHaveLength(3)
    for (const { wrapped } of rows)
      await expect(crypto.subtle.importKey('pkcs8', wrapped, { name: 'Ed25519' }, false, ['sign'])).rejects.toThrow()
  })

  test('the bootstrap secret ends with the first use of an admin token; one whose answer was lost is ended', async () => {
    const repository = await newRepository()
    const lost = await repository.token(['admin', 'upload'])
    const uploader = await repository.token(['upload'])
    const admin = await repository.token(['admin', 'upload'])
    const expires = Math.floor(Date.now() / 1000) + 3_600
    const mint = (token: string) =>
      repository.member.mint({ repository: repository.name, name: 'by admin', scopes: ['upload'], expires }, token)
    // Whoever caught the lost answer has nothing.
    expect(await mint(lost)).toMatchObject({ ok: false, status: 401 })
    expect(await mint(uploader)).toMatchObject({ ok: false, status: 403 })
    expect(await mint(admin)).toMatchObject({ ok: true })
    await expect(repository.token(['upload'])).rejects.toThrow('bootstrap secret ended')
    await expect(repository.token(['admin'])).rejects.toThrow('bootstrap secret ended')
    expect(await mint(admin)).toMatchObject({ ok: true })
  })
})
