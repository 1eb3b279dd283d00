// `npm run test:conformance -- CHECKOUT [pytest arguments]`: the tuf-conformance suite, from a checkout of it, against
// `client.ts`. The suite is on no package registry, so the checkout is given; what it pins is installed with pip into
// `.cache/conformance`, once for each set of pins. Wants Python 3.11, `faketime` and a POSIX shell.
//
// No failure is expected: the list of expected ones is looked for beside the entry point, which is made new in a folder
// of its own each time. That each of its tests has one of ours, which CI can run, is compared by name at the end.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const CACHE = fileURLToPath(new URL('../../.cache/conformance', import.meta.url))
const CLIENT = fileURLToPath(new URL('client.ts', import.meta.url))
const TESTS = fileURLToPath(new URL('../unit/tuf', import.meta.url))
const PINS = 'import sys, tomllib; print(*tomllib.load(open(sys.argv[1], "rb"))["project"]["dependencies"], sep="\\n")'

function stop(message: string): never {
  process.stderr.write(`test:conformance: ${message}\n`)
  process.exit(2)
}

/** Runs a program to its end; what it prints is its answer. */
function ask(program: string, args: readonly string[], otherwise: string): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) stop(`${otherwise}${stderr ? `\n${stderr.trim()}` : ''}`)
  return stdout.trim()
}

/** The Python of a virtual environment that holds exactly what the checkout pins. */
function environment(checkout: string): string {
  const pins = ask('python3', ['-c', PINS, join(checkout, 'pyproject.toml')], 'Python 3.11 or later is needed.')
  const folder = join(CACHE, createHash('sha256').update(pins).digest('hex').slice(0, 16))
  const python = join(folder, 'bin', 'python')
  const mark = join(folder, 'ready')
  if (existsSync(mark)) return python
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(CACHE, { recursive: true })
  ask('python3', ['-m', 'venv', folder], 'Python cannot make a virtual environment (on Debian: python3-venv).')
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...pins.split('\n')]
  ask(python, install, 'pip could not install what the suite pins.')
  writeFileSync(mark, pins)
  return python
}

/** Tests of the suite whose name stands in none of our test files; its own simulator's prove nothing about a client. */
function lacking(checkout: string): string[] {
  const named = (folder: string, files: RegExp, tests: RegExp): string[] =>
    readdirSync(folder)
      .filter((file) => files.test(file))
      .flatMap((file) => readFileSync(join(folder, file), 'utf8').match(tests) ?? [])
  const ours = new Set(named(TESTS, /^conformance-.*\.test\.ts$/, /test_\w+/g))
  return named(
    join(checkout, 'tuf_conformance'),
    /^test_(?!repository_simulator).*\.py$/,
    /(?<=^def )test_\w+/gm,
  ).filter((name) => !ours.has(name))
}

const [given, ...more] = process.argv.slice(2)
if (given === undefined) stop('name the folder of a checkout of github.com/theupdateframework/tuf-conformance.')
const checkout = resolve(given)
if (
  !existsSync(join(checkout, 'tuf_conformance')) ||
  !/tuf-conformance/.test(readFileSync(join(checkout, 'pyproject.toml'), 'utf8'))
)
  stop(`${checkout} is no checkout of tuf-conformance.`)
ask('faketime', ['--version'], 'faketime is not on this machine (on Debian: the package faketime).')
const python = environment(checkout)

// The suite splits its entry point at spaces, so it gets a path that has none.
const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-conformance-'))
const quoted = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`
const entrypoint = join(folder, 'client')
writeFileSync(entrypoint, `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(CLIENT)} "$@"\n`, { mode: 0o755 })
const pytest = ['-m', 'pytest', '-p', 'no:cacheprovider', 'tuf_conformance', '--entrypoint', entrypoint, ...more]
const done = spawnSync(python, pytest, {
  cwd: checkout,
  stdio: 'inherit',
  env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
})
rmSync(folder, { recursive: true, force: true })
const missing = lacking(checkout)
if (missing.length > 0) stop(`nothing in test/unit/tuf/conformance-*.test.ts is called ${missing.join(', ')}.`)
process.exitCode = done.status ?? 1
