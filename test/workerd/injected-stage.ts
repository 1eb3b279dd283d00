// A repository with something accepted and everything an attacker would like to see signed, what forces a signature, and
// the look at everything that is signed and served afterwards.
import { runInDurableObject } from 'cloudflare:test'
import { exports } from 'cloudflare:workers'
import { expect } from 'vitest'
import { makeOfflineKey } from '../../cli/ceremony.ts'
import { binOfShard } from '../../durable-objects/ledger/bins.ts'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { shardOf } from '../../tuf/bins.ts'
import { rootSigned, snapshotSigned, targetsSigned, timestampSigned } from '../../tuf/build.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey, bucketPrefix, metadataKey, pageKey, timestampKey } from '../../tuf/layout.ts'
import { parseRoot } from '../../tuf/metadata.ts'
import { targetUrlName } from '../../tuf/paths.ts'
import { signRole } from '../../tuf/sign.ts'
import type { Env } from '../../workers/env.ts'
import { type KeyedRepository, newFace, newKeyedRepository, type Published, publish, setClock } from './face-harness.ts'
import { newReader } from './reading.ts'
import { bindings } from './repository.ts'
import { readSignedTree } from './signed-tree.ts'

export const HOUR_MS = 3_600_000
export const { BUCKET: bucket } = bindings
export const encode = (text: string) => new TextEncoder().encode(text)
/** What of the attacker's is in a page or a file. Answers name their repository, whose name must hold none of it. */
const PLANTED = /injected|-6\.6-|"6\.6"/
export const EVIL = encode('print("injected")\n')
export const METADATA = 'Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n'
const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'

/** A project of the bin that `alpha` is in. */
export function neighbour(start: string): string {
  for (let i = 0; ; i++) if (shardOf(`${start}${i}`).startsWith(shardOf('alpha').slice(0, 2))) return `${start}${i}`
}
export const [OTHER, STRANGER] = [neighbour('other'), neighbour('stranger')]
export const SHARD = shardOf('alpha')
export const BIN = binOfShard(SHARD)

type Accepted = Pick<Published, 'project' | 'path' | 'sha256'>

export interface Stage {
  repository: KeyedRepository
  accepted: Accepted[]
  alpha: Published
  evil: { sha256: string; page: string; html: string }
  sql(query: string, ...values: unknown[]): Promise<Record<string, SqlStorageValue>[]>
}

export const evilPage = (project: string, sha256: string): string =>
  JSON.stringify({
    meta: { 'api-version': '1.4' },
    name: project,
    versions: ['6.6'],
    files: [
      {
        filename: `${project}-6.6-py3-none-any.whl`,
        url: `../../files/${shardOf(project)}/${project}/${project}-6.6-py3-none-any.whl`,
        hashes: { sha256 },
        size: EVIL.length,
        'upload-time': '2026-01-01T00:00:00Z',
        yanked: false,
      },
    ],
  })

let count = 0
/** A repository with two accepted files, and a bucket that holds everything the attacker's page would need. */
export async function setStage(): Promise<Stage> {
  const repository = await newKeyedRepository(`rotated-${Date.now().toString(36)}-${count++}`)
  const { place } = repository
  const alpha = await publish(repository, 'alpha', '1.0', encode('the wheel of alpha'), METADATA)
  const accepted: Accepted[] = [alpha, await publish(repository, 'beta', '1.0', encode('the wheel of beta'))]
  const sha256 = await sha256Hex(EVIL)
  const evil = {
    sha256,
    page: evilPage('alpha', sha256),
    html: `<a href="../../files/${SHARD}/alpha/x.whl#sha256=${sha256}">x</a>`,
  }
  await bucket.put(blobKey(place, sha256, 1), EVIL)
  for (const project of ['alpha', STRANGER])
    for (const [form, text] of [
      ['json', evilPage(project, sha256)],
      ['html', evil.html],
    ] as const)
      await bucket.put(
        pageKey(
          place,
          `simple/${shardOf(project)}/${project}/vnd.pypi.simple.v1.${form}`,
          await sha256Hex(encode(text)),
        ),
        text,
      )
  const sql: Stage['sql'] = (query, ...values) =>
    runInDurableObject(bindings.PUBLISHER.getByName(repository.name), (_: Publisher, state) =>
      state.storage.sql.exec(query, ...values).toArray(),
    )
  return { repository, accepted, alpha, evil, sql }
}

export const door = (exports as unknown as { Public: Env['PUBLIC'] }).Public
export const refresh = ({ name }: KeyedRepository) => Promise.resolve(door.refresh(name))
/** An upload of an honest person. It counts as accepted from its beginning: it may become visible at any moment. */
export async function accept({ repository, accepted }: Stage, project: string, version: string): Promise<void> {
  const bytes = encode(`${project} ${version}`)
  const filename = `${project}-${version}-py3-none-any.whl`
  accepted.push({ project, path: `files/${shardOf(project)}/${project}/${filename}`, sha256: await sha256Hex(bytes) })
  await publish(repository, project, version, bytes)
}
const restart = async ({ name }: KeyedRepository) => {
  const stub = bindings.PUBLISHER.getByName(name)
  await runInDurableObject(stub, (_: Publisher, state) => state.abort('injected restart')).catch(() => undefined)
  await door.refresh(name)
}

