// The command line's answers to wrong words and to what is not there: one line that says what to do, and nothing done.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Repository } from '../unit/tuf/repository.ts'
import { freePort, temporaryFolder } from './process.ts'

/** The command line as people type it; an object among its words is environment. */
function run(...words: (string | Record<string, string>)[]) {
  const args = words.filter((word) => typeof word === 'string')
  const env = Object.assign({ ...process.env }, ...words.filter((word) => typeof word !== 'string'))
  const { status, stdout, stderr } = spawnSync('node', ['cli/tuf-edge.mjs', ...args], { encoding: 'utf8', env })
  return { status, stdout, stderr }
}

test('wrong words are one line that says where the right ones are', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  expect(run('--version')).toEqual({ status: 0, stdout: `tuf-edge ${version}\n`, stderr: '' })
  const wrong: [string, RegExp][] = [
    ['fetch hello --idnex x', /There is no option '--idnex': `tuf-edge fetch --help` lists them\./],
    ['fetch hello --into', /The option '--into' wants a value: `tuf-edge fetch --help` shows how\./],
    ['status --json=yes', /The option '--json' wants no value: `tuf-edge status --help` shows how\./],
    ['status now', /'now' is a word too many: `tuf-edge status --help` shows what is taken\./],
    ['fetch hello==9.9', /A release is named so: `tuf-edge fetch hello --version 9\.9`\./],
    ['fetch hello 1.0', /A release is named so: `tuf-edge fetch hello --version 1\.0`\./],
    ['fetch hello --version new', /--version wants a version such as 1\.0, not 'new'\./],
    ['fecth', /There is no command 'fecth': `tuf-edge help` lists them\./],
    ['help fecth', /There is no command 'fecth': `tuf-edge help` lists them\./],
  ]
  for (const [words, sentence] of wrong) {
    const { status, stdout, stderr } = run(...words.split(' '))
    expect([status, stdout], words).toEqual([2, ''])
    expect(stderr, words).toMatch(new RegExp(`^tuf-edge: ${sentence.source}\n$`))
  }
  // The list has a line for each; the whole of one is asked for by its name.
  const list = run()
  expect(list).toEqual(run('help'))
  const lines = list.stdout
    .trim()
    .split('\n')
    .slice(1, -1)
    .filter((line) => line !== '')
  for (const line of lines) expect(line).toMatch(/^ {2}[a-z]+ +[a-z].{10,70}$/)
  expect(new Set(lines.map((line) => line.trim().split(' ')[0])).size).toBe(lines.length)
  expect(list.stdout).toMatch(/^ {2}fetch +downloads/m)
  expect(run('help', 'fetch')).toEqual(run('fetch', '--help'))
})

test('as the guides have it, from a clone: by way of npx', () => {
  const { status, stdout } = spawnSync('npx', ['tuf-edge', 'help', 'token'], { encoding: 'utf8' })
  expect({ status, stdout, stderr: '' }).toEqual(run('help', 'token'))
})

test('what is not there, or is something else, is named in one line', async () => {
  const { path: folder, remove } = temporaryFolder()
  onTestFinished(remove)
  const root = join(folder, 'root.json')
  writeFileSync(root, (await Repository.make()).files.get('1.root.json')!)
  const url = `http://127.0.0.1:${await freePort()}`
  const silent = `${url}\\S* (?:did not answer|failed): .*ECONNREFUSED.*npm start`
  const cases: [string[], string][] = [
    [['status', '--url', url], `${silent}.*--url`],
    [['fetch', 'hello', '--index', url, '--root', root, '--state', folder], `${silent}.*--index.*Nothing was written`],
    [['export', join(folder, 'mirror'), '--index', url, '--root', root], `${silent}.*--index`],
    [['audit', '--url', url, '--root', root], silent],
    [['fetch', 'hello', '--root', 'package.json'], 'package\\.json is no root: .* --root'],
    [
      ['fetch', 'hello', '--root', root, '--into', 'package.json'],
      '--into wants a folder, and .*package\\.json is a file',
    ],
  ]
  for (const [words, sentence] of cases) {
    const { status, stdout, stderr } = run(...words)
    expect([status, stdout], words.join(' ')).toEqual([expect.any(Number), ''])
    expect(status, words.join(' ')).toBeGreaterThan(0)
    expect(stderr, words.join(' ')).toMatch(new RegExp(`^tuf-edge: .*${sentence}.*\n$`))
  }
  // A file that is no token is never repeated: it may hold somebody's secret.
  writeFileSync(join(folder, 'token'), 'a secret\nof two lines')
  const secret = run('status', '--url', url, '--token-file', join(folder, 'token'))
  expect(secret).toMatchObject({ status: 1, stderr: expect.stringContaining('is it the right one?') })
  expect(secret.stderr).not.toContain('two lines')
})

test('options that npm keeps for itself are asked for again, with `--` before them', () => {
  const npm = (script: string, kept: Record<string, string>, ...args: string[]) =>
    run(...args, { npm_lifecycle_event: script, ...kept }).stderr
  expect(npm('start', { npm_config_port: 'true' }, 'serve', '9124')).toContain('`npm start -- --port 9124`')
  expect(npm('start', { npm_config_port: '9124', npm_config_private: 'true' }, 'serve')).toContain(
    '`npm start -- --port 9124 --private`',
  )
  expect(npm('demo', { npm_config_keep: 'true' }, 'demo')).toContain('`npm run demo -- --keep`')
  // The one that would deploy what was only to be looked at.
  const { status, stderr } = spawnSync('node', ['cli/bootstrap.mjs', 'node', 'cli/deploy.ts'], {
    encoding: 'utf8',
    env: { ...process.env, npm_lifecycle_event: 'deploy', npm_config_dry_run: 'true' },
  })
  expect([status, stderr]).toEqual([2, expect.stringContaining('`npm run deploy -- --dry-run`')])
})
