// "Using it beside PyPI" of the README, typed as it stands, with a second index in PyPI's place. A stranger has taken
// our names there, with higher versions: whatever the recipes install must be ours.
import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { interpreter, need, prepare } from './environments.ts'
import { codeOf } from './readme.ts'
import { Service } from './service.ts'
import { install, makeVenv, run, textOf } from './tools.ts'

let ours: Service
let pypi: Service

beforeAll(async () => {
  await prepare(['pip', 'pip-23.0', 'uv'])
  ours = await Service.start()
  pypi = await Service.start()
  // The README's package, newer than the one of the first start: it needs another one of ours, and one of PyPI's.
  const metadata = ['Requires-Dist: our-core', 'Requires-Dist: third-party']
  await ours.publish('hello-tuf-edge', '1.5', { text: 'ours', metadata })
  await ours.publish('our-core', '1.0', { text: 'ours' })
  await pypi.publish('third-party', '3.0', { text: 'third party' })
  await pypi.publish('hello-tuf-edge', '9.9', { text: 'a stranger' })
  await pypi.publish('our-core', '9.9', { text: 'a stranger' })
})
afterAll(async () => {
  await ours?.stop()
  await pypi?.stop()
})

beforeEach((context) => ours.explain(context))

let folders = 0
const newFolder = (): string => {
  const path = join(ours.folder, `project-${folders++}`)
  mkdirSync(path)
  return path
}

/** What each installed package says. */
async function said(target: string): Promise<Record<string, string>> {
  const names = ['hello-tuf-edge', 'our-core', 'third-party']
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await textOf(interpreter(target), name)] as const)),
  )
}

const SAFE = { 'hello-tuf-edge': 'ours', 'our-core': 'ours', 'third-party': 'third party' }

describe('uv', () => {
  const [toml] = codeOf('Using it beside PyPI', 0)

  const sync = async (context: TestContext, dependencies: string[], sources: string, ...extra: string[]) => {
    const dir = newFolder()
    const config = toml!.replace('127.0.0.1:0', `127.0.0.1:${ours.port}`)
    writeFileSync(
      join(dir, 'pyproject.toml'),
      `[project]\nname = "app"\nversion = "1.0"\nrequires-python = ">=3.9"\n` +
        `dependencies = ${JSON.stringify(dependencies)}\n\n${config}${sources}`,
    )
    const uv = (await need(context, 'uv')).command('uv')
    const env = { UV_DEFAULT_INDEX: pypi.simple, UV_PYTHON_DOWNLOADS: 'never' }
    const outcome = await run(uv, ['sync', ...extra], { cwd: dir, env })
    expect(outcome.status, outcome.output).toBe(0)
    return said(join(dir, '.venv'))
  }

  test('takes what is ours from us, and the rest from PyPI', async (context) => {
    const core = 'our-core = { index = "ours" }\n'
    for (const extra of [[], ['--upgrade']])
      expect(await sync(context, ['hello-tuf-edge', 'our-core', 'third-party'], core, ...extra)).toEqual(SAFE)
  })

  test('the warning is deserved: a package of ours that is not named is looked up on PyPI', async (context) => {
    expect(await sync(context, ['hello-tuf-edge'], '')).toEqual({ ...SAFE, 'our-core': 'a stranger' })
  })
})

describe.for(['pip', 'pip-23.0'] as const)('%s', (tool) => {
  /** Types the recipe; `names` are the packages of ours. */
  const type = async (context: TestContext, names: string, more = '') => {
    const dir = newFolder()
    const target = await makeVenv(join(dir, 'venv'))
    const pip = await need(context, tool)
    const recipe = codeOf('Using it beside PyPI', ours.port)[1]!
    expect(recipe).toContain(' hello-tuf-edge\n')
    const code = recipe.replace(' hello-tuf-edge\n', ` ${names}\n`).trimEnd() + more
    const env = {
      PATH: [dirname(pip.command('pip')), process.env.PATH].join(delimiter),
      PIP_PYTHON: interpreter(target),
      // PyPI's place; a word on the command line, as in the first run, wins.
      PIP_INDEX_URL: pypi.simple,
    }
    const outcome = await run('sh', ['-ec', code], { cwd: dir, env })
    expect(outcome.status, outcome.output).toBe(0)
    return said(target)
  }

  test('takes what is ours from us, and the rest from PyPI', async (context) => {
    expect(await type(context, 'hello-tuf-edge our-core')).toEqual(SAFE)
    expect(await type(context, 'hello-tuf-edge our-core', ' --upgrade')).toEqual(SAFE)
  })

  test('the warning is deserved: a package of ours that is not named is looked up on PyPI', async (context) => {
    expect(await type(context, 'hello-tuf-edge')).toEqual({ ...SAFE, 'our-core': 'a stranger' })
  })

  test('the warning is deserved: --extra-index-url takes the stranger’s', async (context) => {
    const target = await makeVenv(join(newFolder(), 'venv'))
    const what = { indexUrl: ours.simple, name: 'hello-tuf-edge', target }
    const outcome = await install(context, tool, { ...what, extra: ['--extra-index-url', pypi.simple] })
    expect(outcome.status, outcome.output).toBe(0)
    expect((await said(target))['hello-tuf-edge']).toBe('a stranger')
  })
})
