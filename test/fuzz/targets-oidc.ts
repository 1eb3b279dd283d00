// The readers of trusted publishing. Properties, beside those of every target: JWTs are refused with FormatError alone; what
// checkClaims takes is for this audience and for now; a source that is taken is taken again as it is, and compares with any
// claims without a word.
import { checkClaims, readIdentity } from '../../durable-objects/identity.ts'
import { matches, readSource, subjectOf, subjectsOf } from '../../durable-objects/publisher-sources.ts'
import { FormatError } from '../../tuf/errors.ts'
import { parseJson } from '../../tuf/json.ts'
import { githubClaims, gitlabClaims } from '../workerd/jwt-issuer.ts'
import { bytesOf, simplified, type Target } from './fuzz.ts'

const AUDIENCE = 'tuf-edge-0123456789abcdef'
const NOW = 1_800_000_000
const ISSUER = 'https://ci.example.org'
const GITHUB = { iss: ISSUER, ...githubClaims(AUDIENCE), iat: NOW, nbf: NOW, exp: NOW + 300, jti: 'a' }
const GITLAB = {
  iss: ISSUER,
  ...gitlabClaims(AUDIENCE, 'ci.example.org'),
  iat: NOW,
  nbf: NOW,
  exp: NOW + 300,
  jti: 'a',
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const encode = (part: string): string => Buffer.from(part).toString('base64url')

function read(token: string): string {
  try {
    const identity = readIdentity(token)
    const once = checkClaims(identity, AUDIENCE, NOW * 1000)
    const aud = identity.claims.get('aud')
    if (aud !== AUDIENCE && !(Array.isArray(aud) && aud.length === 1 && aud[0] === AUDIENCE))
      throw new Error('Taken for another audience.')
    if (!(once.until > NOW * 1000 && once.until <= NOW * 1000 + 86_460_000))
      throw new Error(`Remembered until ${once.until}.`)
    return 'taken'
  } catch (error) {
    if (error instanceof FormatError) return simplified(error.message).split(' ', 6).join(' ')
    throw error
  }
}

const jwt: Target = {
  name: 'jwt',
  corpus: [bytesOf(`${encode('{"alg":"RS256","kid":"k"}')}.${encode(JSON.stringify(GITHUB))}.AAAA`)],
  dictionary: ['.', '=', '-', '_', 'e30', 'bnVsbA'],
  bytesMax: 4_096,
  run: (input) => read(text(input)),
}

/** Header and claims as JSON, a line each: what is behind the base64. */
const jwtClaims: Target = {
  name: 'jwt-claims',
  corpus: [GITHUB, GITLAB].map((claims) => bytesOf(`{"alg":"ES256","kid":"k"}\n${JSON.stringify(claims)}`)),
  dictionary: [
    '"aud":',
    '"exp":',
    '"iat":',
    '"nbf":',
    '"jti":',
    '["',
    '"]',
    'null',
    '1e9',
    '-1',
    '"crit":[]',
    '"none"',
  ],
  bytesMax: 4_096,
  run(input) {
    const [header = '', ...claims] = text(input).split('\n')
    return read(`${encode(header)}.${encode(claims.join('\n'))}.AAAA`)
  },
}

const source: Target = {
  name: 'publisher-source',
  corpus: [
    { kind: 'github', issuer: ISSUER, repository: 'octo-org/octo-repo', ownerId: '65', workflow: 'release.yml' },
    {
      kind: 'gitlab',
      issuer: `${ISSUER}/git`,
      repository: 'g/p',
      projectId: '20',
      workflow: '.gitlab-ci.yml',
      environment: 'x',
    },
    { kind: 'oidc', issuer: ISSUER, claims: { sub: 'x', stage: 'y' } },
  ].map((value) => bytesOf(JSON.stringify(value))),
  dictionary: [
    '"claims":',
    '"__proto__":',
    '"environment":',
    'https://',
    'http://127.0.0.1',
    '@',
    '//',
    '%2f',
    '?',
    '#',
  ],
  bytesMax: 2_048,
  run(input) {
    let given: unknown
    try {
      given = JSON.parse(text(input))
    } catch {
      return 'no JSON'
    }
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return 'no object'
    const read = readSource(given as Record<string, unknown>, false)
    if (typeof read === 'string') return simplified(read).split(' ', 6).join(' ')
    if (JSON.stringify(readSource({ ...read }, false)) !== JSON.stringify(read)) throw new Error('Read as another.')
    if (!read.issuer.startsWith('https://')) throw new Error(`The issuer ${read.issuer} is taken.`)
    for (const claims of [GITHUB, GITLAB]) {
      const map = parseJson(bytesOf(JSON.stringify(claims))) as Map<string, string>
      // A look-up that misses a publisher would refuse what it allows.
      if (matches(read, map) && !subjectsOf(map).includes(subjectOf(read)))
        throw new Error('Matches, and is not found.')
    }
    return read.kind
  },
}

export const OIDC_TARGETS: readonly Target[] = [jwt, jwtClaims, source]
