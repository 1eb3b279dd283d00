// A TUF repository in a folder, signed by our own builders with offline keys of every kind: what the service publishes,
// without the service. The layout is that of tuf-conformance's static data (`metadata/`, `targets/`,
// `initial_root.json`, `targetpath`), so its runner can judge what is written here.
//
//   node test/interop/static-repository.ts FOLDER (sharded|succinct|hashed)
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  BINS_ROLE,
  binDelegations,
  binNames,
  binOfPath,
  INDEX_PATHS,
  INDEX_ROLE,
  type Profile,
  shardOf,
  topDelegations,
} from '../../tuf/bins.ts'
import {
  rootSigned,
  type SignedObject,
  snapshotSigned,
  type TargetInput,
  targetsSigned,
  timestampSigned,
} from '../../tuf/build.ts'
import { ed25519Key, spkiKey } from '../../tuf/keys.ts'
import { targetUrlName } from '../../tuf/paths.ts'
import { type Signer, signRole, webCryptoSigner } from '../../tuf/sign.ts'

export const PROFILES: Record<Profile['kind'], Profile> = {
  sharded: { kind: 'sharded', bins: 256, prefix: 'bin' },
  succinct: { kind: 'succinct', bitLength: 8, prefix: 'bin' },
  hashed: { kind: 'hashed', bins: 256, prefix: 'bin' },
}

/** The project whose pages and files are signed by people, not by the service. */
export const TEAM_PROJECT = 'by-hand'
const TEAM_ROLE = 'team-by-hand'

/**
 * The longest names there are: 190 bytes, because a mirror on a file system keeps a file as `HASH.name`, in a target path
 * of 255 bytes when percent-encoded, because python-tuf and tuf-js keep a download under that name.
 */
const LONG_PROJECT = `l${'o'.repeat(44)}ng`
const LONG_FILE = `${LONG_PROJECT}-1.${'0'.repeat(133)}.tar.gz`

/** Files by project: plain names, a local version (`+`), an epoch (`!`), one of every kind that has bitten a client. */
const PROJECTS: Record<string, string[]> = {
  [LONG_PROJECT]: [LONG_FILE],
  sample: ['sample-1.0-py3-none-any.whl', 'sample-1.0.tar.gz', 'sample-1.1-py3-none-any.whl'],
  'local-build': ['local_build-2.0+cu124.post1-cp311-cp311-linux_x86_64.whl', 'local_build-2.0+cu124.tar.gz'],
  epoch: ['epoch-1!2.0-py3-none-any.whl', 'epoch-1!2.0+ubuntu.1.tar.gz'],
  a: ['a-0-py3-none-any.whl'],
  [TEAM_PROJECT]: ['by_hand-1.0-py3-none-any.whl'],
}

const DAY_MS = 86_400_000

interface Keys {
  root: Signer[]
  targets: Signer[]
  bins: Signer[]
  team: Signer
  online: Signer
}

interface File {
  version: number
  bytes: Uint8Array
}

export class StaticRepository {
  readonly folder: string
  readonly profile: Profile
  /** Every target of the newest publication. */
  readonly targets = new Map<string, Buffer>()
  /** Newest file of each role. */
  readonly roles = new Map<string, File>()
  readonly #keys: Keys
  /** What a role lists beyond its own: see `stray`. */
  readonly #strays = new Map<string, [string, Buffer][]>()

  private constructor(folder: string, profile: Profile, keys: Keys) {
    this.folder = folder
    this.profile = profile
    this.#keys = keys
  }

  /** Makes the keys, and publishes the sample projects once. */
  static async create(folder: string, profile: Profile): Promise<StaticRepository> {
    rmSync(folder, { recursive: true, force: true })
    const repository = new StaticRepository(folder, profile, await makeKeys())
    const files = Object.entries(PROJECTS).flatMap(([project, names]) =>
      names.map((name) => [filePath(project, name), Buffer.from(`the bytes of ${name}\n`)] as const),
    )
    await repository.#offline()
    await repository.publish(Object.fromEntries(files))
    writeFileSync(join(folder, 'initial_root.json'), readFileSync(repository.path('1.root.json')))
    writeFileSync(join(folder, 'targetpath'), files[0]![0])
    return repository
  }

