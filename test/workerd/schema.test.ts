// A ledger that another release wrote: read as it is or refused with what to do, never guessed.
import { runInDurableObject } from 'cloudflare:test'
import { expect, test } from 'vitest'
import { createTables } from '../../durable-objects/ledger/schema.ts'
import { bindings } from './repository.ts'

test('an older publisher refuses a newer ledger and leaves it alone; the newer release finds it whole', async () => {
  const stub = bindings.PUBLISHER.getByName('schema')
  await runInDurableObject(stub, (_, state) => {
    const { sql } = state.storage
    const schema = () => sql.exec<{ value: number }>("SELECT value FROM facts WHERE name = 'schema'").one().value
    const ours = schema()
    sql.exec("UPDATE facts SET value = ? WHERE name = 'schema'", ours + 1)
    expect(() => createTables(sql)).toThrow(/this release knows \d+: deploy the newer release again/)
    expect(schema()).toBe(ours + 1)
    sql.exec("UPDATE facts SET value = ? WHERE name = 'schema'", ours)
    createTables(sql)
  })
})
