// The two-root order under crashes: an adoption and a release, and in the hour after each the second root. The publisher is
// aborted at its nth write, or its nth transaction, of each of these four, for every n there is; then whoever asked asks
// again, as the command line does, or the alarm goes on.
//
// What must hold after every fall: what was asked for is there as a whole; clients, new and warm since before, update
// without error; no name under the bucket ever has two contents.
import { runInDurableObject } from 'cloudflare:test'
import { expect, test } from 'vitest'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { Adoption, doors, handOver, type OurKeys } from './adoption.ts'
import { bucketWith, HOUR, setClock, statusOf } from './controls.ts'
import { substitute, watched } from './matrix-watch.ts'
import { BOOTSTRAP, bindings } from './repository.ts'

const FALLS = ['before a write', 'after a write', 'inside a transaction', 'after a transaction'] as const
type Fall = (typeof FALLS)[number]

/** Over one life of a repository: sets the nth trap, and sees what is written. */
class Trap {
  sprung = false
  #isArmed = false
  readonly contents = new Map<string, string>()
  readonly violations: string[] = []
  readonly #adoption: Adoption
  readonly #fall: Fall
  readonly #nth: number

  constructor(adoption: Adoption, fall: Fall, nth: number) {
    this.#adoption = adoption
    this.#fall = fall
    this.#nth = nth
  }

