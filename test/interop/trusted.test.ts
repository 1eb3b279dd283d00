// Trusted publishing with the tools as they are: uv and pdm as on GitHub Actions and GitLab CI, twine's own exchange, and
// what each shows of a refusal. The CI's issuer is on this machine; uv and twine speak https to the index and nothing else.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Claims, githubClaims, gitlabClaims } from '../workerd/jwt-issuer.ts'
import { Ci, type Front, startFront } from './ci.ts'
import { need, prepare } from './environments.ts'
import { Service } from './service.ts'
import { buildProject, makeProject, run } from './tools.ts'

let service: Service
let ci: Ci
let front: Front
/** File with the certificate of `front`. */
let trusted: string
let audience: string

beforeAll(async () => {
  await prepare(['uv', 'pdm', 'build', 'twine'])
  service = await Service.start()
  ci = await Ci.start()
  front = await startFront(service.port)
  trusted = join(service.folder, 'front.pem')
  writeFileSync(trusted, front.cert)
  audience = typed('audience').trim()
})
afterAll(async () => {
  front?.stop()
  ci?.stop()
  await service?.stop()
})
beforeEach((context) => service.explain(context))

/** `tuf-edge publisher …`, typed by an operator. */
function typed(...words: string[]): string {
  const env = { ...process.env, TUF_EDGE_TOKEN: service.tokens.admin, NO_COLOR: '1' }
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['cli/tuf-edge.mjs', 'publisher', ...words, '--url', service.url],
    { env, encoding: 'utf8' },
  )
  expect({ words, status, stderr }).toMatchObject({ status: 0 })
  return stdout
}

const github = (project: string, repository: string, ...more: string[]): string =>
  typed(
    'add',
    project,
    '--github',
    repository,
    '--owner-id',
    '65',
    '--workflow',
    'release.yml',
    '--issuer',
    ci.issuer.url,
    ...more,
  )

/** What a job of the repository's release.yml is given by GitHub. */
const release =
  (repository: string, changed: Claims = {}) =>
  (wanted: string): Claims =>
    githubClaims(wanted, {
      repository,
      job_workflow_ref: `${repository}/.github/workflows/release.yml@refs/tags/v1.0`,
      ...changed,
    })

/** A wheel and an sdist, and the folder they were built from. */
async function built(context: Parameters<typeof need>[0], tool: 'uv' | 'pdm', name: string, version = '1.0') {
  const dir = join(service.folder, 'work', `${name}-${version}`)
  mkdirSync(dir, { recursive: true })
  makeProject({ tool, dir, name, version })
  return { dir, files: await buildProject(context, tool, dir) }
}

const filenames = async (project: string): Promise<string[]> =>
  ((await service.page(project))?.files ?? []).map(({ filename }) => filename).sort()

describe('uv', () => {
  const publish = async (context: Parameters<typeof need>[0], files: string[], env: NodeJS.ProcessEnv) => {
    const uv = await need(context, 'uv')
    const words = ['publish', '--trusted-publishing', 'always', '--publish-url', `${front.url}/legacy/`, ...files]
    return run(uv.command('uv'), words, { env: { SSL_CERT_FILE: trusted, ...env } })
  }

  test('on GitHub Actions creates a project that is pending, and ends its token', async (context) => {
    const { files } = await built(context, 'uv', 'uv-first')
    expect(github('uv-first', 'octo-org/uv', '--pending')).toMatch(
      /^publisher [0-9a-f]{12} may create and upload to uv-first\n$/,
    )
    ci.claims = release('octo-org/uv')
    const from = front.requests.length
    const { status, output } = await publish(context, files, ci.githubJob())
    expect(status, output).toBe(0)
    expect(ci.audiences.at(-1)).toBe(audience)
    expect(await filenames('uv-first')).toEqual(['uv_first-1.0-py3-none-any.whl', 'uv_first-1.0.tar.gz'])
    expect(front.requests.slice(from)).toEqual([
      'GET /_/oidc/audience 200',
      'POST /_/oidc/mint-token 200',
      'POST /legacy/ 200',
      'POST /legacy/ 200',
      'POST /_/oidc/burn-token 202',
    ])
    const token = /::add-mask::(\S+)/.exec(output)![1]!
    expect(token).toMatch(/^tue_/)
    const again = await fetch(`${service.url}/api/publishers`, { headers: { authorization: `Bearer ${token}` } })
    expect(again.status).toBe(401)
    expect(typed('list', 'uv-first')).not.toContain('pending')
  })

  test('on GitLab CI', async (context) => {
    const { files } = await built(context, 'uv', 'uv-gitlab')
    typed(
      ...['add', 'uv-gitlab', '--gitlab', 'my-group/my-project', '--project-id', '20', '--workflow', '.gitlab-ci.yml'],
      ...['--issuer', ci.issuer.url, '--pending'],
    )
    ci.claims = (wanted) => gitlabClaims(wanted, new URL(ci.issuer.url).host)
    const variable = `${audience.toUpperCase().replace(/[^A-Z0-9]/g, '_')}_ID_TOKEN`
    const { status, output } = await publish(context, files, { GITLAB_CI: 'true', [variable]: await ci.jwt(audience) })
    expect(status, output).toBe(0)
    expect(await filenames('uv-gitlab')).toHaveLength(2)
  })

  test('shows why it was refused', async (context) => {
    const { files } = await built(context, 'uv', 'uv-refused')
    github('uv-refused', 'octo-org/refused', '--pending', '--environment', 'release')
    ci.claims = release('octo-org/refused', { environment: 'staging' })
    const { status, output } = await publish(context, files, ci.githubJob())
    expect(status).not.toBe(0)
    expect(output).toContain('invalid-publisher')
    expect(output).toContain('no trusted publisher here matches it')
    expect(await filenames('uv-refused')).toEqual([])
  })

  test('is not let into another project', async (context) => {
    const { files } = await built(context, 'uv', 'uv-other')
    ci.claims = release('octo-org/uv')
    const { status, output } = await publish(context, files, ci.githubJob())
    expect(status).not.toBe(0)
    expect(output).toContain("isn't allowed to upload to project 'uv-other'")
  })
})

