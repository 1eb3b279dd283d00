// Seven uploaders up, four installers down, all unmodified, against our own running service: what a person does with the
// tool they have, and what they see when they did something wrong.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { strToU8, zipSync } from 'fflate'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { callApi } from '../../cli/api.ts'
import { FILE_BYTES_MAX } from '../../pypi/limits.ts'
import { normalizeName } from '../../pypi/names.ts'
import { interpreter, prepare, python } from './environments.ts'
import { Service } from './service.ts'
import {
  buildProject,
  INSTALLERS,
  install,
  installSdist,
  makeProject,
  makeVenv,
  type Outcome,
  textOf,
  UPLOADERS,
  type Uploader,
  upload,
} from './tools.ts'

/** Who repeats the sentence of a 400 to the user; the others show the status (test/interop/README.md). */
const SHOWS_REASON: readonly Uploader[] = ['uv', 'poetry', 'flit']
/** How each says that it should not mind what is there already. */
const SKIP: Partial<Record<Uploader, () => string[]>> = {
  'twine-6.1': () => ['--skip-existing'],
  uv: () => ['--check-url', service.simple],
  poetry: () => ['--skip-existing'],
  pdm: () => ['--skip-existing'],
}
/** hatch skips by itself what the page names, whatever its bytes, and calls that a success. */
const SKIPS_BY_NAME: readonly Uploader[] = ['hatch']

let service: Service
/** A project that nobody may ever see, built once. */
let refused: { dir: string; wheel: string; sdist: string }

