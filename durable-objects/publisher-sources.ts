// Which claims of a JWT a trusted publisher asks for. State: none. A name alone proves nothing for long: whoever takes over
// an owner's or a project's name after it was given up has its name and not its number, so both are compared.
import type { JsonObject } from '../tuf/json.ts'
import { isLoopback } from './loopback.ts'
import type { Source } from './rpc-oidc.ts'

const GITHUB = 'https://token.actions.githubusercontent.com'
const GITLAB = 'https://gitlab.com'

const ISSUER_LENGTH_MAX = 200
const CLAIMS_MAX = 20
const CLAIM_NAME = /^[\x21-\x7e]{1,100}$/
const CLAIM_VALUE = /^[^\p{Cc}]{1,500}$/u
/** What every JWT is checked for; asking for them by value would match one run or none. */
const REGISTERED: readonly string[] = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti']

const NUMBER = /^[1-9]\d{0,19}$/
const GITHUB_REPOSITORY = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\/[A-Za-z0-9._-]{1,100}$/
const GITLAB_REPOSITORY = /^(?=.{1,255}$)[A-Za-z0-9_][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$/
const GITHUB_WORKFLOW = /^[^/@\p{Cc}]{1,200}\.ya?ml$/u
const GITLAB_WORKFLOW = /^(?!\/)[^@\p{Cc}]{1,200}\.ya?ml$/u
const ENVIRONMENT = /^[^\p{Cc}]{1,255}$/u

interface Field {
  form: RegExp
  /** What is wrong with it otherwise. */
  want: string
}
const FIELDS: Record<'github' | 'gitlab', Record<string, Field>> = {
  github: {
    repository: { form: GITHUB_REPOSITORY, want: 'is owner/name' },
    ownerId: { form: NUMBER, want: "is the owner's number: `gh api users/OWNER --jq .id` shows it" },
    workflow: { form: GITHUB_WORKFLOW, want: 'is the name of a file in .github/workflows, such as release.yml' },
  },
  gitlab: {
    repository: { form: GITLAB_REPOSITORY, want: 'is group/name' },
    projectId: { form: NUMBER, want: "is the project's number, which its page shows" },
    workflow: { form: GITLAB_WORKFLOW, want: 'is the path of the CI configuration, such as .gitlab-ci.yml' },
  },
}

/** The source, or one sentence that says why it is none. */
export function readSource(given: Record<string, unknown>, development: boolean): Source | string {
  const { kind, ...rest } = given
  if (kind === 'oidc') return readClaims(rest, development)
  if (kind !== 'github' && kind !== 'gitlab') return 'The kind of a trusted publisher is github, gitlab or oidc.'
  const issuer = rest.issuer ?? (kind === 'github' ? GITHUB : GITLAB)
  if (!isIssuer(issuer, development)) return NO_ISSUER
  const fields = FIELDS[kind]
  const source: Record<string, string> = { issuer }
  for (const [name, { form, want }] of Object.entries(fields)) {
    const value = rest[name]
    if (typeof value !== 'string' || !form.test(value)) return `The field ${name} ${want}.`
    source[name] = value
  }
  const { environment } = rest
  if (environment !== undefined) {
    if (typeof environment !== 'string' || !ENVIRONMENT.test(environment))
      return 'The field environment is the name of an environment, or absent.'
    source.environment = environment
  }
  return onlyKnown(rest, [...Object.keys(fields), 'issuer', 'environment']) ?? ({ kind, ...source } as Source)
}

function readClaims(given: Record<string, unknown>, development: boolean): Source | string {
  const { issuer, claims } = given
  if (!isIssuer(issuer, development)) return NO_ISSUER
  const entries = typeof claims === 'object' && claims !== null ? Object.entries(claims) : []
  const good = entries.every(
    ([name, value]) => CLAIM_NAME.test(name) && typeof value === 'string' && CLAIM_VALUE.test(value),
  )
  if (entries.length === 0 || entries.length > CLAIMS_MAX || !good)
    return `The field claims is an object of one to ${CLAIMS_MAX} claims, each a string.`
  const registered = entries.find(([name]) => REGISTERED.includes(name))
  if (registered)
    return `The claim ${registered[0]} is checked of every JWT: name those that tell one workflow from another.`
  // In one order, so that the same publisher added twice is one.
  const sorted = Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))) as Record<string, string>
  return onlyKnown(given, ['issuer', 'claims']) ?? { kind: 'oidc', issuer, claims: sorted }
}

