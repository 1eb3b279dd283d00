// An owner with tuftool, which has its keys in files: RSA in PEM, the others in DER (PKCS#8).
//
// Dates are given whole: of a relative one ("in 30 weeks") tuftool 0.17 writes nanoseconds into targets, snapshot and
// timestamp, which TUF does not allow; tough and tuf-js read them, python-tuf, go-tuf and we do not.
import { generateKeyPairSync } from 'node:crypto'
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { need } from './environments.ts'
import { type Owner, type OwnerOf, say } from './owners.ts'

const DAY_MS = 86_400_000
const inDays = (days: number): string => `${new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10)}T00:00:00Z`
const KINDS = {
  targets: 'ed25519',
  'root-b': 'ec',
  'root-c': 'ed25519',
  first: 'ec',
  online: 'ed25519',
  team: 'ed25519',
}

export const tuftool: OwnerOf = async (context, folder) => {
  const program = (await need(context, 'tuftool')).command('tuftool')
  const owner = new Tuftool(folder, (words) => say(program, words, { cwd: folder }))
  const commands: Record<string, Owner> = {
    make: () => owner.make(),
    cron: () => owner.cron(),
    add: (_role, path, text) => owner.add(path!, text!),
    sign: (...files) => owner.sign(files),
  }
  return (command, ...args) => commands[command]!(...(args as [string, ...string[]]))
}

class Tuftool {
  readonly #folder: string
  readonly #run: (words: string[]) => Promise<string>

  constructor(folder: string, run: (words: string[]) => Promise<string>) {
    this.#folder = folder
    this.#run = run
  }

