// `npm run deploy` without an account: which steps it takes in which order, that repeating it repairs and replaces
// nothing, and that no secret is ever an argument.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { type DeployOptions, deploy, deployCommand } from '../../../cli/deploy.ts'
import { configOf } from '../../../cli/deploy-config.ts'
import { fingerprintOf, SECRETS } from '../../../cli/deploy-secrets.ts'
import { runWrangler } from '../../../cli/wrangler.ts'
import { Cloud } from './deploy-cloud.ts'

const OPTIONS: DeployOptions = {
  name: 'tuf-edge',
  domain: 'pypi.example.org',
  directUploads: false,
  faceFirst: false,
  newBootstrapSecret: false,
  input: true,
}
const PUBLISHER = 'tuf-edge-publisher'
const ALL_CHANGES = ['r2 bucket create', `deploy ${PUBLISHER}`, 'secret bulk', 'deploy tuf-edge']
const GIVEN = { TUF_EDGE_WRAPPING_SECRET: 'W'.repeat(43), TUF_EDGE_BOOTSTRAP_SECRET: 'B'.repeat(43) }

let cloud: Cloud
let shown: string[]
beforeEach(() => {
  cloud = new Cloud()
  shown = []
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
})

/** A person who stores what is shown, or does not. */
const run = (options: Partial<DeployOptions> = {}, { env = {}, stores = true } = {}) =>
  deploy(
    { ...OPTIONS, ...options },
    {
      wrangler: cloud.wrangler,
      env,
      async stored(lines) {
        shown.push(lines.join('\n'))
        // Shown first, set after.
        expect(cloud.scripts.get(PUBLISHER)?.size).toBe(0)
        return stores
      },
    },
  )
const secretOf = (name: string) => cloud.scripts.get(PUBLISHER)?.get(name)

describe('a first deployment', () => {
  test('makes the bucket, deploys the publisher, sets its secrets, deploys the face', async () => {
    await run()
    expect(cloud.steps()).toEqual([
      'whoami --json',
      'r2 bucket info',
      'secret list',
      'r2 bucket create',
      `deploy ${PUBLISHER}`,
      'secret bulk',
      'deploy tuf-edge',
    ])
    for (const call of cloud.calls.slice(1)) expect(call.env?.CLOUDFLARE_ACCOUNT_ID).toBe('acc1')
  })

  test('shows each secret once with its fingerprint, and none of them is an argument or in the environment of a call', async () => {
    await run()
    expect(shown).toHaveLength(1)
    for (const name of SECRETS) {
      const value = secretOf(name)!
      expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/)
      expect(shown[0]!.split(value)).toHaveLength(2)
      expect(shown[0]).toContain(fingerprintOf(value))
      expect(JSON.stringify(cloud.calls.map(({ args, env }) => ({ args, env })))).not.toContain(value)
      expect(cloud.calls.filter(({ input }) => input?.includes(value))).toHaveLength(1)
    }
    expect(secretOf('WRAPPING_SECRET')).not.toBe(secretOf('BOOTSTRAP_SECRET'))
  })

  test('a person who cannot store the secret gets none set, and the next run goes on from there', async () => {
    await expect(run({}, { stores: false })).rejects.toThrow(/No secret was set\. Throw away what was shown/)
    expect(cloud.changes()).toEqual(['r2 bucket create', `deploy ${PUBLISHER}`])
    await run()
    expect(shown[0]).not.toContain(secretOf('WRAPPING_SECRET'))
    expect(shown[1]).toContain(secretOf('WRAPPING_SECRET'))
  })

  test('without a person it takes given secrets and shows nothing; without them it changes nothing', async () => {
    await expect(run({ input: false })).rejects.toThrow(/nobody is here to store .* TUF_EDGE_WRAPPING_SECRET and TUF_/)
    expect(cloud.changes()).toEqual([])
    await expect(run({ input: false }, { env: { ...GIVEN, TUF_EDGE_WRAPPING_SECRET: 'short' } })).rejects.toThrow(
      /TUF_EDGE_WRAPPING_SECRET must be 32 random bytes/,
    )
    expect(cloud.changes()).toEqual([])
    await run({ input: false }, { env: GIVEN })
    expect(secretOf('WRAPPING_SECRET')).toBe(GIVEN.TUF_EDGE_WRAPPING_SECRET)
    expect(shown).toEqual([])
    expect(JSON.stringify(cloud.calls.map(({ args, env }) => ({ args, env })))).not.toContain('WWWW')
  })

  test.each(ALL_CHANGES)(
    'breaks off at `%s`: nothing later is done, and the same command finishes it',
    async (step) => {
      cloud.failing = step.startsWith('deploy') ? `deploy --config dist/deploy/${step.slice(7)}/` : step
      await expect(run()).rejects.toThrow(/repeat the command|could not be made/)
      expect(cloud.changes()).toEqual(ALL_CHANGES.slice(0, ALL_CHANGES.indexOf(step) + 1))
      const before = secretOf('WRAPPING_SECRET')
      cloud.failing = undefined
      cloud.calls.length = 0
      await run()
      expect(cloud.changes().at(-1)).toBe('deploy tuf-edge')
      expect([...cloud.scripts.keys()]).toEqual([PUBLISHER, 'tuf-edge'])
      if (before !== undefined) expect(secretOf('WRAPPING_SECRET')).toBe(before)
      expect(shown.at(-1)).toContain(secretOf('WRAPPING_SECRET'))
    },
  )
})

