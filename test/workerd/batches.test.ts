// Batches in parts: nobody sees a part, the whole is taken by one call or not at all, and the gate is the same for both ways.
import { beforeEach, describe, expect, test } from 'vitest'
import { metadataKey } from '../../tuf/layout.ts'
import { Adoption, handOver } from './adoption.ts'
import { DAY, eventually, sqlOf } from './controls.ts'
import { BOOTSTRAP, bindings } from './repository.ts'

const ID = 'ab'.repeat(32)
const OTHER = 'cd'.repeat(32)
type Files = { role: string; bytes: string }[]
type Body = { files: Files; served: object; freshness: string }

let adoption: Adoption
const part = (files: Files, secret: string, id = ID) =>
  adoption.json('PUT', `/api/batches/${id}`, { files }, secret) as Promise<Record<string, unknown>>
const look = async (secret: string, id = ID) => {
  const headers = { Authorization: `Bearer ${secret}` }
  const answer = await adoption.newFace()(`/api/batches/${id}`, { headers })
  return (await answer.json()) as { files: number; digests: string[] }
}
const rows = async (table: string) =>
  (await sqlOf<{ n: number }>(adoption.known, `SELECT count(*) AS n FROM ${table}`))[0]!.n

describe('an adoption', () => {
  beforeEach(async () => {
    adoption = await Adoption.make(['alpha', 'beta'])
  })

  test('of which no part is seen before the call that takes it; a part that comes twice is one', async () => {
    const { body } = await adoption.request()
    const { files, ...rest } = body as Body
    for (const file of [...files, files[0]!]) expect(await part([file], BOOTSTRAP)).toMatchObject({ status: 200 })
    const here = await look(BOOTSTRAP)
    expect(here.files).toBe(files.length)
    expect(new Set(here.digests).size).toBe(files.length)
    expect((await bindings.BUCKET.list({ prefix: `r/${adoption.name}/` })).objects).toEqual([])
    expect((await adoption.newFace()('/tuf/1.root.json')).status).not.toBe(200)
    const taken = await adoption.json('POST', '/api/adopt', { batch: ID, ...rest }, BOOTSTRAP)
    expect(taken).toMatchObject({ status: 200, visible: true })
    expect((taken as unknown as { accepted: string[] }).accepted).toHaveLength(files.length)
    await adoption.clientOver(adoption.warm).refresh()
    for (const role of ['alpha', 'beta'])
      expect(new Uint8Array(await (await adoption.newFace()(`/tuf/1.${role}.json`)).arrayBuffer())).toEqual(
        adoption.fileOf(role),
      )
    for (const table of ['batches', 'staged', 'voices']) expect(await rows(table)).toBe(0)
  })

  test('that lacks a file, or whose file is signed by somebody else, is refused by the same rule and changes nothing', async () => {
    const { body } = await adoption.request()
    const { files, ...rest } = body as Body
    await part(
      files.filter(({ role }) => role !== 'beta'),
      BOOTSTRAP,
    )
    const finish = () => adoption.json('POST', '/api/adopt', { batch: ID, ...rest }, BOOTSTRAP)
    expect(await finish()).toMatchObject({ status: 400, detail: expect.stringMatching(/^incomplete: .*"beta"/) })
    const beta = adoption.theirs.role('beta')
    beta.signers = adoption.theirs.signers.targets
    await adoption.theirs.publishRole('beta')
    await part(handOver({ beta: adoption.fileOf('beta') }), BOOTSTRAP)
    expect(await finish()).toMatchObject({ status: 400, detail: expect.stringMatching(/^threshold: "beta"/) })
    expect(await rows('offline')).toBe(0)
  })

  test('takes the bootstrap secret, and once it is live a token', async () => {
    const { body } = await adoption.request()
    const { files } = body as Body
    expect(await part(files, 'x'.repeat(40))).toMatchObject({ status: 401 })
    expect(await adoption.json('POST', '/api/adopt', body, BOOTSTRAP)).toMatchObject({ status: 200 })
    expect(await part(files, BOOTSTRAP)).toMatchObject({ status: 403 })
  })
})

