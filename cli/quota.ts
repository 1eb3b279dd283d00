// `tuf-edge quota`: what an index or a project may hold, shown and set. A limit that is not named stays as it is.
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl } from './caller.ts'
import { bold, CommandError, say } from './terminal.ts'

export const QUOTA_HELP = `tuf-edge quota show [PROJECT]
tuf-edge quota set [PROJECT] [--bytes SIZE] [--files N] [--file-bytes SIZE]

Shows or sets what a project, or without one the whole index, may hold. An upload that is too much is refused; what is there
stays when a limit is lowered. Takes a token of the scope admin, to show also audit.

  --bytes SIZE       all files together: 500MB, 20GB, a number of bytes, or none
  --files N          how many files, or none
  --file-bytes SIZE  one file, or none
${CALLER_HELP}

Examples
  tuf-edge quota show
  tuf-edge quota set --bytes 50GB --file-bytes 20MB
  tuf-edge quota set hello --files 200 --bytes none
`

const OPTIONS = {
  ...CALLER_OPTIONS,
  bytes: { type: 'string' },
  files: { type: 'string' },
  'file-bytes': { type: 'string' },
} as const

interface Quota {
  bytes: number | null
  files: number | null
  fileBytes: number | null
}
interface Held {
  quota: Quota
  held: { files: number; bytes: number }
}

const UNITS: Readonly<Record<string, number>> = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 }

export async function quotaCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
  if (values.help) {
    say(QUOTA_HELP)
    return
  }
  const [verb, project, ...more] = positionals
  if ((verb !== 'show' && verb !== 'set') || more.length > 0)
    throw new CommandError('tuf-edge quota wants show or set, and at most one PROJECT.', 2)
  const wanted: Partial<Quota> = {
    ...(values.bytes === undefined ? {} : { bytes: sizeOf(values.bytes, '--bytes') }),
    ...(values.files === undefined ? {} : { files: countOf(values.files) }),
    ...(values['file-bytes'] === undefined ? {} : { fileBytes: sizeOf(values['file-bytes'], '--file-bytes') }),
  }
  const changes = Object.keys(wanted).length > 0
  if (changes !== (verb === 'set'))
    throw new CommandError('quota set wants --bytes, --files or --file-bytes, and quota show takes none of them.', 2)
  const token = mustHaveToken(values['token-file'])
  const base = parseUrl(values.url)
  const path = project === undefined ? '/api/settings/quota' : `/api/projects/${encodeURIComponent(project)}/quota`
  const present = await callApi<Held>(base, 'GET', path, { token })
  const quota = { ...present.quota, ...wanted }
  if (changes) await callApi(base, 'PUT', path, { token, body: quota })
  if (values.json) say(JSON.stringify({ ...present, quota }, undefined, 2))
  else show(project ?? 'the whole index', { ...present, quota })
}

function sizeOf(text: string, option: string): number | null {
  if (text === 'none') return null
  const [, digits, unit] = /^(\d{1,15})([KMGT]B)?$/.exec(text) ?? []
  const bytes = Number(digits) * UNITS[unit ?? '']!
  if (digits === undefined || !Number.isSafeInteger(bytes))
    throw new CommandError(`${option} wants a size such as 500MB, 20GB or 1000000, or none, not '${text}'.`, 2)
  return bytes
}

function countOf(text: string): number | null {
  if (text === 'none') return null
  if (!/^\d{1,15}$/.test(text)) throw new CommandError(`--files wants a whole number, or none, not '${text}'.`, 2)
  return Number(text)
}

function show(whose: string, { quota, held }: Held): void {
  const of = (limit: number | null): string => (limit === null ? 'no limit' : `of at most ${limit}`)
  say(bold(whose))
  say(`  ${held.bytes} bytes, ${of(quota.bytes)}`)
  say(`  ${held.files} files, ${of(quota.files)}`)
  say(`  one file: ${quota.fileBytes === null ? 'no limit' : `at most ${quota.fileBytes} bytes`}`)
}
