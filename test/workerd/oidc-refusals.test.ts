// Every way for a JWT to be refused, and that the refusal says why.
import { beforeAll, describe, expect, test } from 'vitest'
import { setClock } from './controls.ts'
import { type Claims, githubClaims, gitlabClaims, JwtIssuer, signHs256 } from './jwt-issuer.ts'
import {
  add,
  asked,
  audience,
  expectDenied,
  GITHUB,
  GITLAB,
  github,
  gitlab,
  makeProject,
  mint,
  minted,
  newIssuer,
  OCTO,
  withIssuers,
} from './oidc-harness.ts'
import { fetchFace, world } from './upload-harness.ts'

withIssuers()
beforeAll(async () => {
  for (const project of ['sample', 'from-gitlab']) await makeProject(project)
  await add({ project: 'sample', ...OCTO })
  const source = { kind: 'gitlab', issuer: GITLAB, repository: 'my-group/my-project', projectId: '20' }
  await add({ project: 'from-gitlab', ...source, workflow: '.gitlab-ci.yml', environment: 'release' })
})

describe('a JWT is refused', () => {
  const wrong: [string, Claims, string, RegExp][] = [
    ['for another audience', { aud: 'pypi' }, 'invalid-token', /another audience/],
    ['for this index and another', { aud: ['pypi', 'AUDIENCE'] }, 'invalid-token', /another audience/],
    ['for nobody', { aud: undefined }, 'invalid-token', /another audience/],
    ['that has expired', { exp: Math.floor(Date.now() / 1000) - 60 }, 'invalid-token', /has expired/],
    ['that never expires', { exp: undefined }, 'invalid-token', /exp must be an integer/],
    ['that lives for days', { exp: Math.floor(Date.now() / 1000) + 90_000 }, 'invalid-token', /longer than a day/],
    ['of an unknown age', { iat: undefined }, 'invalid-token', /iat must be an integer/],
    ['of the future', { iat: Math.floor(Date.now() / 1000) + 120 }, 'invalid-token', /time to come/],
    ['that is not good yet', { nbf: Math.floor(Date.now() / 1000) + 120 }, 'invalid-token', /time to come/],
    ['with a time that is text', { exp: '2000000000' }, 'invalid-token', /exp must be an integer/],
    ['with an empty jti', { jti: '' }, 'invalid-token', /jti/],
    [
      'of another workflow',
      { job_workflow_ref: 'octo-org/octo-repo/.github/workflows/test.yml@refs/tags/v1.0' },
      'invalid-publisher',
      /test\.yml/,
    ],
    [
      'of another repository’s workflow, called from this one',
      { job_workflow_ref: 'stranger/tools/.github/workflows/release.yml@refs/tags/v1.0' },
      'invalid-publisher',
      /stranger/,
    ],
    [
      'of a workflow whose name begins alike',
      { job_workflow_ref: 'octo-org/octo-repo/.github/workflows/release.yml.evil.yml@refs/tags/v1.0' },
      'invalid-publisher',
      /evil/,
    ],
    [
      'of another ref than it says',
      { job_workflow_ref: 'octo-org/octo-repo/.github/workflows/release.yml@refs/heads/other' },
      'invalid-publisher',
      /other/,
    ],
    ['of whoever has the owner’s name now', { repository_owner_id: '66' }, 'invalid-publisher', /"66"/],
    ['of another repository', { repository: 'octo-org/other' }, 'invalid-publisher', /octo-org\/other/],
    ['that a pull request of a stranger started', { event_name: 'pull_request_target' }, 'invalid-publisher', /target/],
  ]

  test.for(wrong)('%s', async ([, changed, code, description]) => {
    const claims = JSON.parse(JSON.stringify(changed).replace('AUDIENCE', audience)) as Claims
    const removed = Object.fromEntries(Object.keys(changed).map((name) => [name, undefined]))
    const jwt = await github.sign(githubClaims(audience, { ...removed, ...claims }))
    await expectDenied(await mint(jwt), code, description)
  })

  test('four times out of five that arrive together', async () => {
    const jwt = await github.sign(githubClaims(audience))
    const answers = await Promise.all(Array.from({ length: 5 }, () => mint(jwt)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 422, 422, 422, 422])
    for (const answer of answers) if (answer.status === 422) await expectDenied(answer, 'invalid-reuse-token', /used/)
  })

  test('the second time, and until it has expired', async () => {
    const jwt = await github.sign(githubClaims(audience))
    await minted(jwt)
    await expectDenied(await mint(jwt), 'invalid-reuse-token', /used before/)
    await setClock(world.repository, 320_000)
    await expectDenied(await mint(jwt), 'invalid-reuse-token', /used before/)
    await setClock(world.repository, 331_000)
    await expectDenied(await mint(jwt), 'invalid-token', /expired/)
  })

  test('in another environment than the publisher asks for', async () => {
    await makeProject('guarded')
    await add({ project: 'guarded', ...OCTO, repository: 'octo-org/guarded', environment: 'Release' })
    const claims = (environment?: string) =>
      githubClaims(audience, {
        repository: 'octo-org/guarded',
        job_workflow_ref: 'octo-org/guarded/.github/workflows/release.yml@refs/tags/v1.0',
        environment,
      })
    await expectDenied(await mint(await github.sign(claims())), 'invalid-publisher', /guarded/)
    await expectDenied(await mint(await github.sign(claims('staging'))), 'invalid-publisher', /staging/)
    await minted(await github.sign(claims('release')))
  })

  test('of a GitLab project that took over the path, or with another configuration', async () => {
    const of = (changed: Claims) =>
      gitlab.sign(gitlabClaims(audience, 'gitlab.example.org/git', { environment: 'release', ...changed }))
    await expectDenied(await mint(await of({ project_id: '21' })), 'invalid-publisher', /"21"/)
    const config = (path: string) => of({ ci_config_ref_uri: `${path}@refs/heads/main` })
    for (const path of [
      'gitlab.example.org/git/my-group/my-project//other.yml',
      'gitlab.example.org/git/stranger/project//.gitlab-ci.yml',
      'gitlab.com/my-group/my-project//.gitlab-ci.yml',
    ])
      await expectDenied(await mint(await config(path)), 'invalid-publisher', /ci_config_ref_uri/)
    await expectDenied(await mint(await of({ environment: 'Release' })), 'invalid-publisher', /Release/)
  })

  test('without a signature, with one of a shared secret, or with one that does not hold', async () => {
    const claims = githubClaims(audience)
    const jwt = await github.sign(claims)
    const [head, body, signature] = jwt.split('.') as [string, string, string]
    const none = (await github.sign(claims, { alg: 'none' })).split('.')
    await expectDenied(await mint(`${none[0]}.${none[1]}.`), 'invalid-token', /not a signed JWT/)
    await expectDenied(await mint(`${none[0]}.${none[1]}.AAAA`), 'invalid-token', /RS256 or ES256/)
    // The key that everybody knows, taken for a secret.
    for (const secret of [JSON.stringify(github.jwk), github.jwk.n!]) {
      const forged = await signHs256({ iss: GITHUB, ...claims }, secret, github.kid)
      await expectDenied(await mint(forged), 'invalid-token', /RS256 or ES256/)
    }
    const stranger = await JwtIssuer.make(GITHUB, github.kid)
    await expectDenied(await mint(await stranger.sign(claims)), 'invalid-token', /signature/)
    const other = (await github.sign(githubClaims(audience, { repository: 'a/b' }))).split('.')
    await expectDenied(await mint(`${head}.${other[1]}.${signature}`), 'invalid-token', /signature/)
    await expectDenied(await mint(`${head}.${body}.${signature.slice(4)}`), 'invalid-token', /signature/)
    // A key of the one kind is none of the other.
    await expectDenied(await mint(await github.sign(claims, { alg: 'ES256' })), 'invalid-token', /no key/)
    await minted(jwt)
  })

  test('when it is no JWT, or could be read in two ways', async () => {
    const claims = githubClaims(audience)
    for (const [header, said] of [
      [{ crit: ['exp'] }, /crit/],
      [{ kid: undefined }, /kid must be a string/],
      [{ kid: 7 }, /kid must be a string/],
    ] as const)
      await expectDenied(await mint(await github.sign(claims, header)), 'invalid-token', said)
    const jwt = await github.sign(claims)
    for (const text of ['', 'x', 'a.b', `${jwt}.x`, `${jwt}=`, ` ${jwt}`, jwt.replace('.', '..'), 'é.é.é'])
      await expectDenied(await mint(text), 'invalid-token', /not a signed JWT|not a JSON object/)
    const twice = btoa(`{"iss":"${GITHUB}","iss":"${GITHUB}"}`).replace(/=+$/, '')
    await expectDenied(await mint(jwt.replace(/\..*\./, `.${twice}.`)), 'invalid-token', /not a JSON object/)
    await expectDenied(
      await mint(await github.sign({ ...claims, pad: 'x'.repeat(17_000) })),
      'invalid-token',
      /not a sig/,
    )
    const answer = await mint(await github.sign({ ...claims, pad: 'x'.repeat(40_000) }))
    expect(answer.status).toBe(413)
    for (const body of ['', '[]', '{}', '{"token":7}', '{"token":"a","token":"b"}', 'token=x'])
      await expectDenied(await fetchFace('/_/oidc/mint-token', { method: 'POST', body }), 'invalid-payload', /./)
    await expectDenied(await mint(jwt, { features: ['single-use-token'] }), 'invalid-payload', /multi-use-token/)
  })

  test('of an issuer that no publisher names, which is never asked', async () => {
    const stranger = await newIssuer()
    await expectDenied(
      await mint(await stranger.sign(githubClaims(audience))),
      'invalid-token',
      /no trusted publisher/i,
    )
    expect(asked).toEqual([])
  })

  test('when a page of another origin sends it', async () => {
    const body = JSON.stringify({ token: await github.sign(githubClaims(audience)) })
    for (const path of ['/_/oidc/mint-token', '/_/oidc/burn-token']) {
      const headers = { origin: 'https://elsewhere.example' }
      expect((await fetchFace(path, { method: 'POST', headers, body })).status).toBe(403)
      expect((await fetchFace(path)).status).toBe(405)
    }
  })
})
