// The crash matrix of a change of keys: people hand over a root that names new keys for targets, targets that name new
// keys for bins, and bins, in one batch, and the publisher falls at every point of the publication that carries it.
// The rule of a cell is that of matrix.test.ts.
//
// What must hold after every cell: clients, cold, warm and asleep since before, update without error; the batch is there as
// a whole or not at all; repeated it is there; an upload goes on; no version has two contents. Nobody but the alarm helps.
import { describe, expect, test, vi } from 'vitest'
import {
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
import { Subject } from './matrix-subject.ts'
import { describeUpload, send } from './matrix-upload.ts'
import { memoryStore, type Reader } from './reading.ts'

/** Four immutables: bins and targets in any order, the snapshot, and last the root, which clients look for unasked. */
const POINTS: Point[] = [
  { name: 'after sign', change: 'commit', moment: 'inside' },
  { name: 'after commit', change: 'commit', moment: 'after' },
  { name: 'after the 1st immutable', write: immutable, nth: 1 },
  { name: 'the root', write: immutable, nth: 4 },
  { name: 'before flip', change: 'timestamp', moment: 'after' },
  { name: 'flip unacknowledged', write: flip },
  { name: 'after flip, before finish', change: 'finish', moment: 'inside' },
]

vi.spyOn(console, 'error').mockImplementation(() => {})

describe.each(POINTS)('$name', (point) => {
  test.each(FALLS)('%s', async (fall) => {
    const subject = await Subject.create(FRESHNESS)
    const first = await describeUpload('alpha', '1.0', 'the first')
    expect(await send(subject, first)).toBe(200)
    const warm = await subject.reader()
    let version = 1
    for (const fate of FATES)
      for (const resume of RESUMES) {
        version++
        const where = `${fate}, resumed ${resume}`
        const asleep = await subject.reader(memoryStore(warm.store.files))
        const files = await subject.nextCeremony(version)
        const push = () => subject.stub.push({ repository: subject.name, token: subject.token, files })
        const trap = setTrap(subject, { point, fall, fate, resume })
        const pending = push().then(
          (answer) => ({ ...answer }),
          () => undefined,
        )
        await until(() => trap.sprung, `${where}: the point was not reached`)
        if (resume !== 'at once') subject.offset += TWICE_THE_LONGEST
        trap.goOn()
        await goOn(subject, where)
        const answer = await pending
        await subject.bucket.landAll()
        await goOn(subject, where)

        const fresh = await subject.reader()
        for (const reader of [asleep, fresh]) expect(await reader.read(first.path), where).toEqual(first.bytes)
        const before = await versionsOf(subject)
        expect(new Set(before).size, `${where}: whole or not at all`).toBe(1)
        if (answer?.ok) expect(before, where).toEqual([version, version, version])
        expect(await push(), `${where}: repeated`).toMatchObject({ ok: true })
        const next = await describeUpload('alpha', `2.${version}`, `alpha ${version}`)
        await sendAgain(subject, next)
        expect(trap.spent(), `${where}: the fate met no write`).toBe(true)
        await subject.bucket.landAll()
        await goOn(subject, where)
        expect(await versionsOf(subject), where).toEqual([version, version, version])
        for (const reader of [warm, await subject.reader()]) await mustRead(reader, next, where)
        expect([...subject.bucket.violations], where).toEqual([])
      }
    expect(await subject.audit()).toEqual([])
  })
})

const versionsOf = async (subject: Subject): Promise<number[]> =>
  (await subject.status()).roles
    .filter(({ role }) => ['root', 'targets', 'bins'].includes(role))
    .map(({ version }) => version)

async function sendAgain(subject: Subject, upload: Parameters<typeof send>[1]): Promise<void> {
  if ((await send(subject, upload)) !== 200) expect(await send(subject, upload)).toBe(200)
}

async function mustRead(reader: Reader, { path, bytes }: { path: string; bytes: Uint8Array }, where: string) {
  expect(await reader.read(path), where).toEqual(bytes)
}
