// docs/publishing.md, typed: a token and the six tools that it names; the operator's lines of trusted publishing.
import { mkdirSync, mkdtempSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest'
import { need, type PythonTool, prepare } from './environments.ts'
import { codeOf } from './readme.ts'
import { Service } from './service.ts'
import { buildProject, makeProject, run, type Uploader } from './tools.ts'

const GUIDE = 'docs/publishing.md'
const TOOLS: readonly Uploader[] = ['twine', 'uv', 'poetry', 'flit', 'hatch', 'pdm']
const clone = fileURLToPath(new URL('../../', import.meta.url))

let service: Service
beforeAll(async () => {
  await prepare([...TOOLS, 'build'] as PythonTool[])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

/** Types lines into a shell in `cwd` that finds the tools of these environments, the first one's first. */
async function type(context: TestContext, code: string, tools: PythonTool[], cwd: string, env: NodeJS.ProcessEnv = {}) {
  const folders: string[] = []
  for (const tool of tools) folders.push(dirname((await need(context, tool)).command('python')))
  const PATH = [dirname(process.execPath), ...folders, process.env.PATH].join(delimiter)
  // What says no address means the index on this machine at its usual port: only that is another here.
  const lines = code
    .replaceAll('https://pypi.example.org', service.url)
    .replaceAll('npx tuf-edge', 'node CLONE/cli/tuf-edge.mjs')
    .replaceAll('CLONE/', clone)
    .replaceAll('\\\n', ' ')
    .replaceAll(/tuf-edge\.mjs (?!.* --url ).*?(?= > |$)/gm, `$& --url ${service.url}`)
  const outcome = await run('sh', ['-ec', lines], { cwd, env: { ...env, PATH } })
  expect(outcome.status, outcome.output).toBe(0)
  return outcome.output
}

test('With a token', async (context) => {
  const [make, ...uploads] = codeOf('With a token', service.port, GUIDE)
  const made = await type(context, `${make}printf %s "$TOKEN"`, ['uv'], service.folder)
  const token = /tue_[\w-]{49}/.exec(made)![0]
  for (const file of ['admin-token', 'upload-token'])
    expect(statSync(join(service.folder, file)).mode & 0o777, file).toBe(0o600)
  expect(uploads).toHaveLength(TOOLS.length)
  for (const [i, tool] of TOOLS.entries()) {
    expect(uploads[i]).toContain(tool)
    const dir = mkdtempSync(join(service.folder, `${tool}-`))
    const version = `1.${i}`
    // flit builds what it uploads.
    makeProject({ tool, dir, name: 'sample', version })
    await buildProject(context, tool, dir)
    await type(context, uploads[i]!, [tool as PythonTool], dir, { TOKEN: token })
    const page = (await service.page('sample'))!
    const files = page.files.filter(({ filename }) => filename.startsWith(`sample-${version}`))
    expect(files, tool).toHaveLength(2)
  }
})

test('With this project’s own command', async (context) => {
  const [line, ...more] = codeOf("With this project's own command", service.port, GUIDE)
  expect(more).toEqual([])
  const dir = mkdtempSync(join(service.folder, 'own-'))
  makeProject({ tool: 'uv', dir, name: 'own-sample', version: '1.0' })
  await buildProject(context, 'uv', dir)
  const output = await type(context, line!, ['uv'], dir, { TOKEN: service.tokens.upload })
  expect(output).toContain('own_sample-1.0.tar.gz: published\n')
  expect((await service.page('own-sample'))!.files).toHaveLength(2)
})

test('From CI, without a secret: what the operator types', async (context) => {
  const blocks = codeOf('From CI, without a secret', service.port, GUIDE).filter((code) =>
    code.includes('npx tuf-edge'),
  )
  expect(blocks).toHaveLength(4)
  if (!(await service.page('sample'))) await service.publish('sample', '0.1')
  const dir = join(service.folder, 'operator')
  mkdirSync(dir)
  let output = ''
  for (const block of blocks)
    output += await type(context, block, ['uv'], dir, { TUF_EDGE_TOKEN: service.tokens.admin, NO_COLOR: '1' })
  expect(output).toMatch(/publisher \w+ may upload to sample\n/)
  expect(output).toMatch(/publisher \w+ may create and upload to sample-gitlab\n/)
  expect(output).toContain('\npypi.example.org\n')
  expect(output).toContain('sample-other  (pending)\n  oidc: sub project:7:release\n  https://ci.example.org\n')
})