describe('pdm', () => {
  const publish = async (context: Parameters<typeof need>[0], dir: string, files: string[]) => {
    const pdm = await need(context, 'pdm')
    const words = ['publish', '--no-build', '--dest', dirname(files[0]!), '--repository', `${service.url}/legacy/`]
    return run(pdm.command('pdm'), words, { cwd: dir, env: ci.githubJob() })
  }

  test('on GitHub Actions', async (context) => {
    const { dir, files } = await built(context, 'pdm', 'pdm-first')
    github('pdm-first', 'octo-org/pdm', '--pending')
    ci.claims = release('octo-org/pdm')
    const { status, output } = await publish(context, dir, files)
    expect(status, output).toBe(0)
    expect(await filenames('pdm-first')).toHaveLength(2)
  })

  test('of another workflow publishes nothing', async (context) => {
    const { dir, files } = await built(context, 'pdm', 'pdm-first', '2.0')
    const ref = 'octo-org/pdm/.github/workflows/test.yml@refs/tags/v1.0'
    ci.claims = release('octo-org/pdm', { job_workflow_ref: ref })
    const { status, output } = await publish(context, dir, files)
    expect(status, output).not.toBe(0)
    expect(output).toContain('Failed to get PyPI token via OIDC')
    expect(await filenames('pdm-first')).toHaveLength(2)
  })
})

/** twine does this for PyPI's own addresses alone; here the same code is given ours. */
describe('twine’s exchange', () => {
  const SCRIPT = `
import sys
from twine.auth import CredentialInput, Resolver
print(Resolver({"repository": sys.argv[1]}, CredentialInput()).make_trusted_publishing_token())
`
  const exchange = async (context: Parameters<typeof need>[0]) => {
    const twine = await need(context, 'twine')
    const env = { ...ci.githubJob(), REQUESTS_CA_BUNDLE: trusted }
    return run(twine.command('python'), ['-c', SCRIPT, `${front.url}/legacy/`], { env })
  }

  test('gives it a token', async (context) => {
    github('twine-first', 'octo-org/twine', '--pending')
    ci.claims = release('octo-org/twine')
    const { status, output } = await exchange(context)
    expect(status, output).toBe(0)
    expect(output).toMatch(/^tue_[\w-]{49}$/m)
  })

  test('reads our reasons', async (context) => {
    ci.claims = release('octo-org/twine', { repository_owner_id: '66' })
    const { status, output } = await exchange(context)
    expect(status).not.toBe(0)
    expect(output).toMatch(/TrustedPublishingFailure: The token request failed/)
    expect(output).toMatch(/\* `invalid-publisher`: The JWT is good, and no trusted publisher here matches it/)
  })
})

test('an operator lists and removes them', async () => {
  const listed = JSON.parse(typed('list', '--json')) as { id: string; project: string; source: { kind: string } }[]
  expect(listed.map(({ project }) => project)).toContain('uv-gitlab')
  const { id } = listed.find(({ source }) => source.kind === 'gitlab')!
  expect(typed('remove', id)).toBe(`removed ${id}; its tokens have ended\n`)
  expect(typed('list')).not.toContain('uv-gitlab')
})
