// Holes that the crash matrix and the model test found, each shown alone and named after what must hold.
import { expect, test, vi } from 'vitest'
import { Subject } from './matrix-subject.ts'
import { describeUpload, send } from './matrix-upload.ts'

vi.spyOn(console, 'error').mockImplementation(() => {})

const FRESHNESS = { timestampSeconds: 3_600, snapshotSeconds: 86_400, binSeconds: 7 * 86_400, tickSeconds: 900 }

test('a timestamp that lands after its publication was given up never takes readers back behind it', async () => {
  const subject = await Subject.create(FRESHNESS)
  const first = await describeUpload('alpha', '1.0', 'first')
  expect(await send(subject, first)).toBe(200)
  const warm = await subject.reader()
  const second = await describeUpload('alpha', '1.1', 'second')
  // The flip hangs, the publisher dies and sleeps until half the life of what it signed is over.
  subject.bucket.judge = ({ keys }) =>
    keys[0]!.endsWith('/timestamp.json')
      ? { fate: 'lands at last', strike: () => subject.state!.abort('injected crash') }
      : undefined
  expect(await send(subject, second)).toBe('none')
  subject.bucket.judge = () => undefined
  subject.offset += 2 * 86_400_000
  // It lands in the transaction that gives the publication up.
  let landed: Promise<void> | undefined
  subject.onTransaction = (change, moment) => {
    if (change === 'supersede' && moment === 'after') landed = subject.bucket.landAll()
  }
  await subject.alarm()
  await landed
  await subject.alarm()
  expect(subject.bucket.violations).toEqual([])
  expect(await warm.read(second.path)).toEqual(second.bytes)
  expect(await subject.audit()).toEqual([])
})

test('a project that is new while the list is signed stands in the list', async () => {
  const subject = await Subject.create(FRESHNESS)
  const [alpha, beta] = [await describeUpload('alpha', '1.0', 'a'), await describeUpload('beta', '1.0', 'b')]
  let staged = 0
  subject.onTransaction = (change, moment) => {
    if (change === 'stage' && moment === 'after') staged++
  }
  // The first signature of alpha's publication takes until beta is staged.
  let signing = false
  const sign = crypto.subtle.sign.bind(crypto.subtle)
  const slow = vi.spyOn(crypto.subtle, 'sign').mockImplementation(async (...args: Parameters<typeof sign>) => {
    signing = true
    await vi.waitUntil(() => staged === 2)
    return sign(...args)
  })
  const first = send(subject, alpha)
  await vi.waitUntil(() => signing)
  expect(await Promise.all([first, send(subject, beta)])).toEqual([200, 200])
  slow.mockRestore()
  await subject.alarm()
  const list = await (await subject.reader()).text('simple/vnd.pypi.simple.v1.json')
  expect(list).toContain('alpha')
  expect(list).toContain('beta')
})

test('nothing of a failed pass goes on after it: one flight at a time', async () => {
  const subject = await Subject.create(FRESHNESS)
  subject.offset += 8 * 86_400_000
  const broken = '/tuf/2.bin-ff.json'
  subject.bucket.judge = ({ keys }) => (keys[0]!.endsWith(broken) ? { fate: 'lost' } : undefined)
  subject.bucket.after = () => new Promise((resolve) => setTimeout(resolve, 2))
  expect(await subject.stub.refresh()).toMatchObject({ ok: false, status: 503 })
  const { writes } = subject.bucket
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(subject.bucket.writes).toBe(writes)
})

test('a file that is there is not visible while the status that shows it again waits', async () => {
  const subject = await Subject.create(FRESHNESS)
  const file = await describeUpload('alpha', '1.0', 'a')
  expect(await send(subject, file)).toBe(200)
  const { name: repository, token } = subject
  const setStatus = (status: 'active' | 'quarantined') =>
    subject.stub.setStatus({ repository, token, project: 'alpha', status })
  expect(await setStatus('quarantined')).toMatchObject({ ok: true, visible: true })
  subject.bucket.judge = () => ({ fate: 'lost', strike: () => subject.state!.abort('injected crash') })
  await setStatus('active').catch(() => undefined)
  subject.bucket.judge = () => undefined
  await subject.status()
  const { filename, sha256 } = file
  const begun = await subject.stub.begin({ repository, token, project: 'alpha', filename, sha256 })
  expect(begun).toMatchObject({ kind: 'duplicate', visible: false })
  await subject.alarm()
  expect(await send(subject, file)).toBe(200)
  expect(await (await subject.reader()).read(file.path)).toEqual(file.bytes)
})

test('what a call signs again under a clock that went back, and dies in, has its alarm', async () => {
  const subject = await Subject.create(FRESHNESS)
  expect(await send(subject, await describeUpload('alpha', '1.0', 'a'))).toBe(200)
  subject.offset -= 49 * 3_600_000
  subject.bucket.judge = () => ({ fate: 'lost', strike: () => subject.state!.abort('injected crash') })
  await subject.stub.refresh().catch(() => undefined)
  subject.bucket.judge = () => undefined
  await subject.status()
  expect(await subject.rows("SELECT 1 AS x FROM publications WHERE state = 'open'")).toHaveLength(1)
  expect(await subject.alarmFault()).toBeUndefined()
})
