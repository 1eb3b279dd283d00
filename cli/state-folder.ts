// The folder of a local service: secrets, development keys, tokens, and below `state/` what workerd keeps.
//
//   secrets.json            wrapping and bootstrap secret of this service (mode 600)
//   development-keys/*.pem  root, targets and bins keys: development keys, unencrypted, good for nothing but this folder
//   tokens.json             tokens to upload and to administer (mode 600)
//   root.json               the trusted root that TUF clients start from
//   lock                    process id of the service that uses the folder
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { takeLock } from './lock.ts'
import { CommandError } from './terminal.ts'

export interface Secrets {
  wrappingSecret: string
  bootstrapSecret: string
}

export interface Tokens {
  /** Scopes read, upload, create, yank: hatch and `uv publish --check-url` look before they upload. */
  upload: string
  /** Scope read. */
  read: string
  /** Everything. */
  admin: string
}

export class StateFolder {
  readonly path: string
  #lock: { release(): void } | undefined

  constructor(path: string) {
    this.path = resolve(path)
  }

  get runtime(): string {
    return join(this.path, 'state')
  }

  get rootFile(): string {
    return join(this.path, 'root.json')
  }

  /** Makes the folder and takes it for this process. @throws CommandError if another process has it. */
  async take(): Promise<void> {
    mkdirSync(this.path, { recursive: true, mode: 0o700 })
    this.#lock = await takeLock(
      join(this.path, 'lock'),
      (holder) =>
        new CommandError(
          `The folder ${this.path} is in use by process ${holder}: stop it, or choose another --folder.`,
        ),
    )
  }

  release(): void {
    this.#lock?.release()
    this.#lock = undefined
  }

  /** The secrets of this folder, made on first use. */
  secrets(): Secrets {
    const known = this.#read<Secrets>('secrets.json')
    if (known) return known
    const secret = () => randomBytes(32).toString('base64url')
    const made = { wrappingSecret: secret(), bootstrapSecret: secret() }
    this.#write('secrets.json', JSON.stringify(made, undefined, 2))
    return made
  }

  tokens(): Partial<Tokens> {
    return this.#read<Partial<Tokens>>('tokens.json') ?? {}
  }

  saveTokens(tokens: Partial<Tokens>): void {
    this.#write('tokens.json', JSON.stringify(tokens, undefined, 2))
  }

  saveRoot(bytes: Uint8Array): void {
    writeFileSync(this.rootFile, bytes)
  }

  /** Keeps a development key as PKCS#8 PEM. */
  saveKey(role: string, pkcs8: Uint8Array): void {
    const folder = join(this.path, 'development-keys')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const body = Buffer.from(pkcs8).toString('base64')
    writeFileSync(join(folder, `${role}.pem`), `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`, {
      mode: 0o600,
    })
  }

  #read<T>(name: string): T | undefined {
    const file = join(this.path, name)
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as T) : undefined
  }

  /** Whole or not at all: a crash in the middle must not leave half a secret. */
  #write(name: string, text: string): void {
    const file = join(this.path, name)
    writeFileSync(`${file}.new`, `${text}\n`, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
}