beforeAll(async () => {
  await prepare([...UPLOADERS, ...INSTALLERS, 'build'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

let folders = 0
const newFolder = (): string => {
  const path = join(service.folder, 'work', String(folders++))
  mkdirSync(path, { recursive: true })
  return path
}

/** What a person would read, without line breaks, boxes, quotes and escapes. */
const plain = (text: string): string => text.replace(/\\?['"]/g, '').replace(/[\s│]+/g, ' ')

function expectRefusal(tool: Uploader, { status, output }: Outcome, code: number, reason: string): void {
  expect(status, output).not.toBe(0)
  expect(output).toContain(String(code))
  const shows = SHOWS_REASON.includes(tool) && !(tool === 'flit' && code !== 400)
  expect(plain(output).includes(reason), `${tool} shows "${reason}":\n${output}`).toBe(shows)
}

async function installed(context: TestContext, tool: (typeof INSTALLERS)[number], requirement: string, name: string) {
  const target = await makeVenv(newFolder())
  const outcome = await install(context, tool, { indexUrl: service.simple, name: requirement, target })
  expect(outcome.status, outcome.output).toBe(0)
  return { output: outcome.output, text: await textOf(interpreter(target), name) }
}

describe.for([...UPLOADERS])('%s', (tool) => {
  const name = `My_Sample.Of-${tool.toUpperCase()}`
  const project = normalizeName(name)
  let projectDir: string
  let files: string[] = []

  const send = (context: TestContext, what: { files?: string[]; projectDir?: string; extra?: string[] } = {}) =>
    upload(context, tool, { url: service.legacy, token: service.tokens.upload, files, projectDir, ...what })

  /** Another project of the tool, built. */
  const build = async (context: TestContext, more: Partial<Parameters<typeof makeProject>[0]>) => {
    const dir = newFolder()
    makeProject({ tool, dir, name, version: '1.0', ...more })
    return { projectDir: dir, files: await buildProject(context, tool, dir) }
  }

  test('publishes a wheel and an sdist', async (context) => {
    projectDir = newFolder()
    makeProject({ tool, dir: projectDir, name, version: '1.0', text: `by ${tool}` })
    files = await buildProject(context, tool, projectDir)
    const { status, output } = await send(context)
    expect(status, output).toBe(0)
  })

  test.for(INSTALLERS)('%s installs it at once', async (installer, context) => {
    expect((await installed(context, installer, name, name)).text).toBe(`by ${tool}`)
  })

  if (tool !== 'uv')
    test('pip installs the sdist', async (context) => {
      const target = newFolder()
      const pip = tool === 'twine' ? 'pip-23.0' : tool === 'twine-6.1' ? 'pip-23.2' : 'pip'
      const what = { indexUrl: service.simple, name: `${name}==1.0`, target }
      const outcome = await installSdist(context, pip, tool, what)
      expect(outcome.status, outcome.output).toBe(0)
      expect(outcome.output).toContain('.tar.gz')
      expect(await textOf(python(), name, { PYTHONPATH: target })).toBe(`by ${tool}`)
    })

  test('what is on the page is what was built', async () => {
    const page = (await service.page(project))!
    expect(page.files.map(({ filename }) => filename).sort()).toEqual(files.map((file) => basename(file)).sort())
    for (const { filename, url } of page.files) {
      const answer = await fetch(new URL(url, `${service.simple}${project}/`))
      const built = readFileSync(files.find((file) => basename(file) === filename)!)
      expect(Buffer.compare(Buffer.from(await answer.arrayBuffer()), built)).toBe(0)
    }
  })

  test('publishing it again is no mistake', async (context) => {
    const { status, output } = await send(context)
    expect(status, output).toBe(0)
    // Only with the look-up answered; otherwise it would have uploaded.
    if (tool === 'hatch') expect(output.match(/already exists/g)).toHaveLength(2)
    expect((await service.page(project))!.files).toHaveLength(2)
  })

  test('other bytes under the same name are refused', async (context) => {
    const before = await service.page(project)
    const other = await build(context, { text: 'something else' })
    const outcome = await send(context, other)
    if (SKIPS_BY_NAME.includes(tool)) {
      expect(outcome.status, outcome.output).toBe(0)
      expect(outcome.output).toContain('already exists')
    } else expectRefusal(tool, outcome, 400, 'File already exists')
    const skip = SKIP[tool]
    if (skip) {
      const { status, output } = await send(context, { ...other, extra: skip() })
      // uv compares digests; the others take the index's word for "the same".
      expect(status === 0, output).toBe(tool !== 'uv')
      if (tool === 'uv') expect(plain(output)).toContain('Local file and index file do not match')
    }
    expect(await service.page(project)).toEqual(before)
  })

  const skip = SKIP[tool]
  if (skip)
    test('skips what exists and goes on with what does not', async (context) => {
      const next = await build(context, { version: '1.1' })
      const sent = await send(context, { ...next, files: [next.files[0]!] })
      expect(sent.status, sent.output).toBe(0)
      const { status, output } = await send(context, { ...next, extra: skip() })
      expect(status, output).toBe(0)
      expect((await service.page(project))!.files).toHaveLength(4)
    })

  test('an epoch and a local version', async (context) => {
    const odd = `odd-${tool}`
    const version = '1!2.0+local.7'
    const { status, output } = await send(context, await build(context, { name: odd, version, text: 'odd' }))
    expect(status, output).toBe(0)
    for (const installer of ['pip', 'pip-23.0', 'uv'] as const)
      expect((await installed(context, installer, `${odd}==${version}`, odd)).text).toBe('odd')
  })

  test('a token that is none', async (context) => {
    const { dir, wheel } = await neverSeen(context)
    const token = `${service.tokens.upload.slice(0, -8)}AAAAAAAA`
    const own = tool === 'flit' ? makeProject({ tool, dir: newFolder(), name: 'never-seen', version: '1.0' }) : dir
    const what = { url: service.legacy, token, files: [copyOf(wheel)], projectDir: own }
    const outcome = await upload(context, tool, what)
    expectRefusal(tool, outcome, 401, 'Invalid or non-existent authentication information.')
    await expectUnseen()
  })

  test('a summary that is too long', async (context) => {
    const long = { name: 'never-seen', description: 'word '.repeat(120).trim() }
    const what = await build(context, long)
    expectRefusal(tool, await send(context, what), 400, 'Summary')
    await expectUnseen()
  })

  // flit builds what it uploads: nothing else can be put into its hands.
  if (tool !== 'flit')
    test.for([
      ['a wheel under another name', 'but its metadata says'],
      ['a wheel with something behind its end', 'The wheel'],
      ['a wheel whose two lists of names disagree', 'The wheel'],
    ] as const)('%s', async ([kind, reason], context) => {
      const { dir, wheel } = await neverSeen(context)
      const bad = copyOf(wheel)
      if (kind === 'a wheel under another name') {
        const [other] = await builtOnce(context)
        writeFileSync(bad, readFileSync(other!))
      } else writeFileSync(bad, kind.includes('behind') ? withTail(wheel) : withOtherLocalName(wheel))
      const outcome = await send(context, { files: [bad], projectDir: dir })
      expect(outcome.output).not.toContain('Traceback')
      // uv reads the archive as strictly as we do, and sends nothing.
      if (tool === 'uv' && outcome.output.includes('Failed to read metadata')) expect(outcome.status).not.toBe(0)
      else expectRefusal(tool, outcome, 400, reason)
      await expectUnseen()
    })
})

/** Nothing of `never-seen` can be reached: no page, not in the list. */
async function expectUnseen(): Promise<void> {
  expect(await service.page('never-seen')).toBeUndefined()
  expect(await service.projects()).not.toContain('never-seen')
}

/** Built once, refused by everybody's upload. */
async function neverSeen(context: TestContext): Promise<typeof refused> {
  if (!refused) {
    const dir = makeProject({ tool: 'twine', dir: newFolder(), name: 'never-seen', version: '1.0' })
    const built = await buildProject(context, 'twine', dir)
    refused = { dir, sdist: built.find((file) => file.endsWith('.gz'))!, wheel: built.find((f) => f.endsWith('.whl'))! }
  }
  return refused
}

let other: string[] | undefined
async function builtOnce(context: TestContext): Promise<string[]> {
  if (!other) {
    const dir = makeProject({ tool: 'twine', dir: newFolder(), name: 'somebody-else', version: '1.0' })
    other = (await buildProject(context, 'twine', dir)).filter((file) => file.endsWith('.whl'))
  }
  return other
}

/** The file alone in a folder: poetry and pdm upload all that is there. */
function copyOf(file: string, name = basename(file)): string {
  const copy = join(newFolder(), name)
  writeFileSync(copy, readFileSync(file))
  return copy
}

const withTail = (wheel: string): Buffer => Buffer.concat([readFileSync(wheel), Buffer.from('and more\n')])

/** The name in front of the first entry, one letter changed; the directory at the end, which tools read, keeps it. */
function withOtherLocalName(wheel: string): Buffer {
  const bytes = readFileSync(wheel)
  bytes[30]! ^= 1
  return bytes
}

describe('limits', () => {
  test('a second sdist of a release', async (context) => {
    const sdist = async (version: string) => {
      const dir = makeProject({ tool: 'flit', dir: newFolder(), name: 'two-sdists', version })
      const files = await buildProject(context, 'flit', dir)
      return { url: service.legacy, token: service.tokens.upload, files: files.filter((file) => file.endsWith('.gz')) }
    }
    expect((await upload(context, 'uv', await sdist('1.0'))).status).toBe(0)
    const second = await sdist('1.0.0')
    const outcome = await upload(context, 'uv', second)
    expectRefusal('uv', outcome, 400, 'sdist')
    expectRefusal('twine', await upload(context, 'twine', second), 400, 'Only one sdist')
    expect((await service.page('two-sdists'))!.files).toHaveLength(1)
  })

  test('a spelling of the file name that is not the normal one', async (context) => {
    const { wheel } = await neverSeen(context)
    const files = [copyOf(wheel, 'Never.Seen-1.0-py3-none-any.whl')]
    const what = { url: service.legacy, token: service.tokens.upload, files }
    for (const tool of ['twine', 'twine-6.1', 'hatch'] as const)
      expectRefusal(tool, await upload(context, tool, what), 400, 'never_seen-1.0-py3-none-any.whl')
    // Says which name it expected, sends nothing, and calls that a success.
    expect((await upload(context, 'uv', what)).output).toContain('non-normalized filename')
    await expectUnseen()
  })

  test.for(['uv', 'twine', 'hatch'] as const)('a file that is too large, with %s', async (tool, context) => {
    const info = 'never_seen-1.0.dist-info'
    const entries = {
      'never_seen.bin': [new Uint8Array(FILE_BYTES_MAX), { level: 0 }],
      [`${info}/METADATA`]: strToU8('Metadata-Version: 2.1\nName: never-seen\nVersion: 1.0\n'),
      [`${info}/WHEEL`]: strToU8('Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
      [`${info}/RECORD`]: strToU8(''),
    } as const
    const file = join(newFolder(), 'never_seen-1.0-py3-none-any.whl')
    writeFileSync(file, zipSync(entries as unknown as Parameters<typeof zipSync>[0]))
    const what = { url: service.legacy, token: service.tokens.upload, files: [file] }
    expectRefusal(tool, await upload(context, tool, { ...what, projectDir: dirname(file) }), 413, '95 MiB')
    await expectUnseen()
  })
})

describe('yank', () => {
  const yank = (method: 'PUT' | 'DELETE', body?: object) =>
    callApi(service.url, method, '/api/projects/Yank.Ed/files/yank_ed-2.0-py3-none-any.whl/yank', {
      token: service.tokens.admin,
      body,
    })

  test('installers take the older one; asked for by number, the yanked one with a warning', async (context) => {
    await service.publish('yank-ed', '1.0')
    await service.publish('yank-ed', '2.0')
    await yank('PUT', { reason: 'breaks "everything" <soon>' })
    await expect
      .poll(async () => (await service.page('yank-ed'))!.files.map(({ yanked }) => yanked))
      .toContain('breaks "everything" <soon>')
    for (const tool of INSTALLERS) {
      expect((await installed(context, tool, 'yank-ed', 'yank-ed')).text).toBe('yank-ed 1.0')
      const exact = await installed(context, tool, 'yank-ed==2.0', 'yank-ed')
      expect(exact.text).toBe('yank-ed 2.0')
      expect(exact.output).toMatch(/yanked/i)
      expect(exact.output).toContain('breaks "everything" <soon>')
    }
  })

  test('and can be taken back', async (context) => {
    await yank('DELETE')
    await expect.poll(async () => (await service.page('yank-ed'))!.files.every(({ yanked }) => !yanked)).toBe(true)
    for (const tool of ['pip', 'uv'] as const)
      expect((await installed(context, tool, 'yank-ed', 'yank-ed')).text).toBe('yank-ed 2.0')
  })
})
