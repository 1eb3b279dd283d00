// A TUF repository in memory, for tests: built with the project's own builders and served through a Transport that logs
// every request. Nothing checks what it publishes, so a test can make it lie.
//
//   const repository = await Repository.make()      // root, targets, snapshot and timestamp are published
//   repository.role('targets').files.set(path, content)
//   await repository.publish('targets')             // next targets, snapshot and timestamp
import { binDelegations, binNames, binOfPath, type Profile, shardOf, topDelegations } from '../../../tuf/bins.ts'
import { rootSigned, snapshotSigned, targetsSigned, timestampSigned } from '../../../tuf/build.ts'
import type { Canonical } from '../../../tuf/canonical.ts'
import { initStore, roleFile, type Store } from '../../../tuf/client.ts'
import { sha256Hex } from '../../../tuf/digest.ts'
import { toHex } from '../../../tuf/hex.ts'
import { ed25519Key, type Key } from '../../../tuf/keys.ts'
import { targetUrlName, targetUrlPath } from '../../../tuf/paths.ts'
import type { TopLevelRole } from '../../../tuf/root.ts'
import { ed25519Signer, type Signer, signRole } from '../../../tuf/sign.ts'
import type { Transport } from '../../../tuf/transport.ts'

export const DAY = 86_400_000
export const NOW = Date.UTC(2030, 5, 1)

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

export async function newSigner(): Promise<Signer> {
  const pair = (await crypto.subtle.generateKey({ name: 'Ed25519' }, true, ['sign', 'verify'])) as CryptoKeyPair
  const raw = await crypto.subtle.exportKey('raw', pair.publicKey)
  return ed25519Signer(pair.privateKey, ed25519Key(toHex(new Uint8Array(raw as ArrayBuffer))))
}

export class MemoryStore implements Store {
  readonly files = new Map<string, Uint8Array>()
  readonly puts: string[] = []

  async get(file: string): Promise<Uint8Array | undefined> {
    return this.files.get(file)
  }

  async put(file: string, bytes: Uint8Array): Promise<void> {
    this.puts.push(file)
    this.files.set(file, bytes.slice())
  }
}

/** What a targets role is to say and who signs it. */
export interface RoleState {
  version: number
  expires: number
  signers: Signer[]
  files: Map<string, Uint8Array>
  delegations?: Canonical
  bytes: Uint8Array
}

export const BASE = 'http://repository.test/tuf/'

export class Repository {
  /** URL path below BASE → content. */
  readonly files = new Map<string, Uint8Array>()
  readonly requests: string[] = []
  readonly roles = new Map<string, RoleState>()
  signers!: Record<TopLevelRole, Signer[]>
  thresholds: Record<TopLevelRole, number> = { root: 1, timestamp: 1, snapshot: 1, targets: 1 }
  versions = { root: 0, timestamp: 0, snapshot: 0 }
  expires: Record<TopLevelRole, number>
  /** Whether snapshot lists digests and lengths. */
  hashes = true
  /** Without, everything but a root lies under its plain name too. */
  consistent = true

  private constructor(now: number) {
    this.expires = { root: now + 365 * DAY, timestamp: now + DAY, snapshot: now + DAY, targets: now + 90 * DAY }
  }

  static async make(now = NOW, { consistent = true } = {}): Promise<Repository> {
    const repository = new Repository(now)
    repository.consistent = consistent
    const one = async () => [await newSigner()]
    repository.signers = { root: await one(), timestamp: await one(), snapshot: await one(), targets: await one() }
    repository.role('targets')
    await repository.publishRoot()
    await repository.publish('targets')
    return repository
  }

  /** A small index: everything that `bins.ts` delegates, a page and a file of `foo`, the project list. */
  static async index(profile: Profile, now = NOW): Promise<Repository> {
    const repository = new Repository(now)
    const one = async () => [await newSigner()]
    const [online, offline] = [await newSigner(), await newSigner()]
    repository.signers = { root: await one(), timestamp: [online], snapshot: [online], targets: await one() }
    const page = `simple/${shardOf('foo')}/foo/vnd.pypi.simple.v1.json`
    const file = `files/${shardOf('foo')}/foo/foo-1!2.0+x.tar.gz`
    repository.role('targets').delegations = topDelegations({
      indexKey: online.key,
      binsKeys: [offline.key],
      binsThreshold: 1,
    })
    repository.role('bins').delegations = binDelegations(profile, online.key)
    repository.role('index').files.set('simple/vnd.pypi.simple.v1.json', utf8('the list'))
    // Bins that hold nothing exist all the same.
    for (const name of binNames(profile)) repository.role(name)
    repository.role(binOfPath(profile, page)).files.set(page, utf8('a page'))
    repository.role(binOfPath(profile, file)).files.set(file, utf8('a file'))
    for (const [name, role] of repository.roles) role.signers = [name === 'bins' ? offline : online]
    await repository.publishRoot()
    await repository.publish(...repository.roles.keys())
    return repository
  }