describe('repeated', () => {
  test('it deploys both scripts again and touches neither bucket nor secret, also when other secrets are given', async () => {
    await run()
    const before = new Map(cloud.scripts.get(PUBLISHER))
    cloud.calls.length = 0
    await run({ input: false }, { env: GIVEN })
    expect(cloud.changes()).toEqual([`deploy ${PUBLISHER}`, 'deploy tuf-edge'])
    expect(cloud.scripts.get(PUBLISHER)).toEqual(before)
    expect(shown).toHaveLength(1)
  })

  test('--face-first is the order back', async () => {
    await run()
    cloud.calls.length = 0
    await run({ faceFirst: true })
    expect(cloud.changes()).toEqual(['deploy tuf-edge', `deploy ${PUBLISHER}`])
  })

  test('--direct-uploads names the bucket’s own address, and says which secrets are left to set', async () => {
    await run({ directUploads: true, jurisdiction: 'eu' })
    const said = () =>
      vi
        .mocked(process.stdout.write)
        .mock.calls.map(([text]) => String(text))
        .join('')
    for (const secret of ['R2_ACCESS_KEY_ID', 'R2_SECRET_ACCESS_KEY'])
      expect(said()).toContain(`npx wrangler secret put ${secret} --name ${PUBLISHER}`)
    const written = JSON.parse(readFileSync(`dist/deploy/${PUBLISHER}/wrangler.json`, 'utf8')) as { vars: object }
    expect(written.vars).toMatchObject({
      R2_S3_ENDPOINT: 'https://acc1.eu.r2.cloudflarestorage.com',
      R2_BUCKET_NAME: 'tuf-edge',
    })
    // Once they are set nothing is left to say; without the word nothing is given.
    for (const secret of ['R2_ACCESS_KEY_ID', 'R2_SECRET_ACCESS_KEY']) cloud.scripts.get(PUBLISHER)!.set(secret, 'x')
    vi.mocked(process.stdout.write).mockClear()
    await run({ directUploads: true, jurisdiction: 'eu' })
    expect(said()).not.toContain('R2_')
    expect(configOf('publisher', { name: 'tuf-edge' }).vars).not.toHaveProperty('R2_S3_ENDPOINT')
  })

  test('--new-bootstrap-secret replaces that one alone', async () => {
    await run()
    const [wrapping, bootstrap] = SECRETS.map(secretOf)
    await deploy(
      { ...OPTIONS, newBootstrapSecret: true },
      { wrangler: cloud.wrangler, env: {}, stored: async () => true },
    )
    expect(secretOf('WRAPPING_SECRET')).toBe(wrapping)
    expect(secretOf('BOOTSTRAP_SECRET')).not.toBe(bootstrap)
  })

  test('an index whose wrapping secret is gone gets no new one; the stored one is put back', async () => {
    await run()
    const stored = secretOf('WRAPPING_SECRET')!
    cloud.objects.add('tuf-edge/r/main/e1/tuf/1.root.json')
    cloud.scripts.get(PUBLISHER)!.delete('WRAPPING_SECRET')
    cloud.calls.length = 0
    await expect(run()).rejects.toThrow(/Put the stored one into TUF_EDGE_WRAPPING_SECRET/)
    expect(cloud.changes()).toEqual([])
    await run({}, { env: { TUF_EDGE_WRAPPING_SECRET: stored } })
    expect(secretOf('WRAPPING_SECRET')).toBe(stored)
  })

  test('with another jurisdiction it would be another bucket and another ledger: refused', async () => {
    await run({ jurisdiction: 'eu' })
    expect([...cloud.buckets]).toEqual(['tuf-edge/eu'])
    cloud.calls.length = 0
    await expect(run()).rejects.toThrow(/no such bucket tuf-edge: repeat the words of the first deployment/)
    expect(cloud.changes()).toEqual([])
  })
})

