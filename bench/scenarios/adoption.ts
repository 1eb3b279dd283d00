// Adopting a repository that is signed elsewhere: 10,000 delegated roles of 100 targets each, a million targets, through the
// command line as its help shows it. And what keeping it fresh costs: a tick over 10 roles and over 10,000, by what the
// bucket was asked to keep and the processor time of the publisher's isolate.
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { callApi } from '../../cli/api.ts'
import { makeOfflineKey } from '../../cli/ceremony.ts'
import { type LocalService, startService } from '../../cli/serve.ts'
import { newSigner, Repository } from '../../test/unit/tuf/repository.ts'
import { targetsSigned } from '../../tuf/build.ts'
import { signRole } from '../../tuf/sign.ts'
import type { Figure } from '../figures.ts'
import { watchHeap } from '../heap.ts'
import { Inspector } from '../inspector.ts'
import { freePort, temporaryFolder } from '../place.ts'
import type { Context, Scenario } from '../scenario.ts'

const SMALL = 10
const LARGE = 10_000
const TARGETS = 100
const MEMORY_MB = 96
const TICKING_MS = 15_000
const DAY_MS = 86_400_000
const MB = 1_000_000

export const adoption: Scenario = {
  name: 'adoption',
  title: `a repository of ${LARGE} delegated roles and ${LARGE * TARGETS} targets is adopted; a tick of it and of one of ${SMALL}`,
  async run(context) {
    const small = await adopt(context, SMALL)
    const large = await adopt(context, context.quick ? LARGE / 20 : LARGE)
    const roles = { name: `of ${SMALL} roles`, of: (key: keyof Tick) => small.tick[key] }
    const compare = (key: keyof Tick) => ({ name: roles.name, value: roles.of(key) })
    const { tick } = large
    return [
      { name: `${large.roles} roles, verified and two roots written`, value: large.beginSeconds, unit: 's' },
      {
        name: 'handed over, published and followed by a client',
        value: large.finishSeconds,
        unit: 's',
        note: `${(large.bytes / MB).toFixed(0)} MB of metadata`,
      },
      { name: 'objects put', value: large.puts, unit: '', counterpart: { name: 'roles', value: large.roles } },
      memoryOf('publisher', large.publisherMB),
      memoryOf('face', large.faceMB),
      {
        name: 'a tick, objects put beside the timestamp',
        value: tick.objects,
        unit: '',
        counterpart: compare('objects'),
      },
      { name: 'a tick, processor time of the publisher', value: tick.cpuMs, unit: 'ms', counterpart: compare('cpuMs') },
      { name: 'ticks seen', value: tick.ticks, unit: '', counterpart: compare('ticks') },
    ]
  },
}

const memoryOf = (who: string, megabytes: number): Omit<Figure, 'scenario'> => ({
  name: `peak memory of the ${who}`,
  value: megabytes,
  unit: 'MB',
  target: { text: `< ${MEMORY_MB} MB`, met: megabytes < MEMORY_MB },
})

interface Tick {
  ticks: number
  objects: number
  cpuMs: number
}

interface Adopted {
  roles: number
  bytes: number
  beginSeconds: number
  finishSeconds: number
  puts: number
  publisherMB: number
  faceMB: number
  tick: Tick
}

async function adopt(context: Context, roles: number): Promise<Adopted> {
  const place = temporaryFolder()
  const inspectorPort = await freePort()
  const pem = join(place.path, 'root.pem')
  const bytes = await generate(join(place.path, 'theirs'), pem, roles)
  context.note(`${roles} roles: ${(bytes / MB).toFixed(0)} MB of metadata written`)
  const service = await startService(await freePort(), join(place.path, 'service'), { inspectorPort, onLog: () => {} })
  const inspectors = {
    publisher: await Inspector.open(inspectorPort, 'tuf-edge-publisher'),
    face: await Inspector.open(inspectorPort, 'tuf-edge'),
  }
  try {
    const url = service.runtime.url
    const run = (...words: string[]) => command(place.path, service, words)
    const peaks = { publisher: watchHeap(inspectors.publisher), face: watchHeap(inspectors.face) }
    const beginSeconds = await run(
      'adopt',
      'theirs',
      '--root',
      'theirs/1.root.json',
      '--name',
      'large',
      '--service',
      url,
    )
    context.note(`verified in ${beginSeconds.toFixed(0)} s`)
    await run('sign', 'adopt-large/2.root.json', 'adopt-large/3.root.json', '--key', pem)
    const finishSeconds = await run('adopt', '--finish', '--name', 'large', '--secret-file', 'secret')
    context.note(`handed over in ${finishSeconds.toFixed(0)} s`)
    const [publisher, face] = [await peaks.publisher.stop(), await peaks.face.stop()]
    const puts = (await keysOf(service)).length
    const tick = await ticksOf(service, inspectors.publisher)
    const peak = { publisherMB: publisher.bytes / MB, faceMB: face.bytes / MB }
    return { roles, bytes, beginSeconds, finishSeconds, puts, ...peak, tick }
  } finally {
    for (const inspector of Object.values(inspectors)) inspector.close()
    await service.runtime.stop()
    service.folder.release()
    place.remove()
  }
}

