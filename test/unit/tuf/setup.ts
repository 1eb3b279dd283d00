// What the client's tests share: a client over a repository in memory, and ways to damage what is published.
import { expect } from 'vitest'
import { Client, type Store } from '../../../tuf/client.ts'
import type { Limits } from '../../../tuf/limits.ts'
import type { Signer } from '../../../tuf/sign.ts'
import type { Transport } from '../../../tuf/transport.ts'
import { BASE, type MemoryStore, NOW, Repository, text } from './repository.ts'

export interface Setup {
  now?: number
  limits?: Partial<Limits>
  transport?: Transport
}

/** A client as a new process would start it over this store. */
export function clientOf(
  repository: Repository,
  store: Store,
  { now = NOW, limits = {}, transport }: Setup = {},
): Client {
  return new Client({
    store,
    transport: transport ?? repository.transport(),
    metadataUrl: BASE,
    targetsUrl: `${BASE}targets/`,
    now: () => now,
    limits,
  })
}

export async function setUp(): Promise<{ repository: Repository; store: MemoryStore }> {
  const repository = await Repository.make()
  return { repository, store: await repository.newStore() }
}

/** The stored file of each role is exactly what was served under this name. */
export function expectStored(store: MemoryStore, repository: Repository, files: Record<string, string>): void {
  for (const [stored, served] of Object.entries(files))
    expect(text(store.files.get(stored)!), stored).toBe(text(repository.files.get(served)!))
}

/** The four roles as `rootSigned` takes them, each with its first signer alone. */
export function rolesOf(repository: Repository) {
  const role = ([signer]: Signer[]) => ({ keyids: [signer!.keyid], threshold: 1 })
  const { root, timestamp, snapshot, targets } = repository.signers
  return { root: role(root), timestamp: role(timestamp), snapshot: role(snapshot), targets: role(targets) }
}

/** Alters a published file in its middle. */
export function flipByte(repository: Repository, name: string): void {
  const bytes = repository.files.get(name)!.slice()
  bytes[bytes.length >> 1]! ^= 1
  repository.files.set(name, bytes)
}

/** Adds a byte to a published file; JSON does not mind. */
export function append(repository: Repository, name: string): void {
  repository.files.set(name, Uint8Array.from([...repository.files.get(name)!, 0x20]))
}
