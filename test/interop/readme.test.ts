// The README, typed: install, upload and verify, beside a service that was started as it says.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest'
import { buildWheel } from '../../cli/wheel.ts'
import { interpreter, need, type PythonTool, prepare } from './environments.ts'
import { codeOf } from './readme.ts'
import { Service } from './service.ts'
import { makeVenv, run } from './tools.ts'

let service: Service
beforeAll(async () => {
  await prepare(['pip', 'uv', 'twine', 'tuf'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

/** Types lines into a shell that finds the tools of these environments, the first one's first. */
async function type(context: TestContext, code: string, tools: PythonTool[], env: NodeJS.ProcessEnv = {}) {
  const folders: string[] = []
  for (const tool of tools) folders.push(dirname((await need(context, tool)).command('python')))
  const PATH = [...folders, process.env.PATH].join(delimiter)
  const outcome = await run('sh', ['-ec', code], { cwd: service.folder, env: { ...env, PATH } })
  expect(outcome.status, outcome.output).toBe(0)
  return outcome.output
}

test('Install from it', async (context) => {
  const [lines] = codeOf('Install from it', service.port)
  for (const [tool, line] of lines!.trim().split('\n').entries()) {
    const target = await makeVenv(join(service.folder, `venv-${tool}`))
    // As in an activated environment.
    const env = { VIRTUAL_ENV: target, PIP_PYTHON: interpreter(target) }
    await type(context, line, ['pip', 'uv'], env)
    const said = await run(interpreter(target), ['-c', 'import hello_tuf_edge; hello_tuf_edge.main()'])
    expect(said.output).toContain('Hello from an index')
  }
})

test('Upload to it', async (context) => {
  mkdirSync(join(service.folder, 'dist'))
  const blocks = codeOf('Upload to it', service.port)
  expect(blocks).toHaveLength(2)
  for (const [i, block] of blocks.entries()) {
    const name = `typed-${i}`
    const wheel = buildWheel({ name, version: '1.0', summary: 'Typed', files: { [`typed_${i}.py`]: '' } })
    writeFileSync(join(service.folder, 'dist', wheel.filename), wheel.bytes)
    const token = JSON.parse(readFileSync(join(service.folder, '.tuf-edge', 'tokens.json'), 'utf8')).upload as string
    // The second block uploads the first wheel again: no mistake.
    await type(context, block.replace('PASTE-THE-TOKEN', token), ['twine', 'uv'])
    expect((await service.page(name))!.files).toHaveLength(1)
  }
})

test('Verify it', async (context) => {
  const [fetch, snippet] = codeOf('Verify it', service.port)
  const command = `node ${fileURLToPath(new URL('../../cli/tuf-edge.mjs', import.meta.url))}`
  await type(context, fetch!.replace('npx tuf-edge', command), ['tuf'], { XDG_STATE_HOME: service.folder })
  expect(readdirSync(join(service.folder, 'downloads'))).toEqual([expect.stringMatching(/^hello_tuf_edge-.*\.whl$/)])
  writeFileSync(join(service.folder, 'verify.py'), snippet!)
  const printed = await type(context, 'python verify.py', ['tuf'])
  expect(JSON.parse(printed)).toMatchObject({ name: 'hello-tuf-edge', files: [{ hashes: expect.anything() }] })
})
