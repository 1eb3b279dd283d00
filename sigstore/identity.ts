// Who signed: what Fulcio's certificate says of the identity, how it compares with a trusted publisher of the index, and
// how provenance names it (PEP 740, the `publisher` of a bundle). State: none.
//
// A certificate does not say from which environment a workflow ran, so that field of a trusted publisher is not compared:
// the token that uploads was. Of a publisher that is told by other claims, only `sub` and `email` can be found again.
import { alternativeName, type Certificate, claimOf } from './certificate.ts'
import { AttestationError } from './errors.ts'

const GITHUB = 'https://token.actions.githubusercontent.com'
const GITLAB = 'https://gitlab.com'
const GOOGLE = 'https://accounts.google.com'

/** Numbers of Fulcio's claims (fulcio, docs/oid-info.md). */
const ISSUER = 8
const REPOSITORY_URI = 12
const DIGEST = 13
const REF = 14
const REPOSITORY_ID = 15
const OWNER_ID = 17
const CONFIG_URI = 18
const TRIGGER = 20

export interface Identity {
  /** The one alternative name of the certificate. */
  name: string
  issuer: string
  certificate: Certificate
}

/** A trusted publisher of the project, as the index knows it. */
export type Expected =
  | { kind: 'github'; issuer: string; repository: string; ownerId: string; workflow: string }
  | { kind: 'gitlab'; issuer: string; repository: string; projectId: string; workflow: string }
  | { kind: 'oidc'; issuer: string; claims: Readonly<Record<string, string>> }

/** @throws {FormatError} @throws {AttestationError} */
export function identityOf(certificate: Certificate): Identity {
  const issuer = claimOf(certificate, ISSUER)
  if (issuer === undefined) throw new AttestationError('The certificate does not say who vouched for the identity.')
  return { name: alternativeName(certificate), issuer, certificate }
}

/** The commit and the branch or tag that a workflow may be pinned to in a URI. */
const refsOf = (certificate: Certificate): string[] =>
  [REF, DIGEST].flatMap((number) => claimOf(certificate, number) ?? [])

export function isBy({ name, issuer, certificate }: Identity, expected: Expected): boolean {
  if (issuer !== expected.issuer) return false
  if (expected.kind === 'oidc') {
    const told = Object.entries(expected.claims)
    return told.every(([claim, value]) => (claim === 'sub' || claim === 'email') && value === name)
  }
  const uri = claimOf(certificate, REPOSITORY_URI)
  if (uri === undefined || pathOf(uri) !== expected.repository.toLowerCase()) return false
  // The name is the workflow file that ran, wherever it is: it has to be this repository's own.
  const folder = expected.kind === 'github' ? '/.github/workflows/' : '//'
  const pinned = refsOf(certificate).some((ref) => name === `${uri}${folder}${expected.workflow}@${ref}`)
  if (expected.kind === 'gitlab') return pinned && claimOf(certificate, REPOSITORY_ID) === expected.projectId
  // A stranger's pull request starts these, with the rights of the repository it is sent to.
  const stranger = claimOf(certificate, TRIGGER) === 'pull_request_target'
  return pinned && !stranger && claimOf(certificate, OWNER_ID) === expected.ownerId
}

const pathOf = (uri: string): string | undefined =>
  URL.canParse(uri) ? new URL(uri).pathname.slice(1).toLowerCase() : undefined

/** As pypi-attestations reads it, for the kinds it knows; issuer and name for all others. */
export function publisherOf({ name, issuer, certificate }: Identity): Record<string, unknown> {
  const uri = claimOf(certificate, REPOSITORY_URI) ?? ''
  const config = claimOf(certificate, CONFIG_URI) ?? ''
  const ref = refsOf(certificate).find((each) => config.endsWith(`@${each}`))
  const file = ref === undefined ? '' : config.slice(0, -ref.length - 1)
  const inside = (folder: string): string | undefined =>
    file.startsWith(`${uri}${folder}`) ? file.slice(uri.length + folder.length) : undefined
  const repository = (host: string): string | undefined =>
    uri.startsWith(`${host}/`) ? uri.slice(host.length + 1) : undefined
  const workflow = inside('/.github/workflows/')
  const path = inside('//')
  const [onGithub, onGitlab] = [repository('https://github.com'), repository(GITLAB)]
  if (issuer === GITHUB && onGithub && workflow) return { kind: 'GitHub', repository: onGithub, workflow }
  if (issuer === GITLAB && onGitlab && path) return { kind: 'GitLab', repository: onGitlab, workflow_filepath: path }
  if (issuer === GOOGLE && name.includes('@')) return { kind: 'Google', email: name }
  return { kind: 'Sigstore', claims: { issuer, identity: name } }
}
