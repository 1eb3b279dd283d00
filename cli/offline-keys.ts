// The offline keys in a folder of their holder, and what was decided about them:
//
//   ceremony.json             which keys a role has, who holds each, and how many must sign
//   root-1a2b3c4d.key.json    one private key: PKCS#8, encrypted with a passphrase (scrypt, AES-256-GCM), mode 600
//
// Several holders have each a folder with the same ceremony.json and their own keys. Invariant: a file is written whole
// before anything is signed with its key, so that a ceremony that broke off goes on with the same keys.
import { createCipheriv, createDecipheriv, createPrivateKey, randomBytes, scrypt } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ed25519Key } from '../tuf/keys.ts'
import { ed25519Signer } from '../tuf/sign.ts'
import { makeOfflineKey, OFFLINE_ROLES, type OfflineKey, type OfflineRole } from './ceremony.ts'
import { CommandError } from './terminal.ts'

/** 128 × N × r = 128 MiB and about half a second a guess (RFC 7914; OWASP's first choice of 2023). */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 }
const SCRYPT_BYTES_MAX = 2 * 128 * SCRYPT.N * SCRYPT.r

const CEREMONY_FORMAT = 'tuf-edge ceremony 1'
const KEY_FORMAT = 'tuf-edge offline key 1'

interface CeremonyFile {
  format: typeof CEREMONY_FORMAT
  /** The index that these keys are for. */
  index: string
  roles: Record<OfflineRole, { threshold: number; keys: { keyid: string; public: string; holder: string }[] }>
}

interface KeyFile {
  format: typeof KEY_FORMAT
  role: OfflineRole
  keyid: string
  public: string
  /** Null: `private` is PKCS#8 as it is. Binary values are in base64; the tag is the last 16 bytes of `private`. */
  encryption: { kdf: 'scrypt'; N: number; r: number; p: number; salt: string; cipher: 'aes-256-gcm'; iv: string } | null
  private: string
}

export interface OfflineKeys {
  keys: Record<OfflineRole, OfflineKey[]>
  thresholds: Record<OfflineRole, number>
  /** True if this call made them. */
  made: boolean
}

export class KeyFolder {
  readonly path: string

  constructor(path: string) {
    this.path = resolve(path)
  }

  get rootFile(): string {
    return join(this.path, 'root.json')
  }

  exists(): boolean {
    return existsSync(join(this.path, 'ceremony.json'))
  }

  /** Opens the keys of this folder, or makes one a role. `passphrase` null: they are kept as they are. @throws CommandError */
  async keys(index: string, holder: string, passphrase: string | null): Promise<OfflineKeys> {
    if (this.exists()) return this.#open(index, passphrase)
    const roles = {} as CeremonyFile['roles']
    const keys = {} as OfflineKeys['keys']
    for (const role of OFFLINE_ROLES) {
      const made = await makeOfflineKey()
      const { keyid, public: publicHex } = made.key
      const header = { format: KEY_FORMAT, role, keyid, public: publicHex } as const
      this.write(keyFile(role, keyid), await lock(header, made.pkcs8, passphrase))
      roles[role] = { threshold: 1, keys: [{ keyid, public: publicHex, holder }] }
      keys[role] = [made]
    }
    // Last: keys without it are those of a ceremony that never began.
    this.write('ceremony.json', { format: CEREMONY_FORMAT, index, roles } satisfies CeremonyFile)
    return { keys, thresholds: { root: 1, targets: 1, bins: 1 }, made: true }
  }

  /** The keys of `role` that are in this folder, whoever holds the others. @throws CommandError if there is none */
  async keysOf(role: OfflineRole, passphrase: string | null): Promise<OfflineKey[]> {
    const names = existsSync(this.path) ? readdirSync(this.path).filter((name) => name.endsWith('.key.json')) : []
    const keys: OfflineKey[] = []
    for (const name of names.filter((name) => name.startsWith(`${role}-`)).sort()) {
      const file = this.#read<KeyFile>(name)
      keys.push(await unlock(file, { name, role, publicHex: file.public }, passphrase))
    }
    if (keys.length === 0) throw new CommandError(`${this.path} holds no key of ${role}.`)
    return keys
  }

  /** Metadata as it was signed. */
  save(name: string, bytes: Uint8Array): void {
    this.#put(name, bytes)
  }

  root(): Uint8Array | undefined {
    return existsSync(this.rootFile) ? new Uint8Array(readFileSync(this.rootFile)) : undefined
  }

  write(name: string, value: object): void {
    this.#put(name, `${JSON.stringify(value, undefined, 2)}\n`)
  }

