// `tuf-edge release`: an adopted repository goes back to keys of its owner's. Two commands, as its adoption: the first reads
// the repository from the service and writes the next two roots for the owner to sign, the second hands those over. After
// the second root is public nothing is signed at the service any more.

import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { formatDate } from '../tuf/dates.ts'
import { TufError } from '../tuf/errors.ts'
import { parseJson } from '../tuf/json.ts'
import { type Key, parseKey } from '../tuf/keys.ts'
import { parseRoot } from '../tuf/metadata.ts'
import { DAY_MS, daysOf, mustBeName } from './adopt.ts'
import { mustBeRoot, walkRepository } from './adopt-source.ts'
import { callApi, toBase64 } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl } from './caller.ts'
import type { Pushed } from './hand-over.ts'
import { HandoverFolder, keysOf } from './handover-folder.ts'
import { keyOf } from './pem-keys.ts'
import { Progress } from './progress.ts'
import { bold, CommandError, note, say, typedHere } from './terminal.ts'
import { readRoot } from './trusted-root.ts'

export const RELEASE_HELP = `tuf-edge release --root FILE --name NAME --snapshot-key FILE --timestamp-key FILE [--days N]
tuf-edge release --finish --name NAME

Hands an adopted repository back: its snapshots and timestamps are signed by keys of yours again (docs/adopting.md). The
first command verifies what the service has and writes the next two roots for you to sign; the second hands them over, with
a token of the scope admin. Once the second root is public, an hour later, nothing is signed at the service any more.

  --root FILE          the root that its clients trust
  --name NAME          the repository, as it was adopted
  --snapshot-key FILE  the public key that signs snapshots from now on: PEM, or a key as metadata lists it (JSON)
  --timestamp-key FILE the same for timestamps
  --days N             the two roots expire in N days (as the present one does)
  --finish             the two roots are signed: hand them over
  --folder DIR         what is kept between the two commands (release-NAME)
${CALLER_HELP}

Examples
  tuf-edge release --root root.json --name tools --snapshot-key online.pub --timestamp-key online.pub
  tuf-edge sign release-tools/7.root.json release-tools/8.root.json --key root-key.pem
  tuf-edge release --finish --name tools
`

const OPTIONS = {
  ...CALLER_OPTIONS,
  root: { type: 'string' },
  name: { type: 'string' },
  'snapshot-key': { type: 'string' },
  'timestamp-key': { type: 'string' },
  days: { type: 'string' },
  finish: { type: 'boolean' },
  folder: { type: 'string' },
} as const
type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

const FIRST_ONLY = ['root', 'snapshot-key', 'timestamp-key', 'days'] as const

export async function releaseCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: OPTIONS })
  if (values.help) {
    say(RELEASE_HELP)
    return
  }
  const name = mustBeName(values.name, 'release')
  const folder = new HandoverFolder(values.folder ?? `release-${name}`)
  const service = new URL(parseUrl(values.url)).origin
  if (!values.finish) return begin(folder, name, service, values)
  for (const option of FIRST_ONLY)
    if (values[option] !== undefined) throw new CommandError(`release with --finish does not take --${option}.`, 2)
  return finish(folder, name, service, values)
}

