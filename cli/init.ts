// `tuf-edge init`: the ceremony against a deployment. Offline keys are made here and stay here; what goes out are public
// keys and signatures. Every step may be repeated: after a failure the same command goes on with the same keys.
import { createHash } from 'node:crypto'
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { ApiError, apiUrl, callApi, repositoryUrl, toBase64 } from './api.ts'
import { holdCeremony, type OnlineKeys } from './ceremony.ts'
import { isInitialised } from './development.ts'
import { ADMIN_DAYS, mintFirst } from './first-admin.ts'
import { KeyFolder } from './offline-keys.ts'
import { secretFrom, typed } from './secret-input.ts'
import { bold, CommandError, dim, note, say } from './terminal.ts'

export const INIT_HELP = `tuf-edge init URL [--keys DIR] [--freshness NAME] [--no-passphrase] [--json]

Begins an index: makes its offline keys in a folder of yours, signs root, targets and bins over the service's keys, hands
them over, and mints the first admin token, which is shown once. Repeat it after a failure: it goes on where it was.
Asks for the bootstrap secret that \`npm run deploy\` showed, and for a passphrase for the new keys.

  --keys DIR              where the offline keys go (tuf-edge-keys); keep it off the server, and a copy elsewhere
  --freshness NAME        standard, tight or lean; can be changed later (standard)
  --passphrase-file FILE  file with the passphrase; else TUF_EDGE_PASSPHRASE, else you are asked
  --no-passphrase         keep the keys unencrypted, for a folder that is itself encrypted
  --secret-file FILE      file with the bootstrap secret; else TUF_EDGE_BOOTSTRAP_SECRET, a pipe, or you are asked
  --json                  the result, with the token, as JSON

Examples
  tuf-edge init https://pypi.example.org
  tuf-edge init https://pypi.example.org/r/staging --keys staging-keys   a second index beside it
`

/** PEP 458 gives root and targets a year; whoever holds the keys signs them again before that. */
export const OFFLINE_LIFE_MS = 365 * 86_400_000
const ADMIN_SCOPES = ['read', 'upload', 'create', 'yank', 'delete', 'audit', 'admin']
const PASSPHRASE_MIN = 12
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]'])
/** A publication takes a second or two; the alarm repeats one that failed within minutes. */
const PUBLISHED_WAIT_MS = 60_000

export interface InitOptions {
  url: string
  folder: KeyFolder
  freshness: string
  bootstrapSecret: string
  /** Null: keys are kept unencrypted. */
  passphrase: string | null
}

export interface InitResult {
  rootFile: string
  /** Of the root that the index serves. */
  sha256: string
  /** Undefined: the first admin token was minted before. */
  token: string | undefined
}

export async function initCommand(args: string[]): Promise<void> {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      keys: text,
      freshness: text,
      'passphrase-file': text,
      'no-passphrase': { type: 'boolean' },
      'secret-file': text,
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say(INIT_HELP)
    return
  }
  const [address, ...more] = positionals
  if (address === undefined || more.length > 0) throw new CommandError('init wants the URL of one index.', 2)
  const url = parseIndexUrl(address)
  const folder = new KeyFolder(values.keys ?? 'tuf-edge-keys')
  const bootstrapSecret = await secretFrom({
    what: 'bootstrap secret',
    variable: 'TUF_EDGE_BOOTSTRAP_SECRET',
    file: values['secret-file'],
    piped: true,
  })
  const passphrase = values['no-passphrase'] ? null : await askPassphrase(folder, values['passphrase-file'])
  const result = await init({ url, folder, freshness: values.freshness ?? 'standard', bootstrapSecret, passphrase })
  if (values.json) say(JSON.stringify({ root: result.rootFile, sha256: result.sha256, token: result.token ?? null }))
  else introduce(url, folder, result)
}

/** The whole ceremony, or what is left of it. @throws CommandError, ApiError */
export async function init(options: InitOptions): Promise<InitResult> {
  const { url, folder } = options
  const online = await onlineKeys(options)
  if (online) await handOver(options, online)
  const sha256 = await published(url, folder)
  return { rootFile: folder.rootFile, sha256, token: await mintFirst(url, options.bootstrapSecret, ADMIN_SCOPES) }
}

/** Of the refusal for a name whose first keys were asked for by `adopt`: no root will ever be there to compare. */
const OTHER_KIND = /for the other kind/

/** Undefined: the repository exists, and whether it is ours is seen from its root. */
async function onlineKeys({ url, bootstrapSecret }: InitOptions): Promise<OnlineKeys | undefined> {
  try {
    return await callApi<OnlineKeys>(url, 'POST', '/api/ceremony/keys', { token: bootstrapSecret })
  } catch (error) {
    if (error instanceof ApiError && error.status === 409 && !OTHER_KIND.test(error.message)) return undefined
    if (error instanceof ApiError && error.status === 401)
      throw new CommandError(
        'The index does not know this bootstrap secret: look where you stored it, or make another with `npm run deploy -- … --new-bootstrap-secret`.',
      )
    throw error
  }
}

