// Metadata as large as clients read it: more than one row of the ledger holds.
import { beforeEach, expect, test } from 'vitest'
import { formatDate } from '../../tuf/dates.ts'
import { metadataKey } from '../../tuf/layout.ts'
import { signRole } from '../../tuf/sign.ts'
import { Adoption } from './adoption.ts'
import { HOUR, sqlOf } from './controls.ts'
import { bindings } from './repository.ts'

let adoption: Adoption
let admin: string

/** The next version of alpha, of about that many bytes. */
async function padded(bytes: number): Promise<Uint8Array> {
  const role = adoption.theirs.role('alpha')
  const signed = {
    _type: 'targets',
    spec_version: '1.0.31',
    expires: formatDate(role.expires),
    version: ++role.version,
    targets: {},
    'x-padding': Array.from({ length: bytes / 10 }, (_, i) => String(i).padStart(7, '0')),
  }
  role.bytes = await signRole(signed, role.signers)
  return role.bytes
}
const push = async (bytes: Uint8Array) => {
  const headers = { Authorization: `Bearer ${admin}`, 'Content-Type': 'application/json' }
  const answer = await adoption.newFace()('/api/metadata/alpha', { method: 'PUT', headers, body: bytes })
  return { status: answer.status, ...((await answer.json()) as object) }
}
const read = async (version: number) =>
  new Uint8Array(await (await adoption.newFace()(`/tuf/${version}.alpha.json`)).arrayBuffer())
const rest = () =>
  sqlOf(
    adoption.known,
    'SELECT version, chunk FROM offline JOIN offline_bytes USING (sha256) WHERE chunk > 0 ORDER BY version, chunk',
  )

beforeEach(async () => {
  adoption = await Adoption.make(['alpha'])
  await adoption.adopt()
  admin = await adoption.token('admin')
})

test('a file of 4.9 MB is taken, served byte for byte, put back by a rebuild, and its rows go when it was replaced', async () => {
  const large = await padded(4_890_000)
  expect(large.length).toBeGreaterThan(4_800_000)
  expect(await push(large)).toMatchObject({ status: 200, accepted: ['2.alpha'], visible: true })
  expect(await read(2)).toEqual(large)
  expect(await rest()).toEqual([
    { version: 2, chunk: 1 },
    { version: 2, chunk: 2 },
  ])
  await adoption.clientOver(adoption.warm).refresh()
  await bindings.BUCKET.delete(metadataKey(adoption.place, 2, 'alpha'))
  expect(await adoption.json('POST', '/api/rebuild', {}, admin)).toMatchObject({ status: 200 })
  expect(await read(2)).toEqual(large)
  // It is what the next version is compared with.
  const again = await push(large)
  expect(again).toMatchObject({ status: 200, accepted: [] })
  expect(await push(await padded(2_000_000))).toMatchObject({ status: 200, accepted: ['3.alpha'] })
  await adoption.later(26 * HOUR)
  expect(await rest()).toEqual([{ version: 3, chunk: 1 }])
})

test('larger than clients read: refused, and nothing is kept of it', async () => {
  const answer = await push((await padded(5_100_000)).slice())
  expect(answer.status).toBe(413)
  expect(await rest()).toEqual([])
})
