// A repository that its owner's tool made is adopted, signed by that tool, served, added to, and handed back, and clients go
// all the way with the state they have: not one refresh and not one download may fail.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest'
import { type Driver, driver, type TufClient } from './clients.ts'
import { type OwnerOf, say } from './owners.ts'
import { Service } from './service.ts'
import { serveFolder } from './static-server.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

export interface Fixture {
  name: string
  owner: OwnerOf
  make?: string[]
  /** Root that the owner signed last. */
  root: number
  /** Root that clients begin with, 1 if nothing is said. The adoption begins with 1. */
  from?: number
  /** Without consistent snapshots. */
  plain?: boolean
  /** Role, target and text that is handed over after the adoption. */
  added: [role: string, path: string, text: string]
  /** Not pushed by the owner but pulled, once the last timestamp of the former signer is past its date. */
  pulled?: boolean
  /** What else is true of it when the second root is out. */
  afterwards?(visit: Visit): Promise<void>
  /** In the end it goes to keys of the owner's again. */
  handedBack?: boolean
}

export interface Place {
  metadata: string
  targets: string
}

export interface Visit {
  /** Clients that know nothing but this root. */
  cold(root: number): Traveller[]
  here: Place
}

/** Of one client, whose state stays wherever it is sent. */
export class Traveller {
  readonly #open: (metadataUrl: string, targetsUrl: string) => Promise<Driver>
  readonly name: TufClient

  constructor(context: TestContext, name: TufClient, root: string, folder: string) {
    this.name = name
    this.#open = (metadataUrl, targetsUrl) => driver(context, name, { root, metadataUrl, targetsUrl }, folder)
  }

  async visit(base: Place, texts: Record<string, string>) {
    const client = await this.#open(base.metadata, base.targets)
    // go-tuf does not find classic hash bins (go-tuf#783), before as after.
    const paths = Object.keys(texts).filter((path) => this.name !== 'go-tuf' || !path.startsWith('hashed/'))
    const { lines } = await client.download(paths)
    const sha256 = (path: string) => createHash('sha256').update(texts[path]!).digest('hex')
    expect(lines, this.name).toEqual(
      paths.map((target) => ({ ok: true, target, path: expect.any(String), sha256: sha256(target) })),
    )
    const line = await this.look(base)
    expect(line, this.name).toMatchObject({ ok: true })
    return line.version!
  }

