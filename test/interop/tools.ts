// What people type: seven uploaders, four installers, each in its pinned release, unmodified, in a home of its own.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'vitest'
import { interpreter, need, type PythonTool, python } from './environments.ts'

export const UPLOADERS = ['twine', 'twine-6.1', 'uv', 'poetry', 'flit', 'hatch', 'pdm'] as const
export type Uploader = (typeof UPLOADERS)[number]
export const INSTALLERS = ['pip-23.0', 'pip-23.2', 'pip', 'uv'] as const
export type Installer = (typeof INSTALLERS)[number]

export interface Outcome {
  status: number
  /** Standard output and error, as they came. */
  output: string
}

/** No tool waits for an answer for longer than this here. */
const TOOL_TIMEOUT_MS = 120_000
/** The date inside built archives, where the backend asks (setuptools' sdists do not: two builds differ). */
const SOURCE_DATE_EPOCH = '1767225600'

/**
 * Runs a tool as on a fresh account: an empty home, no configuration, no keyring, no colour, and nothing of the
 * machine's own settings (a configured registry would answer for the index under test).
 */
export async function run(
  program: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  const home = mkdtempSync(join(tmpdir(), 'tuf-edge-home-'))
  const inherited = ['PATH', 'LANG', 'TMPDIR', 'TEMP', 'SYSTEMROOT', 'PATHEXT']
  const env: NodeJS.ProcessEnv = {
    ...Object.fromEntries(inherited.map((name) => [name, process.env[name]])),
    HOME: home,
    USERPROFILE: home,
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_CACHE_HOME: join(home, 'cache'),
    XDG_DATA_HOME: join(home, 'data'),
    XDG_STATE_HOME: join(home, 'state'),
    APPDATA: join(home, 'config'),
    LOCALAPPDATA: join(home, 'cache'),
    PYTHON_KEYRING_BACKEND: 'keyring.backends.null.Keyring',
    PYTHONIOENCODING: 'utf-8',
    NO_COLOR: '1',
    TERM: 'dumb',
    COLUMNS: '200',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PDM_CHECK_UPDATE: '0',
    SOURCE_DATE_EPOCH,
    ...options.env,
  }
  try {
    return await new Promise<Outcome>((resolve, reject) => {
      const stdio = ['ignore', 'pipe', 'pipe'] as const
      const child = spawn(program, args, { cwd: options.cwd ?? home, env, stdio: [...stdio], timeout: TOOL_TIMEOUT_MS })
      let output = ''
      for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (bytes) => (output += bytes))
      child.on('error', reject)
      child.on('close', (code, signal) =>
        resolve({ status: code ?? 1, output: signal ? `${output}\n${signal}` : output }),
      )
    })
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

export interface Upload {
  /** The upload URL, as a user would be told it. */
  url: string
  token: string
  /** Built files; flit takes none (it builds what it uploads). */
  files: string[]
  /** The project the files were built from: poetry, flit and pdm run in it. */
  projectDir?: string
  /** More words for the command line, such as `--skip-existing`. */
  extra?: string[]
}

/** Uploads the way the tool's own manual says. */
export async function upload(context: TestContext, tool: Uploader, what: Upload): Promise<Outcome> {
  const { url, token, files, projectDir, extra = [] } = what
  const ready = await need(context, tool)
  const project = (): string => {
    if (projectDir) return projectDir
    throw new Error(`${tool} uploads from a project folder`)
  }
  switch (tool) {
    case 'twine':
    case 'twine-6.1':
      return run(ready.command('twine'), [
        ...['upload', '--non-interactive', '--disable-progress-bar', '--repository-url', url],
        ...['--username', '__token__', '--password', token, ...extra, ...files],
      ])
    case 'uv':
      return run(ready.command('uv'), ['publish', '--publish-url', url, '--token', token, ...extra, ...files])
    case 'poetry':
      return run(
        ready.command('poetry'),
        ['publish', '--no-interaction', '--repository', 'edge', '--dist-dir', dirname(files[0]!), ...extra],
        {
          cwd: project(),
          env: {
            POETRY_REPOSITORIES_EDGE_URL: url,
            POETRY_HTTP_BASIC_EDGE_USERNAME: '__token__',
            POETRY_HTTP_BASIC_EDGE_PASSWORD: token,
          },
        },
      )
    case 'flit': {
      const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-pypirc-'))
      const pypirc = join(folder, 'pypirc')
      writeFileSync(
        pypirc,
        `[distutils]\nindex-servers = edge\n\n[edge]\nrepository = ${url}\nusername = __token__\npassword = ${token}\n`,
      )
      try {
        return await run(ready.command('flit'), ['publish', '--pypirc', pypirc, '--repository', 'edge', ...extra], {
          cwd: project(),
        })
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    }
    case 'hatch':
      return run(
        ready.command('hatch'),
        ['publish', '--no-prompt', '--repo', url, '--user', '__token__', '--auth', token, ...extra, ...files],
        { cwd: projectDir },
      )
    case 'pdm':
      return run(
        ready.command('pdm'),
        [
          ...['publish', '--no-build', '--dest', dirname(files[0]!), '--repository', url],
          ...['--username', '__token__', '--password', token, ...extra],
        ],
        { cwd: project() },
      )
  }
}

/** An empty virtual environment to install into. */
export async function makeVenv(folder: string): Promise<string> {
  const made = await run(python(), ['-m', 'venv', '--without-pip', folder])
  if (made.status !== 0) throw new Error(made.output)
  return folder
}

export interface Install {
  /** The simple index, as a user would be told it. */
  indexUrl: string
  /** What to install: a name or a requirement. */
  name: string
  /** A virtual environment of `makeVenv`. */
  target: string
  extra?: string[]
}

/** Installs from the index and from nothing else, without the installer's cache. */
export async function install(context: TestContext, tool: Installer, what: Install): Promise<Outcome> {
  const { indexUrl, name, target, extra = [] } = what
  const ready = await need(context, tool)
  if (tool === 'uv')
    return run(ready.command('uv'), [
      ...['pip', 'install', '--python', interpreter(target), '--no-cache', '--default-index', indexUrl],
      ...[...extra, name],
    ])
  return run(ready.command('python'), [
    ...['-m', 'pip', '--python', interpreter(target), 'install', '--no-cache-dir', '--no-input'],
    ...['--progress-bar', 'off', '--index-url', indexUrl, ...extra, name],
  ])
}

/** The environment that has a tool's build backend; uv's is in no package of its own here. */
const BACKEND_OF: Record<Exclude<Uploader, 'uv'>, PythonTool> = {
  twine: 'build',
  'twine-6.1': 'build',
  poetry: 'poetry',
  flit: 'flit',
  hatch: 'hatch',
  pdm: 'build',
}

/**
 * Installs the sdist, never the wheel, with pip into the folder `target`. The backend is the one that is installed
 * beside `tool` (the index under test has none), so nothing is built in isolation.
 */
export async function installSdist(
  context: TestContext,
  pip: Exclude<Installer, 'uv'>,
  tool: keyof typeof BACKEND_OF,
  { indexUrl, name, target }: Install,
): Promise<Outcome> {
  const [ready, backend] = [await need(context, pip), await need(context, BACKEND_OF[tool])]
  return run(ready.command('python'), [
    ...['-m', 'pip', '--python', backend.command('python'), 'install', '--no-cache-dir', '--no-input'],
    ...['--progress-bar', 'off', '--no-build-isolation', '--no-deps', '--no-binary', ':all:'],
    ...['--target', target, '--index-url', indexUrl, name],
  ])
}

/** What the installed module of `makeProject` says. */
export async function textOf(program: string, name: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const said = await run(program, ['-c', `import ${moduleOf(name)} as module; print(module.text)`], { env })
  return said.output.trim()
}

/** The lines of a project's metadata by backend; each is what the tool's own `init` would write. */
const BUILD_SYSTEM: Record<Uploader, [backend: string, requires: string, more?: string]> = {
  twine: ['setuptools.build_meta', 'setuptools'],
  'twine-6.1': ['setuptools.build_meta', 'setuptools'],
  uv: ['uv_build', 'uv_build', '\n[tool.uv.build-backend]\nmodule-root = ""\n'],
  poetry: ['poetry.core.masonry.api', 'poetry-core'],
  flit: ['flit_core.buildapi', 'flit_core', '\n[tool.flit.module]\nname = "MODULE"\n'],
  hatch: ['hatchling.build', 'hatchling'],
  pdm: ['pdm.backend', 'pdm-backend'],
}

export interface Project {
  /** The tool whose build backend the project uses. */
  tool: Uploader
  dir: string
  name: string
  version: string
  /** Put into the module: other text, other bytes under the same file name. */
  text?: string
  /** The summary. */
  description?: string
  /** More lines for `[project]`, such as `requires-python = ">=3.9"`. */
  metadata?: string
}

const moduleOf = (name: string): string => name.replace(/[-_.]+/g, '_').toLowerCase()

/** Writes a project of one module. */
export function makeProject(project: Project): string {
  const { tool, dir, name, version, text = 'hello', description = 'A sample', metadata = '' } = project
  const module = moduleOf(name)
  const [backend, requires, more = ''] = BUILD_SYSTEM[tool]
  mkdirSync(join(dir, module), { recursive: true })
  writeFileSync(join(dir, module, '__init__.py'), `"""Says ${text}."""\n\ntext = ${JSON.stringify(text)}\n`)
  writeFileSync(
    join(dir, 'pyproject.toml'),
    `[build-system]\nrequires = ["${requires}"]\nbuild-backend = "${backend}"\n\n[project]\nname = "${name}"\n` +
      `version = "${version}"\ndescription = "${description}"\n${metadata && `${metadata}\n`}${more.replace('MODULE', module)}`,
  )
  return dir
}

/** Builds wheel and sdist with the project's own tool, offline; gives their paths. */
export async function buildProject(context: TestContext, tool: Uploader, dir: string): Promise<string[]> {
  const dist = join(dir, 'dist')
  const host: PythonTool = tool.startsWith('twine') || tool === 'pdm' ? 'build' : tool
  const ready = await need(context, host)
  const words: Record<Uploader, [string, ...string[]]> = {
    twine: ['python', '-m', 'build', '--no-isolation', '--outdir', dist],
    'twine-6.1': ['python', '-m', 'build', '--no-isolation', '--outdir', dist],
    uv: ['uv', 'build', '--offline', '--out-dir', dist],
    poetry: ['poetry', 'build', '--no-interaction', '--output', dist],
    flit: ['flit', 'build'],
    hatch: ['python', '-m', 'hatchling', 'build', '--directory', dist],
    // "pdm build" looks for the backend on the network, or in an environment that it makes in the project.
    pdm: ['python', '-m', 'build', '--no-isolation', '--outdir', dist],
  }
  const [program, ...args] = words[tool]
  const built = await run(ready.command(program), args, { cwd: dir })
  if (built.status !== 0) throw new Error(`${tool} could not build: ${built.output}`)
  return readdirSync(dist)
    .filter((name) => name.endsWith('.whl') || name.endsWith('.tar.gz'))
    .sort()
    .map((name) => join(dist, name))
}
