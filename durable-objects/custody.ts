// The online keys. At rest they are AES-GCM ciphertext under a key derived from WRAPPING_SECRET; in memory they are
// non-extractable CryptoKeys of this instance. A thief needs the database and the secret; a ledger copied to another
// repository cannot unwrap, because the derivation names the ledger's own random id, the role and the keyid.
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { toHex } from '../tuf/hex.ts'
import { ed25519Key, type Key } from '../tuf/keys.ts'
import { ed25519Signer, type Signer } from '../tuf/sign.ts'
import { getFact } from './ledger/facts.ts'
import { all, run, type Sql } from './ledger/sql.ts'
import type { OnlineKey } from './rpc.ts'

export type OnlineRole = OnlineKey['role']
const ROLES: OnlineRole[] = ['timestamp', 'snapshot', 'bin']

/** What a proof of possession signs. The first line separates it from every TUF payload, which begins with `{`. */
export const proofMessage = (repositoryId: string, role: string, keyid: string): Uint8Array =>
  new TextEncoder().encode(`tuf-edge proof of possession 1\n${repositoryId}\n${role}\n${keyid}`)

export class Custody {
  readonly #sql: Sql
  readonly #secret: string
  #signers = new Map<OnlineRole, Promise<Signer>>()
  #macKey: Uint8Array | undefined

  constructor(sql: Sql, wrappingSecret: string) {
    this.#sql = sql
    this.#secret = wrappingSecret
  }

  /** Makes the online keys of a new ledger; the ones it already has stay. A repository signed elsewhere has no key of bins. */
  async create(now: number, adopted: boolean): Promise<void> {
    for (const role of ROLES.filter((role) => role !== 'bin' || !adopted)) {
      if (this.#row(role)) continue
      const pair = (await crypto.subtle.generateKey({ name: 'Ed25519' }, true, ['sign', 'verify'])) as CryptoKeyPair
      const raw = new Uint8Array((await crypto.subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer)
      const key = ed25519Key(toHex(raw))
      const context = this.#context(role, key.keyid)
      const iv = crypto.getRandomValues(new Uint8Array(12))
      const wrapped = await crypto.subtle.wrapKey('pkcs8', pair.privateKey, await this.#wrappingKey(context), {
        name: 'AES-GCM',
        iv,
        additionalData: context,
      })
      run(
        this.#sql,
        'INSERT INTO online_keys (keyid, role, public, wrapped, iv, created) VALUES (?, ?, ?, ?, ?, ?)',
        key.keyid,
        role,
        key.public,
        wrapped as ArrayBuffer,
        iv,
        now,
      )
    }
  }

  /** Public halves, each with a proof that the private half is here. */
  async publicKeys(): Promise<OnlineKey[]> {
    const id = getFact(this.#sql, 'repositoryId')!
    return Promise.all(
      ROLES.filter((role) => this.#row(role)).map(async (role) => {
        const signer = await this.signer(role)
        const proof = await signer.sign(proofMessage(id, role, signer.keyid))
        return { role, public: signer.key.public, keyid: signer.keyid, proof: toHex(proof) }
      }),
    )
  }

  key(role: OnlineRole): Key {
    const row = this.#row(role)
    if (!row) throw new Error(`The ledger holds no online key for ${role}.`)
    return ed25519Key(row.public)
  }

  /** @throws when the wrapping secret is not the one the key was wrapped with. */
  signer(role: OnlineRole): Promise<Signer> {
    let signer = this.#signers.get(role)
    if (!signer) {
      signer = this.#unwrap(role)
      this.#signers.set(role, signer)
      signer.catch(() => this.#signers.delete(role))
    }
    return signer
  }

  /** 32 bytes for the MACs of rows. Without waiting, because transactions check rows. */
  macKey(): Uint8Array {
    if (!this.#macKey) {
      const salt = utf8ToBytes(`tuf-edge ${getFact(this.#sql, 'repositoryId') ?? ''}`)
      this.#macKey = hkdf(sha256, utf8ToBytes(this.#secret), salt, utf8ToBytes('row MAC'), 32)
    }
    return this.#macKey
  }

  /** Encrypts a setting that is a secret; it opens under the same name in this ledger alone. */
  async seal(name: string, bytes: Uint8Array): Promise<{ bytes: Uint8Array; iv: Uint8Array }> {
    const iv = crypto.getRandomValues(new Uint8Array(12))
    const additionalData = this.#settingContext(name)
    const key = await this.#wrappingKey(additionalData)
    const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData }, key, bytes)
    return { bytes: new Uint8Array(sealed), iv }
  }

  /** @throws when the wrapping secret, the ledger or the name is another one. */
  async open(name: string, sealed: Uint8Array, iv: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const additionalData = this.#settingContext(name)
    const key = await this.#wrappingKey(additionalData)
    return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv, additionalData }, key, sealed))
  }

  /** Eight bytes in hex that tell one wrapping secret from another and nothing else. */
  async checkValue(): Promise<string> {
    return toHex(((await this.#derive('check value', 'raw')) as Uint8Array).slice(0, 8))
  }

  async #unwrap(role: OnlineRole): Promise<Signer> {
    const row = this.#row(role)
    if (!row) throw new Error(`The ledger holds no online key for ${role}.`)
    const context = this.#context(role, row.keyid)
    const privateKey = await crypto.subtle.unwrapKey(
      'pkcs8',
      row.wrapped,
      await this.#wrappingKey(context),
      { name: 'AES-GCM', iv: row.iv, additionalData: context },
      { name: 'Ed25519' },
      false,
      ['sign'],
    )
    return ed25519Signer(privateKey, ed25519Key(row.public))
  }

  #row(role: OnlineRole) {
    return all<{ keyid: string; public: string; wrapped: ArrayBuffer; iv: ArrayBuffer }>(
      this.#sql,
      'SELECT keyid, public, wrapped, iv FROM online_keys WHERE role = ?',
      role,
    )[0]
  }

  #context(role: OnlineRole, keyid: string): Uint8Array {
    return new TextEncoder().encode(`${getFact(this.#sql, 'repositoryId')}|${role}|${keyid}`)
  }

  #settingContext(name: string): Uint8Array {
    return new TextEncoder().encode(`${getFact(this.#sql, 'repositoryId')}|setting|${name}`)
  }

  #wrappingKey(context: Uint8Array): Promise<CryptoKey> {
    return this.#derive(new TextDecoder().decode(context), 'wrap') as Promise<CryptoKey>
  }

  async #derive(info: string, use: 'raw' | 'wrap'): Promise<CryptoKey | Uint8Array<ArrayBuffer>> {
    const encoder = new TextEncoder()
    const id = getFact(this.#sql, 'repositoryId') ?? ''
    const base = await crypto.subtle.importKey('raw', encoder.encode(this.#secret), 'HKDF', false, [
      'deriveKey',
      'deriveBits',
    ])
    const hkdf = { name: 'HKDF', hash: 'SHA-256', salt: encoder.encode(`tuf-edge ${id}`), info: encoder.encode(info) }
    if (use === 'raw') return new Uint8Array(await crypto.subtle.deriveBits(hkdf, base, 256))
    return crypto.subtle.deriveKey(hkdf, base, { name: 'AES-GCM', length: 256 }, false, [
      'wrapKey',
      'unwrapKey',
      'encrypt',
      'decrypt',
    ])
  }
}
