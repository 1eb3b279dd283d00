// A repository that others sign, and its handing over: the owner's side, as a test drives it through HTTP. Clients of it
// come warm, with the state the former signer left them.
import { createExecutionContext } from 'cloudflare:test'
import { exports } from 'cloudflare:workers'
import { Client } from '../../tuf/client.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { ed25519Key } from '../../tuf/keys.ts'
import { blobKey } from '../../tuf/layout.ts'
import type { Signer } from '../../tuf/sign.ts'
import { webTransport } from '../../tuf/transport.ts'
import type { Env } from '../../workers/env.ts'
import { createRepositories } from '../../workers/repositories.ts'
import { BASE, type MemoryStore, newSigner, Repository, utf8 } from '../unit/tuf/repository.ts'
import { setClock } from './controls.ts'
import { BOOTSTRAP, bindings, type TestRepository } from './repository.ts'

export const doors = exports as unknown as { Public: Env['PUBLIC']; Member: Env['MEMBER'] }
const env = { BUCKET: bindings.BUCKET, PUBLIC: doors.Public, MEMBER: doors.Member } as unknown as Env

export type Face = (path: string, init?: RequestInit) => Promise<Response>
export type OurKeys = { role: string; public: string; keyid: string }[]

let count = 0

const base64 = (bytes: Uint8Array): string => {
  let text = ''
  for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768))
  return btoa(text)
}
export const handOver = (files: Record<string, Uint8Array | Uint8Array[]>) =>
  Object.entries(files).flatMap(([role, all]) => [all].flat().map((bytes) => ({ role, bytes: base64(bytes) })))

export class Adoption {
  readonly name: string
  readonly theirs: Repository
  readonly alice: Signer
  readonly warm: MemoryStore
  /** Their signers before any key of ours was named. */
  readonly own: Pick<Repository['signers'], 'timestamp' | 'snapshot'>

  private constructor(name: string, theirs: Repository, alice: Signer, warm: MemoryStore) {
    this.name = name
    this.theirs = theirs
    this.alice = alice
    this.warm = warm
    this.own = { timestamp: [...theirs.signers.timestamp], snapshot: [...theirs.signers.snapshot] }
  }