  /** Path of a metadata file. */
  path(name: string): string {
    return join(this.folder, 'metadata', name)
  }

  /** Adds or replaces files, renders the pages anew, and signs what changed, bins before their snapshot. */
  async publish(files: Record<string, Buffer> = {}): Promise<void> {
    const before = new Map(this.targets)
    for (const [path, bytes] of Object.entries(files)) this.targets.set(path, bytes)
    for (const [path, bytes] of renderPages(this.targets.keys())) this.targets.set(path, bytes)

    const changed = new Set<string>(this.#strays.keys())
    for (const role of before.size ? [] : [INDEX_ROLE, TEAM_ROLE, ...binNames(this.profile)]) changed.add(role)
    for (const [path, bytes] of this.targets) {
      if (before.get(path)?.equals(bytes)) continue
      changed.add(this.roleOf(path))
      this.#writeTarget(path, bytes)
    }
    const { online, team } = this.#keys
    for (const role of changed)
      await this.#sign(role, role === TEAM_ROLE ? [team] : [online], 30, (common) =>
        targetsSigned({ ...common, targets: this.#listOf(role) }),
      )
    await this.#sign('snapshot', [online], 7, (common) =>
      snapshotSigned({
        ...common,
        meta: [...this.roles]
          .filter(([role]) => !['root', 'snapshot', 'timestamp'].includes(role))
          .map(([role, file]) => [role, meta(file)] as const),
      }),
    )
    await this.tick()
  }

  /** Has the online key list a target in a role that is not the target's. */
  async stray(role: string, path: string): Promise<void> {
    const bytes = Buffer.from('not from who should have said so')
    this.#writeTarget(path, bytes)
    this.#strays.set(role, [...(this.#strays.get(role) ?? []), [path, bytes]])
    await this.publish()
  }

  /** A new timestamp over the same snapshot, good for so many days from now. */
  async tick(days = 1): Promise<void> {
    await this.#sign('timestamp', [this.#keys.online], days, (common) =>
      timestampSigned({ ...common, snapshot: meta(this.roles.get('snapshot')!) }),
    )
  }

  /** The role that lists a target. */
  roleOf(path: string): string {
    if (INDEX_PATHS.includes(path)) return INDEX_ROLE
    return path.split('/')[2] === TEAM_PROJECT ? TEAM_ROLE : binOfPath(this.profile, path)
  }

  #listOf(role: string): [string, TargetInput][] {
    const own = [...this.targets].filter(([path]) => this.roleOf(path) === role)
    return [...own, ...(this.#strays.get(role) ?? [])].map(([path, bytes]) => [
      path,
      { length: bytes.length, sha256: sha256(bytes) },
    ])
  }

  /** What people sign in a ceremony: root, targets and bins. */
  async #offline(): Promise<void> {
    const { root, targets, bins, team, online } = this.#keys
    const role = (signers: Signer[], threshold: number) => ({ keyids: signers.map(({ keyid }) => keyid), threshold })
    const all = [...root, ...targets, online].map(({ key }) => key)
    await this.#sign('root', root, 365, (common) =>
      rootSigned({
        ...common,
        keys: all,
        roles: {
          root: role(root, 2),
          targets: role(targets, 1),
          snapshot: role([online], 1),
          timestamp: role([online], 1),
        },
      }),
    )
    const delegations = topDelegations({
      indexKey: online.key,
      binsKeys: bins.map(({ key }) => key),
      binsThreshold: 1,
      teams: [{ name: TEAM_ROLE, keys: [team.key], threshold: 1, projects: [TEAM_PROJECT] }],
    })
    await this.#sign('targets', targets, 180, (common) => targetsSigned({ ...common, targets: [], delegations }))
    await this.#sign(BINS_ROLE, bins, 180, (common) =>
      targetsSigned({ ...common, targets: [], delegations: binDelegations(this.profile, online.key) }),
    )
  }

  async #sign(
    role: string,
    signers: Signer[],
    days: number,
    build: (common: { version: number; expiresMs: number }) => SignedObject,
  ): Promise<void> {
    const version = (this.roles.get(role)?.version ?? 0) + 1
    const bytes = await signRole(build({ version, expiresMs: Date.now() + days * DAY_MS }), signers)
    this.roles.set(role, { version, bytes })
    this.#write(join('metadata', role === 'timestamp' ? 'timestamp.json' : `${version}.${role}.json`), bytes)
  }

  #writeTarget(path: string, bytes: Buffer): void {
    this.#write(join('targets', targetUrlName(path, sha256(bytes))), bytes)
    // The spelling that tough asks for.
    this.#write(join('targets', `${sha256(bytes)}.${path}`), bytes)
  }

  #write(name: string, bytes: Uint8Array): void {
    const path = join(this.folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes)
  }
}