  /** Two roots, the second with other keys of root and online; targets, and a team that signs for itself. */
  async make(): Promise<string> {
    for (const name of ['keys', 'input', 'team-input', 'metadata', 'targets']) mkdirSync(join(this.#folder, name))
    for (const [name, kind] of Object.entries(KINDS)) makeKey(join(this.#folder, 'keys', `${name}.der`), kind)
    await this.#roots()
    this.#text('input', 'readme.txt', 'at the top')
    const versions = ['--snapshot-version', '1', '--timestamp-version', '1', ...this.#onlineDates()]
    const keys = ['-k', 'keys/targets.der', '-k', 'keys/online.der']
    const dates = ['--targets-expires', inDays(200), '--targets-version', '1']
    await this.#run(['create', '-r', '2.root.json', ...keys, '-t', 'input', ...dates, ...versions, '-o', 'made'])
    const team = ['delegation', '--signing-role', 'team']
    await this.#run([...team, 'create-role', '-e', inDays(200), '-k', 'keys/team.der', '-v', '1', '-o', 'team'])
    const adding = [
      'add-role',
      '-d',
      'team',
      '-i',
      this.#url('team'),
      '-p',
      'team-*',
      '-t',
      '1',
      '-v',
      '1',
      '--sign-all',
    ]
    await this.#run([
      ...['delegation', '--signing-role', 'targets', ...adding, '-e', inDays(200), ...keys, ...versions],
      ...['-r', '2.root.json', '-m', this.#url('made'), '-o', 'with-team'],
    ])
    cpSync(join(this.#folder, 'with-team', 'metadata'), join(this.#folder, 'metadata'), { recursive: true })
    cpSync(join(this.#folder, 'made', 'targets'), join(this.#folder, 'targets'), { recursive: true, dereference: true })
    copyFileSync(join(this.#folder, '1.root.json'), join(this.#folder, 'metadata', '1.root.json'))
    return JSON.stringify({ 'readme.txt': 'at the top' })
  }

  /** tuftool signs targets along with snapshot and timestamp. */
  async cron(): Promise<string> {
    const versions = ['snapshot', 'targets', 'timestamp'].flatMap((role) => [`--${role}-version`, '2'])
    const keys = ['-k', 'keys/targets.der', '-k', 'keys/online.der']
    const dates = ['--targets-expires', inDays(200), ...this.#onlineDates()]
    await this.#run(['update', '-r', '2.root.json', ...keys, ...dates, ...versions, '-m', this.#url(''), '-o', 'next'])
    for (const file of readdirSync(join(this.#folder, 'next', 'metadata')))
      copyFileSync(join(this.#folder, 'next', 'metadata', file), join(this.#folder, 'metadata', file))
    return ''
  }

  /** One more target of the team's. */
  async add(path: string, text: string): Promise<string> {
    this.#text('team-input', path, text)
    await this.#run([
      ...['delegation', '--signing-role', 'team', 'update-delegated-targets', '-k', 'keys/team.der', '-v', '2'],
      ...['-e', inDays(200), '-r', '2.root.json', '-m', this.#url(''), '-t', 'team-input', '-o', 'by-team'],
    ])
    copyFileSync(join(this.#folder, 'by-team', 'metadata', 'team.json'), join(this.#folder, 'metadata', '2.team.json'))
    const { signed } = JSON.parse(readFileSync(join(this.#folder, 'metadata', '2.team.json'), 'utf8'))
    this.#text('targets', `${signed.targets[path].hashes.sha256}.${path}`, text)
    return ''
  }

  async sign(files: string[]): Promise<string> {
    for (const file of files) await this.#run(['root', 'sign', file, '-k', 'keys/root-b.der', '-k', 'keys/root-c.der'])
    return ''
  }

  async #roots(): Promise<void> {
    const root = (...words: string[]) => this.#run(['root', ...words])
    await root('init', '1.root.json')
    await root('expire', '1.root.json', inDays(300))
    for (const role of ['root', 'snapshot', 'targets', 'timestamp'])
      await root('set-threshold', '1.root.json', role, role === 'root' ? '2' : '1')
    const [former, first] = [
      (await root('gen-rsa-key', '1.root.json', 'keys/root-a.pem', '--role', 'root')).trim(),
      await this.#addKey('1.root.json', 'first', 'snapshot', 'timestamp'),
    ]
    await this.#addKey('1.root.json', 'root-b', 'root')
    await this.#addKey('1.root.json', 'targets', 'targets')
    await root('sign', '1.root.json', '-k', 'keys/root-a.pem', '-k', 'keys/root-b.der')
    copyFileSync(join(this.#folder, '1.root.json'), join(this.#folder, '2.root.json'))
    await root('bump-version', '2.root.json')
    for (const key of [former, first]) await root('remove-key', '2.root.json', key)
    await this.#addKey('2.root.json', 'root-c', 'root')
    await this.#addKey('2.root.json', 'online', 'snapshot', 'timestamp')
    await this.sign(['2.root.json'])
    await root('sign', '2.root.json', '-k', 'keys/root-a.pem', '--cross-sign', '1.root.json')
  }

  /** Gives its keyid. */
  async #addKey(file: string, name: string, ...roles: string[]): Promise<string> {
    const words = ['add-key', file, '-k', `keys/${name}.der`, ...roles.flatMap((role) => ['--role', role])]
    return (await this.#run(['root', ...words])).trim().split(' ').at(-1)!
  }

  #onlineDates = (): string[] => ['--snapshot-expires', inDays(7), '--timestamp-expires', inDays(2)]

  #url(place: string): string {
    return pathToFileURL(join(this.#folder, place, 'metadata')).href
  }

  #text(place: string, name: string, text: string): void {
    writeFileSync(join(this.#folder, place, name), text)
  }
}

function makeKey(file: string, kind: string): void {
  const spki = { type: 'spki', format: 'der' } as const
  const pkcs8 = { type: 'pkcs8', format: 'der' } as const
  const { privateKey } =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256', publicKeyEncoding: spki, privateKeyEncoding: pkcs8 })
      : generateKeyPairSync('ed25519', { publicKeyEncoding: spki, privateKeyEncoding: pkcs8 })
  writeFileSync(file, privateKey)
}
