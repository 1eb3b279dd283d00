// `npm run deploy`: bucket, publisher, secrets, face, in this order, because a door must exist before what opens on it.
// Every step looks first and may be repeated: a run that broke off is finished by the same command.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { metadataKey } from '../tuf/layout.ts'
import { confirmed } from './caller.ts'
import { type Placement, s3EndpointOf, scriptName, writeConfig } from './deploy-config.ts'
import { fingerprintOf, type MadeSecret, SECRETS, type SecretName, secretsFor, variableOf } from './deploy-secrets.ts'
import { bold, CommandError, dim, note, red, say } from './terminal.ts'
import { runWrangler, type Wrangler, type WranglerResult } from './wrangler.ts'
import { refuseKeptByNpm, wrongWords } from './wrong-words.ts'

export const DEPLOY_HELP = `npm run deploy -- --domain HOST [--jurisdiction J | --location L] [--name NAME] [--direct-uploads]

Puts the index on Cloudflare, or a newer release of it: makes the bucket, deploys the publisher, makes its two secrets and
shows them once, deploys the face. Repeating it is safe; a secret that is set stays. Use the same words every time.

  --domain HOST           the index's host name, in a zone of your account
  --jurisdiction J        bucket and ledger never leave it (eu, fedramp); for ever
  --location L            bucket and ledger are made there if possible (weur, eeur, enam, wnam, apac, oc); for ever
  --name NAME             for a second index in one account (tuf-edge)
  --direct-uploads        \`uv publish --direct\` puts to the bucket itself, up to 1 GiB (docs/deploy.md)
  --face-first            the order to go back to an older release
  --new-bootstrap-secret  replace the bootstrap secret: it was lost before \`tuf-edge init\`, or no
                          admin token is left
  --no-input              ask nothing and show no secret: a missing one is taken from ${variableOf('WRAPPING_SECRET')}
                          or ${variableOf('BOOTSTRAP_SECRET')}, or the run is refused
  --dry-run               say every step, build both scripts, ask and change nothing

Examples
  npm run deploy -- --dry-run
  npm run deploy -- --domain pypi.example.org --jurisdiction eu
`

/** Worker and bucket names: R2 takes 3 to 63 characters, and `-publisher` makes a Worker name of at most 63. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{1,50}[a-z0-9])$/
const HOST = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/
const WORD = /^[a-z]{2,12}$/

export interface DeployOptions extends Placement {
  directUploads: boolean
  faceFirst: boolean
  newBootstrapSecret: boolean
  input: boolean
}

/** What a deployment needs of the world around it. */
/** What `npm run deploy` without `--` would lose; with --dry-run among it, that would be a deployment nobody asked for. */
const KEPT_BY_NPM = {
  ...{ domain: true, jurisdiction: true, name: true, location: true },
  ...{ 'direct-uploads': false, 'face-first': false, 'new-bootstrap-secret': false, 'dry-run': false },
}

export interface Surroundings {
  wrangler: Wrangler
  env: Readonly<Record<string, string | undefined>>
  /** Asks a person, after having shown `lines`; false: no, or nobody is there. */
  stored(lines: string[]): Promise<boolean>
}

