// Where a repository's object lies. workerd has no jurisdictions, so what is asked of the namespace is looked at.
import { expect, test } from 'vitest'
import { type Env, objectOf } from '../../durable-objects/env.ts'

test('the object lies in the jurisdiction of its bucket, or is made near it', () => {
  const asked: unknown[] = []
  const namespace = (jurisdiction?: string): unknown => ({
    jurisdiction: namespace,
    getByName: (name: string, options: object) => asked.push([jurisdiction, name, options]),
  })
  const env = { PUBLISHER: namespace() } as Env
  objectOf(env, 'main')
  objectOf({ ...env, JURISDICTION: 'eu' }, 'main')
  objectOf({ ...env, LOCATION_HINT: 'weur' }, 'main')
  expect(asked).toEqual([
    [undefined, 'main', {}],
    ['eu', 'main', {}],
    [undefined, 'main', { locationHint: 'weur' }],
  ])
})
