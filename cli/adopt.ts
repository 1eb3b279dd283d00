// `tuf-edge adopt`: a repository that others sign gets its snapshots and timestamps from here. Two commands, because between
// them a person signs: the first reads and verifies the whole repository and writes the next two roots, the second hands
// everything over. Either may be repeated; a failure of either changes nothing at the service.
import { parseArgs } from 'node:util'
import { formatDate } from '../tuf/dates.ts'
import type { NewKeys } from '../tuf/next-roots.ts'
import { mustPass } from './adopt-check.ts'
import { finishAdoption, introduceAdopted, showToken } from './adopt-finish.ts'
import { mustBeRoot, type Repository, sourceUrl, walkRepository } from './adopt-source.ts'
import { ApiError, callApi } from './api.ts'
import { DEFAULT_URL } from './caller.ts'
import { type OnlineKeys, provenKeys } from './ceremony.ts'
import { type Handover, HandoverFolder, keysOf, type NextRoot } from './handover-folder.ts'
import { parseDeployment } from './init.ts'
import { Progress } from './progress.ts'
import { secretFrom } from './secret-input.ts'
import { bold, CommandError, say, typedHere } from './terminal.ts'
import { readRoot } from './trusted-root.ts'

export const ADOPT_HELP = `tuf-edge adopt SOURCE --root FILE --name NAME [--service URL] [--days N] [--stale]
tuf-edge adopt --finish --name NAME [--targets URL]

Takes over the snapshots and timestamps of a TUF repository that is signed elsewhere (docs/adopting.md). SOURCE is its
metadata URL or a folder of its metadata. The first command verifies all of it as a client would and writes the next two
roots for the owner to sign; the second hands it over. It asks for the bootstrap secret that \`npm run deploy\` showed.

  --root FILE        the root that the repository's clients trust
  --name NAME        what it is called here: it lies under /r/NAME/
  --service URL      the deployment (${DEFAULT_URL})
  --days N           the two roots expire in N days (as the present one does)
  --stale            its timestamp and snapshot may have expired: nobody signs them any more
  --finish           the two roots are signed: hand everything over
  --targets URL      where target files are fetched, by the path in the metadata; ends in a slash
  --freshness NAME   standard, tight or lean; can be changed later (standard)
  --folder DIR       what is kept between the two commands (adopt-NAME)
  --secret-file FILE file with the bootstrap secret; else TUF_EDGE_BOOTSTRAP_SECRET, a pipe, or you are asked
  --json             the result as JSON

Examples
  tuf-edge adopt https://tuf.example.org/metadata/ --root root.json --name tools --service https://pypi.example.org
  tuf-edge sign adopt-tools/5.root.json adopt-tools/6.root.json --key root-key.pem
  tuf-edge adopt --finish --name tools --targets https://tuf.example.org/targets/
`

const NAME = /^[a-z][a-z0-9-]{0,39}$/
export const DAY_MS = 86_400_000
const OPTIONS = {
  root: { type: 'string' },
  name: { type: 'string' },
  service: { type: 'string' },
  days: { type: 'string' },
  stale: { type: 'boolean' },
  finish: { type: 'boolean' },
  targets: { type: 'string' },
  freshness: { type: 'string' },
  folder: { type: 'string' },
  'secret-file': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const
type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

/** Options that only one of the two commands takes. */
const FIRST_ONLY = ['root', 'service', 'days'] as const
const FINISH_ONLY = ['targets', 'freshness'] as const

export async function adoptCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: OPTIONS })
  if (values.help) {
    say(ADOPT_HELP)
    return
  }
  const { finish = false } = values
  const name = mustBeName(values.name, 'adopt')
  for (const option of finish ? FIRST_ONLY : FINISH_ONLY)
    if (values[option] !== undefined)
      throw new CommandError(`adopt ${finish ? 'with' : 'without'} --finish does not take --${option}.`, 2)
  const folder = new HandoverFolder(values.folder ?? `adopt-${name}`)
  if (finish) {
    if (positionals.length > 0) throw new CommandError('adopt --finish knows its source: leave it out.', 2)
    await finishCommand(folder, name, values)
    return
  }
  const [source, ...more] = positionals
  if (source === undefined || more.length > 0) throw new CommandError('adopt wants one metadata URL or folder.', 2)
  if (values.root === undefined) throw new CommandError('adopt wants --root, the root that its clients trust.', 2)
  const trusted = readRoot(values.root)
  await mustBeRoot(trusted, values.root)
  const service = parseDeployment(values.service ?? DEFAULT_URL, 'adopt')
  const asked = { name, service, source: sourceUrl(source), days: daysOf(values.days), stale: values.stale ?? false }
  const bootstrapSecret = await askBootstrap(values['secret-file'])
  const begun = await beginAdoption(folder, trusted, { ...asked, bootstrapSecret })
  if (values.json) say(JSON.stringify(reportOf(begun), undefined, 2))
  else introduceNext(begun, name)
}

/** @param who wants it, for the refusal. @throws CommandError */
export function mustBeName(name: string | undefined, who: string): string {
  if (name !== undefined && NAME.test(name) && name !== 'main') return name
  throw new CommandError(`${who} wants --name: lower-case letters, digits and hyphens, beginning with a letter.`, 2)
}

