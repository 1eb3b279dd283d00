// The operators' API through the whole face, from the first ceremony to a yank. One repository for the file; the tests
// build on each other in order.
import { beforeAll, describe, expect, test } from 'vitest'
import type { OnlineKeys } from '../../cli/ceremony.ts'
import { AUTH, call, expectProblem, inAnHour } from './calls.ts'
import { ceremonyBody } from './ceremony-body.ts'
import { fieldsOf, formOf, makeWheel } from './distributions.ts'
import { BOOTSTRAP, STANDARD } from './repository.ts'
import { page, post, world } from './upload-harness.ts'

describe('the ceremony', () => {
  test('wants the bootstrap secret', async () => {
    const metadata = { roots: [], targets: '', bins: '', freshness: STANDARD }
    for (const [path, body] of Object.entries({ '/api/ceremony/keys': {}, '/api/ceremony/metadata': metadata })) {
      await expectProblem(await call('POST', path), 401, AUTH)
      await expectProblem(await call('POST', path, { token: 'x'.repeat(43), body }), 401, AUTH)
    }
    await expectProblem(await call('GET', '/api/status'), 503, /not initialised/)
  })

  test('makes a repository', async () => {
    const asked = await call('POST', '/api/ceremony/keys', { token: BOOTSTRAP })
    expect([asked.status, asked.headers.get('content-type')]).toEqual([200, 'application/json'])
    const online = await asked.json<OnlineKeys>()
    expect(Object.keys(online)).toEqual(['repositoryId', 'keys'])
    const body = await ceremonyBody(online)
    const send = (changed: object) =>
      call('POST', '/api/ceremony/metadata', { token: BOOTSTRAP, body: { ...body, ...changed } })
    await expectProblem(await send({ bins: 'not base64!' }), 400, /^bins must be in base64/)
    await expectProblem(await send({ bins: body.targets }), 400, /./)
    await expectProblem(await send({ freshness: { ...STANDARD, tickSeconds: 0 } }), 400, /tickSeconds/)
    await expectProblem(await send({ freshness: { ...STANDARD, typoSeconds: 1 } }), 400, /unknown/)
    const done = await send({})
    expect([done.status, await done.json()]).toEqual([200, {}])
    await expectProblem(await send({}), 409, /initialised already/)
    const status = await call('GET', '/api/status')
    expect(await status.json()).toMatchObject({ state: 'live', epoch: 1, files: 0, live: { timestamp: 1 } })
  })
})

describe('yank', () => {
  beforeAll(async () => {
    const body = { name: 'ci', scopes: ['upload', 'create', 'yank'], projects: ['my-project'], expires: inAnHour() }
    world.token = (
      await (await call('POST', '/api/tokens', { token: BOOTSTRAP, body })).json<{ token: string }>()
    ).token
    const file = await makeWheel('my-project', '1.0')
    expect((await post(formOf(fieldsOf(file), file.filename, file.bytes))).status).toBe(200)
  })

  const path = '/api/projects/My_Project/files/my_project-1.0-py3-none-any.whl/yank'

  test('shows its reason on the page, and is taken back', async () => {
    for (const [method, body, shown] of [
      ['PUT', { reason: 'broken on Windows' }, 'broken on Windows'],
      ['PUT', {}, true],
      ['DELETE', undefined, false],
    ] as const) {
      const answer = await call(method, path, { token: world.token, body })
      expect([answer.status, await answer.json()]).toEqual([200, { visible: true }])
      expect(await page('my-project')).toMatchObject([{ yanked: shown }])
    }
  })

  test('is refused', async () => {
    const token = world.token
    await expectProblem(await call('DELETE', path), 401, AUTH)
    await expectProblem(await call('PUT', path, { token, body: { reason: 'two\nlines' } }), 400, /one line/)
    await expectProblem(await call('DELETE', path.replace('My_Project', 'other'), { token }), 403, /isn't allowed/)
    await expectProblem(await call('DELETE', path.replace('1.0', '2.0'), { token }), 404, /has no file/)
  })
})

test('what is not there is a problem too', async () => {
  await expectProblem(await call('GET', '/api/nothing'), 404, /nothing here/)
  await expectProblem(await call('POST', '/api'), 404, /nothing here/)
  const answer = await call('PUT', '/api/tokens')
  expect(answer.headers.get('allow')).toBe('POST, GET')
  await expectProblem(answer, 405, /other methods/)
})
