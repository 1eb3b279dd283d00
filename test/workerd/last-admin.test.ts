// No token that may administer everything is left: another bootstrap secret makes one, once. The secret of the first day, and
// each that made a token since, stays dead.
import { createExecutionContext } from 'cloudflare:test'
import { describe, expect, test } from 'vitest'
import { Member } from '../../durable-objects/entrypoints.ts'
import type { MintAnswer, MintRequest, Scope } from '../../durable-objects/rpc.ts'
import { call, expectProblem, inAnHour } from './calls.ts'
import { DAY, HOUR, setClock, sqlOf } from './controls.ts'
import { BOOTSTRAP, bindings, newRepository, type TestRepository } from './repository.ts'

const ADMIN: Scope[] = ['read', 'upload', 'create', 'admin']
const secretOf = (letter: string): string => letter.repeat(43)

/** The publisher as it is after `wrangler secret put`: with `secret` set, asked with `secret` or another. */
const mint = (
  repository: TestRepository,
  secret: string,
  more: Partial<MintRequest> = {},
  sent = secret,
): Promise<MintAnswer> => {
  const member = new Member(createExecutionContext(), { ...bindings, BOOTSTRAP_SECRET: secret })
  const expires = Math.floor(Date.now() / 1000) + 10 * (DAY / 1000)
  return member.mint({ repository: repository.name, name: 'new', scopes: ADMIN, expires, ...more }, sent)
}

const use = async (repository: TestRepository, token: string) =>
  (await repository.member.tokens({ repository: repository.name, token, ended: false, limit: 10 })).ok

/** An index whose only admin token, made by the secret of the first day and used, has expired an hour ago. */
async function lockedOut(): Promise<TestRepository> {
  const repository = await newRepository()
  const token = await repository.token(ADMIN)
  expect(await use(repository, token)).toBe(true)
  await setClock(repository, DAY + HOUR)
  expect(await use(repository, token)).toBe(false)
  return repository
}

test('while an admin token is good, another secret makes none', async () => {
  const repository = await newRepository()
  const token = await repository.token(ADMIN)
  // Of whatever secret: until the first use each is as good as the first.
  expect(await use(repository, token)).toBe(true)
  expect(await mint(repository, secretOf('n'))).toMatchObject({ ok: false, status: 403 })
  await setClock(repository, DAY - HOUR)
  expect(await mint(repository, secretOf('n'))).toMatchObject({
    ok: false,
    status: 403,
    message: expect.stringContaining('ended with the first use'),
  })
})

describe('when none is good', () => {
  test('the secret of the first day stays dead, and another makes exactly one admin token', async () => {
    const repository = await lockedOut()
    const dead = { ok: false, status: 403, message: expect.stringContaining('made its token already') }
    expect(await mint(repository, BOOTSTRAP)).toMatchObject(dead)
    expect(await mint(repository, secretOf('n'), {}, secretOf('m'))).toMatchObject({ ok: false, status: 401 })
    // What would be no way back is refused, and costs the secret nothing.
    for (const wrong of [{ scopes: ['upload'] as Scope[] }, { projects: ['one'] }])
      expect(await mint(repository, secretOf('n'), wrong)).toMatchObject({ ok: false, status: 403 })
    expect(await mint(repository, secretOf('n'), { name: '' })).toMatchObject({ ok: false, status: 400 })

    const made = await mint(repository, secretOf('n'))
    if (!made.ok) throw new Error(made.message)
    expect(await mint(repository, secretOf('n'))).toMatchObject(dead)
    expect(await use(repository, made.token)).toBe(true)
    for (const secret of [BOOTSTRAP, secretOf('n'), secretOf('o')])
      expect(await mint(repository, secret)).toMatchObject({ ok: false, status: 403 })

    const events = await sqlOf<{ event: string }>(repository, 'SELECT event FROM journal ORDER BY seq')
    const minted = events.map(({ event }) => JSON.parse(event)).filter(({ event }) => event === 'minted')
    expect(minted).toHaveLength(2)
    expect(minted[1]).toMatchObject({
      by: 'bootstrap',
      token: made.id,
      secret: expect.stringMatching(/^[0-9a-f]{16}$/),
    })
    expect(minted[1].secret).not.toBe(minted[0].secret)
    expect(JSON.stringify(await sqlOf(repository, 'SELECT * FROM settings'))).not.toContain(secretOf('n'))
  })

  test('a lost answer: a third secret ends the token that nobody used', async () => {
    const repository = await lockedOut()
    const lost = await mint(repository, secretOf('n'))
    if (!lost.ok) throw new Error(lost.message)
    expect(await mint(repository, secretOf('n'))).toMatchObject({ ok: false, status: 403 })
    const made = await mint(repository, secretOf('o'))
    if (!made.ok) throw new Error(made.message)
    expect(await use(repository, lost.token)).toBe(false)
    expect(await use(repository, made.token)).toBe(true)
  })

  test('an admin of some projects is no way back for all, and does not stand in it', async () => {
    const repository = await newRepository()
    const token = await repository.token(ADMIN)
    const narrow = await repository.member.mint(
      {
        ...{ repository: repository.name, name: 'narrow', scopes: ['admin'], projects: ['one'] },
        expires: Math.floor(Date.now() / 1000) + 10 * (DAY / 1000),
      },
      token,
    )
    if (!narrow.ok) throw new Error(narrow.message)
    await setClock(repository, DAY + HOUR)
    expect(await use(repository, narrow.token)).toBe(true)
    expect(await mint(repository, secretOf('n'))).toMatchObject({ ok: true })
  })

  test('who writes the ledger brings no spent secret back', async () => {
    const repository = await lockedOut()
    await sqlOf(repository, "DELETE FROM settings WHERE name = 'bootstrapSecrets'")
    for (const secret of [BOOTSTRAP, secretOf('n')])
      expect(await mint(repository, secret)).toMatchObject({ ok: false, status: 403 })
  })
})

test('guesses are counted as those of tokens are', async () => {
  await newRepository({ name: 'main' })
  const body = { name: 'guess', scopes: ['admin'], allProjects: true, expires: inAnHour() }
  const headers = { 'cf-connecting-ip': '192.0.2.77' }
  const guess = (i: number) => call('POST', '/api/tokens', { token: `${i}`.padStart(43, 'g'), body, headers })
  for (let i = 0; i < 20; i++) expect((await guess(i)).status).toBe(401)
  await expectProblem(await guess(20), 429, /try again in a minute/)
})