const askBootstrap = (file: string | undefined): Promise<string> =>
  secretFrom({ what: 'bootstrap secret', variable: 'TUF_EDGE_BOOTSTRAP_SECRET', file, piped: true })

export interface AdoptInput {
  name: string
  service: string
  source: string
  /** Undefined: the roots expire as the present one does. */
  days: number | undefined
  stale: boolean
  bootstrapSecret: string
}

export interface Begun {
  adoption: Handover
  repository: Repository
  keys: NewKeys
  next: [NextRoot, NextRoot]
}

/** Verifies, and writes the two roots. @throws CommandError, ApiError */
export async function beginAdoption(folder: HandoverFolder, trusted: Uint8Array, input: AdoptInput): Promise<Begun> {
  const { name, service, source, days, stale, bootstrapSecret } = input
  const before = folder.read()
  const progress = new Progress()
  const repository = await walkRepository(source, { folder: folder.path, trusted, stale, progress })
  const { root, roots } = repository
  if (days === undefined && root.signed.expiresMs <= Date.now())
    throw new CommandError(
      `The root expired at ${root.signed.expires}: say with --days how long the next two are good.`,
    )
  if (before) mustNotNameKeys(before, repository)
  await mustPass(repository, roots, undefined)
  const keys = await serviceKeys(service, name, bootstrapSecret)
  const adoption = await folder.begin({ name, service, source, keys, root: root.signed.version }, trusted)
  const expires = days === undefined ? undefined : formatDate(Date.now() + days * DAY_MS)
  return { adoption, repository, keys, next: await folder.writeNext(root.signed, keys, expires) }
}

/** Between the two commands the owner may have published the first root at the old place; it is followed by the second. */
function mustNotNameKeys(before: Handover, { root }: Repository): void {
  const { snapshot, timestamp } = keysOf(before)
  const { roles, version } = root.signed
  const named = roles.snapshot.keyids.includes(snapshot.keyid) && roles.timestamp.keyids.includes(timestamp.keyid)
  if (version > before.root && named)
    throw new CommandError(
      `Root ${version} of the repository names the service’s keys already: go on with \`tuf-edge adopt --finish --name ${before.name}\`.`,
    )
}

async function serviceKeys(service: string, name: string, token: string): Promise<NewKeys> {
  try {
    const body = { adopted: true }
    const online = await callApi<OnlineKeys>(`${service}/r/${name}`, 'POST', '/api/ceremony/keys', { token, body })
    const { snapshot, timestamp } = await provenKeys(online)
    if (!snapshot || !timestamp) throw new CommandError('The service did not name its keys of snapshot and timestamp.')
    return { snapshot, timestamp }
  } catch (error) {
    if (error instanceof ApiError && error.status === 401)
      throw new CommandError('The service does not know this bootstrap secret: look where you stored it.')
    if (error instanceof ApiError && error.status === 409)
      throw new CommandError(`There is a repository ${name} at ${service} already: choose another --name.`)
    throw error
  }
}

async function finishCommand(folder: HandoverFolder, name: string, values: Values): Promise<void> {
  const adoption = folder.read()
  if (!adoption || adoption.name !== name)
    throw new CommandError(`${folder.path} holds no adoption of ${name}: begin with \`tuf-edge adopt SOURCE\`.`)
  const result = await finishAdoption(folder, adoption, {
    stale: values.stale ?? false,
    freshness: values.freshness ?? 'standard',
    targets: values.targets,
    bootstrapSecret: await askBootstrap(values['secret-file']),
    onToken: (token) => {
      if (!values.json) showToken(token)
    },
  })
  if (values.json) say(JSON.stringify(result, undefined, 2))
  else introduceAdopted(adoption, result)
  if (result.problem !== null) throw new CommandError(result.problem)
}

export function daysOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const days = Number(text)
  if (!Number.isInteger(days) || days < 1 || days > 3_650)
    throw new CommandError('--days wants a whole number of days, at most 3650.', 2)
  return days
}

const reportOf = ({ adoption, repository, keys, next }: Begun) => ({
  name: adoption.name,
  root: adoption.root,
  roles: repository.roles.size,
  ...repository.served,
  consistentSnapshot: repository.root.signed.consistentSnapshot,
  keys: { snapshot: keys.snapshot.keyid, timestamp: keys.timestamp.keyid },
  sign: next.map(({ file }) => file),
})

function introduceNext({ adoption, repository, next }: Begun, name: string): void {
  const { roles, served, root } = repository
  const { keyids, threshold } = root.signed.roles.root
  const files = next.map(({ file }) => file)
  say(
    [
      `${bold('Verified')}   root ${root.signed.version}, timestamp ${served.timestamp}, snapshot ${served.snapshot}, ${roles.size} signed roles`,
      '',
      bold(`To be signed by ${threshold} of the ${keyids.length} root keys, both files`),
      ...files.map((file) => `  ${file}   expires ${next[0].envelope.signed.expires}`),
      '  The first names the present keys of snapshot and timestamp and the service’s, the second the service’s alone;',
      '  everything else is as it was. Sign with the tool you have, or with a key in PEM:',
      `  ${typedHere()} sign ${files.join(' ')} --key KEY.pem`,
      '',
      bold('Then'),
      `  ${typedHere()} adopt --finish --name ${name} --targets URL-OF-THE-TARGETS/`,
      `  (${adoption.source} and its signer go on as they are meanwhile)`,
    ].join('\n'),
  )
}