  async #open(index: string, passphrase: string | null): Promise<OfflineKeys> {
    const ceremony = this.#read<CeremonyFile>('ceremony.json')
    if (ceremony.format !== CEREMONY_FORMAT)
      throw new CommandError(`${join(this.path, 'ceremony.json')} is not of the format '${CEREMONY_FORMAT}'.`)
    if (ceremony.index !== index)
      throw new CommandError(`The keys in ${this.path} are for ${ceremony.index}: name another folder with --keys.`)
    const keys = { root: [], targets: [], bins: [] } as OfflineKeys['keys']
    const thresholds = {} as OfflineKeys['thresholds']
    const present = new Set(readdirSync(this.path))
    for (const role of OFFLINE_ROLES) {
      thresholds[role] = ceremony.roles[role].threshold
      for (const { keyid, public: publicHex } of ceremony.roles[role].keys) {
        const name = keyFile(role, keyid)
        if (!present.has(name))
          throw new CommandError(`The key ${name} is not in ${this.path}: put it there and repeat.`)
        keys[role].push(await unlock(this.#read<KeyFile>(name), { name, role, publicHex }, passphrase))
      }
    }
    return { keys, thresholds, made: false }
  }

  #read<T>(name: string): T {
    try {
      return JSON.parse(readFileSync(join(this.path, name), 'utf8')) as T
    } catch {
      throw new CommandError(`${join(this.path, name)} cannot be read as JSON.`)
    }
  }

  /** Whole or not at all, and for its owner alone. */
  #put(name: string, content: string | Uint8Array): void {
    mkdirSync(this.path, { recursive: true, mode: 0o700 })
    const file = join(this.path, name)
    writeFileSync(`${file}.new`, content, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
}

const keyFile = (role: OfflineRole, keyid: string): string => `${role}-${keyid.slice(0, 8)}.key.json`

type Header = Pick<KeyFile, 'format' | 'role' | 'keyid' | 'public'>

/** A ciphertext moved under another role or key does not open. */
const associated = ({ format, role, keyid, public: publicHex }: Header): Buffer =>
  Buffer.from([format, role, keyid, publicHex].join('\n'))

async function lock(header: Header, pkcs8: Uint8Array, passphrase: string | null): Promise<KeyFile> {
  if (passphrase === null) return { ...header, encryption: null, private: Buffer.from(pkcs8).toString('base64') }
  const [salt, iv] = [randomBytes(32), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', await derive(passphrase, salt, SCRYPT), iv).setAAD(associated(header))
  const sealed = Buffer.concat([cipher.update(pkcs8), cipher.final(), cipher.getAuthTag()])
  return {
    ...header,
    encryption: {
      kdf: 'scrypt',
      ...SCRYPT,
      salt: salt.toString('base64'),
      cipher: 'aes-256-gcm',
      iv: iv.toString('base64'),
    },
    private: sealed.toString('base64'),
  }
}

async function unlock(
  file: KeyFile,
  { name, role, publicHex }: { name: string; role: OfflineRole; publicHex: string },
  passphrase: string | null,
): Promise<OfflineKey> {
  const key = ed25519Key(publicHex)
  const { format, encryption } = file
  if (format !== KEY_FORMAT || file.role !== role || file.keyid !== key.keyid || file.public !== publicHex)
    throw new CommandError(`${name} is not the key that ceremony.json names.`)
  let pkcs8: Buffer = Buffer.from(file.private, 'base64')
  if (encryption !== null) {
    if (passphrase === null) throw new CommandError(`${name} is encrypted: leave --no-passphrase away.`)
    const { N, r, p } = encryption
    if (encryption.kdf !== 'scrypt' || encryption.cipher !== 'aes-256-gcm' || 128 * N * r * p > SCRYPT_BYTES_MAX)
      throw new CommandError(`${name} is encrypted in a way this release does not know.`)
    const secret = await derive(passphrase, Buffer.from(encryption.salt, 'base64'), { N, r, p })
    const decipher = createDecipheriv('aes-256-gcm', secret, Buffer.from(encryption.iv, 'base64'))
    decipher.setAAD(associated(file)).setAuthTag(pkcs8.subarray(-16))
    try {
      pkcs8 = Buffer.concat([decipher.update(pkcs8.subarray(0, -16)), decipher.final()])
    } catch {
      throw new CommandError(`The passphrase does not open ${name}, or the file was changed.`)
    }
  }
  const bytes = new Uint8Array(pkcs8)
  const privateKey = await crypto.subtle.importKey('pkcs8', bytes, { name: 'Ed25519' }, false, ['sign'])
  const { x } = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' })
  if (Buffer.from(x ?? '', 'base64url').toString('hex') !== publicHex)
    throw new CommandError(`${name} holds another private key than the one it names.`)
  return { key, signer: ed25519Signer(privateKey, key), pkcs8: bytes }
}

const derive = (passphrase: string, salt: Buffer, cost: { N: number; r: number; p: number }): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    // Typed in two ways, an accent is one secret (RFC 8265 asks for a normal form).
    scrypt(passphrase.normalize('NFKC'), salt, 32, { ...cost, maxmem: SCRYPT_BYTES_MAX }, (error, key) =>
      error ? reject(error) : resolve(key),
    )
  })