  /** A targets role, made empty when it is first asked for. */
  role(name: string): RoleState {
    let role = this.roles.get(name)
    if (!role) {
      role = { version: 0, expires: this.expires.targets, signers: [], files: new Map(), bytes: utf8('') }
      this.roles.set(name, role)
    }
    return role
  }

  /** The next root, signed by `by` (its own signers unless given). */
  async publishRoot(by: readonly Signer[] = this.signers.root): Promise<Uint8Array> {
    const version = ++this.versions.root
    const role = (name: TopLevelRole) => ({ keyids: ids(this.signers[name]), threshold: this.thresholds[name] })
    const signed = rootSigned({
      version,
      expiresMs: this.expires.root,
      keys: unique(
        Object.values(this.signers)
          .flat()
          .map(({ key }) => key),
      ),
      roles: { root: role('root'), timestamp: role('timestamp'), snapshot: role('snapshot'), targets: role('targets') },
    })
    const bytes = await signRole(new Map([...signed, ['consistent_snapshot', this.consistent]]), unique(by))
    this.files.set(`${version}.root.json`, bytes)
    return bytes
  }

  /** The next version of these targets roles, then of snapshot and timestamp. */
  async publish(...names: string[]): Promise<void> {
    for (const name of names) await this.publishRole(name)
    await this.publishSnapshot()
    await this.publishTimestamp()
  }

  async publishRole(name: string): Promise<void> {
    const role = this.role(name)
    role.version++
    const targets: [string, { length: number; sha256: string }][] = []
    for (const [path, content] of role.files) {
      const sha256 = await sha256Hex(content)
      targets.push([path, { length: content.length, sha256 }])
      this.files.set(`targets/${targetUrlPath(targetUrlName(path, sha256))}`, content)
    }
    const signed = targetsSigned({
      version: role.version,
      expiresMs: role.expires,
      targets,
      ...(role.delegations !== undefined && { delegations: role.delegations }),
    })
    role.bytes = await signRole(signed, name === 'targets' ? this.signers.targets : role.signers)
    this.#lay(role.version, roleFile(name), role.bytes)
  }

  async publishSnapshot(): Promise<void> {
    const version = ++this.versions.snapshot
    const meta: [string, { version: number; length?: number; sha256?: string }][] = []
    for (const [name, { version, bytes }] of this.roles)
      meta.push([name, this.hashes ? { version, length: bytes.length, sha256: await sha256Hex(bytes) } : { version }])
    const bytes = await signRole(
      snapshotSigned({ version, expiresMs: this.expires.snapshot, meta }),
      this.signers.snapshot,
    )
    this.#lay(version, 'snapshot.json', bytes)
  }

  #lay(version: number, name: string, bytes: Uint8Array): void {
    this.files.set(`${version}.${name}`, bytes)
    if (!this.consistent) this.files.set(name, bytes)
  }

  async publishTimestamp(): Promise<void> {
    const snapshot = this.files.get(`${this.versions.snapshot}.snapshot.json`)!
    const signed = timestampSigned({
      version: ++this.versions.timestamp,
      expiresMs: this.expires.timestamp,
      snapshot: { version: this.versions.snapshot, length: snapshot.length, sha256: await sha256Hex(snapshot) },
    })
    this.files.set('timestamp.json', await signRole(signed, this.signers.timestamp))
  }

  /** A store that trusts root version 1. */
  async newStore(): Promise<MemoryStore> {
    const store = new MemoryStore()
    await initStore(store, this.files.get('1.root.json')!)
    store.puts.length = 0
    return store
  }

  /** Serves `files`; 404 for everything else. */
  transport(): Transport {
    return {
      fetch: async (url) => {
        const path = url.slice(BASE.length)
        this.requests.push(path)
        const bytes = this.files.get(path)
        return { status: bytes ? 200 : 404, body: streamOf(bytes ?? utf8('not here')) }
      },
    }
  }

  /** The requests since this was last asked. */
  asked(): string[] {
    return this.requests.splice(0)
  }
}

/** `bytes` as a stream of chunks of `size`. */
export function streamOf(bytes: Uint8Array, size = 1000): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.slice(at, at + size))
      at += size
    },
  })
}

/** A `delegations` object; each role is `[name, signers, paths, options]`. */
export function delegationsTo(
  ...roles: [
    name: string,
    signers: Signer[],
    paths: string[],
    options?: { terminating?: boolean; threshold?: number },
  ][]
): Canonical {
  const keys = new Map<string, Canonical>()
  for (const [, signers] of roles) for (const { key } of signers) keys.set(key.keyid, key.raw)
  return {
    keys,
    roles: roles.map(([name, signers, paths, { terminating = false, threshold = 1 } = {}]) => ({
      name,
      keyids: ids(signers),
      threshold,
      terminating,
      paths,
    })),
  }
}

const ids = (signers: readonly Signer[]): string[] => signers.map(({ keyid }) => keyid)

function unique<T extends Key | Signer>(items: readonly T[]): T[] {
  return [...new Map(items.map((item) => [item.keyid, item])).values()]
}
