// `tuf-edge token`: makes, shows and ends tokens. A new token is the only thing written to the standard output, so that
// `> file` keeps it and nothing else does.
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl } from './caller.ts'
import { bold, CommandError, dim, note, say } from './terminal.ts'

export const TOKEN_HELP = `tuf-edge token create NAME --scope SCOPE … (--project NAME … | --all-projects) [--days N]
tuf-edge token list [--ended]
tuf-edge token revoke ID [--drop-staged]

Makes, shows and ends tokens. It takes a token of the scope admin, to list also audit; the very first is made with the
bootstrap secret in its place, which is worth nothing from then on. Nobody can give away more than he has himself.

  --scope SCOPE      read, upload, create, yank, delete, metadata:ROLE, audit, admin; repeated for several
  --project NAME     what the token may write to; repeated for several. read always shows the whole index
  --all-projects     every project, also those to come
  --days N           how long it lives (365; at most 1830)
  --ended            also tokens that were revoked or have expired
  --drop-staged      what the token staged and is not live yet is dropped
${CALLER_HELP}

Examples
  export TUF_EDGE_TOKEN="$(cat admin-token)"
  tuf-edge token create ci-hello --scope upload --project hello-tuf-edge --days 90 > ci-token
  tuf-edge token create laptops --scope read --all-projects > read-token
  tuf-edge token list
  tuf-edge token revoke 4f2a9c01d7be --drop-staged
`

const DAYS_DEFAULT = 365
const DAY_SECONDS = 86_400

interface Shown {
  id: string
  name: string
  scopes: string[]
  projects: string[] | null
  expires: number
  revoked?: number
  lastUsed?: number
}

const OPTIONS = {
  ...CALLER_OPTIONS,
  scope: { type: 'string', multiple: true },
  project: { type: 'string', multiple: true },
  'all-projects': { type: 'boolean' },
  days: { type: 'string' },
  ended: { type: 'boolean' },
  'drop-staged': { type: 'boolean' },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

/** Which options each of them takes, beside the caller's. */
const TAKES: Record<string, readonly string[]> = {
  create: ['scope', 'project', 'all-projects', 'days'],
  list: ['ended'],
  revoke: ['drop-staged'],
}

export async function tokenCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: OPTIONS })
  if (values.help) {
    say(TOKEN_HELP)
    return
  }
  const [what, ...names] = positionals
  const takes = what !== undefined && Object.hasOwn(TAKES, what) ? TAKES[what] : undefined
  if (!takes) throw new CommandError('token wants one of the words create, list, revoke.', 2)
  const stray = Object.keys(values).find((name) => !(name in CALLER_OPTIONS) && !takes.includes(name))
  if (stray !== undefined) throw new CommandError(`token ${what} does not take --${stray}.`, 2)
  if (what === 'create') await create(values, oneOf(names, 'token create wants one name: what the token is for.'))
  else if (what === 'revoke') await revoke(values, oneOf(names, 'token revoke wants one id, as `token list` shows it.'))
  else if (names.length > 0) throw new CommandError('token list takes no names.', 2)
  else await list(values)
}

function oneOf(names: string[], complaint: string): string {
  const [name, ...more] = names
  if (name === undefined || more.length > 0) throw new CommandError(complaint, 2)
  return name
}

async function create(values: Values, name: string): Promise<void> {
  const { scope: scopes = [], project: projects, 'all-projects': allProjects = false } = values
  if (scopes.length === 0) throw new CommandError('token create wants at least one --scope.', 2)
  if (allProjects === (projects !== undefined))
    throw new CommandError('token create wants either --project, once for each, or --all-projects.', 2)
  const days = Number(values.days ?? DAYS_DEFAULT)
  if (!Number.isInteger(days) || days < 1) throw new CommandError('--days wants a whole number of days.', 2)
  const expires = Math.floor(Date.now() / 1000) + days * DAY_SECONDS
  const body = { name, scopes, ...(allProjects ? { allProjects } : { projects }), expires }
  const made = await callApi<{ id: string; token: string }>(parseUrl(values.url), 'POST', '/api/tokens', {
    token: mustHaveToken(values['token-file']),
    body,
  })
  if (values.json) say(JSON.stringify({ ...made, expires }, undefined, 2))
  else {
    note(`token ${made.id} "${name}", good until ${dateOf(expires)}; it is shown this once:`)
    say(made.token)
  }
}

async function list(values: Values): Promise<void> {
  const token = mustHaveToken(values['token-file'])
  const tokens: Shown[] = []
  for (let after = ''; ; ) {
    const path = `/api/tokens?limit=1000&ended=${values.ended ?? false}${after && `&after=${after}`}`
    const page = await callApi<{ tokens: Shown[]; next?: string }>(parseUrl(values.url), 'GET', path, { token })
    tokens.push(...page.tokens)
    if (page.next === undefined) break
    after = page.next
  }
  tokens.sort((a, b) => a.expires - b.expires)
  if (values.json) say(JSON.stringify(tokens, undefined, 2))
  else for (const shown of tokens) show(shown)
}

function show({ id, name, scopes, projects, expires, revoked, lastUsed }: Shown): void {
  const ended =
    revoked !== undefined ? `revoked ${dateOf(revoked)}` : expires * 1000 <= Date.now() ? 'expired' : undefined
  say(`${bold(id)}  ${name}${ended ? `  ${ended}` : ''}`)
  say(`  ${scopes.join(', ')}; ${projects === null ? 'every project' : projects.join(', ')}`)
  say(dim(`  until ${dateOf(expires)}, last used ${lastUsed === undefined ? 'never' : dateOf(lastUsed)}`))
}

async function revoke(values: Values, id: string): Promise<void> {
  const query = values['drop-staged'] ? '?drop-staged=true' : ''
  const path = `/api/tokens/${encodeURIComponent(id)}${query}`
  const token = mustHaveToken(values['token-file'])
  const ended = await callApi<{ dropped: string[]; withdrawing: string[] }>(parseUrl(values.url), 'DELETE', path, {
    token,
  })
  if (values.json) {
    say(JSON.stringify(ended, undefined, 2))
    return
  }
  say(`revoked ${id}; a reader it let in is refused within a minute`)
  for (const file of ended.dropped) say(`dropped ${file}`)
  for (const file of ended.withdrawing)
    say(`${file} is in a publication under way: the journal says \`dropped\`, or \`live\` if that was faster`)
}

/** To the minute, in UTC. */
const dateOf = (seconds: number): string => `${new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ')}Z`