export async function deployCommand(args: string[]): Promise<void> {
  refuseKeptByNpm('run deploy', args, KEPT_BY_NPM)
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const { values } = parseArgs({
    args,
    options: {
      domain: text,
      jurisdiction: text,
      location: text,
      name: text,
      'direct-uploads': flag,
      'face-first': flag,
      'new-bootstrap-secret': flag,
      'no-input': flag,
      'dry-run': flag,
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say(DEPLOY_HELP)
    return
  }
  const { name = 'tuf-edge', domain, jurisdiction, location } = values
  if (!NAME.test(name)) throw new CommandError(`--name wants small letters, digits and '-', not '${name}'.`, 2)
  if (domain !== undefined && !HOST.test(domain))
    throw new CommandError(`--domain wants a host name such as pypi.example.org, not '${domain}'.`, 2)
  for (const [option, word] of Object.entries({ jurisdiction, location }))
    if (word !== undefined && !WORD.test(word)) throw new CommandError(`--${option} wants a word, not '${word}'.`, 2)
  if (jurisdiction !== undefined && location !== undefined)
    throw new CommandError('A jurisdiction decides the location: give one of the two.', 2)
  const placement = {
    name,
    ...(domain && { domain }),
    ...(jurisdiction && { jurisdiction }),
    ...(location && { location }),
  }
  const directUploads = values['direct-uploads'] === true
  if (values['dry-run']) return dryRun({ ...placement, directUploads }, runWrangler)
  if (domain === undefined)
    throw new CommandError('The index needs an address: give --domain HOST, in a zone of your Cloudflare account.', 2)
  const input = !values['no-input'] && process.stdin.isTTY === true
  const options = {
    ...placement,
    directUploads,
    faceFirst: values['face-first'] === true,
    newBootstrapSecret: values['new-bootstrap-secret'] === true,
    input,
  }
  await deploy(options, {
    wrangler: runWrangler,
    env: process.env,
    async stored(lines) {
      say(lines.join('\n'))
      return confirmed('Have you stored it?')
    },
  })
}

/** What would be done, and both scripts built as they would be uploaded. Needs neither account nor network. */
export async function dryRun(options: Placement & { directUploads: boolean }, wrangler: Wrangler): Promise<void> {
  const placement = withS3(options, 'ACCOUNT')
  const { name, domain, jurisdiction, location } = placement
  const where = jurisdiction ? `, jurisdiction ${jurisdiction}` : location ? `, near ${location}` : ''
  say(bold('A deployment would'))
  say(`  1. look for a login: wrangler whoami`)
  say(`  2. make the bucket ${name}${where}, unless it exists`)
  say(`  3. deploy the publisher as ${scriptName(placement, 'publisher')}`)
  say(`  4. make ${SECRETS.join(' and ')}, unless they are set; show them once, and ask whether they are stored`)
  say(
    `  5. deploy the face as ${name}${domain ? `, on https://${domain}/` : ' (its host name is given with --domain)'}`,
  )
  for (const script of ['publisher', 'face'] as const) {
    say(`\n${bold(scriptName(placement, script))}`)
    const config = writeConfig(script, placement)
    const outdir = `dist/${script}`
    mustSucceed(
      await wrangler({ args: ['deploy', '--config', config, '--dry-run', '--outdir', outdir], shown: true }),
      `The ${script} could not be built.`,
    )
  }
}

/** Secrets that an operator makes in the dashboard, and sets himself. */
const S3_SECRETS = ['R2_ACCESS_KEY_ID', 'R2_SECRET_ACCESS_KEY']

function withS3<T extends Placement & { directUploads: boolean }>(options: T, account: string): T {
  if (!options.directUploads) return options
  return { ...options, s3Endpoint: s3EndpointOf(account, options.jurisdiction) }
}

export async function deploy(wanted: DeployOptions, around: Surroundings): Promise<void> {
  const account = await accountOf(around)
  const options = withS3(wanted, account)
  const env = { CLOUDFLARE_ACCOUNT_ID: account }
  const wrangler: Wrangler = (call) => around.wrangler({ ...call, env: { ...call.env, ...env } })

  // Everything is looked at before anything is changed.
  const bucket = await bucketExists(wrangler, options)
  const set = await secretsSet(wrangler, options)
  const missing = SECRETS.filter(
    (name) => !set.has(name) || (name === 'BOOTSTRAP_SECRET' && options.newBootstrapSecret),
  )
  if (!bucket && set.has('WRAPPING_SECRET'))
    throw new CommandError(
      `There is a publisher ${scriptName(options, 'publisher')} with its secret, but no such bucket ${options.name}: repeat the words of the first deployment (--name, --jurisdiction). If the bucket was lost, make an empty one with \`npx wrangler r2 bucket create\` and see docs/operations.md.`,
    )
  const secrets = secretsFor(missing, around.env)
  const invented = secrets.filter(({ fresh }) => fresh)
  if (bucket && invented.some(({ name }) => name === 'WRAPPING_SECRET') && (await holdsIndex(wrangler, options)))
    throw new CommandError(
      `The bucket holds an index, and its wrapping secret is not set: a new one could not open its keys. Put the stored one into ${variableOf('WRAPPING_SECRET')} and repeat the command.`,
    )
  if (invented.length > 0 && !options.input)
    throw new CommandError(
      `${invented.map(({ name }) => name).join(' and ')} must be made, and nobody is here to store what is shown once: run this in a terminal, or give ${invented.map(({ name }) => variableOf(name)).join(' and ')} in the environment.`,
    )

  if (!bucket) await makeBucket(wrangler, options)
  const publish = async (script: 'publisher' | 'face') => {
    note(bold(`deploying ${scriptName(options, script)} …`, process.stderr))
    const args = ['deploy', '--config', writeConfig(script, options), '--message', `tuf-edge ${release()}`]
    const result = await wrangler({ args, shown: true })
    mustSucceed(result, `${scriptName(options, script)} was not deployed: repeat the command when the cause is gone.`)
  }
  if (options.faceFirst) await publish('face')
  await publish('publisher')
  if (secrets.length > 0) await putSecrets(wrangler, options, around, secrets, invented)
  if (!options.faceFirst) await publish('face')
  say(nextSteps(options.domain ?? 'HOST', set.has('BOOTSTRAP_SECRET')))
  const left = options.directUploads ? S3_SECRETS.filter((secret) => !set.has(secret)) : []
  if (left.length > 0)
    say(
      [
        `\n${bold('Direct uploads are refused until these are set')}, from an R2 API token for the bucket ${options.name}:`,
        ...left.map((secret) => `  npx wrangler secret put ${secret} --name ${scriptName(options, 'publisher')}`),
      ].join('\n'),
    )
}

/** The account that everything goes to. @throws CommandError that says what to type */
async function accountOf({ wrangler, env }: Surroundings): Promise<string> {
  const who = await wrangler({ args: ['whoami', '--json'] })
  let answer: { loggedIn?: boolean; accounts?: { id: string; name: string }[] } = {}
  try {
    answer = JSON.parse(who.stdout.slice(who.stdout.indexOf('{')))
  } catch {
    mustSucceed({ ...who, code: 1 }, 'wrangler could not say who is logged in.')
  }
  if (!answer.loggedIn)
    throw new CommandError(
      'Nobody is logged in to Cloudflare: type `npx wrangler login`, or set CLOUDFLARE_API_TOKEN, and repeat the command.',
    )
  const chosen = env.CLOUDFLARE_ACCOUNT_ID
  if (chosen) return chosen
  const [only, ...more] = answer.accounts ?? []
  if (!only)
    throw new CommandError('This login has no account: set CLOUDFLARE_ACCOUNT_ID to the one that shall hold the index.')
  if (more.length > 0)
    throw new CommandError(
      `This login has several accounts: set CLOUDFLARE_ACCOUNT_ID to one of ${[only, ...more].map(({ id, name }) => `${id} (${name})`).join(', ')}.`,
    )
  return only.id
}

const inJurisdiction = ({ jurisdiction }: Placement): string[] => (jurisdiction ? ['--jurisdiction', jurisdiction] : [])

async function bucketExists(wrangler: Wrangler, placement: Placement): Promise<boolean> {
  const args = ['r2', 'bucket', 'info', placement.name, '--json', ...inJurisdiction(placement)]
  return found(await wrangler({ args }), /code: 10006\b/, 'wrangler could not look for the bucket.')
}

/** Names alone: a value cannot be read back. A publisher that does not exist has none. */
async function secretsSet(wrangler: Wrangler, placement: Placement): Promise<Set<string>> {
  const args = ['secret', 'list', '--name', scriptName(placement, 'publisher'), '--format', 'json']
  const result = await wrangler({ args })
  const absent = /code: 10007\b|Worker "[^"]+" not found/
  if (!found(result, absent, 'wrangler could not list the secrets of the publisher.')) return new Set()
  try {
    const list = JSON.parse(result.stdout.slice(result.stdout.indexOf('['))) as { name: string }[]
    return new Set(list.map(({ name }) => name))
  } catch {
    throw new CommandError(
      'wrangler listed the secrets of the publisher in a form that cannot be read: nothing was changed.',
    )
  }
}

/** Whether a ceremony was held over this bucket: its root stays for ever. */
async function holdsIndex(wrangler: Wrangler, placement: Placement): Promise<boolean> {
  const key = metadataKey({ repository: 'main', epoch: 1 }, 1, 'root')
  const args = ['r2', 'object', 'get', `${placement.name}/${key}`, '--remote', '--pipe', ...inJurisdiction(placement)]
  return found(await wrangler({ args }), /key does not exist/, 'wrangler could not look into the bucket.')
}

async function makeBucket(wrangler: Wrangler, placement: Placement): Promise<void> {
  note(bold(`making the bucket ${placement.name} …`, process.stderr))
  const near = placement.location ? ['--location', placement.location] : []
  const args = ['r2', 'bucket', 'create', placement.name, ...inJurisdiction(placement), ...near]
  mustSucceed(
    await wrangler({ args }),
    `The bucket ${placement.name} could not be made: is R2 switched on for this account?`,
  )
}

/** Shown and stored first, set after: a secret that is in use was in somebody's hands before. */
async function putSecrets(
  wrangler: Wrangler,
  placement: Placement,
  around: Surroundings,
  secrets: MadeSecret[],
  invented: MadeSecret[],
): Promise<void> {
  if (invented.length > 0 && !(await around.stored(introduction(placement, invented))))
    throw new CommandError(
      'No secret was set. Throw away what was shown, and repeat the command when you can store it.',
    )
  const input = JSON.stringify(Object.fromEntries(secrets.map(({ name, value }) => [name, value])))
  const args = ['secret', 'bulk', '--name', scriptName(placement, 'publisher')]
  mustSucceed(
    await wrangler({ args, input }),
    'It is not certain that the secrets were set: keep them, and repeat the command. If it shows new ones, those replace them.',
  )
}

function introduction(placement: Placement, secrets: MadeSecret[]): string[] {
  const uses: Record<SecretName, string> = {
    WRAPPING_SECRET:
      'opens the online keys in the ledger. Cannot be read back; without it the index must be set up anew.',
    BOOTSTRAP_SECRET: 'allows `tuf-edge init`, and the repair of an index that lost its ledger or bucket.',
  }
  return [
    '',
    bold(`Secrets of ${scriptName(placement, 'publisher')}: store them now, in a password manager or a safe.`),
    dim('They are shown this once.'),
    ...secrets.flatMap(({ name, value }) => [
      '',
      `  ${name}  ${dim(`fingerprint ${fingerprintOf(value)}`)}`,
      `  ${value}`,
      `  ${uses[name]}`,
    ]),
    '',
  ]
}

function nextSteps(domain: string, again: boolean): string {
  const url = `https://${domain}`
  if (again) return `\n${bold('Deployed.')} Look at it: npx tuf-edge doctor ${url}`
  return [
    '',
    `${bold('Deployed.')} It answers 503 until its keys are signed:`,
    `  npx tuf-edge init ${url}     makes your offline keys and holds the ceremony; asks for the bootstrap secret`,
    `  npx tuf-edge doctor ${url}   asks as pip and TUF clients would, and says what is in their way`,
  ].join('\n')
}

/** True: it is there; false: it is not, which `absent` recognises. @throws CommandError for everything else */
function found(result: WranglerResult, absent: RegExp, sentence: string): boolean {
  if (result.code === 0) return true
  if (absent.test(result.stderr + result.stdout)) return false
  mustSucceed(result, `${sentence} Nothing was changed.`)
  return false
}

function mustSucceed({ code, stderr, stdout }: WranglerResult, sentence: string): void {
  if (code === 0) return
  const said = (stderr || stdout).trim()
  if (said) note(said)
  throw new CommandError(sentence)
}

const release = (): string =>
  (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version

if (process.argv[1] === fileURLToPath(import.meta.url))
  await deployCommand(process.argv.slice(2)).catch((error: unknown) => {
    const told = wrongWords(error, 'npm run deploy -- --help') ?? error
    if (!(told instanceof CommandError)) throw error
    note(`${red('deploy:', process.stderr)} ${told.message}`)
    process.exitCode = told.exitCode
  })
