// docs/adopting.md, typed: a bucket with a cron job as go-tuf makes it, and a python-tuf script; then each one's own client.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest'
import { driver, type TufClient } from './clients.ts'
import { need, prepare } from './environments.ts'
import { codeOf } from './readme.ts'
import { Service } from './service.ts'
import { serveFolder } from './static-server.ts'
import { run } from './tools.ts'

const GUIDE = 'docs/adopting.md'

let service: Service
beforeAll(async () => {
  await prepare(['tuf', 'gotuf'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

const python = async (context: TestContext) => (await need(context, 'tuf')).command('python')

async function must(program: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const outcome = await run(program, args, { cwd, env: { ...env, PATH: process.env.PATH, NO_COLOR: '1' } })
  expect(outcome.status, outcome.output).toBe(0)
  return outcome.output
}

/** A repository of an owner: its folder, and how the guide's lines are typed there. */
async function owner(context: TestContext, name: string, maker: string[]) {
  const folder = join(service.folder, name)
  mkdirSync(folder)
  await must(maker[0]!, [...maker.slice(1), 'make', folder], service.folder)
  writeFileSync(join(folder, 'bootstrap-secret'), service.bootstrapSecret)
  const server = await serveFolder(folder)
  context.onTestFinished(() => server.close())
  const type = (code: string, env: NodeJS.ProcessEnv = {}): Promise<string> => {
    const lines = code
      .replaceAll('npx tuf-edge', `${process.execPath} ${resolve('cli/tuf-edge.mjs')}`)
      .replaceAll('https://tuf.example.org/', server.url)
      .replaceAll('https://pypi.example.org', service.url)
    return must('sh', ['-ec', lines], folder, { TUF_EDGE_BOOTSTRAP_SECRET: service.bootstrapSecret, ...env })
  }
  const own = (...words: string[]) => must(maker[0]!, [...maker.slice(1), words[0]!, folder, ...words.slice(1)], folder)
  const downloads = async (client: TufClient, paths: string[]) => {
    const base = `${service.url}/r/${name}/tuf/`
    const repository = {
      root: join(folder, 'metadata', '1.root.json'),
      metadataUrl: base,
      targetsUrl: `${base}targets/`,
    }
    const reader = await driver(context, client, repository, join(folder, 'client'))
    return (await reader.download(paths)).lines.map(({ ok }) => ok)
  }
  return { folder, type, own, downloads }
}

test('A bucket with a cron job', async (context) => {
  const [begin, finish, push, ...more] = codeOf('A bucket with a cron job', service.port, GUIDE)
  expect(more).toEqual([])
  const fixture = (await need(context, 'gotuf')).command('fixture')
  const { type, own, downloads } = await owner(context, 'tools', [fixture])
  expect(await type(begin!)).toContain('Verified   root 3, timestamp 1, snapshot 1, 10 signed roles\n')
  const token = /tue_[\w-]{49}/.exec(await type(finish!))![0]
  await own('add', 'targets', 'new.sh', 'echo new')
  expect(await type(push!, { TUF_EDGE_TOKEN: token })).toContain('2.targets: published\n')
  expect(await downloads('go-tuf', ['installer.sh', 'tools/cli', 'new.sh'])).toEqual([true, true, true])
})

test('A python-tuf script', async (context) => {
  const [begin, sign, finish, push, ...more] = codeOf('A python-tuf script', service.port, GUIDE)
  expect(more).toEqual([])
  const program = await python(context)
  const { folder, type, own, downloads } = await owner(context, 'scripts', [
    program,
    resolve('test/interop/fixtures/pythontuf.py'),
  ])
  await type(begin!)
  await must(program, ['-c', sign!], folder)
  const token = /tue_[\w-]{49}/.exec(await type(finish!))![0]
  await own('add', 'team', 'team/new', 'new')
  await own('add', 'targets', 'second', 'at the top too')
  expect(await type(push!, { TUF_EDGE_TOKEN: token })).toContain('2.team: published\n')
  expect(await downloads('python-tuf', ['readme', 'team/new', 'second'])).toEqual([true, true, true])
})
