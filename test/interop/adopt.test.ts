// A repository that python-tuf or go-tuf made is adopted, signed by its owner's own tool, served, pushed to, and handed back,
// and three clients go all the way with the state they have: not one refresh and not one download may fail.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest'
import { type Driver, driver, TUF_CLIENTS, type TufClient } from './clients.ts'
import { need, prepare } from './environments.ts'
import { Service } from './service.ts'
import { type StaticServer, serveFolder } from './static-server.ts'

const HOUR = 3_600_000

interface Fixture {
  name: string
  maker: 'python-tuf' | 'go-tuf'
  make: string[]
  /** Root that the owner signed last. */
  root: number
  /** Role, target and text that is pushed after the adoption. */
  added: [role: string, path: string, text: string]
}

const FIXTURES: Fixture[] = [
  { name: 'python', maker: 'python-tuf', make: [], root: 4, added: ['team', 'team/new', 'pushed'] },
  { name: 'python-plain', maker: 'python-tuf', make: ['--plain'], root: 4, added: ['team', 'team/new', 'pushed'] },
  { name: 'go-plain', maker: 'go-tuf', make: [], root: 3, added: ['tools', 'tools/new', 'pushed'] },
]

let service: Service
beforeAll(async () => {
  await prepare(['tuf', 'gotuf'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

async function run(program: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { TUF_EDGE_TOKEN: _, ...rest } = process.env
  const child = spawn(program, args, { cwd: service.folder, env: { ...rest, NO_COLOR: '1', ...env } })
  let [said, all] = ['', '']
  child.stdout.on('data', (bytes) => {
    said += bytes
    all += bytes
  })
  child.stderr.on('data', (bytes) => (all += bytes))
  child.stdin.end()
  const code = await new Promise<number | null>((done) => child.on('close', done))
  expect(code, `${args.join(' ')}\n${all}`).toBe(0)
  return said
}
const edge = (words: string[], env: NodeJS.ProcessEnv) =>
  run(process.execPath, [resolve('cli/tuf-edge.mjs'), ...words], env)

/** The owner's tool over `folder`. */
async function ownersTool(context: TestContext, { maker }: Fixture, folder: string) {
  const words =
    maker === 'go-tuf'
      ? [(await need(context, 'gotuf')).command('fixture')]
      : [(await need(context, 'tuf')).command('python'), resolve('test/interop/fixtures/pythontuf.py')]
  return (command: string, ...args: string[]) => run(words[0]!, [...words.slice(1), command, folder, ...args])
}

/** Of one client, whose state stays wherever it is sent. */
class Traveller {
  readonly #open: (metadataUrl: string, targetsUrl: string) => Promise<Driver>
  readonly name: TufClient

  constructor(context: TestContext, name: TufClient, root: string, folder: string) {
    this.name = name
    this.#open = (metadataUrl, targetsUrl) => driver(context, name, { root, metadataUrl, targetsUrl }, folder)
  }

  async visit(base: { metadata: string; targets: string }, texts: Record<string, string>) {
    const client = await this.#open(base.metadata, base.targets)
    // go-tuf does not find classic hash bins (go-tuf#783), before as after.
    const paths = Object.keys(texts).filter((path) => this.name !== 'go-tuf' || !path.startsWith('hashed/'))
    const { lines } = await client.download(paths)
    const sha256 = (path: string) => createHash('sha256').update(texts[path]!).digest('hex')
    expect(lines, this.name).toEqual(
      paths.map((target) => ({ ok: true, target, path: expect.any(String), sha256: sha256(target) })),
    )
    const [line] = (await client.refresh()).lines
    expect(line, this.name).toMatchObject({ ok: true })
    return line!.version!
  }
}

const at = (url: string) => ({ metadata: `${url}metadata/`, targets: `${url}targets/` })
test.for(FIXTURES)('$name', { timeout: 600_000 }, async (fixture, context) => {
  const { name, make, root, added } = fixture
  const folder = join(service.folder, name)
  mkdirSync(folder)
  const tool = await ownersTool(context, fixture, folder)
  const texts = JSON.parse(await tool('make', ...make)) as Record<string, string>
  const trusted = join(folder, 'metadata', '1.root.json')
  const server: StaticServer = await serveFolder(folder)
  context.onTestFinished(() => server.close())
  const clients = TUF_CLIENTS.map((client) => new Traveller(context, client, trusted, join(folder, 'clients', client)))
  const everybody = async (base: ReturnType<typeof at>, files: Record<string, string>) => {
    const versions = []
    for (const client of clients) versions.push(await client.visit(base, files))
    return versions
  }
  const everywhere = (version: object) => clients.map(() => expect.objectContaining(version))
  const secret = { TUF_EDGE_BOOTSTRAP_SECRET: service.bootstrapSecret }
  const here = { metadata: `${service.url}/r/${name}/tuf/`, targets: `${service.url}/r/${name}/tuf/targets/` }

  expect(await everybody(at(server.url), texts)).toEqual(everywhere({ root, timestamp: 1 }))
  const words = [at(server.url).metadata, '--root', trusted, '--name', name, '--service', service.url, '--json']
  const begun = JSON.parse(await edge(['adopt', ...words], secret))
  expect(begun).toMatchObject({ root, timestamp: 1, snapshot: 1, consistentSnapshot: name === 'python' })
  await tool('sign', ...begun.sign)
  // The cron job runs once more between the two commands.
  await tool('cron')
  expect(await everybody(at(server.url), {})).toEqual(everywhere({ root, timestamp: 2 }))
  const finish = ['adopt', '--finish', '--name', name, '--targets', at(server.url).targets, '--json']
  const adopted = JSON.parse(await edge(finish, secret))
  expect(adopted).toMatchObject({ root: root + 1, timestamp: 1_003, held: [{ root: root + 2 }], problem: null })
  const admin = { TUF_EDGE_TOKEN: adopted.token as string }

  // Those that moved, and those that did not yet.
  expect(await everybody(here, texts)).toEqual(everywhere({ root: root + 1, timestamp: 1_003 }))

  await tool('add', ...added)
  const pushed = readdirSync(join(folder, 'metadata')).find((file) => /^(2\.)?(team|tools)\.json$/.test(file))!
  await edge(['push', join(folder, 'metadata', pushed), '--name', name, '--url', service.url], admin)
  const more = { ...texts, [added[1]]: added[2] }
  expect(await everybody(here, more)).toEqual(everywhere({ root: root + 1, timestamp: 1_004 }))

  // Two hours later the root is out that names the service's keys alone.
  await service.restartLater(2 * HOUR)
  expect(await everybody(here, more)).toEqual(everywhere({ root: root + 2 }))
  const cold = new Traveller(context, 'tuf-js', trusted, join(folder, 'clients', 'cold'))
  expect(await cold.visit(here, more)).toMatchObject({ root: root + 2 })
  await service.restart()
  if (fixture.maker === 'python-tuf') await handBack()

  /** To keys of the owner's, who serves it from a place of his own within the hour; clients go there, and stay. */
  async function handBack(): Promise<void> {
    const key = join(folder, 'later.json')
    writeFileSync(key, await tool('key', 'later'))
    const named = ['--root', trusted, '--snapshot-key', key, '--timestamp-key', key]
    const release = ['release', '--name', name, '--url', service.url, '--json']
    const { sign } = JSON.parse(await edge([...release, ...named], admin))
    await tool('sign', ...sign)
    const answer = JSON.parse(await edge([...release, '--finish'], admin))
    expect(answer).toMatchObject({ accepted: [`${root + 3}.root`, `${root + 4}.root`], held: [{ root: root + 4 }] })
    expect(await everybody(here, more)).toEqual(everywhere({ root: root + 3 }))
    const { snapshot, timestamp } = answer as { snapshot: number; timestamp: number }
    await tool('serve', join(service.folder, `adopt-${name}`), String(snapshot + 1_000), String(timestamp + 1_000))
    await tool('serve', join(service.folder, `release-${name}`), String(snapshot + 1_001), String(timestamp + 1_001))
    const back = { root: root + 4, timestamp: timestamp + 1_001, snapshot: snapshot + 1_001 }
    expect(await everybody(at(server.url), more)).toEqual(everywhere(back))
  }
})