async function handOver(options: InitOptions, online: OnlineKeys): Promise<void> {
  const { url, folder, freshness, bootstrapSecret, passphrase } = options
  const { keys, thresholds, made } = await folder.keys(url, userInfo().username, passphrase)
  note(dim(`${made ? 'made' : 'opened'} the offline keys in ${folder.path}`, process.stderr))
  const expiresMs = Date.now() + OFFLINE_LIFE_MS
  const signed = await holdCeremony({ online, offline: keys, thresholds, expiresMs, development: false })
  // Kept before it is sent: if the answer is lost, the root on the disk is the one that was taken.
  for (const name of ['targets', 'bins', 'root'] as const) folder.save(`${name}.json`, signed[name])
  const body = {
    roots: [toBase64(signed.root)],
    targets: toBase64(signed.targets),
    bins: toBase64(signed.bins),
    freshness,
  }
  await callApi(url, 'POST', '/api/ceremony/metadata', { token: bootstrapSecret, body })
}

/** Waits until the index answers, and compares its first root with ours. @returns its digest */
async function published(url: string, folder: KeyFolder): Promise<string> {
  const ours = folder.root()
  if (!ours)
    throw new CommandError(
      `The index is initialised, and ${folder.path} has no root.json of it: name the folder of its ceremony with --keys.`,
    )
  const deadline = Date.now() + PUBLISHED_WAIT_MS
  while (!(await isInitialised(url).catch(() => false))) {
    if (Date.now() > deadline)
      throw new CommandError('The index took the ceremony and does not publish: `tuf-edge status` says why.')
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  const answer = await fetch(apiUrl(url, '/tuf/1.root.json')).catch(() => undefined)
  if (!answer?.ok)
    throw new CommandError(
      `${url}/tuf/1.root.json was ${answer ? `answered ${answer.status}` : 'not answered'}: see \`tuf-edge doctor ${url}\`, and repeat the command.`,
    )
  const theirs = new Uint8Array(await answer.arrayBuffer())
  if (Buffer.compare(ours, theirs) !== 0)
    throw new CommandError(
      `The index serves another root than ${folder.rootFile}: somebody else held its ceremony, or this is another folder (--keys).`,
    )
  return createHash('sha256').update(theirs).digest('hex')
}

/** As `parseDeployment`, and the path of an index beside `main`. */
export function parseIndexUrl(text: string): string {
  parseDeployment(text)
  return repositoryUrl(text)
}

/** Where secrets go: never over plain HTTP, but to this machine. @param who wants it, for the refusal */
export function parseDeployment(text: string, who = 'init'): string {
  if (!URL.canParse(text))
    throw new CommandError(`${who} wants a URL such as https://pypi.example.org, not '${text}'.`, 2)
  const { protocol, hostname, origin } = new URL(text)
  if (protocol !== 'https:' && !(protocol === 'http:' && LOOPBACK.has(hostname)))
    throw new CommandError(`The bootstrap secret is sent over HTTPS alone: begin the URL with https://.`, 2)
  return origin
}

export async function askPassphrase(folder: KeyFolder, file: string | undefined): Promise<string> {
  const fresh = !folder.exists()
  const what = fresh ? 'passphrase for the new keys' : 'passphrase of the keys'
  const passphrase = await secretFrom({ what, variable: 'TUF_EDGE_PASSPHRASE', file })
  if (fresh && passphrase.length < PASSPHRASE_MIN)
    throw new CommandError(`A passphrase has at least ${PASSPHRASE_MIN} characters: four random words are good.`)
  const wasTyped = file === undefined && !process.env.TUF_EDGE_PASSPHRASE?.trim()
  if (fresh && wasTyped && (await typed('the same again: ')) !== passphrase)
    throw new CommandError('The two were not the same: nothing was made.')
  return passphrase
}

function introduce(url: string, folder: KeyFolder, { rootFile, sha256, token }: InitResult): void {
  const admin = token
    ? [
        `  The first admin token, shown this once; it is good for ${ADMIN_DAYS} days, and its first use ends the bootstrap secret:`,
        `  ${token}`,
      ]
    : ['  Its first admin token was minted before; nothing was minted now.']
  const lines = [
    '',
    `${bold('The index is initialised')}   ${url}/`,
    '',
    bold('Administer'),
    ...admin,
    '',
    bold('Publish this root, where people trust you: it is what every client starts from'),
    `  ${rootFile}`,
    `  sha256 ${sha256}`,
    '',
    bold('Next'),
    `  Copy ${folder.path} to a second place, offline: without these keys the index ends with its root, in a year.`,
    `  npx tuf-edge doctor ${url}`,
    '  export TUF_EDGE_TOKEN=THE-ADMIN-TOKEN',
    `  npx tuf-edge token create ci --scope upload --scope create --all-projects --days 90 --url ${url}`,
  ]
  say(lines.join('\n'))
}
