// What people signed and nobody here can sign again: its dates are said long before they break anything.
import { expect, test } from 'vitest'
import { formatDate } from '../../tuf/dates.ts'
import { Adoption, handOver, type OurKeys } from './adoption.ts'
import { DAY, HOUR, statusOf } from './controls.ts'

let adoption: Adoption
let keys: OurKeys
let admin: string

/** @param roles names of delegated roles, all of which last for years */
async function adopted(roles: string[]): Promise<void> {
  adoption = await Adoption.make(roles)
  keys = await adoption.adopt()
  admin = await adoption.token('admin')
  await adoption.later(HOUR + 1_000)
}
const warnings = async () => (await statusOf(adoption.known)).warnings.map(({ role, days }) => [role, days])
const push = (files: Record<string, Uint8Array>) =>
  adoption.json('PUT', '/api/metadata', { files: handOver(files) }, admin)

test('root, targets and a delegated role that will expire: told to who pushes, in status, in health and as numbers', async () => {
  await adopted(['alpha', 'a/x"\\'])
  expect(await warnings()).toEqual([])
  const now = Date.now()
  const expires = { root: now + 29 * DAY, targets: now + 13 * DAY, alpha: now + 6 * DAY, 'a/x"\\': now + 20 * HOUR }
  adoption.theirs.expires.root = expires.root
  await adoption.nameKeys(keys, false)
  const files: Record<string, Uint8Array> = { root: adoption.rootOf(4) }
  for (const role of ['targets', 'alpha', 'a/x"\\'] as const) {
    adoption.theirs.role(role).expires = expires[role]
    await adoption.theirs.publishRole(role)
    files[role] = adoption.fileOf(role)
  }
  const answer = (await push(files)) as unknown as { status: number; warnings: string[] }
  expect(answer.status).toBe(200)
  expect(answer.warnings).toHaveLength(4)
  expect(answer.warnings).toContain(`alpha expires at ${formatDate(expires.alpha)}: clients refuse it from then on.`)
  // What breaks first comes first.
  expect(await warnings()).toEqual([
    ['a/x"\\', 1],
    ['alpha', 7],
    ['targets', 14],
    ['root', 30],
  ])
  const health = await adoption.newFace()('/healthz')
  expect([health.status, await health.json()]).toMatchObject([200, { warnings: [{}, { role: 'alpha' }, {}, {}] }])
  const metrics = await (await adoption.newFace()('/metrics')).text()
  for (const [role, days] of [
    ['alpha', 7],
    ['targets', 14],
    ['root', 30],
    // A name is anybody's choice: it breaks out of no label (Prometheus text format, 0.0.4).
    ['a/x\\"\\\\', 1],
  ])
    expect(metrics.split('\n')).toContain(`tuf_edge_role_warning_days{role="${role}"} ${days}`)
  expect(metrics).toContain(`tuf_edge_role_expiry_seconds{role="alpha"} ${Math.floor(expires.alpha / 1000)}`)

  await adoption.later(7 * DAY)
  expect(await warnings()).toEqual([
    ['a/x"\\', 0],
    ['alpha', 0],
    ['targets', 7],
    ['root', 30],
  ])
  // Signed again by its owner, it is no longer said.
  adoption.theirs.role('alpha').expires = now + 400 * DAY
  await adoption.theirs.publishRole('alpha')
  expect(await push({ alpha: adoption.fileOf('alpha') })).toMatchObject({ status: 200, warnings: [] })
  expect((await warnings()).map(([role]) => role)).not.toContain('alpha')
})

test('of many delegated roles those that expire first', async () => {
  const roles = Array.from({ length: 12 }, (_, i) => `role-${i}`)
  await adopted(roles)
  const files: Record<string, Uint8Array> = {}
  for (const [i, role] of roles.entries()) {
    adoption.theirs.role(role).expires = Date.now() + (12 - i) * DAY + HOUR
    await adoption.theirs.publishRole(role)
    files[role] = adoption.fileOf(role)
  }
  await push(files)
  expect((await warnings()).map(([role]) => role)).toEqual(roles.slice(2).reverse())
})
