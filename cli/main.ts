// The `tuf-edge` command: one word chooses the file that does it. What goes wrong anywhere below is told here: a condition
// that somebody can change in one sentence, a fault of ours with its stack.
import { readFileSync } from 'node:fs'
import { DownloadError, TufError } from '../tuf/errors.ts'
import { ADOPT_HELP, adoptCommand } from './adopt.ts'
import { ApiError } from './api.ts'
import { ATTESTATIONS_HELP, attestationsCommand } from './attestations.ts'
import { AUDIT_HELP, auditCommand } from './audit.ts'
import { nobodyThere } from './caller.ts'
import { DEMO_HELP, demo } from './demo.ts'
import { DOCTOR_HELP, doctorCommand } from './doctor.ts'
import { EXPORT_HELP, exportCommand } from './export.ts'
import { FETCH_HELP, fetchCommand } from './fetch.ts'
import { IMPORT_HELP, importCommand } from './import.ts'
import { INIT_HELP, initCommand } from './init.ts'
import { changeCommand, PROJECTS_HELP, projectCommand } from './projects.ts'
import { PUBLISHER_HELP, publisherCommand } from './publisher.ts'
import { PUSH_HELP, pushCommand } from './push.ts'
import { QUOTA_HELP, quotaCommand } from './quota.ts'
import { REBUILD_HELP, rebuildCommand } from './rebuild.ts'
import { RELEASE_HELP, releaseCommand } from './release.ts'
import { RENEW_HELP, renewCommand } from './renew.ts'
import { RESUME_HELP, resumeCommand } from './resume.ts'
import { SERVE_HELP, serve } from './serve.ts'
import { SETTINGS_HELP, settingsCommand } from './settings.ts'
import { SIGN_HELP, signCommand } from './sign.ts'
import { STATUS_HELP, statusCommand } from './status.ts'
import { CommandError, note, red, say } from './terminal.ts'
import { TOKEN_HELP, tokenCommand } from './token.ts'
import { UPLOAD_HELP, uploadCommand } from './upload-command.ts'
import { wrongWords } from './wrong-words.ts'

interface Command {
  run(args: string[]): Promise<void>
  help: string
  /** What it does, in the list of all. */
  does: string
}

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: { run: serve, help: SERVE_HELP, does: 'runs the whole index on this machine (npm start)' },
  demo: { run: demo, help: DEMO_HELP, does: 'publishes, installs, verifies and attacks an index of its own' },
  fetch: { run: fetchCommand, help: FETCH_HELP, does: 'downloads a release, verified from the trusted root on' },
  upload: { run: uploadCommand, help: UPLOAD_HELP, does: 'uploads wheels and sdists' },
  status: { run: statusCommand, help: STATUS_HELP, does: 'shows whether an index publishes, and what waits' },
  token: { run: tokenCommand, help: TOKEN_HELP, does: 'makes, lists and ends tokens' },
  publisher: { run: publisherCommand, help: PUBLISHER_HELP, does: 'lets a CI workflow upload without a stored token' },
  attestations: {
    run: attestationsCommand,
    help: ATTESTATIONS_HELP,
    does: 'says whom attestations of uploads are trusted by',
  },
  yank: { run: changeCommand('yank'), help: PROJECTS_HELP, does: 'takes a release out of what installers choose' },
  unyank: { run: changeCommand('unyank'), help: PROJECTS_HELP, does: 'puts it back' },
  delete: {
    run: changeCommand('delete'),
    help: PROJECTS_HELP,
    does: 'takes a file, a release or a project off the index',
  },
  purge: { run: changeCommand('purge'), help: PROJECTS_HELP, does: 'deletes, and erases the bytes' },
  project: {
    run: projectCommand,
    help: PROJECTS_HELP,
    does: 'says that a project is deprecated, archived, quarantined',
  },
  quota: { run: quotaCommand, help: QUOTA_HELP, does: 'shows and sets what the index or a project may hold' },
  settings: {
    run: settingsCommand,
    help: SETTINGS_HELP,
    does: 'freshness, private reading, the webhook',
  },
  init: { run: initCommand, help: INIT_HELP, does: 'makes the offline keys of a deployed index, holds its ceremony' },
  doctor: {
    run: doctorCommand,
    help: DOCTOR_HELP,
    does: 'asks an index as its clients do, and says what is in their way',
  },
  audit: { run: auditCommand, help: AUDIT_HELP, does: 'verifies everything that an index serves' },
  export: {
    run: exportCommand,
    help: EXPORT_HELP,
    does: 'copies an index into a folder that any web server can serve',
  },
  import: { run: importCommand, help: IMPORT_HELP, does: 'brings in files from a folder or another index' },
  renew: { run: renewCommand, help: RENEW_HELP, does: 'signs root, targets and bins for another year' },
  resume: { run: resumeCommand, help: RESUME_HELP, does: 'ends a halt whose cause is gone' },
  rebuild: {
    run: rebuildCommand,
    help: REBUILD_HELP,
    does: 'puts metadata and pages back into a bucket that lost them',
  },
  adopt: {
    run: adoptCommand,
    help: ADOPT_HELP,
    does: 'takes over the freshness of a repository that is signed elsewhere',
  },
  sign: { run: signCommand, help: SIGN_HELP, does: 'adds a signature to roots' },
  release: { run: releaseCommand, help: RELEASE_HELP, does: 'hands such a repository back to keys of its owner' },
  push: { run: pushCommand, help: PUSH_HELP, does: 'hands over new metadata of a repository that is signed elsewhere' },
}

