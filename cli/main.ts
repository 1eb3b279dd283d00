// The `tuf-edge` command: one word chooses the file that does it.
import { readFileSync } from 'node:fs'
import { TufError } from '../tuf/errors.ts'
import { ApiError } from './api.ts'
import { AUDIT_HELP, auditCommand } from './audit.ts'
import { DEMO_HELP, demo } from './demo.ts'
import { DOCTOR_HELP, doctorCommand } from './doctor.ts'
import { EXPORT_HELP, exportCommand } from './export.ts'
import { FETCH_HELP, fetchCommand } from './fetch.ts'
import { IMPORT_HELP, importCommand } from './import.ts'
import { INIT_HELP, initCommand } from './init.ts'
import { changeCommand, PROJECTS_HELP, projectCommand } from './projects.ts'
import { PUBLISHER_HELP, publisherCommand } from './publisher.ts'
import { REBUILD_HELP, rebuildCommand } from './rebuild.ts'
import { RESUME_HELP, resumeCommand } from './resume.ts'
import { SERVE_HELP, serve } from './serve.ts'
import { STATUS_HELP, statusCommand } from './status.ts'
import { CommandError, note, red, say } from './terminal.ts'
import { TOKEN_HELP, tokenCommand } from './token.ts'
import { UPLOAD_HELP, uploadCommand } from './upload-command.ts'

const COMMANDS: Record<string, (args: string[]) => Promise<void>> = {
  serve,
  demo,
  fetch: fetchCommand,
  init: initCommand,
  doctor: doctorCommand,
  status: statusCommand,
  token: tokenCommand,
  publisher: publisherCommand,
  yank: changeCommand('yank'),
  unyank: changeCommand('unyank'),
  delete: changeCommand('delete'),
  purge: changeCommand('purge'),
  project: projectCommand,
  audit: auditCommand,
  export: exportCommand,
  import: importCommand,
  upload: uploadCommand,
  resume: resumeCommand,
  rebuild: rebuildCommand,
}

const HELP = `tuf-edge: a Python package index whose every answer can be verified

${SERVE_HELP}
${FETCH_HELP}
${DEMO_HELP}
${INIT_HELP}
${DOCTOR_HELP}
${STATUS_HELP}
${TOKEN_HELP}
${PUBLISHER_HELP}
${PROJECTS_HELP}
${AUDIT_HELP}
${EXPORT_HELP}
${IMPORT_HELP}
${UPLOAD_HELP}
${RESUME_HELP}
${REBUILD_HELP}`

async function main([command, ...args]: string[]): Promise<void> {
  if (command === undefined || command === 'help' || command === '--help' || command === '-h') {
    say(HELP)
    return
  }
  if (command === 'version' || command === '--version' || command === '-V') {
    const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
    say(`tuf-edge ${(JSON.parse(text) as { version: string }).version}`)
    return
  }
  const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined
  if (!run) throw new CommandError(`There is no command '${command}': \`tuf-edge help\` lists them.`, 2)
  await run(args)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const wrongWords = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  const expected = error instanceof CommandError || error instanceof ApiError || error instanceof TufError || wrongWords
  const message = error instanceof Error ? error.message : String(error)
  const command = process.argv[2] ?? 'help'
  const pointer = wrongWords ? ` \`tuf-edge ${command} --help\` lists the options.` : ''
  note(`${red('tuf-edge:', process.stderr)} ${message}${pointer}`)
  if (!expected && error instanceof Error) note(error.stack ?? '')
  process.exitCode = error instanceof CommandError ? error.exitCode : wrongWords ? 2 : 1
}
