// What operators decide, as people with stock tools see it: a quota that is used up, and projects that are archived,
// deprecated or quarantined (PEP 792).
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { callApi } from '../../cli/api.ts'
import { interpreter, prepare } from './environments.ts'
import { Service } from './service.ts'
import { buildProject, install, makeProject, makeVenv, textOf, upload } from './tools.ts'

const UPLOADERS = ['twine', 'uv'] as const
const INSTALLERS = ['pip', 'uv'] as const
/** twine shows the status of a refusal, and with --verbose its sentence; uv always shows both. */
const EXTRA: Record<(typeof UPLOADERS)[number], string[]> = { twine: ['--verbose'], uv: [] }

let service: Service
beforeAll(async () => {
  await prepare([...UPLOADERS, ...INSTALLERS, 'build'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

let folders = 0
const newFolder = (): string => {
  const path = join(service.folder, 'work', String(folders++))
  mkdirSync(path, { recursive: true })
  return path
}
const api = (path: string, body: object) => callApi(service.url, 'PUT', path, { token: service.tokens.admin, body })
const status = (project: string, word: string) =>
  api(`/api/projects/${project}/status`, { status: word, reason: 'as the operators say' })
/** What a person would read, without line breaks, boxes, quotes and escapes. */
const plain = (text: string): string => text.replace(/\\?['"]/g, '').replace(/[\s│]+/g, ' ')

async function sent(context: TestContext, tool: (typeof UPLOADERS)[number], name: string, version: string) {
  const dir = makeProject({ tool: 'twine', dir: newFolder(), name, version })
  const files = (await buildProject(context, 'twine', dir)).filter((file) => file.endsWith('.whl'))
  const extra = EXTRA[tool]
  return upload(context, tool, { url: service.legacy, token: service.tokens.upload, files, projectDir: dir, extra })
}

async function installed(context: TestContext, tool: (typeof INSTALLERS)[number], name: string) {
  const target = await makeVenv(newFolder())
  const outcome = await install(context, tool, { indexUrl: service.simple, name, target })
  return { ...outcome, text: outcome.status === 0 ? await textOf(interpreter(target), name) : undefined }
}

describe.for([...UPLOADERS])('%s', (tool) => {
  test('shows which quota is used up, and the file is nowhere', async (context) => {
    const name = `quota-${tool}`
    const quota = { bytes: null, files: 1, fileBytes: null }
    expect((await sent(context, tool, name, '1.0')).status).toBe(0)
    await api(`/api/projects/${name}/quota`, quota)
    const more = await sent(context, tool, name, '1.1')
    expect(more.status, more.output).not.toBe(0)
    expect(plain(more.output)).toContain(`Project ${name} holds 1 files and may hold 1`)
    await api(`/api/projects/${name}/quota`, { ...quota, files: null, fileBytes: 100 })
    const large = await sent(context, tool, name, '1.1')
    expect(large.status, large.output).not.toBe(0)
    expect(plain(large.output)).toContain(`Project ${name} takes files of at most 100 bytes`)
    expect((await service.page(name))!.files).toHaveLength(1)
    await api(`/api/projects/${name}/quota`, { ...quota, files: null })
    expect((await sent(context, tool, name, '1.1')).status).toBe(0)
  })

  test.for(['archived', 'quarantined'])('is told that the project is %s', async (word, context) => {
    const name = `${word}-${tool}`
    await service.publish(name, '1.0')
    await status(name, word)
    const refused = await sent(context, tool, name, '1.1')
    expect(refused.status, refused.output).not.toBe(0)
    expect(plain(refused.output)).toContain(`Project ${name} is ${word} and takes no uploads`)
    await status(name, 'active')
    expect((await sent(context, tool, name, '1.1')).status).toBe(0)
  })
})

describe.for([...INSTALLERS])('%s', (tool) => {
  test.for(['deprecated', 'archived'])('installs from a project that is %s', async (word, context) => {
    const name = `${word}-down-${tool}`
    await service.publish(name, '1.0')
    await status(name, word)
    const outcome = await installed(context, tool, name)
    expect([outcome.status, outcome.text], outcome.output).toEqual([0, `${name} 1.0`])
  })

  test('finds nothing in a project that is quarantined, and everything when it is active again', async (context) => {
    const name = `quarantined-down-${tool}`
    await service.publish(name, '1.0')
    await status(name, 'quarantined')
    const refused = await installed(context, tool, name)
    expect(refused.status, refused.output).not.toBe(0)
    expect(refused.output).toMatch(/No matching distribution|no versions|was not found/)
    await status(name, 'active')
    expect((await installed(context, tool, name)).text).toBe(`${name} 1.0`)
  })
})