const HELP = `tuf-edge: a Python package index whose every answer can be verified

${Object.entries(COMMANDS)
  .map(([name, { does }]) => `  ${name.padEnd(12)} ${does}`)
  .join('\n')}

\`tuf-edge help NAME\`, or \`tuf-edge NAME --help\`, shows one in full.`

const HELP_WORDS: readonly (string | undefined)[] = [undefined, 'help', '--help', '-h']

async function main([word, ...args]: string[]): Promise<void> {
  if (HELP_WORDS.includes(word)) {
    say(args[0] === undefined ? HELP : commandOf(args[0]).help)
    return
  }
  if (word === 'version' || word === '--version' || word === '-V') {
    const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
    say(`tuf-edge ${(JSON.parse(text) as { version: string }).version}`)
    return
  }
  await commandOf(word!).run(args)
}

function commandOf(word: string): Command {
  const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
  if (!command) throw new CommandError(`There is no command '${word}': \`tuf-edge help\` lists them.`, 2)
  return command
}

/** Of a condition outside of this program; undefined: it is a fault of ours. */
function sentenceOf(error: unknown, word: string): string | undefined {
  if (error instanceof CommandError) return error.message
  const silent = error instanceof ApiError ? error.status === 0 : error instanceof DownloadError && !error.status
  if (error instanceof ApiError || error instanceof TufError) {
    const named = error instanceof ApiError && COMMANDS[word]?.help.includes('--url URL')
    return silent ? `${error.message} ${nobodyThere(named ? '--url' : 'that')}` : error.message
  }
  // The system's own (a full disk, a folder that may not be written), which names the path.
  if (error instanceof Error && 'syscall' in error) return error.message
  return undefined
}

try {
  await main(process.argv.slice(2))
} catch (caught) {
  const word = process.argv[2] ?? 'help'
  const error = wrongWords(caught, `tuf-edge ${word} --help`) ?? caught
  const sentence = sentenceOf(error, word)
  note(`${red('tuf-edge:', process.stderr)} ${sentence ?? (error instanceof Error ? error.message : String(error))}`)
  if (sentence === undefined && error instanceof Error) note(error.stack ?? '')
  process.exitCode = error instanceof CommandError ? error.exitCode : 1
}