async function begin(folder: HandoverFolder, name: string, service: string, values: Values): Promise<void> {
  const { root: rootFile, 'snapshot-key': snapshot, 'timestamp-key': timestamp } = values
  if (rootFile === undefined || snapshot === undefined || timestamp === undefined)
    throw new CommandError('release wants --root, --snapshot-key and --timestamp-key, or --finish.', 2)
  const days = daysOf(values.days)
  const keys = { snapshot: publicKey(snapshot), timestamp: publicKey(timestamp) }
  const trusted = readRoot(rootFile)
  await mustBeRoot(trusted, rootFile)
  const source = `${service}/r/${name}/tuf/`
  const { root, served } = await walkRepository(source, {
    folder: folder.path,
    trusted,
    stale: false,
    progress: new Progress(),
  })
  await folder.begin({ name, service, source, keys, root: root.signed.version }, trusted)
  const expires = days === undefined ? undefined : formatDate(Date.now() + days * DAY_MS)
  const files = (await folder.writeNext(root.signed, keys, expires)).map(({ file }) => file)
  if (values.json) {
    say(JSON.stringify({ name, root: root.signed.version, ...served, sign: files }, undefined, 2))
    return
  }
  const { keyids, threshold } = root.signed.roles.root
  say(
    [
      `${bold('Verified')}   root ${root.signed.version}, timestamp ${served.timestamp}, snapshot ${served.snapshot}`,
      '',
      bold(`To be signed by ${threshold} of the ${keyids.length} root keys, both files`),
      ...files.map((file) => `  ${file}`),
      `  ${typedHere()} sign ${files.join(' ')} --key KEY.pem`,
      '',
      bold('Then'),
      `  ${typedHere()} release --finish --name ${name}`,
    ].join('\n'),
  )
}

async function finish(folder: HandoverFolder, name: string, service: string, values: Values): Promise<void> {
  const handover = folder.read()
  const trusted = folder.trustedRoot
  if (!handover || !trusted || handover.name !== name)
    throw new CommandError(`${folder.path} holds no release of ${name}: begin without --finish.`)
  if (handover.service !== service)
    throw new CommandError(`${folder.path} is the release of ${name} at ${handover.service}: say so with --url.`, 2)
  const token = mustHaveToken(values['token-file'])
  const { roots, served } = await walkRepository(handover.source, {
    folder: folder.path,
    trusted,
    stale: false,
    progress: new Progress(),
  })
  const base = roots.get(handover.root)
  if (!base) throw new CommandError(`The service does not serve root ${handover.root}. Nothing was changed.`)
  const next = await folder.signedNext(parseRoot(base), keysOf(handover))
  const files = next.map(({ bytes }) => ({ role: 'root', bytes: toBase64(bytes) }))
  const answer = await callApi<Pushed>(`${service}/r/${name}`, 'POST', '/api/release', { token, body: { files } })
  if (values.json) {
    say(JSON.stringify({ ...answer, ...served }, undefined, 2))
    return
  }
  for (const warning of answer.warnings) note(warning)
  const last = answer.held.at(-1)
  say(
    [
      `${bold(`${name} goes back`)}   root ${handover.root + 1} is public, ${last ? `root ${last.root} goes out at ${formatDate(last.notBefore)}` : `root ${handover.root + 2} is accepted`}`,
      '',
      bold('Next'),
      '  1. Before then, sign a snapshot and a timestamp with your own keys, well above the versions served here, now',
      `     timestamp ${served.timestamp} and snapshot ${served.snapshot}: they go on until then, and a client takes no lower one.`,
      '  2. Serve them where clients are to look, with every root, these two included, and point clients there.',
      '  3. Then nothing is signed here any more: whoever still comes here stays with what it has, and says so.',
    ].join('\n'),
  )
}

/** PEM of any kind that TUF knows, or the key object of metadata. */
function publicKey(file: string): Key {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new CommandError(`The key ${file} cannot be read.`)
  }
  try {
    // A key object holds a PEM too, inside.
    return text.trimStart().startsWith('{')
      ? parseKey(parseJson(Buffer.from(text)), { strict: true })
      : fromPem(text, file)
  } catch (error) {
    if (error instanceof CommandError) throw error
    const why = error instanceof TufError ? error.message : 'it cannot be read as PEM.'
    throw new CommandError(`${file} is no public key of TUF: ${why}`)
  }
}

function fromPem(pem: string, file: string): Key {
  if (pem.includes('PRIVATE')) throw new CommandError(`${file} holds a private key: give the public one.`)
  return keyOf(createPublicKey(pem), file)
}