  /** One refresh, whatever comes of it. */
  async look(base: Place) {
    return (await (await this.#open(base.metadata, base.targets)).refresh()).lines[0]!
  }
}

const at = (url: string): Place => ({ metadata: `${url}metadata/`, targets: `${url}targets/` })

/** Defines a test of each, with these clients. */
export function adoptionTests(fixtures: readonly Fixture[], names: readonly TufClient[]): void {
  let service: Service
  beforeAll(async () => {
    service = await Service.start()
  })
  afterAll(() => service?.stop())
  beforeEach((context) => service.explain(context))

  const edge = (words: string[], env: NodeJS.ProcessEnv) =>
    say(process.execPath, [resolve('cli/tuf-edge.mjs'), ...words], { cwd: service.folder, env })

  test.for([...fixtures])('$name', { timeout: 600_000 }, async (fixture, context) => {
    const { name, root, added, plain = false } = fixture
    const folder = join(service.folder, name)
    mkdirSync(folder)
    const tool = await fixture.owner(context, folder)
    const texts = JSON.parse(await tool('make', ...(fixture.make ?? []))) as Record<string, string>
    const server = await serveFolder(folder)
    context.onTestFinished(() => server.close())
    const own = at(server.url)
    const rootFile = (version: number) => join(folder, 'metadata', `${version}.root.json`)
    const trusted = rootFile(1)
    const travellers = (version: number, kind: string) =>
      names.map((client) => new Traveller(context, client, rootFile(version), join(folder, kind, client)))
    const clients = travellers(fixture.from ?? 1, 'clients')
    const everybody = async (base: Place, files: Record<string, string>) => {
      const versions = []
      for (const client of clients) versions.push(await client.visit(base, files))
      return versions
    }
    const everywhere = (version: object) => clients.map(() => expect.objectContaining(version))
    const secret = { TUF_EDGE_BOOTSTRAP_SECRET: service.bootstrapSecret }
    const here = { metadata: `${service.url}/r/${name}/tuf/`, targets: `${service.url}/r/${name}/tuf/targets/` }

    expect(await everybody(own, texts)).toEqual(everywhere({ root, timestamp: 1 }))
    const words = [own.metadata, '--root', trusted, '--name', name, '--service', service.url, '--json']
    const begun = JSON.parse(await edge(['adopt', ...words], secret))
    expect(begun).toMatchObject({ root, timestamp: 1, snapshot: 1, consistentSnapshot: !plain })
    await tool('sign', ...begun.sign)
    // The cron job runs once more between the two commands.
    await tool('cron')
    expect(await everybody(own, {})).toEqual(everywhere({ root, timestamp: 2 }))
    const finish = ['adopt', '--finish', '--name', name, '--targets', own.targets, '--json']
    const adopted = JSON.parse(await edge(finish, secret))
    expect(adopted).toMatchObject({ root: root + 1, timestamp: 1_003, held: [{ root: root + 2 }], problem: null })
    const admin = { TUF_EDGE_TOKEN: adopted.token as string }

    // Those that moved, and those that did not yet.
    expect(await everybody(here, texts)).toEqual(everywhere({ root: root + 1, timestamp: 1_003 }))
    await everythingAsItWas()

    const more = { ...texts, [added[1]]: added[2] }
    if (fixture.pulled) await pull()
    await tool('add', ...added)
    if (!fixture.pulled) {
      await edge(['push', fileOf(added[0]), '--name', name, '--url', service.url], admin)
      expect(await everybody(here, more)).toEqual(everywhere({ root: root + 1, timestamp: 1_004 }))
    }

    // Two hours later the root is out that names the service's keys alone.
    await service.restartLater(fixture.pulled ? 3 * DAY : 2 * HOUR)
    if (fixture.pulled) await expect.poll(newFile, { timeout: 60_000, interval: 500 }).toBe(200)
    expect(await everybody(here, more)).toEqual(everywhere({ root: root + 2 }))
    const [cold] = travellers(fixture.from ?? 1, 'cold').slice(-1)
    expect(await cold!.visit(here, more)).toMatchObject({ root: root + 2 })
    await fixture.afterwards?.({ here, cold: (version) => travellers(version, `from-${version}`) })
    await service.restart()
    if (fixture.handedBack) await handBack()

    /** The newest of a role. */
    function fileOf(role: string): string {
      const file = newest(readdirSync(join(folder, 'metadata'))).find(
        (one) => one.replace(/^\d+\./, '') === `${role}.json`,
      )
      return join(folder, 'metadata', file!)
    }

    async function pull(): Promise<void> {
      const answer = await fetch(`${service.url}/r/${name}/api/pull`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${admin.TUF_EDGE_TOKEN}`, 'content-type': 'application/json' },
        body: JSON.stringify({ url: own.metadata, everySeconds: 600, privateAddresses: true }),
      })
      expect([answer.status, await answer.text()]).toEqual([200, expect.anything()])
    }

    async function newFile(): Promise<number> {
      return (await fetch(here.metadata + basename(fileOf(added[0])))).status
    }

    /** What the owner signed is served byte for byte; of root, nothing but the two keys is another. */
    async function everythingAsItWas(): Promise<void> {
      const signed = newest(readdirSync(join(folder, 'metadata')))
      expect(signed.length).toBeGreaterThan(root)
      for (const file of signed) {
        const answer = await fetch(here.metadata + file)
        expect([file, Buffer.from(await answer.arrayBuffer()).toString()]).toEqual([
          file,
          readFileSync(join(folder, 'metadata', file), 'utf8'),
        ])
      }
      const next = JSON.parse(readFileSync(begun.sign[1], 'utf8')) as RootFile
      expect(withoutOnline(next)).toEqual(withoutOnline(JSON.parse(readFileSync(rootFile(root), 'utf8')) as RootFile))
    }

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
      expect(await everybody(own, more)).toEqual(everywhere(back))
    }
  })
}

/** Every root, and the last file of each role that people sign. */
function newest(files: readonly string[]): string[] {
  const last = new Map<string, [number, string]>()
  for (const file of files) {
    const [, version = '0', role] = /^(?:(\d+)\.)?(.+)\.json$/.exec(file) ?? []
    if (role === undefined || role === 'snapshot' || role === 'timestamp') continue
    const key = role === 'root' ? file : role
    if (Number(version) >= (last.get(key)?.[0] ?? 0)) last.set(key, [Number(version), file])
  }
  return [...last.values()].map(([, file]) => file)
}

interface RootFile {
  signed: {
    version: number
    keys: Record<string, object>
    roles: Record<string, { keyids: string[]; threshold: number }>
  }
}

/** What an adoption must leave alone. */
function withoutOnline({ signed: { version: _, keys, roles, ...rest } }: RootFile): object {
  const { snapshot, timestamp, ...offline } = roles
  const others = [snapshot!, timestamp!].map(({ keyids: _, threshold: __, ...fields }) => fields)
  const kept = Object.values(offline).flatMap(({ keyids }) => keyids)
  return { ...rest, offline, others, keys: Object.fromEntries(kept.map((keyid) => [keyid, keys[keyid]])) }
}