describe('refused before anything is changed', () => {
  test('nobody logged in', async () => {
    cloud.loggedIn = false
    await expect(run()).rejects.toThrow(/type `npx wrangler login`, or set CLOUDFLARE_API_TOKEN/)
    expect(cloud.steps()).toEqual(['whoami --json'])
  })

  test('several accounts, until one is chosen', async () => {
    cloud.accounts.push({ id: 'acc2', name: 'Two' })
    await expect(run()).rejects.toThrow(/set CLOUDFLARE_ACCOUNT_ID to one of acc1 \(One\), acc2 \(Two\)/)
    await run({}, { env: { CLOUDFLARE_ACCOUNT_ID: 'acc2' } })
    expect(cloud.calls.at(-1)!.env?.CLOUDFLARE_ACCOUNT_ID).toBe('acc2')
  })

  test.each(['r2 bucket info', 'secret list'])(
    '`%s` fails for an unknown reason: not taken for "absent"',
    async (step) => {
      cloud.failing = step
      await expect(run()).rejects.toThrow(/Nothing was changed/)
      expect(cloud.changes()).toEqual([])
    },
  )

  test.each([
    [[], /give --domain HOST/],
    [['--domain', 'https://pypi.example.org/'], /--domain wants a host name/],
    [['--domain', 'a.example.org', '--name', 'A_b'], /--name wants/],
    [['--domain', 'a.example.org', '--jurisdiction', 'eu', '--location', 'weur'], /give one of the two/],
  ])('%j', async (args, message) => {
    await expect(deployCommand(args)).rejects.toThrow(message)
  })
})

describe('what is deployed', () => {
  const placement = { name: 'other', domain: 'pypi.example.org', jurisdiction: 'eu' }

  test('carries the operator’s words in every place that must agree', () => {
    const [face, publisher] = [configOf('face', placement), configOf('publisher', placement)]
    expect(face).toMatchObject({
      name: 'other',
      routes: [{ pattern: 'pypi.example.org', custom_domain: true }],
      r2_buckets: [{ binding: 'BUCKET', bucket_name: 'other', jurisdiction: 'eu' }],
      services: [{ service: 'other-publisher' }, { service: 'other-publisher' }],
      workers_dev: false,
      preview_urls: false,
    })
    expect(publisher).toMatchObject({
      name: 'other-publisher',
      r2_buckets: [{ binding: 'BUCKET', bucket_name: 'other', jurisdiction: 'eu' }],
      vars: { JURISDICTION: 'eu' },
      workers_dev: false,
      preview_urls: false,
    })
    expect(publisher).not.toHaveProperty('routes')
  })

  test('the bindings of a dry run are the ones the code knows', async () => {
    for (const [file, config, secrets] of [
      ['../../../workers/env.ts', 'wrangler.toml', []],
      ['../../../durable-objects/env.ts', 'durable-objects/wrangler.toml', SECRETS],
    ] as const) {
      const built = await runWrangler({
        args: ['deploy', '--config', config, '--dry-run', '--outdir', `dist/test-${secrets.length}`],
      })
      expect(built.code, built.stderr).toBe(0)
      const bound = [...built.stdout.matchAll(/^env\.(\w+)/gm)].map(([, name]) => name!)
      const source = readFileSync(fileURLToPath(new URL(file, import.meta.url)), 'utf8')
      const known = /export interface Env \{\n([\s\S]*?)\n\}/.exec(source)![1]!
      // Optional ones are added by the options of a deployment.
      const wanted = [...known.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name!)
      expect([...bound, ...secrets].sort()).toEqual(wanted.sort())
    }
  })
})
