// The crash matrix: every point of a publication × how the publisher falls × what becomes of the write × when it goes on.
//
// The rule of a cell. A point either has a bucket write of its own or lies between two. At a point with a write, that
// write has the fate and the fall happens while it is under way; with an exception the bucket then stays away until the
// publisher goes on. At a point between writes the fall happens there, and the fate is that of the first write after the
// publisher went on. So no combination is impossible, and none is left out.
// A change of keys and root is in matrix-root.test.ts, SIGKILL in test/e2e.
//
// What must hold after every cell: see `settled` and `Subject.audit`. Clients keep their trusted state through all cells
// of a repository. Nobody but the alarm helps.
import { afterAll, describe, expect, test, vi } from 'vitest'
import { MemoryBucket } from './matrix-bucket.ts'
import {
  type Cell,
  FALLS,
  FATES,
  FRESHNESS,
  flip,
  goOn,
  immutable,
  type Point,
  RESUMES,
  setTrap,
  TWICE_THE_LONGEST,
  until,
} from './matrix-cell.ts'
import { HOUR, Subject } from './matrix-subject.ts'
import { type Answer, describeUpload, send, type Upload } from './matrix-upload.ts'
import { memoryStore, type Reader } from './reading.ts'

/** Beyond `timestampSeconds` and the hour that caches have: everything replaced before may be deleted. */
const BEYOND_GRACE = 2.5 * HOUR

/** An upload to a project that exists has four immutables: two pages, one bin, one snapshot. */
const POINTS: Point[] = [
  { name: 'after begin', change: 'begin', moment: 'after' },
  { name: 'after put', write: ({ kind, keys }) => kind === 'put' && keys[0]!.includes('/blobs/') },
  { name: 'after stage', change: 'stage', moment: 'after' },
  { name: 'after sign', change: 'commit', moment: 'inside' },
  { name: 'after commit', change: 'commit', moment: 'after' },
  { name: 'after the 1st immutable', write: immutable, nth: 1 },
  { name: 'after a middle immutable', write: immutable, nth: 2 },
  { name: 'after the last immutable', write: immutable, nth: 4 },
  { name: 'before flip', change: 'timestamp', moment: 'after' },
  { name: 'flip unacknowledged', write: flip },
  { name: 'after flip, before finish', change: 'finish', moment: 'inside' },
  { name: 'during collection', write: ({ kind }) => kind === 'delete' },
]
// The publisher logs every pass that failed; here they fail by the hundred.
vi.spyOn(console, 'error').mockImplementation(() => {})

const table: Record<string, string | number>[] = []
afterAll(() => {
  const lines = table.map((row) =>
    Object.values(row)
      .map((value) => String(value).padEnd(26))
      .join(''),
  )
  console.log(
    [
      Object.keys(table[0] ?? {})
        .map((name) => name.padEnd(26))
        .join(''),
      ...lines,
    ].join('\n'),
  )
})

describe.each(POINTS)('$name', (point) => {
  test.each(FALLS)('%s', async (fall) => {
    const subject = await Subject.create(FRESHNESS)
    const alpha = await describeUpload('alpha', '1.0', 'the first')
    expect(await send(subject, alpha)).toBe(200)
    const warm = await subject.reader()
    const run = { cells: 0, answered: 0, unanswered: 0, updates: 0 }
    for (const fate of FATES)
      for (const resume of RESUMES) {
        await runCell(subject, { point, fall, fate, resume }, warm, run)
        run.cells++
      }
    expect(await subject.audit()).toEqual([])
    table.push({ point: point.name, fall, ...run, flips: subject.bucket.timestamps.length })
  })
})

async function runCell(subject: Subject, cell: Cell, warm: Reader, run: Record<string, number>): Promise<void> {
  const version = `2.${run.cells}`
  const where = `${cell.fate}, resumed ${cell.resume}`
  const upload = await describeUpload('alpha', version, `alpha ${version}`)
  const asleep = await subject.reader(memoryStore(warm.store.files))

  const trap = setTrap(subject, cell)
  let pending: Promise<Answer>
  if (cell.point.name === 'during collection') {
    pending = send(subject, upload)
    expect(await pending, where).toBe(200)
    subject.offset += BEYOND_GRACE
    await subject.alarm().catch(() => {})
  } else pending = send(subject, upload)
  await until(() => trap.sprung, `${where}: the point was not reached`)
  if (cell.resume !== 'at once') subject.offset += TWICE_THE_LONGEST
  trap.goOn()
  await goOn(subject, where)
  const answer = await pending
  await subject.bucket.landAll()
  await goOn(subject, where)

  await settled(asleep, upload, answer, `${where}, a client that slept`)
  await settled(await subject.reader(), upload, answer, `${where}, a fresh client`)
  const other = await describeUpload('alpha', version, 'other bytes')
  const repeated = await sendUntilAnswered(subject, upload)
  expect(repeated, `${where}: repeated`).toBe(200)
  expect(await sendUntilAnswered(subject, other), `${where}: other bytes`).toBe(400)
  const next = await describeUpload('alpha', `3.${run.cells}`, `alpha after ${version}`)
  expect(await sendUntilAnswered(subject, next), `${where}: the next upload`).toBe(200)
  expect(trap.spent(), `${where}: the fate met no write`).toBe(true)
  await subject.bucket.landAll()
  await goOn(subject, where)
  await settled(warm, next, 200, `${where}, the next upload`)
  expect(await warm.readSame(upload.path), `${where}, at last`).toEqual(upload.bytes)
  run.updates = run.updates! + 3
  expect([...subject.bucket.violations], where).toEqual([])
  if (answer === 'none') run.unanswered = run.unanswered! + 1
  else run.answered = run.answered! + 1
}

/** Answered: there. Not answered: wholly there or wholly absent. */
async function settled(reader: Reader, upload: Upload, answer: Answer, where: string): Promise<void> {
  const bytes = await reader.read(upload.path)
  const page = new TextDecoder().decode((await reader.readSame(upload.page)) ?? new Uint8Array())
  const listed = page.includes(upload.filename)
  expect(listed, `${where}: page and bin agree`).toBe(bytes !== undefined)
  if (bytes) expect(bytes, where).toEqual(upload.bytes)
  if (answer !== 'none') expect(bytes, `${where}: answered ${answer}`).toBeDefined()
}

/** The fate of a cell may meet an upload's own put: then it is sent again, as a person would. */
async function sendUntilAnswered(subject: Subject, upload: Upload): Promise<Answer> {
  const answer = await send(subject, upload)
  return answer === 'none' ? send(subject, upload) : answer
}

describe('the bucket in memory notices', () => {
  const put = (bucket: MemoryBucket, key: string, text: string, onlyIf: R2Conditional = { etagDoesNotMatch: '*' }) =>
    bucket.binding().put(key, new TextEncoder().encode(text), { onlyIf })

  test('other bytes under an immutable key, a deleted key that returns, and a put without a condition', async () => {
    const bucket = new MemoryBucket()
    const key = 'r/x/e1/tuf/1.bin-00.json'
    await put(bucket, key, 'a')
    expect(await put(bucket, key, 'a')).toBeNull()
    expect(bucket.violations).toEqual([])
    await bucket.binding().put(key, new TextEncoder().encode('b'))
    expect(bucket.violations).toEqual([`${key} was put without a condition`, `${key} changed its bytes`])
    await bucket.binding().delete(key)
    await put(bucket, key, 'a')
    expect(bucket.violations.at(-1)).toBe(`${key} was deleted and came back`)
  })
})
