// What the tests of `conformance-*.test.ts` share. Their titles begin with the names of the tests of tuf-conformance
// that ask for the same behaviour; `test/conformance/suite.ts` says when the suite has one that these lack.
import { expect } from 'vitest'
import type { Canonical } from '../../../tuf/canonical.ts'
import type { Client } from '../../../tuf/client.ts'
import { type JsonObject, parseJson } from '../../../tuf/json.ts'
import { spkiKey } from '../../../tuf/keys.ts'
import { type Signer, signRole, webCryptoSigner } from '../../../tuf/sign.ts'
import type { Signature } from '../../../tuf/verify.ts'
import { type MemoryStore, type Repository, text, utf8 } from './repository.ts'
import { clientOf, type Setup, setUp } from './setup.ts'

/** A repository at version 1 of everything, and the store of a client that trusts root 1 and has seen nothing else. */
export class Run {
  readonly repository: Repository
  readonly store: MemoryStore

  constructor(repository: Repository, store: MemoryStore) {
    this.repository = repository
    this.store = store
  }

  static async start(): Promise<Run> {
    const { repository, store } = await setUp()
    return new Run(repository, store)
  }

  /** A client as a new process starts it. */
  client(setup?: Setup): Client {
    return clientOf(this.repository, this.store, setup)
  }

  /** One refresh, by a process of its own. */
  refresh(setup?: Setup): Promise<void> {
    return this.client(setup).refresh()
  }

  /** What is stored: role → version. */
  get stored(): Record<string, number> {
    const versions: Record<string, number> = {}
    for (const [file, bytes] of this.store.files)
      versions[decodeURIComponent(file.slice(0, -'.json'.length))] = JSON.parse(text(bytes)).signed.version
    return versions
  }

  /** Signs a published file again after `change` had its `signed` object. */
  async alter(
    file: string,
    signers: readonly Signer[],
    change: (signed: Map<string, Canonical>) => void,
  ): Promise<void> {
    const signed = (parseJson(this.repository.files.get(file)!) as JsonObject).get('signed') as Map<string, Canonical>
    change(signed)
    this.repository.files.set(file, await signRole(signed, signers))
  }

  /** Replaces the `signatures` of a published file, and leaves the rest as it is. */
  forge(file: string, change: (signatures: Signature[]) => Signature[]): void {
    const whole = text(this.repository.files.get(file)!)
    const [head, tail] = ['{"signatures":'.length, whole.indexOf(',"signed":')]
    const forged = JSON.stringify(change(JSON.parse(whole.slice(head, tail)) as Signature[]))
    this.repository.files.set(file, utf8(whole.slice(0, head) + forged + whole.slice(tail)))
  }

  /** Metadata and targets asked for since the last time, as in the URL. */
  asked(): string[] {
    return this.repository.asked()
  }
}

/** A signer with a new key that is not Ed25519. */
export async function signerOf(scheme: 'ecdsa-sha2-nistp256' | 'rsassa-pss-sha256'): Promise<Signer> {
  const algorithm =
    scheme === 'ecdsa-sha2-nistp256'
      ? { name: 'ECDSA', namedCurve: 'P-256' }
      : { name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }
  const pair = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair
  const spki = new Uint8Array((await crypto.subtle.exportKey('spki', pair.publicKey)) as ArrayBuffer)
  return webCryptoSigner(pair.privateKey, spkiKey(scheme, spki))
}

/** The strings listed under `key`. */
export const list = (object: ReadonlyMap<string, Canonical>, key: string): string[] => object.get(key) as string[]

/** What is at `keys`, one in the other, to be changed. */
export function inside(object: ReadonlyMap<string, Canonical>, ...keys: string[]): Map<string, Canonical> {
  let at: Canonical = object
  for (const key of keys) at = (at as Map<string, Canonical>).get(key)!
  expect(at).toBeInstanceOf(Map)
  return at as Map<string, Canonical>
}
