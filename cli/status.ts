// `tuf-edge status`: how an index is, from its own answer. Exits 1 when it has halted.
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, parseUrl, tokenOf } from './caller.ts'
import { bold, dim, green, red, say } from './terminal.ts'

export const STATUS_HELP = `tuf-edge status [--url URL] [--json]

Shows whether the index publishes, or why it halted and what to do; its versions; when each role expires, those that
people sign included; what waits; the last error. Exits 1 when it has halted.

${CALLER_HELP}

Examples
  tuf-edge status
  tuf-edge status --url https://pypi.example.org --json
`

/** The fields of `GET /api/status` that are shown. */
interface StatusAnswer {
  state: string
  halted?: string
  epoch: number
  projects: number
  files: number
  staged: number
  quarantined?: number
  live?: { timestamp: number; snapshot: number; expires: string; publication: number }
  roles: { role: string; version: number; expires: string }[]
  warnings?: { message: string }[]
  lastError?: string
}

const DAY_MS = 86_400_000

export async function statusCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: CALLER_OPTIONS })
  if (values.help) {
    say(STATUS_HELP)
    return
  }
  const token = tokenOf(values['token-file'])
  const url = parseUrl(values.url)
  const status = await callApi<StatusAnswer>(url, 'GET', '/api/status', token === undefined ? {} : { token })
  if (status.halted !== undefined) process.exitCode = 1
  if (values.json) say(JSON.stringify(status, undefined, 2))
  else show(status)
}

function show(status: StatusAnswer): void {
  const { halted, live, lastError } = status
  if (halted !== undefined) say(red(`halted: ${halted}`))
  else if (status.state === 'live') say(green('live'))
  else say(status.state)
  if (live) {
    say(`  timestamp ${live.timestamp}, good until ${live.expires}`)
    say(`  snapshot ${live.snapshot}, publication ${live.publication}, epoch ${status.epoch}`)
  }
  const quarantined = status.quarantined ? `, ${status.quarantined} in quarantine` : ''
  say(`  ${status.projects} projects, ${status.files} files, ${status.staged} waiting${quarantined}`)
  say(bold('roles'))
  for (const { role, version, expires } of status.roles) {
    const days = Math.floor((Date.parse(expires) - Date.now()) / DAY_MS)
    const left = days < 0 ? red('expired') : dim(days === 0 ? 'within a day' : `${days} days`)
    say(`  ${role.padEnd(10)} ${String(version).padStart(6)}  ${expires}  ${left}`)
  }
  for (const { message } of status.warnings ?? []) say(`warning: ${message}`)
  if (lastError !== undefined && lastError !== halted) say(`last error: ${lastError}`)
}