/** Brings the day near on which what holds the attacked targets is signed again. */
const expire = async ({ repository, sql }: Stage) => {
  await sql(`UPDATE roles SET expires = ? WHERE name IN ('${BIN}', 'index', 'snapshot')`, Date.now() + HOUR_MS)
  await refresh(repository)
}
/** The collector's time for everything that waits for it. */
const collect = async ({ repository, sql }: Stage) => {
  await sql("UPDATE garbage SET not_before = 1 WHERE reason <> 'replaced' OR kind <> 'page'")
  await sql('UPDATE blobs SET created = 1')
  await refresh(repository)
}
const sleep = async ({ repository }: Stage) => {
  await setClock(repository, () => Date.now() + 30 * 24 * HOUR_MS)
  await refresh(repository)
}

/** Each makes the publisher sign, put or collect. A halt or a refusal is a right answer, too. */
const FORCES: [string, (stage: Stage) => Promise<unknown>][] = [
  ['a refresh', ({ repository }) => refresh(repository)],
  ['a publication of the same bin', (stage) => accept(stage, OTHER, '1.0')],
  ['signing again before the expiry', expire],
  ['a publication of the same project', (stage) => accept(stage, 'alpha', '1.1')],
  ['a restart', ({ repository }) => restart(repository)],
  ['the collection', collect],
  ['signing once more', expire],
]
export const MONTH: [string, (stage: Stage) => Promise<unknown>] = ['a month of sleep', sleep]

/** Nothing but what was accepted is signed, whoever reads it; `evil` is served by no address. */
async function expectClean(stage: Stage, when: string) {
  const { repository, accepted } = stage
  const tree = await readSignedTree(repository.place)
  const files = accepted.map(({ path, sha256 }) => `${path} ${sha256}`)
  const digests = [...accepted.map(({ sha256 }) => sha256), await sha256Hex(encode(METADATA))]
  const projects = accepted.map(({ project }) => project)
  expect(
    tree.files.filter((file) => !files.includes(file)),
    `signed after ${when}`,
  ).toEqual([])
  expect(
    tree.mentioned.filter((digest) => !digests.includes(digest)),
    `on a page after ${when}`,
  ).toEqual([])
  expect(
    tree.projects.filter((project) => !projects.includes(project)),
    `a project after ${when}`,
  ).toEqual([])
  await expectUnserved(stage, when)
}

/** Nothing planted comes out of the face, or of a client that began with the root of the ceremony. */
export async function expectUnserved({ repository, evil }: Stage, when: string) {
  const face = newFace(repository.name)
  for (const project of ['alpha', STRANGER]) {
    const base = `${shardOf(project)}/${project}`
    const file = `files/${base}/${project}-6.6-py3-none-any.whl`
    const page = `simple/${base}/vnd.pypi.simple.v1.json`
    const paths = [
      `/simple/${project}/`,
      `/${file}`,
      `/tuf/targets/${targetUrlName(file, evil.sha256)}`,
      `/tuf/targets/${page}`,
    ]
    for (const path of [...paths, '/simple/']) {
      const answer = await face.get(path, { Accept: path.startsWith('/simple/') ? JSON_TYPE : '*/*' })
      const text = new TextDecoder().decode(await answer.arrayBuffer())
      expect(text.includes(evil.sha256) || PLANTED.test(text), `${path} after ${when}: ${text}`).toBe(false)
    }
    const reader = await newReader({ place: repository.place, root: repository.signed.root })
    for (const path of [file, page]) {
      const bytes = await reader.read(path).catch(() => undefined)
      expect(new TextDecoder().decode(bytes), `${path} for a TUF client after ${when}`).not.toMatch(PLANTED)
    }
  }
}

/** The planted page is no page of an earlier publication either. */
async function expectNotKept({ repository, evil }: Stage) {
  const sha256 = await sha256Hex(encode(evil.page))
  const answer = await newFace(repository.name).get(`/tuf/targets/${targetUrlName(pathOf('alpha', 'json'), sha256)}`)
  expect(new TextDecoder().decode(await answer.arrayBuffer())).not.toMatch(PLANTED)
}

/** Spoils, then forces everything, and looks after each. */
export async function survives(spoil: (stage: Stage) => Promise<unknown>, more: typeof FORCES = []): Promise<Stage> {
  const stage = await setStage()
  await spoil(stage)
  for (const [when, force] of [...FORCES, ...more]) {
    // Who publishes while nothing can be published waits eight seconds for it.
    await Promise.race([force(stage).catch((error: unknown) => error), scheduler.wait(2_000)])
    await expectClean(stage, when)
  }
  await expectNotKept(stage)
  return stage
}