export const filePath = (project: string, name: string): string => `files/${shardOf(project)}/${project}/${name}`
export const pagePath = (project: string, kind: 'json' | 'html'): string =>
  `simple/${shardOf(project)}/${project}/vnd.pypi.simple.v1.${kind}`

/** Pages of every project that has a file, and the list of projects. */
function* renderPages(paths: Iterable<string>): Generator<[string, Buffer]> {
  const files = [...paths].filter((path) => path.startsWith('files/'))
  const projects = [...new Set(files.map((path) => path.split('/')[2]!))].sort()
  const meta = { 'api-version': '1.4' }
  for (const name of projects) {
    const urls = files.filter((path) => path.split('/')[2] === name).map((path) => `../../${path}`)
    const links = urls.map((url) => `<a href="${url}">${url.split('/').at(-1)}</a>`)
    yield [pagePath(name, 'json'), Buffer.from(JSON.stringify({ meta, name, files: urls.map((url) => ({ url })) }))]
    yield [pagePath(name, 'html'), Buffer.from(`<!doctype html>\n${links.join('\n')}\n`)]
  }
  const list = { meta, projects: projects.map((name) => ({ name })) }
  yield [INDEX_PATHS[0]!, Buffer.from(JSON.stringify(list))]
  yield [INDEX_PATHS[1]!, Buffer.from(projects.map((name) => `<a href="${name}/">${name}</a>\n`).join(''))]
}

function meta({ version, bytes }: File): { version: number; length: number; sha256: string } {
  return { version, length: bytes.length, sha256: sha256(bytes) }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const SCHEMES = {
  ed25519: { name: 'Ed25519' },
  'ecdsa-sha2-nistp256': { name: 'ECDSA', namedCurve: 'P-256' },
  'rsassa-pss-sha256': {
    name: 'RSA-PSS',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
}

async function makeSigner(scheme: keyof typeof SCHEMES): Promise<Signer> {
  const pair = (await crypto.subtle.generateKey(SCHEMES[scheme], true, ['sign', 'verify'])) as CryptoKeyPair
  const exported = async (format: 'raw' | 'spki') =>
    new Uint8Array(await crypto.subtle.exportKey(format, pair.publicKey))
  const key =
    scheme === 'ed25519'
      ? ed25519Key(Buffer.from(await exported('raw')).toString('hex'))
      : spkiKey(scheme, await exported('spki'))
  return webCryptoSigner(pair.privateKey, key)
}

/** Ed25519 for what is online; each kind that people may bring for the rest. */
async function makeKeys(): Promise<Keys> {
  const [ed25519, ecdsa, rsa] = ['ed25519', 'ecdsa-sha2-nistp256', 'rsassa-pss-sha256'] as const
  return {
    root: [await makeSigner(ed25519), await makeSigner(ecdsa), await makeSigner(rsa)],
    targets: [await makeSigner(ecdsa)],
    bins: [await makeSigner(rsa)],
    team: await makeSigner(ed25519),
    online: await makeSigner(ed25519),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, kind] = process.argv.slice(2)
  const profile = PROFILES[kind as Profile['kind']]
  if (!folder || !profile) {
    process.stderr.write('usage: static-repository.ts FOLDER (sharded|succinct|hashed)\n')
    process.exit(2)
  }
  await StaticRepository.create(folder, profile)
}