  /** @param delegated roles that alice signs, each with the file `NAME/file`, the name percent-encoded */
  static async make(delegated: string[], options: { consistent?: boolean } = {}): Promise<Adoption> {
    const theirs = await Repository.make(undefined, options)
    const alice = await newSigner()
    theirs.role('targets').delegations = {
      keys: { [alice.keyid]: { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: alice.key.public } } },
      roles: delegated.map((role) => ({
        name: role,
        keyids: [alice.keyid],
        threshold: 1,
        paths: [`${encodeURIComponent(role)}/*`],
        terminating: false,
      })),
    }
    for (const role of delegated) {
      theirs.role(role).signers = [alice]
      theirs.role(role).files.set(`${encodeURIComponent(role)}/file`, utf8(`a file of ${role}`))
    }
    await theirs.publish('targets', ...delegated)
    const warm = await theirs.newStore()
    const adoption = new Adoption(`adopted-${Date.now().toString(36)}-${count++}`, theirs, alice, warm)
    await adoption.ownersClient().refresh()
    return adoption
  }

  get place() {
    return { repository: this.name, epoch: 1 }
  }

  /** What `controls.ts` knows a repository by. */
  get known(): TestRepository {
    return {
      name: this.name,
      place: this.place,
      public: doors.Public,
      member: doors.Member,
    } as unknown as TestRepository
  }

  /** One isolate, cold. */
  newFace(): Face {
    const app = createRepositories()
    return (path, init = {}) =>
      app.fetch!(
        new Request(`http://127.0.0.1/r/${this.name}${path}`, init) as Parameters<NonNullable<typeof app.fetch>>[0],
        env,
        createExecutionContext(),
      ) as Promise<Response>
  }

  /** The warm client, at the place that the owner serves. */
  ownersClient(): Client {
    return new Client({
      store: this.warm,
      transport: this.theirs.transport(),
      metadataUrl: BASE,
      targetsUrl: `${BASE}targets/`,
      now: () => Date.now(),
    })
  }

  clientOver(store: MemoryStore, face = this.newFace(), now = Date.now()): Client {
    const behind = (url: string) => new URL(url).pathname.replace(`/r/${this.name}`, '')
    return new Client({
      store,
      transport: webTransport({ fetch: (url, init) => face(behind(url), init) }),
      metadataUrl: `http://127.0.0.1/r/${this.name}/tuf/`,
      targetsUrl: `http://127.0.0.1/r/${this.name}/tuf/targets/`,
      now: () => now,
    })
  }

  async json(method: string, path: string, body: unknown, secret: string) {
    const headers = { Authorization: `Bearer ${secret}`, 'Content-Type': 'application/json' }
    const answer = await this.newFace()(path, { method, headers, body: JSON.stringify(body) })
    return { status: answer.status, ...((await answer.json()) as Record<string, never>) }
  }

  async token(...scopes: string[]): Promise<string> {
    const expires = Math.floor(Date.now() / 1000) + 90 * 86_400
    const request = { name: 'test', scopes, allProjects: true, expires }
    const answer = await this.json('POST', '/api/tokens', request, BOOTSTRAP)
    if (answer.status !== 200) throw new Error(JSON.stringify(answer))
    return (answer as unknown as { token: string }).token
  }

  rootOf(version: number): Uint8Array {
    return this.theirs.files.get(`${version}.root.json`)!
  }

  fileOf(role: string): Uint8Array {
    return this.theirs.role(role).bytes
  }

  async put(bytes: Uint8Array): Promise<void> {
    await bindings.BUCKET.put(blobKey(this.place, await sha256Hex(bytes), 1), bytes)
  }

  /** Their next root, with these keys of ours beside theirs or alone; none of ours: theirs alone. */
  async nameKeys(keys: OurKeys, theirsToo: boolean): Promise<void> {
    for (const role of ['timestamp', 'snapshot'] as const) {
      const ours = keys
        .filter((key) => key.role === role)
        .map(({ public: hex, keyid }): Signer => {
          const refuse = () => Promise.reject(new Error('This key never leaves the publisher.'))
          return { key: ed25519Key(hex), keyid, sign: refuse }
        })
      this.theirs.signers[role] = [...(theirsToo ? this.own[role] : []), ...ours]
    }
    await this.theirs.publishRoot()
  }

  /** The keys and the two roots: what an adoption is asked with. */
  async request(): Promise<{ keys: OurKeys; body: unknown }> {
    const made = await this.json('POST', '/api/ceremony/keys', { adopted: true }, BOOTSTRAP)
    const { keys } = made as unknown as { keys: OurKeys }
    await this.nameKeys(keys, true)
    await this.nameKeys(keys, false)
    const roles = Object.fromEntries([...this.theirs.roles.keys()].map((role) => [role, this.fileOf(role)]))
    const root = Array.from({ length: this.theirs.versions.root }, (_, before) => this.rootOf(before + 1))
    const files = handOver({ root, ...roles })
    return { keys, body: { files, served: { snapshot: 1, timestamp: 1 }, freshness: 'standard' } }
  }

  /** Adopted, with every file in the bucket. */
  async adopt(): Promise<OurKeys> {
    const { keys, body } = await this.request()
    const answer = await this.json('POST', '/api/adopt', body, BOOTSTRAP)
    if (answer.status !== 200) throw new Error(JSON.stringify(answer))
    for (const role of this.theirs.roles.values()) for (const bytes of role.files.values()) await this.put(bytes)
    return keys
  }

  /** Moves the publisher's clock by `ms` and lets it work. */
  async later(ms: number) {
    await setClock(this.known, ms)
    return doors.Public.refresh(this.name)
  }
}
