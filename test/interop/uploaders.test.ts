// What the seven uploaders put on the wire, and what their users see of an answer. This is about the tools alone, not
// about our server: a new release that sends or shows something else fails here, by name, before it fails a user.
//
// The requests are kept as vectors (test/vectors/uploads); UPDATE_VECTORS=1 records them again.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pinnedVersions, prepare } from './environments.ts'
import { type Answer, formParts, listen, parseRequest, type Recorded, refusal } from './sink.ts'
import { buildProject, makeProject, UPLOADERS, type Uploader, upload } from './tools.ts'

const vectors = join(dirname(fileURLToPath(import.meta.url)), '..', 'vectors', 'uploads')
const versions = pinnedVersions()
const token = 'dummy-token'

const METADATA = `requires-python = ">=3.9"
readme = "README.md"
keywords = ["café", "edge"]
classifiers = ["Programming Language :: Python :: 3", "Topic :: Utilities"]
dependencies = ["idna>=3"]

[project.urls]
Homepage = "https://example.org/?a=1&b=2"
`

const TEXT = {
  exists: "File already exists ('sample-1.0.tar.gz', with sha256 hash 'ab12').",
  token: 'Invalid or non-existent authentication information.',
  right: "The given token isn't allowed to upload to project 'sample'.",
  large: "File too large. Limit for project 'sample' is 100 MB.",
}

const ANSWERS: Record<string, Answer> = {
  '200': { status: 200 },
  '202': { status: 202, headers: { 'content-type': 'text/plain' }, body: 'Stored; it will appear shortly.' },
  '400': refusal(400, TEXT.exists),
  '401': refusal(401, TEXT.token),
  '403': refusal(403, TEXT.right),
  '413': refusal(413, TEXT.large),
  '503': { ...refusal(503, 'Try again.'), headers: { 'content-type': 'application/json', 'retry-after': '1' } },
}

/** Who shows the reason in the body of a refusal; the others show the status alone. */
const SHOWS_REASON: Record<Uploader, string[]> = {
  twine: [],
  'twine-6.1': [],
  uv: ['400', '401', '403', '413', '503'],
  poetry: ['400', '401', '403', '413', '503'],
  flit: ['400'],
  hatch: [],
  pdm: [],
}
/** Who takes "File already exists" for done, and with which words on the command line. */
const SKIPS_EXISTING: Partial<Record<Uploader, string[]>> = {
  'twine-6.1': ['--skip-existing'],
  poetry: ['--skip-existing'],
  pdm: ['--skip-existing'],
}
/** Times one file is sent before a 503 is final. None waits for Retry-After. */
const TRIES_ON_503: Record<Uploader, number> = {
  twine: 5,
  'twine-6.1': 5,
  uv: 1,
  poetry: 1,
  flit: 1,
  hatch: 1,
  pdm: 1,
}

const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-uploaders-'))
beforeAll(() => prepare([...UPLOADERS, 'build']))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.for([...UPLOADERS])('%s', (tool) => {
  const projectDir = join(folder, tool)
  let files: string[] = []

  const send = async (context: Parameters<typeof upload>[0], answer: Answer, extra?: string[]) => {
    const sink = await listen(answer)
    try {
      const outcome = await upload(context, tool, { url: sink.url, token, files, projectDir, extra })
      return { ...outcome, requests: sink.requests() }
    } finally {
      sink.close()
    }
  }

  test('builds a wheel and an sdist', async (context) => {
    makeProject({ tool, dir: projectDir, name: `Sample.${tool}`, version: '1.0', metadata: METADATA })
    writeFileSync(join(projectDir, 'README.md'), '# Café ✓\r\n\r\nTwo lines, "quotes" and a boundary-like --line.\n')
    files = await buildProject(context, tool, projectDir)
    expect(files).toHaveLength(2)
  })

  test('sends what is recorded', async (context) => {
    const { status, output, requests } = await send(context, ANSWERS['200']!)
    expect(status, output).toBe(0)
    const posts = requests.filter(({ line }) => line.startsWith('POST'))
    expect(posts).toHaveLength(2)
    for (const request of requests) compare(tool, request)
  })

  test('takes 202 for done', async (context) => {
    const { status, requests } = await send(context, ANSWERS['202']!)
    expect(status).toBe(0)
    expect(requests.filter(({ line }) => line.startsWith('POST'))).toHaveLength(2)
  })

  test.for(['400', '401', '403', '413', '503'])('on %s', async (code, context) => {
    const { status, output, requests } = await send(context, ANSWERS[code]!)
    expect(status).not.toBe(0)
    const shown = plain(output)
    const reason = plain(JSON.parse(ANSWERS[code]!.body!).message)
    expect(shown).toContain(code)
    expect(shown.includes(reason), output).toBe(SHOWS_REASON[tool].includes(code))
    const posts = requests.filter(({ line }) => line.startsWith('POST'))
    expect(posts).toHaveLength(code === '503' ? TRIES_ON_503[tool] : 1)
  })

  test('skips what exists, if it can', async (context) => {
    const extra = SKIPS_EXISTING[tool]
    const { status, output } = await send(context, ANSWERS['400']!, extra)
    expect(status === 0, output).toBe(extra !== undefined)
  })
})

/** What a person would read, without line breaks, quotes and escapes. */
function plain(text: string): string {
  return text.replace(/\\?['"]/g, '').replace(/\s+/g, ' ')
}

/** Fails if the request differs from its vector in anything but dates, digests and boundaries. */
function compare(tool: Uploader, request: Recorded): void {
  const body = request.body.toString('latin1')
  const kind = body.includes('.whl"') ? 'wheel' : body.includes('.tar.gz"') ? 'sdist' : 'names'
  const path = join(vectors, `${tool.replace(/-.*/, '')}-${versions[tool]}.${kind}.http`)
  if (process.env.UPDATE_VECTORS === '1') {
    mkdirSync(vectors, { recursive: true })
    writeFileSync(path, anonymous(request.raw))
  }
  expect(existsSync(path), `${path} is missing: record it with UPDATE_VECTORS=1`).toBe(true)
  const recorded = parseRequest(readFileSync(path))
  expect(request.line).toBe(recorded.line)
  expect([...request.headers.keys()]).toEqual([...recorded.headers.keys()])
  expect(request.headers.get('authorization')).toBe(`Basic ${btoa(`__token__:${token}`)}`)
  // twine's and poetry's metadata come out of a set: another order at every run.
  const sorted = (parts: ReturnType<typeof formParts>) => parts.toSorted((a, b) => a.name.localeCompare(b.name))
  const parts = formParts(request)
  expect(sorted(parts)).toEqual(sorted(formParts(recorded)))
  const names = parts.map(({ name }) => name)
  if (kind !== 'names') expect(names.indexOf('sha256_digest')).toBeLessThan(names.indexOf('content'))
}

/** Without the port and the kernel of the machine it was recorded on. */
function anonymous(raw: Buffer): Buffer {
  const end = raw.indexOf('\r\n\r\n')
  const head = raw
    .subarray(0, end)
    .toString('latin1')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:8080')
    .replace(/Linux\/[^ \r]+/g, 'Linux/6.1.0')
    .replace(/"release":"[^"]*"/g, '"release":"6.1.0"')
  return Buffer.concat([Buffer.from(head, 'latin1'), raw.subarray(end)])
}