function onlyKnown(given: Record<string, unknown>, known: readonly string[]): string | undefined {
  if (Object.keys(given).every((name) => known.includes(name))) return undefined
  return `A trusted publisher of this kind has no other fields than: ${known.join(', ')}.`
}

const NO_ISSUER = 'The issuer is an https address as it stands in the JWT, without a query or a password.'

function isIssuer(issuer: unknown, development: boolean): issuer is string {
  if (typeof issuer !== 'string' || issuer.length > ISSUER_LENGTH_MAX || !URL.canParse(issuer)) return false
  const url = new URL(issuer)
  const safe = url.protocol === 'https:' || (development && url.protocol === 'http:' && isLoopback(url))
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  return safe && plain && (url.href === issuer || url.href === `${issuer}/`)
}

/** What a look-up goes by, so that one JWT is compared with the publishers of one repository. */
export const subjectOf = (source: Source): string => (source.kind === 'oidc' ? '' : source.repository.toLowerCase())

/** Every subject that a publisher which matches these claims can have. */
export function subjectsOf(claims: JsonObject): string[] {
  const named = ['repository', 'project_path'].map((name) => claims.get(name))
  return ['', ...named.filter((value) => typeof value === 'string').map((value) => value.toLowerCase())]
}

/** Whether the claims of a JWT of the source's issuer are what it asks for. */
export function matches(source: Source, claims: JsonObject): boolean {
  const is = (name: string, value: string): boolean => claims.get(name) === value
  const text = (name: string): string => {
    const value = claims.get(name)
    return typeof value === 'string' ? value : ''
  }
  const sameLetters = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()
  const pinned = (file: string, claim: string, refs: string[]): boolean =>
    refs.some((ref) => ref !== '' && is(claim, `${file}@${ref}`))
  switch (source.kind) {
    case 'github': {
      const { repository, ownerId, workflow, environment } = source
      return (
        // A stranger's pull request starts these, with the rights of the repository it is sent to.
        !is('event_name', 'pull_request_target') &&
        sameLetters(text('repository'), repository) &&
        is('repository_owner_id', ownerId) &&
        // Of a reusable workflow it names the file that runs, wherever that is: it has to be this repository's own.
        pinned(`${text('repository')}/.github/workflows/${workflow}`, 'job_workflow_ref', [text('ref'), text('sha')]) &&
        (environment === undefined || sameLetters(text('environment'), environment))
      )
    }
    case 'gitlab': {
      const { issuer, repository, projectId, workflow, environment } = source
      const { host, pathname } = new URL(issuer)
      const place = `${host}${pathname.replace(/\/$/, '')}/${text('project_path')}`
      return (
        sameLetters(text('project_path'), repository) &&
        is('project_id', projectId) &&
        pinned(`${place}//${workflow}`, 'ci_config_ref_uri', [text('ref_path'), text('sha')]) &&
        (environment === undefined || is('environment', environment))
      )
    }
    case 'oidc':
      return Object.entries(source.claims).every(([name, value]) => is(name, value))
  }
}

const SHOWN = [
  'repository',
  'repository_owner_id',
  'job_workflow_ref',
  'project_path',
  'project_id',
  'ci_config_ref_uri',
]
const SHOWN_LENGTH_MAX = 200

/** The claims that publishers are told by, for the person whose CI sent them. */
export function describe(claims: JsonObject): string {
  const parts = [...SHOWN, 'environment', 'event_name', 'sub'].flatMap((name) => {
    const value = claims.get(name)
    return typeof value === 'string' ? [`${name} ${JSON.stringify(value.slice(0, SHOWN_LENGTH_MAX))}`] : []
  })
  return parts.join(', ') || 'nothing that publishers are told by'
}