/** The owner's metadata as files, and the key of its root. @returns their bytes */
async function generate(folder: string, pem: string, roles: number): Promise<number> {
  mkdirSync(folder, { recursive: true })
  const theirs = await Repository.make(Date.now())
  const { signer, pkcs8 } = await makeOfflineKey()
  theirs.signers.root = [signer]
  const base64 = Buffer.from(pkcs8).toString('base64')
  writeFileSync(pem, `-----BEGIN PRIVATE KEY-----\n${base64}\n-----END PRIVATE KEY-----\n`, { mode: 0o600 })
  theirs.versions.root = 0
  await theirs.publishRoot()
  const alice = await newSigner()
  const names = Array.from({ length: roles }, (_, i) => `role-${i}`)
  theirs.role('targets').delegations = {
    keys: { [alice.keyid]: alice.key.raw },
    roles: names.map((name) => ({
      name,
      keyids: [alice.keyid],
      threshold: 1,
      paths: [`${name}/*`],
      terminating: false,
    })),
  }
  const expiresMs = Date.now() + 90 * DAY_MS
  for (const name of names) {
    const targets = Array.from({ length: TARGETS }, (_, i) => {
      const sha256 = `${i}`.padStart(4, '0').repeat(16)
      return [`${name}/${i}`, { length: i + 1, sha256 }] as const
    })
    const role = theirs.role(name)
    role.version = 1
    role.bytes = await signRole(targetsSigned({ version: 1, expiresMs, targets }), [alice])
    writeFileSync(join(folder, `1.${name}.json`), role.bytes)
  }
  await theirs.publish('targets')
  let bytes = 0
  for (const [path, content] of theirs.files) if (!path.includes('/')) writeFileSync(join(folder, path), content)
  for (const { bytes: content } of theirs.roles.values()) bytes += content.length
  return bytes
}

/** @returns the seconds it took. @throws with what it said, if it failed */
async function command(cwd: string, service: LocalService, words: string[]): Promise<number> {
  const { bootstrapSecret } = service.folder.secrets()
  writeFileSync(join(cwd, 'secret'), bootstrapSecret, { mode: 0o600 })
  const started = performance.now()
  const child = spawn(process.execPath, [join(process.cwd(), 'cli/main.ts'), ...words], {
    cwd,
    env: { ...process.env, NO_COLOR: '1', TUF_EDGE_BOOTSTRAP_SECRET: bootstrapSecret },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  const code = await new Promise<number | null>((done) => child.on('close', done))
  if (code !== 0) throw new Error(`tuf-edge ${words.join(' ')}: ${said}`)
  const token = /^ {2}(tuf-\S+|\S{40,})$/m.exec(said)?.[1]
  if (token !== undefined) tokens.set(service, token)
  return (performance.now() - started) / 1000
}

/** The admin token of a service's repository, which the command shows once. */
const tokens = new WeakMap<LocalService, string>()

const keysOf = async ({ runtime }: LocalService) =>
  (await runtime.bucket.list('r/large/')).filter((key) => !key.endsWith('/timestamp.json'))

/** A tick a second, as often as there is time for; otherwise nothing is to do. */
async function ticksOf(service: LocalService, publisher: Inspector): Promise<Tick> {
  const base = `${service.runtime.url}/r/large`
  const token = tokens.get(service)!
  const day = DAY_MS / 1000
  const freshness = { timestampSeconds: day, snapshotSeconds: day, binSeconds: day, tickSeconds: 1 }
  await callApi(base, 'PUT', '/api/settings/freshness', { token, body: { freshness } })
  const version = async () =>
    (await callApi<{ live: { timestamp: number } }>(base, 'GET', '/api/status', { token })).live.timestamp
  const [before, keys] = [await version(), (await keysOf(service)).length]
  const cpu = await publisher.profile(() => new Promise((done) => setTimeout(done, TICKING_MS)))
  const ticks = (await version()) - before
  // What V8 calls the program is also the waiting.
  const busyMs = cpu.functions.filter(({ name }) => name !== '(program)').reduce((sum, { ms }) => sum + ms, 0)
  return { ticks, objects: (await keysOf(service)).length - keys, cpuMs: busyMs / Math.max(1, ticks) }
}
