// `tuf-edge publisher`: which workflows of somebody's CI may upload without a stored token.
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl } from './caller.ts'
import { bold, CommandError, dim, say } from './terminal.ts'

export const PUBLISHER_HELP = `tuf-edge publisher add PROJECT --github OWNER/NAME --owner-id N --workflow FILE [--environment NAME] [--pending]
tuf-edge publisher add PROJECT --gitlab GROUP/NAME --project-id N --workflow FILE [--environment NAME] [--pending]
tuf-edge publisher add PROJECT --issuer URL --claim NAME=VALUE … [--pending]
tuf-edge publisher list [PROJECT]
tuf-edge publisher remove ID
tuf-edge publisher audience [NAME]

Lets a workflow upload to one project by proving which workflow it is, with no token stored anywhere. It takes a token of
the scope admin that may itself upload to the project.

  --github OWNER/NAME  the repository; --owner-id is what \`gh api users/OWNER --jq .id\` says
  --gitlab GROUP/NAME  the project; --project-id stands on its page
  --workflow FILE      release.yml in .github/workflows/; the path of GitLab's CI configuration
  --environment NAME   only from this environment (any, or none)
  --issuer URL         of a GitHub or GitLab of one's own, or of any CI whose JWTs have the claims
  --claim NAME=VALUE   what the JWT has to say; repeated for several
  --pending            the project does not exist yet: this workflow may create it
${CALLER_HELP}

\`audience\` shows what the JWTs are made for, or sets it.

Examples
  tuf-edge publisher add hello-tuf-edge --github octo-org/hello --owner-id 65 --workflow release.yml
  tuf-edge publisher list
`

const OPTIONS = {
  ...CALLER_OPTIONS,
  github: { type: 'string' },
  'owner-id': { type: 'string' },
  gitlab: { type: 'string' },
  'project-id': { type: 'string' },
  workflow: { type: 'string' },
  environment: { type: 'string' },
  issuer: { type: 'string' },
  claim: { type: 'string', multiple: true },
  pending: { type: 'boolean' },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

interface Shown {
  id: string
  project: string
  pending: boolean
  source: { kind: string; issuer: string } & Record<string, string | Record<string, string>>
}

export async function publisherCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: OPTIONS })
  if (values.help) {
    say(PUBLISHER_HELP)
    return
  }
  const [what, name, ...more] = positionals
  if (more.length > 0) throw new CommandError(`publisher ${what} takes one name at most.`, 2)
  const stray = Object.keys(values).find((option) => what !== 'add' && !(option in CALLER_OPTIONS))
  if (stray !== undefined) throw new CommandError(`publisher ${what} does not take --${stray}.`, 2)
  switch (what) {
    case 'add':
      return add(values, named(name, 'publisher add wants the name of a project.'))
    case 'list':
      return list(values, name)
    case 'remove':
      return remove(values, named(name, 'publisher remove wants an id, as `publisher list` shows it.'))
    case 'audience':
      return audience(values, name)
    default:
      throw new CommandError('publisher wants one of the words add, list, remove, audience.', 2)
  }
}

function named(name: string | undefined, complaint: string): string {
  if (name === undefined) throw new CommandError(complaint, 2)
  return name
}

async function add(values: Values, project: string): Promise<void> {
  const body = { project, ...sourceOf(values), ...(values.pending ? { pending: true } : {}) }
  const token = mustHaveToken(values['token-file'])
  const added = await callApi<{ id: string }>(parseUrl(values.url), 'POST', '/api/publishers', { token, body })
  if (values.json) say(JSON.stringify(added, undefined, 2))
  else say(`publisher ${added.id} may ${values.pending ? 'create and ' : ''}upload to ${project}`)
}

/** The fields as they are typed; whether they make a source is the index's to say. */
function sourceOf({ github, gitlab, claim: claims, ...values }: Values): Record<string, unknown> {
  const kinds = [github, gitlab, claims].filter((value) => value !== undefined)
  if (kinds.length !== 1) throw new CommandError('publisher add wants one of --github, --gitlab, --claim.', 2)
  const { 'owner-id': ownerId, 'project-id': projectId, workflow, environment, issuer } = values
  const fields = { ownerId, projectId, workflow, environment, issuer }
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  if (github !== undefined) return { kind: 'github', repository: github, ...given }
  if (gitlab !== undefined) return { kind: 'gitlab', repository: gitlab, ...given }
  const pairs = claims!.map((text) => {
    const at = text.indexOf('=')
    if (at < 1) throw new CommandError(`--claim wants NAME=VALUE, not '${text}'.`, 2)
    return [text.slice(0, at), text.slice(at + 1)]
  })
  return { kind: 'oidc', claims: Object.fromEntries(pairs), ...given }
}

async function list(values: Values, project: string | undefined): Promise<void> {
  const token = mustHaveToken(values['token-file'])
  const publishers: Shown[] = []
  for (let after = ''; ; ) {
    const query = new URLSearchParams({ ...(project === undefined ? {} : { project }), ...(after && { after }) })
    const path = `/api/publishers?${query}`
    const page = await callApi<{ publishers: Shown[]; next?: string }>(parseUrl(values.url), 'GET', path, { token })
    publishers.push(...page.publishers)
    if (page.next === undefined) break
    after = page.next
  }
  publishers.sort((a, b) => (a.project < b.project ? -1 : 1))
  if (values.json) say(JSON.stringify(publishers, undefined, 2))
  else for (const shown of publishers) show(shown)
}

function show({ id, project, pending, source }: Shown): void {
  const { kind, issuer, claims, ...fields } = source
  const asked = Object.entries({ ...fields, ...(claims as Record<string, string> | undefined) })
  say(`${bold(id)}  ${project}${pending ? '  (pending)' : ''}`)
  say(`  ${kind}: ${asked.map(([name, value]) => `${name} ${value}`).join(', ')}`)
  say(dim(`  ${issuer}`))
}

async function remove(values: Values, id: string): Promise<void> {
  const token = mustHaveToken(values['token-file'])
  await callApi(parseUrl(values.url), 'DELETE', `/api/publishers/${encodeURIComponent(id)}`, { token })
  say(values.json ? '{}' : `removed ${id}; its tokens have ended`)
}

async function audience(values: Values, name: string | undefined): Promise<void> {
  const url = parseUrl(values.url)
  if (name !== undefined) {
    const token = mustHaveToken(values['token-file'])
    await callApi(url, 'PUT', '/api/settings/audience', { token, body: { audience: name } })
  }
  const found = await callApi<{ audience: string }>(url, 'GET', '/_/oidc/audience')
  say(values.json ? JSON.stringify(found, undefined, 2) : found.audience)
}