  /** The object as it is now is going to fall; its clock runs `offset` ahead. */
  async set(offset: number): Promise<void> {
    this.sprung = false
    this.#isArmed = true
    let [writes, transactions] = [0, 0]
    const stub = bindings.PUBLISHER.getByName(this.#adoption.name)
    await runInDurableObject(stub, (publisher: Publisher, state) => {
      const inside = publisher as unknown as { ctx: DurableObjectState; env: object; forget(): void }
      const strike = () => {
        this.sprung = true
        state.abort('injected crash')
        throw new Error('injected crash')
      }
      const bucket = bucketWith({
        put: async (real, ...args) => {
          if (this.sprung) throw new Error('injected crash')
          const here = this.#isArmed && ++writes === this.#nth
          if (here && this.#fall === 'before a write') strike()
          await this.#see(args[0] as string, args[1] as Uint8Array)
          const stored = await real(...args)
          if (here && this.#fall === 'after a write') strike()
          return stored
        },
      })
      const transactionSync = watched(state.storage, (_, moment) => {
        if (moment === 'inside') transactions++
        if (this.#isArmed && !this.sprung && transactions === this.#nth && this.#fall === `${moment} a transaction`)
          strike()
      })
      const storage = substitute(state.storage, { transactionSync })
      inside.ctx = substitute(state, { storage })
      inside.env = { ...inside.env, BUCKET: bucket }
      publisher.clock = () => Date.now() + offset
      inside.forget()
    })
  }

  async #see(key: string, bytes: Uint8Array): Promise<void> {
    if (key.endsWith('/timestamp.json')) return
    const digest = await sha256Hex(new Uint8Array(bytes))
    if ((this.contents.get(key) ?? digest) !== digest) this.violations.push(`${key} has two contents`)
    this.contents.set(key, digest)
  }

  /** What was asked for is over: what comes next does not fall. */
  disarm(): void {
    this.#isArmed = false
  }

  /** What is in the bucket is what was first written under its name. */
  async look(): Promise<void> {
    for (const [key, digest] of this.contents) {
      const object = await bindings.BUCKET.get(key)
      if (object && (await sha256Hex(new Uint8Array(await object.arrayBuffer()))) !== digest)
        this.violations.push(`${key} has two contents`)
    }
  }
}

/** A call that may be cut off; the face answers 503 then. */
const cut = async (call: () => Promise<unknown>): Promise<void> => {
  await call().catch(() => undefined)
}

/** Asks until it is answered: the first call to an object that was aborted may be lost with it. */
async function again(call: () => Promise<{ status: number }>, where: string) {
  for (let i = 0; i < 5; i++) {
    const answer = await call()
    if (answer.status !== 503) return answer
  }
  throw new Error(`${where}: not answered`)
}

async function follow(adoption: Adoption, root: number, offset: number, where: string): Promise<void> {
  const now = Date.now() + offset
  for (const store of [adoption.warm, await adoption.theirs.newStore()]) {
    await adoption.clientOver(store, adoption.newFace(), now).refresh()
    expect(store.files.get('root.json'), where).toEqual(adoption.rootOf(root))
  }
}

/** Time goes on until the second root is out; the object falls on the way. */
async function hourLater(adoption: Adoption, trap: Trap, offset: number): Promise<void> {
  await trap.set(offset)
  await cut(() => doors.Public.refresh(adoption.name))
  await setClock(adoption.known, offset)
  await cut(() => doors.Public.refresh(adoption.name))
}

test.each(FALLS)('%s: adopted and handed back all the same', async (fall) => {
  const fallen = new Map<string, number>()
  for (let nth = 1, sprung = true; sprung; nth++) {
    sprung = false
    const adoption = await Adoption.make([])
    const trap = new Trap(adoption, fall, nth)
    const where = (what: string) => `${what}, ${fall} ${nth}`
    const mustBeWhole = async (what: string) => {
      sprung ||= trap.sprung
      if (trap.sprung) fallen.set(what, (fallen.get(what) ?? 0) + 1)
      trap.disarm()
      await trap.look()
      expect(trap.violations, where(what)).toEqual([])
    }

    const { keys, body } = (await adoption.request()) as { keys: OurKeys; body: object }
    const adopt = () => adoption.json('POST', '/api/adopt', body, BOOTSTRAP)
    await trap.set(0)
    await cut(adopt)
    expect(await again(adopt, where('adopt')), where('adopt')).toMatchObject({ status: 200, held: [{ root: 3 }] })
    await follow(adoption, 2, 0, where('adopt'))
    await mustBeWhole('adopt')

    await hourLater(adoption, trap, HOUR + 1_000)
    await follow(adoption, 3, HOUR + 1_000, where('the second root of the adoption'))
    await mustBeWhole('the second root of the adoption')

    const admin = await adoption.token('admin')
    await adoption.nameKeys(keys, true)
    await adoption.nameKeys([], true)
    const files = handOver({ root: [adoption.rootOf(4), adoption.rootOf(5)] })
    const release = () => adoption.json('POST', '/api/release', { files }, admin)
    await trap.set(HOUR + 2_000)
    await cut(release)
    await setClock(adoption.known, HOUR + 2_000)
    expect(await again(release, where('release')), where('release')).toMatchObject({ status: 200, held: [{ root: 5 }] })
    await follow(adoption, 4, HOUR + 2_000, where('release'))
    await mustBeWhole('release')

    await hourLater(adoption, trap, 2 * HOUR + 4_000)
    expect((await statusOf(adoption.known)).state, where('the second root of the release')).toBe('released')
    const last = await adoption.newFace()('/tuf/5.root.json')
    expect(new Uint8Array(await last.arrayBuffer()), where('the last root')).toEqual(adoption.rootOf(5))
    await mustBeWhole('the second root of the release')
    // The owner goes on above what was served here, and everybody follows.
    adoption.theirs.versions.snapshot = adoption.theirs.versions.timestamp = 5_000
    await adoption.theirs.publish('targets')
    await adoption.ownersClient().refresh()
    expect(adoption.warm.files.get('root.json'), where('the owner')).toEqual(adoption.rootOf(5))
  }
  // Each of the four writes at least one root, a snapshot and a timestamp, in as many transactions.
  expect([...fallen.keys()].sort()).toEqual([
    'adopt',
    'release',
    'the second root of the adoption',
    'the second root of the release',
  ])
  for (const times of fallen.values()) expect(times).toBeGreaterThanOrEqual(3)
})
