import { expect, test } from 'vitest'
import { newRepository } from './repository.ts'

test('a ceremony makes a repository', async () => {
  const repository = await newRepository()
  expect(await repository.public.status(repository.name)).toMatchObject({ ok: true, state: 'live' })
})
