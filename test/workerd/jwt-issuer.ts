// A CI's identity provider: a key, its key set, and JWTs as GitHub Actions and GitLab CI make them. Runs in workerd and in
// Node. Claims are of the form that both document; the numbers are made up.

export type Claims = Record<string, unknown>
export type Algorithm = 'RS256' | 'ES256'

const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
}
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

const encode = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')
const encodeJson = (value: unknown): string => encode(new TextEncoder().encode(JSON.stringify(value)))

export class JwtIssuer {
  readonly url: string
  readonly kid: string
  readonly algorithm: Algorithm
  readonly #keys: CryptoKeyPair
  /** As it stands in the key set. */
  readonly jwk: JsonWebKey & { kid: string }

  private constructor(url: string, kid: string, algorithm: Algorithm, keys: CryptoKeyPair, jwk: JsonWebKey) {
    this.url = url
    this.kid = kid
    this.algorithm = algorithm
    this.#keys = keys
    const { key_ops: _, ext: __, ...members } = jwk
    this.jwk = { ...members, kid, use: 'sig', alg: algorithm } as JsonWebKey & { kid: string }
  }

  static async make(url: string, kid = 'key-1', algorithm: Algorithm = 'RS256', bits = 2048): Promise<JwtIssuer> {
    const wanted = algorithm === 'RS256' ? { ...RSA, modulusLength: bits } : EC
    const keys = (await crypto.subtle.generateKey(wanted, true, ['sign', 'verify'])) as CryptoKeyPair
    const jwk = (await crypto.subtle.exportKey('jwk', keys.publicKey)) as JsonWebKey
    return new JwtIssuer(url, kid, algorithm, keys, jwk)
  }

  /** What lies under an address of the issuer, as JSON; undefined: 404. */
  answer(path: string, keys: object[] = [this.jwk]): object | undefined {
    if (path === '/.well-known/openid-configuration')
      return { issuer: this.url, jwks_uri: `${this.url}/jwks`, id_token_signing_alg_values_supported: ['RS256'] }
    return path === '/jwks' ? { keys } : undefined
  }

  /** `header` and `claims` as they are given; undefined members are left out. */
  async sign(claims: Claims, header: Claims = {}): Promise<string> {
    const head = { typ: 'JWT', alg: this.algorithm, kid: this.kid, ...header }
    const signed = `${encodeJson(head)}.${encodeJson({ iss: this.url, ...claims })}`
    const algorithm = this.algorithm === 'RS256' ? RSA : EC
    const signature = await crypto.subtle.sign(algorithm, this.#keys.privateKey, new TextEncoder().encode(signed))
    return `${signed}.${encode(new Uint8Array(signature))}`
  }
}

/** A signature with the alleged secret, as one who knows the public key alone can make it. */
export async function signHs256(claims: Claims, secret: string, kid: string): Promise<string> {
  const signed = `${encodeJson({ typ: 'JWT', alg: 'HS256', kid })}.${encodeJson(claims)}`
  const bytes = new TextEncoder().encode(secret)
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return `${signed}.${encode(new Uint8Array(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(signed))))}`
}

let count = 0

/** Times in Unix seconds, as a run of five minutes would have them. */
export function times(now = Math.floor(Date.now() / 1000)): Claims {
  return { iat: now, nbf: now - 5, exp: now + 300, jti: `run-${count++}-${now}` }
}

/** GitHub Actions: octo-org/octo-repo, release.yml, on a tag. */
export function githubClaims(audience: string, changed: Claims = {}): Claims {
  return {
    ...times(),
    aud: audience,
    sub: 'repo:octo-org/octo-repo:ref:refs/tags/v1.0',
    ref: 'refs/tags/v1.0',
    sha: '01234567890123456789012345678901234567ab',
    repository: 'octo-org/octo-repo',
    repository_owner: 'octo-org',
    repository_owner_id: '65',
    repository_id: '74',
    run_id: '6725',
    event_name: 'push',
    workflow_ref: 'octo-org/octo-repo/.github/workflows/release.yml@refs/tags/v1.0',
    job_workflow_ref: 'octo-org/octo-repo/.github/workflows/release.yml@refs/tags/v1.0',
    runner_environment: 'github-hosted',
    ...changed,
  }
}

/** GitLab CI: my-group/my-project, .gitlab-ci.yml, on a branch. */
export function gitlabClaims(audience: string, host: string, changed: Claims = {}): Claims {
  return {
    ...times(),
    aud: audience,
    sub: 'project_path:my-group/my-project:ref_type:branch:ref:main',
    namespace_id: '72',
    namespace_path: 'my-group',
    project_id: '20',
    project_path: 'my-group/my-project',
    pipeline_id: '574',
    job_id: '302',
    ref: 'main',
    ref_type: 'branch',
    ref_path: 'refs/heads/main',
    ref_protected: 'true',
    sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
    ci_config_ref_uri: `${host}/my-group/my-project//.gitlab-ci.yml@refs/heads/main`,
    ...changed,
  }
}
