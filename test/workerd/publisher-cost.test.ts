// What a publication may cost: every query that an upload, a publication or an alarm runs finds its rows through an
// index, so that none of them grows with the number of projects, files, blobs, pages or publications.
import { runInDurableObject } from 'cloudflare:test'
import { expect, test } from 'vitest'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { Adoption } from './adoption.ts'
import { HOUR } from './controls.ts'
import { bindings, newRepository } from './repository.ts'
import { stageFile } from './staging.ts'

/** A plan that reads all of a table that grows with the index or its age: the table, and no index behind it. */
const WHOLE = /^(SCAN|SEARCH) (projects|p|files|pages|blobs|publications|objects|garbage|journal)( EXISTS)?$/
const EXCEPTIONS = [
  // The project list, and how long it is: the protocol's stated exception.
  /SELECT name FROM projects WHERE EXISTS/,
  /FROM \(SELECT 1 FROM projects LIMIT \?\)/,
  // The newest row by its key.
  /FROM journal ORDER BY seq DESC LIMIT 1$/,
]

test('no query of an upload or a publication reads a whole table that grows', async () => {
  const repository = await newRepository()
  const token = await repository.token()
  await stageFile(repository, token, 'alpha', '1.0')
  const queries = await runInDurableObject(repository.stub, (_: Publisher, state) => {
    const { sql } = state.storage
    const seen = new Map<string, number>()
    const exec = sql.exec.bind(sql)
    Object.defineProperty(sql, 'exec', {
      configurable: true,
      value: (query: string, ...bindings: unknown[]) => {
        seen.set(query, bindings.length)
        return exec(query, ...bindings)
      },
    })
    return seen
  })
  await stageFile(repository, token, 'alpha', '1.1')
  await stageFile(repository, token, 'beta', '1.0')
  await repository.public.refresh(repository.name)
  const plans = await runInDurableObject(repository.stub, (_: Publisher, state) =>
    [...queries].map(([query, values]) => ({
      query,
      plan: state.storage.sql
        .exec<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`, ...new Array(values).fill(null))
        .toArray()
        .map((row) => row.detail),
    })),
  )
  expect(plans.length).toBeGreaterThan(30)
  // How full a bin is, asked twice an upload: by what is staged in it, not by all that it holds.
  expect(plans.find(({ query }) => query.startsWith('SELECT count(*) AS n FROM files WHERE bin = ?'))?.plan).toEqual([
    expect.stringContaining('files_staged'),
  ])
  const whole = plans.filter(({ plan }) => plan.some((detail) => WHOLE.test(detail)))
  expect(whole.filter(({ query }) => !EXCEPTIONS.some((exception) => exception.test(query)))).toEqual([])
})

test('a tick of a repository that is signed elsewhere reads and writes as many rows, however many roles it has', async () => {
  const [few, many] = [await ticked(2), await ticked(60)]
  expect(few.written).toBeGreaterThan(0)
  expect(many).toEqual(few)
})

/** The rows of one tick, and the objects that the bucket was given beside the timestamp. */
async function ticked(roles: number): Promise<{ read: number; written: number; objects: number }> {
  const adoption = await Adoption.make(Array.from({ length: roles }, (_, i) => `role-${i}`))
  await adoption.adopt()
  // The second root goes out, and what it replaced is collected.
  await adoption.later(2 * HOUR)
  await adoption.later(3 * HOUR + 60_000)
  const objects = async () => (await bindings.BUCKET.list({ prefix: `r/${adoption.name}/` })).objects.length
  const before = await objects()
  const stub = bindings.PUBLISHER.getByName(adoption.name)
  const cursors = await runInDurableObject(stub, (_: Publisher, state) => {
    const { sql } = state.storage
    const seen: SqlStorageCursor<Record<string, SqlStorageValue>>[] = []
    const exec = sql.exec.bind(sql)
    Object.defineProperty(sql, 'exec', {
      configurable: true,
      value: (query: string, ...bound: unknown[]) => {
        const cursor = exec(query, ...bound)
        seen.push(cursor)
        return cursor
      },
    })
    return seen
  })
  await adoption.later(4 * HOUR + 120_000)
  const rows = await runInDurableObject(stub, () => ({
    read: cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0),
    written: cursors.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
  }))
  return { ...rows, objects: (await objects()) - before }
}
