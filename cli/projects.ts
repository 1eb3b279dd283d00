// `tuf-edge yank`, `unyank`, `delete`, `purge` and `project status`: what an operator does to what is there, by the public
// API. What cannot be undone is asked for again, and without a terminal takes --yes.
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, confirmed, mustHaveToken, parseUrl } from './caller.ts'
import { CommandError, say } from './terminal.ts'

export const PROJECTS_HELP = `tuf-edge yank|unyank PROJECT (--file NAME | --version VERSION) [--reason TEXT]
tuf-edge delete PROJECT [--file NAME | --version VERSION] [--reason TEXT] [--yes]
tuf-edge purge PROJECT [--file NAME | --version VERSION] --reason TEXT [--yes]
tuf-edge project status PROJECT active|deprecated|archived|quarantined [--reason TEXT]

A yanked file stays downloadable and is chosen by nobody who does not name its version. A deleted one is gone from the index
in one publication, and its name is never accepted again; a purge erases the bytes too, also of what was deleted before.
Takes a token of the scope yank, delete, or (purge, status) admin.

  --file NAME        one file
  --version VERSION  all files of a release; with neither, the whole project
  --reason TEXT      one line; shown on the page (yank, status) and in the journal
  --yes              does not ask
${CALLER_HELP}

Examples
  tuf-edge yank hello --version 1.0 --reason 'breaks on Windows'
  tuf-edge delete hello --file hello-1.0-py3-none-any.whl
  tuf-edge purge hello --version 1.1 --reason 'a password in it'
  tuf-edge project status hello archived --reason 'use hello-ng'
`

const OPTIONS = {
  ...CALLER_OPTIONS,
  file: { type: 'string' },
  version: { type: 'string' },
  reason: { type: 'string' },
  yes: { type: 'boolean', short: 'y' },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

interface Changed {
  visible: boolean
  files?: number
  erased?: number
}

type Verb = 'yank' | 'unyank' | 'delete' | 'purge'

export const changeCommand =
  (verb: Verb) =>
  async (args: string[]): Promise<void> => {
    const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
    if (values.help) {
      say(PROJECTS_HELP)
      return
    }
    const [project, ...more] = positionals
    if (project === undefined || more.length > 0) throw new CommandError(`tuf-edge ${verb} wants one PROJECT.`, 2)
    const { file, version, reason } = values
    if (file !== undefined && version !== undefined) throw new CommandError('Give --file or --version, not both.', 2)
    const whole = file === undefined && version === undefined
    if (whole && verb.endsWith('yank')) throw new CommandError(`tuf-edge ${verb} wants --file or --version.`, 2)
    if (verb === 'purge' && !reason) throw new CommandError('A purge cannot be undone: give a --reason for it.', 2)
    const token = mustHaveToken(values['token-file'])
    const what = file ?? (version === undefined ? `all of ${project}` : `${project} ${version}`)
    if (verb === 'delete' || verb === 'purge') await mustBeSure(values, `${verb} ${what} for ever?`)

    const part = file !== undefined ? `/files/${encodeURIComponent(file)}` : ''
    const release = version !== undefined ? `/releases/${encodeURIComponent(version)}` : ''
    const path = `/api/projects/${encodeURIComponent(project)}${part}${release}`
    const body = reason === undefined ? {} : { body: { reason } }
    const calls: Record<Verb, () => Promise<Changed>> = {
      yank: () => callApi(base(values), 'PUT', `${path}/yank`, { token, body: reason === undefined ? {} : { reason } }),
      unyank: () => callApi(base(values), 'DELETE', `${path}/yank`, { token }),
      delete: () => callApi(base(values), 'DELETE', path, { token, ...body }),
      purge: () => callApi(base(values), 'POST', `${path}/purge`, { token, ...body }),
    }
    const past = { yank: 'yanked', unyank: 'no longer yanked', delete: 'deleted', purge: 'purged' }[verb]
    show(values, await calls[verb](), `${what}: ${past}`)
  }

export async function projectCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
  if (values.help) {
    say(PROJECTS_HELP)
    return
  }
  const [verb, project, status, ...more] = positionals
  if (verb !== 'status' || project === undefined || status === undefined || more.length > 0)
    throw new CommandError('tuf-edge project wants: status PROJECT active|deprecated|archived|quarantined.', 2)
  const token = mustHaveToken(values['token-file'])
  const body = { status, ...(values.reason === undefined ? {} : { reason: values.reason }) }
  const path = `/api/projects/${encodeURIComponent(project)}/status`
  show(values, await callApi<Changed>(base(values), 'PUT', path, { token, body }), `${project}: ${status}`)
}

const base = (values: Values): string => parseUrl(values.url)

async function mustBeSure(values: Values, question: string): Promise<void> {
  if (values.yes || (await confirmed(question))) return
  throw new CommandError('Nothing was done: answer y, or give --yes.')
}

function show(values: Values, changed: Changed, text: string): void {
  if (values.json) {
    say(JSON.stringify(changed, undefined, 2))
    return
  }
  const files = changed.files === undefined ? '' : ` (${changed.files} ${changed.files === 1 ? 'file' : 'files'})`
  const left = changed.erased !== undefined && changed.files !== undefined ? changed.files - changed.erased : 0
  say(`${text}${files}${changed.visible ? '' : ': accepted, and visible in a moment'}`)
  if (left > 0) say(`  ${left} not erased yet: run the same command again in a minute`)
}
