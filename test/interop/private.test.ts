// docs/private.md, typed, and the TUF clients, against a private index that was never public.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { shardOf } from '../../tuf/bins.ts'
import { driver, TUF_CLIENTS } from './clients.ts'
import { interpreter, need, type PythonTool, prepare } from './environments.ts'
import { codeOf } from './readme.ts'
import { Service } from './service.ts'
import { makeVenv, run } from './tools.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const HELLO = 'Hello from an index'

let service: Service
beforeAll(async () => {
  await prepare(['pip', 'keyring', 'uv', 'poetry', 'pdm', 'tuf', 'gotuf'])
  service = await Service.start({ isPrivate: true })
  for (const [file, token] of [
    ['admin-token', service.tokens.admin],
    ['read-token', service.tokens.read],
  ] as const)
    writeFileSync(join(service.folder, file), `${token}\n`, { mode: 0o600 })
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

const blocks = (section: string) => codeOf(section, service.port, 'docs/private.md')

/** Types lines into a shell in a folder of its own, with the tokens beside it and an empty home. */
async function type(context: TestContext, code: string, tools: PythonTool[], more: NodeJS.ProcessEnv = {}) {
  const folder = join(service.folder, `typed-${readdirSync(service.folder).length}`)
  mkdirSync(folder)
  for (const file of ['admin-token', 'read-token'])
    writeFileSync(join(folder, file), readFileSync(join(service.folder, file)))
  mkdirSync(join(folder, '.tuf-edge'))
  copyFileSync(join(service.folder, '.tuf-edge', 'tokens.json'), join(folder, '.tuf-edge', 'tokens.json'))
  const target = await makeVenv(join(folder, 'venv'))
  const folders: string[] = []
  for (const tool of tools) folders.push(dirname((await need(context, tool)).command('python')))
  const cli = `node ${here('../../cli/tuf-edge.mjs')}`
  const env = {
    PATH: [...folders, process.env.PATH].join(delimiter),
    HOME: folder,
    XDG_STATE_HOME: join(folder, 'state'),
    XDG_DATA_HOME: join(folder, 'data'),
    VIRTUAL_ENV: target,
    PIP_PYTHON: interpreter(target),
    PIP_NO_INPUT: '1',
    PIP_NO_CACHE_DIR: '1',
    UV_NO_CACHE: '1',
    ...more,
  }
  const outcome = await run('sh', ['-ec', code.replaceAll('npx tuf-edge', cli)], { cwd: folder, env })
  return { ...outcome, folder, python: interpreter(target) }
}

async function expectInstalled(
  context: TestContext,
  code: string,
  tools: PythonTool | PythonTool[],
  more: NodeJS.ProcessEnv = {},
) {
  const { status, output, folder, python } = await type(context, code, [tools].flat(), more)
  expect(status, output).toBe(0)
  const env = more.PIP_TARGET === undefined ? {} : { PYTHONPATH: join(folder, more.PIP_TARGET) }
  const said = await run(python, ['-c', 'import hello_tuf_edge; hello_tuf_edge.main()'], { env })
  expect(said.output).toContain(HELLO)
  expect(output).not.toContain(service.tokens.read)
}

describe('who has no token', () => {
  test.for(['pip', 'uv'] as const)('%s is refused, and told that it is about credentials', async (tool, context) => {
    const words = tool === 'pip' ? 'pip install --index-url' : 'uv pip install --default-index'
    const { status, output } = await type(context, `${words} ${service.simple} hello-tuf-edge`, [tool], {
      PIP_NO_INPUT: '0',
    })
    expect(status, output).not.toBe(0)
    expect(output).toMatch(tool === 'pip' ? /User for 127\.0\.0\.1/ : /401|credentials/)
  })

  test.for(TUF_CLIENTS)('%s is refused', async (name, context) => {
    const urls = { metadataUrl: `${service.url}/tuf/`, targetsUrl: `${service.url}/tuf/targets/` }
    const client = await driver(
      context,
      name,
      { root: service.root, ...urls },
      join(service.folder, `anonymous-${name}`),
    )
    expect((await client.refresh()).lines).toMatchObject([
      { ok: false, error: expect.stringMatching(/401|HTTP|Failed/i) },
    ])
  })
})

describe('typed as the guide has it', () => {
  test('close it', async (context) => {
    const [start, close] = blocks('Close it')
    expect(start).toBe('npm start -- --private\n')
    // Only the address is another.
    const code = close!.replace(' --token-file', ` --url ${service.url} --token-file`)
    const { status, output } = await type(context, code, ['pip'])
    expect([status, output]).toEqual([0, expect.stringContaining('reading: private')])
  })

  test('give out tokens', async (context) => {
    const url = { TUF_EDGE_URL: service.url }
    const code = blocks('Give out tokens')[0]!.replaceAll(' --days', ` --url ${service.url} --days`)
    const { status, output, folder } = await type(context, code, ['pip'], url)
    expect(status, output).toBe(0)
    for (const file of ['read-token', 'ci-token'])
      expect(readFileSync(join(folder, file), 'utf8')).toMatch(/^tue_[\w-]{43}[0-9a-f]{6}\n$/)
  })

  test('pip, with .netrc', (context) => expectInstalled(context, blocks('pip')[0]!, 'pip'))
  // A keyring of the test's own: a file in the empty home. pip runs it, or imports it from the environment both are in.
  const keyring = { PYTHON_KEYRING_BACKEND: 'keyrings.alt.file.PlaintextKeyring' }
  test('pip, with the command of a keyring', (context) =>
    expectInstalled(context, blocks('pip')[1]!, ['pip', 'keyring'], keyring))
  test('pip, with a keyring that it imports', (context) => {
    const [set] = blocks('pip')[1]!.split('\n')
    const more = { ...keyring, PIP_PYTHON: undefined, PIP_TARGET: 'installed' }
    return expectInstalled(context, `${set}\n${blocks('pip')[2]}`, 'keyring', more)
  })
  test.for([1, 2] as const)('a keyring that knows nothing gives nothing away: line %i', async (line, context) => {
    const install = blocks('pip')[line]!.trim().split('\n').at(-1)!
    const { status, output } = await type(context, install, line === 1 ? ['pip', 'keyring'] : ['keyring'], {
      ...keyring,
      ...(line === 1 ? {} : { PIP_PYTHON: undefined, PIP_TARGET: 'installed' }),
    })
    expect(status, output).not.toBe(0)
    expect(output).toContain('401')
  })
  test('pip, with the URL in its environment', (context) => expectInstalled(context, blocks('pip')[3]!, 'pip'))
  test('uv, by the name of the index', (context) => expectInstalled(context, blocks('uv')[0]!, 'uv'))
  test('uv auth', (context) => expectInstalled(context, blocks('uv')[1]!, 'uv'))
  test('uv, with .netrc', (context) => {
    const [netrc] = blocks('pip')[0]!.split('\n')
    const [, install] = blocks('uv')[1]!.trim().split('\n')
    return expectInstalled(context, `${netrc}\n${install}`, 'uv')
  })

  test.for(['poetry', 'pdm'] as const)('%s', async (tool, context) => {
    const project = `[project]\nname = "uses-hello"\nversion = "1.0"\nrequires-python = ">=3.9"\ndependencies = []\n[tool.pdm]\ndistribution = false\n`
    const before = `cat > pyproject.toml <<'END'\n${project}END\n${tool === 'poetry' ? 'poetry config virtualenvs.create false --local\n' : ''}`
    const [poetry, pdm] = blocks('poetry and pdm')
    await expectInstalled(context, before + (tool === 'poetry' ? poetry : pdm), tool)
  })

  test('an unknown project is one for the next index: uv looks there', async (context) => {
    const code = blocks('uv')[0]!
      .replace('--default-index', '--index')
      .replace('hello-tuf-edge', 'no-such-project --default-index http://127.0.0.1:9/simple/')
    const { status, output } = await type(context, code, ['uv'])
    expect(status).not.toBe(0)
    expect(output).toContain('127.0.0.1:9')
  })

  test('our own client', async (context) => {
    const root = join(service.folder, '.tuf-edge', 'root.json')
    const code = blocks('Verifying')[0]!.replace('.tuf-edge/root.json', root).replace('audit', `audit --root ${root}`)
    const { status, output, folder } = await type(context, code, ['pip'])
    expect(status, output).toBe(0)
    expect(readdirSync(join(folder, 'downloads'))).toEqual([expect.stringMatching(/^hello_tuf_edge-.*\.whl$/)])
  })

  test('the lines for TUF clients are those the drivers run', () => {
    const [, python, js, go] = blocks('Verifying')
    const lines = (text: string) => text.split('\n').map((line) => line.trim())
    for (const [code, file] of [
      [python, 'pythontuf.py'],
      [js, 'tufjs.ts'],
      [go, 'gotuf/main.go'],
    ] as const) {
      const driven = readFileSync(here(`clients/${file}`), 'utf8').replace('fetch(url: string)', 'fetch(url)')
      const known = lines(driven.replace('FetcherInterface, Updater, UpdaterConfig', 'FetcherInterface'))
      for (const line of lines(code!)) expect(known, file).toContain(line)
    }
  })

  test.for(TUF_CLIENTS)('%s with those lines', async (name, context) => {
    const urls = { metadataUrl: `${service.url}/tuf/`, targetsUrl: `${service.url}/tuf/targets/` }
    const repository = { root: service.root, ...urls, token: service.tokens.read }
    const client = await driver(context, name, repository, join(service.folder, `reader-${name}`))
    expect((await client.refresh()).status).toBe(0)
    const page = `simple/${shardOf('hello-tuf-edge')}/hello-tuf-edge/vnd.pypi.simple.v1.json`
    const { lines } = await client.download([page, page.replaceAll('hello', 'jello')])
    expect(lines).toMatchObject([
      { ok: true, target: page },
      { ok: false, error: 'not found' },
    ])
  })
})
