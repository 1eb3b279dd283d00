// Attestations (PEP 740) as uv and twine send them: real ones of real releases, under Sigstore's real trust root, which is
// set as its help shows.
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest'
import { prepare } from './environments.ts'
import { codeOf } from './readme.ts'
import { Service } from './service.ts'
import { serveFolder } from './static-server.ts'
import { run, upload } from './tools.ts'

const VECTORS = fileURLToPath(new URL('../vectors/sigstore/', import.meta.url))
const COMMAND = fileURLToPath(new URL('../../cli/tuf-edge.mjs', import.meta.url))
const SDIST = 'pypi_attestations-0.0.19.tar.gz'
const GITLAB = 'gitlab_oidc_project-0.0.3.tar.gz'
const STAGING = 'rfc8785-0.1.2-py3-none-any.whl'

let service: Service
beforeAll(async () => {
  await prepare(['uv', 'twine'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

const typed = (...words: string[]) =>
  run(process.execPath, [COMMAND, 'attestations', ...words, '--url', service.url], {
    env: { TUF_EDGE_TOKEN: service.tokens.admin },
  })

/** A folder with the file and what lies beside it. @param beside name there → vector */
function dist(name: string, filename: string, beside: Record<string, string>): string[] {
  const folder = join(service.folder, name)
  mkdirSync(folder)
  return Object.entries({ [filename]: filename, ...beside }).map(([as, vector]) => {
    copyFileSync(join(VECTORS, vector), join(folder, as))
    return join(folder, as)
  })
}
const own = (filename: string, ...kinds: string[]) =>
  Object.fromEntries(kinds.map((kind) => [`${filename}.${kind}.attestation`, `${filename}.${kind}.attestation`]))
const sent = (context: TestContext, tool: 'uv' | 'twine', files: string[]) =>
  upload(context, tool, {
    url: `${service.url}/legacy/`,
    token: service.tokens.upload,
    files,
    ...(tool === 'twine' ? { extra: ['--attestations', '--verbose'] } : {}),
  })
const provenance = async (path: string) => fetch(`${service.url}/integrity/${path}/provenance`)

test('uv: without a trust root the file is taken and the attestation is not', async (context) => {
  expect((await typed('status')).output).toBe('no trust root: attestations that are sent are dropped\n')
  const outcome = await sent(context, 'uv', dist('none', STAGING, own(STAGING, 'publish')))
  expect(outcome.status, outcome.output).toBe(0)
  expect((await service.page('rfc8785'))?.files).toHaveLength(1)
  expect((await provenance(`rfc8785/0.1.2/${STAGING}`)).status).toBe(404)
})

test('uv and twine: under the trust root what holds is served, what does not is told and not stored', async (context) => {
  const set = await typed('trust', join(VECTORS, 'trusted_root.json'))
  expect([set.status, set.output]).toEqual([
    0,
    `attestations are verified from now on; pages name provenance under ${service.url}\n`,
  ])
  expect((await typed('status')).output).toContain('log       https://rekor.sigstore.dev')

  const wrong = dist('wrong', SDIST, { [`${SDIST}.publish.attestation`]: `${GITLAB}.publish.attestation` })
  const refused = await sent(context, 'uv', wrong)
  expect(refused.status).not.toBe(0)
  expect(refused.output).toContain('The statement is about a file of another name.')
  expect(await service.page('pypi-attestations')).toBeUndefined()

  for (const [tool, filename, kinds, path] of [
    ['uv', SDIST, ['publish', 'slsa'], `pypi-attestations/0.0.19/${SDIST}`],
    ['twine', GITLAB, ['publish'], `gitlab-oidc-project/0.0.3/${GITLAB}`],
  ] as const) {
    const outcome = await sent(context, tool, dist(tool, filename, own(filename, ...kinds)))
    expect(outcome.status, outcome.output).toBe(0)
    const { attestation_bundles: bundles } = (await (await provenance(path)).json()) as {
      attestation_bundles: { attestations: unknown[] }[]
    }
    const vectors = kinds.map((kind) =>
      JSON.parse(readFileSync(join(VECTORS, `${filename}.${kind}.attestation`), 'utf8')),
    )
    expect(bundles[0]!.attestations).toHaveLength(kinds.length)
    expect(bundles[0]!.attestations).toEqual(expect.arrayContaining(vectors))
  }
})

test('docs/publishing.md, typed: the trust root from Sigstore, and the provenance of a file', async () => {
  const [trust, show] = codeOf('Attestations', service.port, 'docs/publishing.md')
  const folder = join(service.folder, 'typed')
  mkdirSync(folder)
  // Sigstore's repository is the one thing that is not on this machine: its file is.
  const sigstore = await serveFolder(VECTORS)
  const type = async (code: string) => {
    const lines = code
      .replace('https://raw.githubusercontent.com/sigstore/root-signing/main/targets/', sigstore.url)
      .replaceAll('https://pypi.example.org', service.url)
      .replaceAll('npx tuf-edge', `${process.execPath} ${COMMAND}`)
    const { status, output } = await run('sh', ['-ec', lines], {
      cwd: folder,
      env: { TUF_EDGE_TOKEN: service.tokens.admin },
    })
    expect(status, output).toBe(0)
    return output
  }
  try {
    expect(await type(trust!)).toContain('log       https://rekor.sigstore.dev')
  } finally {
    sigstore.close()
  }
  // Of a file that has one: real attestations are about the files they are about.
  const line = show!.replace('sample/1.0/sample-1.0-py3-none-any.whl', `pypi-attestations/0.0.19/${SDIST}`)
  expect(await type(line)).toContain('"attestation_bundles"')
})

test('the command says in one line what it does not take', async () => {
  for (const [words, said] of [
    [['trust'], /wants a file/],
    [['trust', 'no-such-file'], /cannot be read/],
    [['trust', COMMAND], /The trust root is refused/],
    [['status', 'x'], /more words than it takes/],
    [['off', '--origin', 'https://a.example'], /does not take --origin/],
    [['on'], /one of the words trust, status, off/],
  ] as const) {
    const { status, output } = await typed(...words)
    expect([status > 0, output]).toEqual([true, expect.stringMatching(said)])
    expect(output.trim().split('\n')).toHaveLength(1)
  }
  expect((await typed('off')).output).toMatch(/^attestations are dropped from now on/)
  expect((await provenance(`pypi-attestations/0.0.19/${SDIST}`)).status).toBe(200)
})
