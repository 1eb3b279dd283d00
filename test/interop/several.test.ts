// Two indexes and a repository that python-tuf signs, in one deployment: the same project has a file of its own in each index,
// and stock tools bring and take the one of the address that they were given.
import { mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest'
import { shardOf } from '../../tuf/bins.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { driver } from './clients.ts'
import { interpreter, prepare } from './environments.ts'
import { pythonTuf, say } from './owners.ts'
import { Service } from './service.ts'
import { serveFolder } from './static-server.ts'
import { buildProject, install, makeProject, makeVenv, textOf, upload } from './tools.ts'

const NAME = 'several-sample'

let service: Service
let folder = ''
beforeAll(async () => {
  await prepare(['twine', 'uv', 'pip', 'build', 'tuf'])
  service = await Service.start()
  folder = join(service.folder, 'work')
  mkdirSync(folder)
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

const edge = (words: string[]) =>
  say(process.execPath, [resolve('cli/tuf-edge.mjs'), ...words], {
    cwd: folder,
    env: { TUF_EDGE_BOOTSTRAP_SECRET: service.bootstrapSecret },
  })

interface Index {
  url: string
  token: string
  root: Uint8Array
}

/** A second index, as docs/deploy.md says. */
async function staging(): Promise<Index> {
  const url = `${service.url}/r/staging`
  const begun = JSON.parse(await edge(['init', url, '--keys', 'staging-keys', '--no-passphrase', '--json']))
  return { url, token: begun.token, root: new Uint8Array(readFileSync(begun.root)) }
}

/** What python-tuf made and signs, taken over beside them. @returns its first root, and a target with its text */
async function elsewhere(context: TestContext) {
  const place = join(folder, 'theirs')
  mkdirSync(place)
  const owner = await pythonTuf(context, place)
  const texts = JSON.parse(await owner('make')) as Record<string, string>
  const root = join(place, 'metadata', '1.root.json')
  const server = await serveFolder(place)
  context.onTestFinished(() => server.close())
  const words = ['--root', root, '--name', 'theirs', '--service', service.url, '--json']
  const { sign } = JSON.parse(await edge(['adopt', `${server.url}metadata/`, ...words])) as { sign: string[] }
  await owner('sign', ...sign.map((file) => resolve(folder, file)))
  await edge(['adopt', '--finish', '--name', 'theirs', '--targets', `${server.url}targets/`])
  return { root, texts }
}

test('each tool gets what lies at the address that it was given', { timeout: 300_000 }, async (context) => {
  const main: Index = { url: service.url, token: service.tokens.upload, root: service.root }
  const second = await staging()
  const theirs = await elsewhere(context)

  const build = async (text: string): Promise<string> => {
    const dir = join(folder, text)
    mkdirSync(dir)
    makeProject({ tool: 'twine', dir, name: NAME, version: '1.0', text })
    return (await buildProject(context, 'twine', dir)).find((file) => file.endsWith('.whl'))!
  }
  const files = { main: await build('of-main'), second: await build('of-staging') }
  const send = (tool: 'twine' | 'uv', { url, token }: Index, file: string) =>
    upload(context, tool, { url: `${url}/legacy/`, token, files: [file] })

  for (const [index, tool, file] of [
    [main, 'uv', files.main],
    [second, 'twine', files.second],
  ] as const) {
    const sent = await send(tool, index, file)
    expect(sent.status, sent.output).toBe(0)
  }
  // A token of one is none at the other.
  const strange = await send('uv', { ...main, url: second.url }, files.main)
  expect([strange.status === 0, strange.output]).toEqual([false, expect.stringMatching(/401|nauthori|redentials/)])

  const installed = async (tool: 'pip' | 'uv', { url }: Index) => {
    const target = await makeVenv(join(folder, `venv-${tool}-${url === main.url}`))
    const outcome = await install(context, tool, { indexUrl: `${url}/simple/`, name: NAME, target })
    expect(outcome.status, outcome.output).toBe(0)
    return textOf(interpreter(target), NAME)
  }
  expect([await installed('pip', main), await installed('pip', second)]).toEqual(['of-main', 'of-staging'])
  expect([await installed('uv', main), await installed('uv', second)]).toEqual(['of-main', 'of-staging'])

  const client = (base: string, root: Uint8Array | string, state: string) =>
    driver(
      context,
      'python-tuf',
      { root, metadataUrl: `${base}/tuf/`, targetsUrl: `${base}/tuf/targets/` },
      join(folder, state),
    )
  const name = files.second.slice(files.second.lastIndexOf('/') + 1)
  const path = `files/${shardOf(NAME)}/${NAME}/${name}`
  for (const [index, file, state] of [
    [main, files.main, 'tuf-main'],
    [second, files.second, 'tuf-second'],
  ] as const) {
    const { lines } = await (await client(index.url, index.root, state)).download([path])
    expect(lines).toEqual([
      { ok: true, target: path, path: expect.any(String), sha256: await sha256Hex(readFileSync(file)) },
    ])
  }
  // The root of one leads nowhere in the other, and the third is read by its own as ever.
  expect((await (await client(second.url, main.root, 'tuf-wrong')).refresh()).lines).toMatchObject([{ ok: false }])
  const [target, text] = Object.entries(theirs.texts)[0]!
  const adopted = await client(`${service.url}/r/theirs`, theirs.root, 'tuf-theirs')
  expect((await adopted.download([target])).lines).toMatchObject([
    { ok: true, sha256: await sha256Hex(new TextEncoder().encode(text)) },
  ])
})