describe('a push', () => {
  let admin: string

  beforeEach(async () => {
    adoption = await Adoption.make(['alpha', 'beta'])
    await adoption.adopt()
    admin = await adoption.token('admin')
    for (const role of ['alpha', 'beta']) await adoption.theirs.publishRole(role)
  })

  test('takes a token for each role, for its parts and for the whole', async () => {
    const alpha = await adoption.token(`metadata:alpha`)
    const files = handOver({ alpha: adoption.fileOf('alpha'), beta: adoption.fileOf('beta') })
    expect(await part(files, alpha)).toMatchObject({ status: 403 })
    expect(await part(files, admin)).toMatchObject({ status: 200, files: 2 })
    expect(await adoption.json('PUT', '/api/metadata', { batch: ID }, alpha)).toMatchObject({ status: 403 })
    expect(await adoption.json('PUT', '/api/metadata', { batch: ID }, admin)).toMatchObject({
      status: 200,
      accepted: ['2.alpha', '2.beta'],
      visible: true,
    })
    expect(await adoption.json('PUT', '/api/metadata', { batch: ID }, admin)).toMatchObject({ status: 404 })
  })

  test('that nobody finishes is forgotten after a day, and its bytes with it; those that are served stay', async () => {
    const before = await rows('offline_bytes')
    await part(handOver({ alpha: adoption.fileOf('alpha') }), admin)
    // The same bytes as what is live: they are kept once.
    await part(handOver({ targets: adoption.fileOf('targets') }), admin, OTHER)
    expect(await rows('offline_bytes')).toBe(before + 1)
    await adoption.later(DAY - 60_000)
    expect(await rows('batches')).toBe(2)
    await adoption.later(DAY + 60_000)
    expect(await rows('batches')).toBe(0)
    expect(await rows('offline_bytes')).toBe(before)
  })

  test('is deleted by whoever gave it up', async () => {
    await part(handOver({ alpha: adoption.fileOf('alpha') }), admin)
    expect(await adoption.json('DELETE', `/api/batches/${ID}`, undefined, admin)).toMatchObject({ status: 200 })
    expect(await rows('staged')).toBe(0)
  })

  test('is not taken once somebody else changed what was kept of it', async () => {
    await part(handOver({ alpha: adoption.fileOf('alpha') }), admin)
    await sqlOf(adoption.known, 'UPDATE staged SET version = 7')
    expect(await adoption.json('PUT', '/api/metadata', { batch: ID }, admin)).toMatchObject({ status: 409 })
    expect(await sqlOf(adoption.known, "SELECT version FROM roles WHERE name = 'alpha'")).toEqual([{ version: 1 }])
  })
})

test('more roles than one pass puts: the alarm goes on, and the snapshot comes when everything it names is there', async () => {
  const names = Array.from({ length: 1_010 }, (_, i) => `role-${i}`)
  adoption = await Adoption.make(names)
  const { body } = await adoption.request()
  const { files, ...rest } = body as Body
  for (let at = 0; at < files.length; at += 400) await part(files.slice(at, at + 400), BOOTSTRAP)
  const taken = await adoption.json('POST', '/api/adopt', { batch: ID, ...rest }, BOOTSTRAP)
  expect(taken).toMatchObject({ status: 202, visible: false })
  const snapshot = metadataKey(adoption.place, 1_002, 'snapshot')
  expect(await bindings.BUCKET.head(snapshot)).toBeNull()
  await eventually(async () => (await bindings.BUCKET.head(snapshot)) !== null, 20_000)
  for (const name of [names[0]!, names.at(-1)!])
    expect(await bindings.BUCKET.head(metadataKey(adoption.place, 1, name))).not.toBeNull()
  await eventually(async () => (await adoption.newFace()('/tuf/timestamp.json')).status === 200)
  await adoption.clientOver(adoption.warm).refresh()
}, 120_000)
