// docs/adopting.md, typed: the folder of an owner, and lines of the guide in it.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, type TestContext } from 'vitest'
import { driver, type TufClient } from './clients.ts'
import type { OwnerOf } from './owners.ts'
import { codeOf } from './readme.ts'
import type { Service } from './service.ts'
import { serveFolder } from './static-server.ts'
import { run } from './tools.ts'

const GUIDE = 'docs/adopting.md'

/** The blocks of a section, in order. */
export const guide = (section: string, service: Service): string[] => codeOf(section, service.port, GUIDE)

export async function must(program: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const outcome = await run(program, args, { cwd, env: { PATH: process.env.PATH, NO_COLOR: '1', ...env } })
  expect(outcome.status, outcome.output).toBe(0)
  return outcome.output
}

/** A repository that its owner has just made, how the guide's lines are typed there, and its clients where it is now. */
export async function owner(context: TestContext, service: Service, name: string, ownerOf: OwnerOf) {
  const folder = join(service.folder, name)
  mkdirSync(folder)
  const own = await ownerOf(context, folder)
  await own('make')
  writeFileSync(join(folder, 'bootstrap-secret'), service.bootstrapSecret)
  const server = await serveFolder(folder)
  context.onTestFinished(() => server.close())
  const type = (code: string, env: NodeJS.ProcessEnv = {}, where = '.'): Promise<string> => {
    const lines = code
      .replaceAll('node CLONE/', `${process.execPath} ${resolve('.')}/`)
      .replaceAll('https://tuf.example.org/', server.url)
      .replaceAll('https://pypi.example.org', service.url)
    return must('sh', ['-ec', lines], join(folder, where), {
      TUF_EDGE_BOOTSTRAP_SECRET: service.bootstrapSecret,
      ...env,
    })
  }
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

/** The admin token that `adopt --finish` shows. */
export const tokenIn = (said: string): string => /tue_[\w-]{49}/.exec(said)![0]
