// What an import may say of a file beside its bytes, who may say it, and an upload that does not wait for its publication.
import { beforeAll, expect, test } from 'vitest'
import { type Distribution, type Field, fieldsOf, formOf, makeWheel } from './distributions.ts'
import { eventually, holdPublications, makeWorld, page, post, rowsOf, world } from './upload-harness.ts'

const SCOPES = ['upload', 'create', 'admin'] as const
let admin: string
beforeAll(async () => {
  await makeWorld()
  admin = await world.repository.token([...SCOPES])
})

const sendAs = (token: string, file: Distribution, more: Field[], headers: Record<string, string> = {}) =>
  post(formOf([...fieldsOf(file), ...more], file.filename, file.bytes), {
    authorization: `Bearer ${token}`,
    ...headers,
  })

test('an admin token keeps upload date and yank, and the first page that names the file has both', async () => {
  const file = await makeWheel('kept', '1.0')
  const more: Field[] = [
    ['upload_time', '2019-07-04T12:30:45.123456Z'],
    ['yanked', 'broken on <3.9>'],
  ]
  expect((await sendAs(admin, file, more)).status).toBe(200)
  expect((await page('kept'))[0]).toMatchObject({
    'upload-time': '2019-07-04T12:30:45.123Z',
    yanked: 'broken on <3.9>',
  })
  const plain = await makeWheel('kept', '1.1')
  expect((await sendAs(admin, plain, [['yanked', 'true']])).status).toBe(200)
  expect((await page('kept')).find(({ filename }) => filename === plain.filename)).toMatchObject({ yanked: true })
})

test.for<[string, Field]>([
  ['an upload date', ['upload_time', '2019-07-04T12:30:45Z']],
  ['a yank', ['yanked', 'true']],
])('%s from a token without admin is 403, and nothing is kept', async ([, field], context) => {
  const project = `uploader-${context.task.id.replace(/[^a-z0-9]/g, '')}`
  const file = await makeWheel(project, '1.0')
  const answer = await sendAs(world.token, file, [field])
  expect(answer.status).toBe(403)
  expect(await answer.json()).toMatchObject({ message: expect.stringContaining('scope admin') })
  expect(await rowsOf(project)).toEqual([])
})

test.for<[string, Field]>([
  ['in the future', ['upload_time', '2999-01-01T00:00:00Z']],
  ['before there were packages', ['upload_time', '1970-01-01T00:00:00Z']],
  ['that is no date', ['upload_time', 'yesterday']],
  ['of a month that is none', ['upload_time', '2020-13-01T00:00:00Z']],
  ['whose reason is a book', ['yanked', 'x'.repeat(501)]],
])('an import %s is 400', async ([, field]) => {
  const file = await makeWheel('wrong-import', '1.0')
  expect((await sendAs(admin, file, [field])).status).toBe(400)
  expect(await rowsOf('wrong-import')).toEqual([])
})

test('who prefers not to wait is answered 202 while nothing can be published, and many then share one publication', async () => {
  const before = await world.repository.public.status('main')
  const held = await holdPublications()
  const files = await Promise.all(Array.from({ length: 30 }, (_, i) => makeWheel(`batch-${i}`, '1.0')))
  for (const file of files) {
    const answer = await sendAs(admin, file, [['upload_time', '2020-01-01T00:00:00Z']], { prefer: 'respond-async' })
    expect(answer.status).toBe(202)
  }
  await held.open()
  await eventually(async () => (await page('batch-29')).length === 1)
  for (const { project, sha256 } of files) expect((await page(project))[0]).toMatchObject({ hashes: { sha256 } })
  const after = await world.repository.public.status('main')
  if (!before.ok || !after.ok) throw new Error('no status')
  // The first file's publication was under way when the others came.
  expect(after.live!.publication - before.live!.publication).toBeLessThanOrEqual(3)
  const again = await sendAs(admin, files[0]!, [], { prefer: 'respond-async' })
  expect(again.status).toBe(200)
})
