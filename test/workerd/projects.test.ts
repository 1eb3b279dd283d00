// What operators do to projects that are there, through HTTP: yank, delete, purge, status; what readers and uploaders see
// of it, what the bucket holds, and what a TUF client is shown.
import { runInDurableObject } from 'cloudflare:test'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Publisher } from '../../durable-objects/publisher.ts'
import type { Scope } from '../../durable-objects/rpc.ts'
import { shardOf } from '../../tuf/bins.ts'
import { HOUR, setClock, sqlOf } from './controls.ts'
import { type Distribution, makeSdist, makeWheel } from './distributions.ts'
import { newFace } from './face-harness.ts'
import { newReader } from './reading.ts'
import { bindings } from './repository.ts'
import { download, fetchFace, makeWorld, page, rowsOf, send, stored, world } from './upload-harness.ts'

let operator: string

beforeAll(async () => {
  await makeWorld()
  operator = await world.repository.token(['read', 'upload', 'create', 'delete', 'yank', 'admin', 'audit'])
})

function call(method: string, path: string, body?: unknown, token = operator): Promise<Response> {
  return fetchFace(path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

async function tokenOf(scopes: Scope[], projects?: string[]): Promise<string> {
  const expires = Math.floor(Date.now() / 1000) + 3_600
  const about = { repository: 'main', name: 'test', scopes, expires, ...(projects && { projects }) }
  const minted = await world.repository.member.mint(about, operator)
  if (!minted.ok) throw new Error(minted.message)
  return minted.token
}

const did = async (answer: Promise<Response>) => {
  const response = await answer
  return [response.status, await response.json<Record<string, unknown>>()]
}

const refusal = async (answer: Response | Promise<Response>) => {
  const response = await answer
  const text = await response.text()
  try {
    return [response.status, (JSON.parse(text) as { detail?: string }).detail ?? text]
  } catch {
    return [response.status, text.trim()]
  }
}

async function uploaded(...files: Distribution[]): Promise<void> {
  for (const file of files) {
    const answer = await send(file)
    expect([answer.status, await answer.text()]).toEqual([200, ''])
  }
}

const journalOf = async (project: string) => {
  const rows = await sqlOf<{ event: string }>(world.repository, 'SELECT event FROM journal ORDER BY seq')
  return rows
    .map(({ event }) => JSON.parse(event) as Record<string, unknown>)
    .filter((event) => event.project === project && event.event !== 'accepted')
    .map(({ event, filename }) => `${event} ${filename ?? ''}`.trim())
}

const jsonPage = async (project: string) => {
  const accept = 'application/vnd.pypi.simple.v1+json'
  const answer = await fetchFace(`/simple/${project}/`, { headers: { accept } })
  return answer.json<Record<string, unknown>>()
}

/** As a TUF client that knows nothing of the face. */
const signed = async (project: string, filename: string) => {
  const reader = await newReader(world.repository)
  return reader.read(`files/${shardOf(project)}/${project}/${filename}`)
}

const listed = async () => {
  const answer = await fetchFace('/simple/', { headers: { accept: 'application/vnd.pypi.simple.v1+json' } })
  return (await answer.json<{ projects: { name: string }[] }>()).projects.map(({ name }) => name)
}

describe('a file', () => {
  test('that is deleted is on no page, signed no more and 404; its name stays burned, its bytes stay until grace', async () => {
    const kept = await makeWheel('gone', '1.0')
    const file = await makeWheel('gone', '1.1')
    await uploaded(kept, file)
    const path = `/api/projects/Gone/files/${file.filename}`
    expect(await did(call('DELETE', path, { reason: 'by mistake' }))).toEqual([200, { visible: true, files: 1 }])
    expect((await page('gone')).map(({ filename }) => filename)).toEqual([kept.filename])
    expect(await download('gone', file.filename)).toBe(404)
    expect(await signed('gone', file.filename)).toBeUndefined()
    expect(await signed('gone', kept.filename)).toHaveProperty('length', kept.bytes.length)
    expect(await stored(file.sha256)).toHaveLength(2)
    for (const again of [file, await makeWheel('gone', '1.1', { metadata: 'Summary: other\n' })])
      expect(await refusal(send(again))).toEqual([400, expect.stringMatching(/previously used by a file .* deleted/)])
    expect(await refusal(call('DELETE', path))).toEqual([404, `Project 'gone' has no file '${file.filename}'.`])
    expect(await journalOf('gone')).toEqual([`deleted ${file.filename}`])
  })

  test('that is purged leaves no byte behind, at once, also if it was deleted before', async () => {
    const [one, two] = [await makeWheel('purged', '1.0'), await makeWheel('purged', '1.1')]
    await uploaded(one, two)
    await did(call('DELETE', `/api/projects/purged/files/${two.filename}`))
    expect(await stored(two.sha256)).toHaveLength(2)
    for (const { filename, sha256 } of [one, two]) {
      const path = `/api/projects/purged/files/${filename}/purge`
      expect(await refusal(call('POST', path, {}))).toEqual([400, 'reason must be a string.'])
      expect(await did(call('POST', path, { reason: 'a secret in it' }))).toEqual([
        200,
        { visible: true, files: 1, erased: 1 },
      ])
      expect(await stored(sha256)).toEqual([])
      expect(await download('purged', filename)).toBe(404)
      expect((await send(one)).status).toBe(400)
    }
    expect(await rowsOf('purged')).toMatchObject([{ state: 'deleted' }, { state: 'deleted' }])
  })

  test('that is purged answers 410 to its digest; what was deleted, or never was, 404; strangers cost one question', async () => {
    const [one, two, three] = [
      await makeWheel('erased', '1.0'),
      await makeWheel('erased', '1.1'),
      await makeWheel('erased', '1.2'),
    ]
    await uploaded(one, two, three)
    for (const { filename } of [one, two]) await did(call('DELETE', `/api/projects/erased/files/${filename}`))
    for (const { filename } of [one, three])
      await did(call('POST', `/api/projects/erased/files/${filename}/purge`, { reason: 'a secret in it' }))
    let asked = 0
    const face = newFace('main', {
      publicDoor: {
        purged: (name) => {
          asked++
          return world.repository.public.purged(name as string)
        },
      },
    })
    const base = `/tuf/targets/files/${shardOf('erased')}/erased`
    const status = async ({ filename, sha256 }: Pick<Distribution, 'filename' | 'sha256'>) => {
      const answer = await face.get(`${base}/${sha256}.${filename}`)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      return [answer.status, await answer.text()]
    }
    for (const file of [one, three]) expect(await status(file)).toEqual([410, expect.stringMatching(/purged/)])
    expect((await status(two))[0]).toBe(404)
    for (const sha256 of ['0'.repeat(64), '1'.repeat(64), two.sha256])
      expect((await status({ filename: one.filename, sha256 }))[0]).toBe(404)
    expect(asked).toBe(1)
    const silent = newFace('main', { publicDoor: { purged: () => Promise.reject(new Error('no connection')) } })
    expect((await silent.get(`${base}/${one.sha256}.${one.filename}`)).status).toBe(404)
  })

  test('is deleted while a publication that names it is on its way', async () => {
    const file = await makeWheel('racing', '1.0')
    await uploaded(await makeWheel('racing', '0.9'))
    const sent = send(file)
    // Whenever the delete arrives, the last word is its own.
    const path = `/api/projects/racing/files/${file.filename}`
    let removed = await call('DELETE', path)
    for (let i = 0; removed.status === 404 && i < 50; i++) removed = await call('DELETE', path)
    expect(removed.status).toBe(200)
    await sent
    expect((await page('racing')).map(({ filename }) => filename)).not.toContain(file.filename)
    expect(await signed('racing', file.filename)).toBeUndefined()
  })
})

describe('a release', () => {
  test('is yanked, taken back and deleted in any spelling of its version', async () => {
    const files = [await makeWheel('rel', '1.0'), await makeSdist('rel', '1.0')]
    const other = await makeWheel('rel', '1.1')
    await uploaded(...files, other)
    const path = '/api/projects/rel/releases/1.0.0'
    for (const [method, body, yanked] of [
      ['PUT', { reason: 'broken' }, 'broken'],
      ['DELETE', undefined, false],
    ] as const) {
      expect(await did(call(method, `${path}/yank`, body))).toEqual([200, { visible: true }])
      const shown = new Map((await page('rel')).map((file) => [file.filename, (file as { yanked?: unknown }).yanked]))
      for (const { filename } of files) expect(shown.get(filename)).toBe(yanked)
      expect(shown.get(other.filename)).toBe(false)
    }
    expect(await did(call('DELETE', path))).toEqual([200, { visible: true, files: 2 }])
    expect((await page('rel')).map(({ filename }) => filename)).toEqual([other.filename])
    expect((await jsonPage('rel')).versions).toEqual(['1.1'])
    expect(await refusal(call('DELETE', path))).toEqual([404, "Project 'rel' has no such release."])
    expect((await refusal(call('DELETE', '/api/projects/rel/releases/not!a')))[0]).toBe(400)
  })
})

describe('a project', () => {
  test('that is deleted has no page and is on no list; its name is free, its file names are not', async () => {
    const file = await makeWheel('ended', '1.0')
    await uploaded(file)
    expect(await did(call('DELETE', '/api/projects/ended'))).toEqual([200, { visible: true, files: 1 }])
    for (const accept of ['text/html', 'application/vnd.pypi.simple.v1+json'])
      expect((await fetchFace('/simple/ended/', { headers: { accept } })).status).toBe(404)
    await setClock(world.repository, HOUR)
    await world.repository.public.refresh('main')
    expect(await listed()).not.toContain('ended')
    await setClock(world.repository, 0)
    expect((await send(file)).status).toBe(400)
    const uploader = world.token
    world.token = await tokenOf(['upload'])
    expect((await refusal(send(await makeWheel('ended', '2.0'))))[0]).toBe(403)
    world.token = uploader
    const next = await makeWheel('ended', '2.0')
    await uploaded(next)
    expect((await page('ended')).map(({ filename }) => filename)).toEqual([next.filename])
    expect(await refusal(call('DELETE', '/api/projects/nobody'))).toEqual([404, "There is no project 'nobody'."])
  })

  test('that is deleted takes the tokens with it that were for it alone; others lose the name', async () => {
    await uploaded(await makeWheel('owned', '1.0'), await makeWheel('kept-one', '1.0'))
    const [alone, both, all] = await Promise.all([
      tokenOf(['upload', 'create'], ['owned']),
      tokenOf(['upload', 'create'], ['owned', 'kept-one']),
      tokenOf(['upload', 'create']),
    ])
    expect(await did(call('DELETE', '/api/projects/owned'))).toMatchObject([200, { files: 1 }])
    const status = async (project: string, version: string, token: string) =>
      (await send(await makeWheel(project, version), [], { authorization: `Bearer ${token}` })).status
    expect(await status('owned', '2.0', alone)).toBe(401)
    expect(await status('owned', '2.0', both)).toBe(403)
    expect(await status('kept-one', '2.0', both)).toBe(200)
    expect(await status('owned', '2.0', all)).toBe(200)
    expect(await status('owned', '2.1', both)).toBe(403)
    const events = await sqlOf<{ event: string }>(
      world.repository,
      "SELECT event FROM journal WHERE event LIKE '%owned%'",
    )
    expect(events.map(({ event }) => JSON.parse(event).event)).toEqual(expect.arrayContaining(['revoked', 'narrowed']))
  })

  test('is deprecated, archived, quarantined and active again, on both pages and for uploaders', async () => {
    const file = await makeWheel('standing', '1.0')
    await uploaded(file)
    const path = '/api/projects/standing/status'
    for (const [status, reason, upload] of [
      ['deprecated', 'use other-project', 200],
      ['archived', undefined, 403],
      ['quarantined', 'under <review>', 403],
      ['active', undefined, 200],
    ] as const) {
      expect(await did(call('PUT', path, { status, ...(reason && { reason }) }))).toEqual([200, { visible: true }])
      const json = await jsonPage('standing')
      const html = await (await fetchFace('/simple/standing/', { headers: { accept: 'text/html' } })).text()
      if (status === 'active') expect(json).not.toHaveProperty('project-status')
      else expect(json['project-status']).toEqual({ status, ...(reason && { reason }) })
      expect(html.includes(`<meta name="pypi:project-status" content="${status}">`)).toBe(status !== 'active')
      const offered = status !== 'quarantined'
      expect((await page('standing')).length > 0).toBe(offered)
      expect(html.includes(file.filename)).toBe(offered)
      expect((await download('standing', file.filename)) !== 404).toBe(offered)
      expect((await signed('standing', file.filename)) !== undefined).toBe(offered)
      const answer = await send(await makeWheel('standing', `2.${upload === 200 ? status.length : 0}`))
      expect(answer.status).toBe(upload)
      if (upload === 403) expect(await answer.text()).toContain(`is ${status} and takes no uploads`)
    }
    expect(await sqlOf(world.repository, "SELECT * FROM statuses WHERE project = 'standing'")).toEqual([])
    expect((await refusal(call('PUT', path, { status: 'deleted' })))[0]).toBe(400)
    expect((await refusal(call('PUT', path, { status: 'archived', reason: 'a\nb' })))[0]).toBe(400)
    expect((await refusal(call('PUT', '/api/projects/nobody/status', { status: 'active' })))[0]).toBe(404)
  })

  test('whose status somebody wrote past the publisher keeps the status it had', async () => {
    await uploaded(await makeWheel('forged', '1.0'))
    await runInDurableObject(bindings.PUBLISHER.getByName('main'), (_: Publisher, state) => {
      state.storage.sql.exec(
        "INSERT INTO statuses (project, bin, status, live, seq) VALUES ('forged', ?, 'quarantined', 'active', 0)",
        `bin-${shardOf('forged').slice(0, 2)}`,
      )
    })
    await uploaded(await makeWheel('forged', '1.1'))
    expect(await page('forged')).toHaveLength(2)
  })
})

test('each takes its own scope, and no other project than the token names', async () => {
  await uploaded(await makeWheel('scoped', '1.0'))
  const file = '/api/projects/scoped/files/scoped-1.0-py3-none-any.whl'
  const asked: [string, string, unknown, 'delete' | 'admin' | 'yank'][] = [
    ['DELETE', file, undefined, 'delete'],
    ['DELETE', '/api/projects/scoped/releases/1.0', undefined, 'delete'],
    ['DELETE', '/api/projects/scoped', undefined, 'delete'],
    ['POST', `${file}/purge`, { reason: 'x' }, 'admin'],
    ['POST', '/api/projects/scoped/purge', { reason: 'x' }, 'admin'],
    ['PUT', `${file}/yank`, {}, 'yank'],
    ['DELETE', '/api/projects/scoped/releases/1.0/yank', undefined, 'yank'],
    ['PUT', '/api/projects/scoped/status', { status: 'archived' }, 'admin'],
  ]
  for (const [method, path, body, scope] of asked) {
    const others = (['upload', 'create', 'read', 'audit', 'delete', 'yank', 'admin'] as const).filter(
      (s) => s !== scope,
    )
    for (const token of [await tokenOf(others), await tokenOf([scope], ['other'])])
      expect(await refusal(call(method, path, body, token))).toEqual([403, expect.stringContaining(`scope ${scope}`)])
    expect((await refusal(call(method, path, body, 'tue_x')))[0]).toBe(401)
  }
  expect(await page('scoped')).toHaveLength(1)
})