/** Somebody's own keys, and a whole view signed with them. */
export async function signOwnView({ repository: { place, signed }, evil }: Stage, version: number) {
  const { key, signer } = await makeOfflineKey()
  const expiresMs = Date.now() + 24 * HOUR_MS
  const path = `files/${SHARD}/alpha/alpha-6.6-py3-none-any.whl`
  const put = async (name: string, body: Parameters<typeof signRole>[0]) => {
    const bytes = await signRole(body, [signer])
    await bucket.put(name === 'timestamp' ? timestampKey(place) : metadataKey(place, version, name), bytes)
    return { version, length: bytes.length, sha256: await sha256Hex(bytes), bytes }
  }
  const targets: [string, { length: number; sha256: string }][] = [[path, { length: EVIL.length, sha256: evil.sha256 }]]
  const bin = await put(BIN, targetsSigned({ version, expiresMs, targets }))
  const snapshot = await put(
    'snapshot',
    snapshotSigned({
      version,
      expiresMs,
      meta: [
        ['targets', bin],
        ['bins', bin],
        [BIN, bin],
      ],
    }),
  )
  await put('timestamp', timestampSigned({ version, expiresMs, snapshot }))
  const old = parseRoot(signed.root).signed
  const role = { keyids: [key.keyid], threshold: 1 }
  const rootVersion = old.version + 1
  const roles = { root: role, targets: old.roles.targets, timestamp: role, snapshot: role }
  const keys = [key, ...old.roles.targets.keyids.map((keyid) => old.keys.get(keyid)!)]
  const root = await signRole(
    rootSigned({ version: rootVersion, expiresMs, keys, roles, extra: { 'x-tuf-edge-development': true } }),
    [signer],
  )
  await bucket.put(metadataKey(place, rootVersion, 'root'), root)
  return { rootVersion, root, rootSha256: await sha256Hex(root) }
}

export const insertFile = (
  { sql, evil }: Stage,
  {
    project,
    mac,
    filename = `${project}-6.6-py3-none-any.whl`,
    state = 'live',
  }: { project: string; mac: unknown; filename?: string; state?: string },
) =>
  sql(
    `INSERT INTO files (project, filename, bin, sha256, size, n, version, release, filetype, uploaded, state, mac)
     VALUES (?, ?, ?, ?, ?, 1, '6.6', '6.6', 'bdist_wheel', 1, ?, ?)`,
    ...[project, filename, binOfShard(shardOf(project)), evil.sha256, EVIL.length, state, mac],
  )
export const insertProject = ({ sql }: Stage, project: string) =>
  sql(
    'INSERT OR IGNORE INTO projects (name, shard, bin, created, owner) VALUES (?, ?, ?, 1, ?)',
    project,
    shardOf(project),
    binOfShard(shardOf(project)),
    'x',
  )
export const enqueue = ({ sql }: Stage, project: string, filename: string) =>
  sql('INSERT INTO queue (project, filename) VALUES (?, ?)', project, filename)
export const listAgain = ({ sql }: Stage) =>
  sql("INSERT OR REPLACE INTO facts (name, value) VALUES ('listDirty', 1), ('listedAt', 0)")
export const pathOf = (project: string, form: string) =>
  `simple/${shardOf(project)}/${project}/vnd.pypi.simple.v1.${form}`

/** Well-formed, with its checksum: only the ledger can say that it was never minted. */
export async function newToken(): Promise<string> {
  const body = `tue_${'e'.repeat(43)}`
  return body + (await sha256Hex(encode(body))).slice(0, 6)
}

export async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 300 && !(await condition()); i++) await scheduler.wait(10)
}

export async function keysUnder(place: KeyedRepository['place'], folder: string): Promise<string[]> {
  const { objects } = await bucket.list({ prefix: `${bucketPrefix(place)}${folder}` })
  return objects.map(({ key }) => key)
}

/** Lets the publisher's puts wait until released. */
export async function whileHeld({ name }: KeyedRepository, work: (release: () => Promise<void>) => Promise<void>) {
  let held = true
  const swap = (other: R2Bucket) =>
    runInDurableObject(bindings.PUBLISHER.getByName(name), (publisher: Publisher) => {
      const inside = publisher as unknown as { env: Record<string, unknown>; forget(): void }
      inside.env = { ...inside.env, BUCKET: other }
      inside.forget()
    })
  await swap(
    new Proxy(bucket, {
      get(target, property) {
        const member = Reflect.get(target, property) as (...args: unknown[]) => unknown
        if (typeof member !== 'function') return member
        return async (...args: unknown[]) => {
          while (held && property === 'head' && !String(args[0]).endsWith('timestamp.json')) await scheduler.wait(10)
          return member.apply(target, args)
        }
      },
    }),
  )
  await work(async () => {
    held = false
    await swap(bucket)
  })
}
