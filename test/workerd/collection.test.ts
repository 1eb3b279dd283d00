// What the collector deletes, when, and what it must never touch.
import { describe, expect, test } from 'vitest'
import { bucketWith, HOUR, setClock, sqlOf, withBucket } from './controls.ts'
import { newReader } from './reading.ts'
import { newRepository, STANDARD } from './repository.ts'
import { stageFile } from './staging.ts'

/** A grace of two hours, well within the life of a token. */
const HOURLY = { ...STANDARD, timestampSeconds: 3_600, tickSeconds: 600 }

describe('a delete that lands late', () => {
  test('hits no page, although the page says again what the deleted one said', async () => {
    const repository = await newRepository({ freshness: HOURLY })
    const token = await repository.token()
    const staged = await stageFile(repository, token, 'alpha', '1.0')
    const yank = (yanked: boolean) =>
      repository.member.yank({ repository: repository.name, token, project: 'alpha', filename, yanked })
    const filename = staged.path.split('/').pop()!
    const before = await sqlOf<{ sha256: string }>(repository, 'SELECT sha256 FROM pages WHERE path = ?', staged.page)
    await yank(true)

    // The grace is over. The delete hangs: its caller is told that it failed, and it lands when everything is done.
    const late: (() => Promise<unknown>)[] = []
    await withBucket(
      repository,
      bucketWith({
        delete: async (real, keys) => {
          late.push(() => real(keys))
          throw new Error('injected: no answer to the delete')
        },
      }),
    )
    await setClock(repository, 5 * HOUR)
    await repository.public.refresh(repository.name)
    expect(late.length).toBeGreaterThan(0)
    await yank(false)
    for (const land of late) await land()

    const reader = await newReader(repository, { now: () => Date.now() + 5 * HOUR })
    const page = JSON.parse((await reader.text(staged.page))!)
    expect(page.files).toMatchObject([{ filename, yanked: false }])
    expect(await reader.text(staged.page.replace('.json', '.html'))).toContain(filename)
    const after = await sqlOf<{ sha256: string }>(repository, 'SELECT sha256 FROM pages WHERE path = ?', staged.page)
    expect(after).not.toEqual(before)
  })
})
