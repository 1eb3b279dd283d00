// `uv publish --direct` of the last uv that has it, against our index: through it, and with a bucket that has an address of
// its own. What is sent and kept at each step is proved in test/workerd/upload-direct.test.ts.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { buildWheel } from '../../cli/wheel.ts'
import { FILE_BYTES_MAX } from '../../pypi/limits.ts'
import { need, prepare } from './environments.ts'
import { codeOf } from './readme.ts'
import { ACCESS, S3 } from './s3.ts'
import { Service } from './service.ts'
import { run } from './tools.ts'

beforeAll(() => prepare(['uv-0.12']))

let services: Service[] = []
async function started(options: Parameters<typeof Service.start>[0]): Promise<Service> {
  const service = await Service.start(options)
  services.push(service)
  return service
}
afterAll(async () => {
  for (const service of services) await service.stop()
  services = []
})

let wheels = 0
/** The wheel with one more file, stored as it is: packing it would take longer than all else here. */
function enlarged(wheel: Uint8Array, name: string, content: Uint8Array): Uint8Array {
  const files = unzipSync(wheel)
  const record = Object.keys(files).find((path) => path.endsWith('/RECORD'))!
  const digest = createHash('sha256').update(content).digest('base64url')
  const line = `${name},sha256=${digest},${content.length}\n`
  return zipSync({ ...files, [name]: content, [record]: strToU8(line + strFromU8(files[record]!)) }, { level: 0 })
}

/** @param more bytes of a file beside its module */
function wheel(service: Service, name: string, text: string, more = 0) {
  const files = { [`${name}.py`]: `text = ${JSON.stringify(text)}\n` }
  const built = buildWheel({ name, version: '1.0', summary: 'A sample', files })
  const bytes = more > 0 ? enlarged(built.bytes, `${name}.bin`, new Uint8Array(more)) : built.bytes
  const folder = join(service.folder, 'wheels', String(wheels++))
  mkdirSync(folder, { recursive: true })
  const path = join(folder, built.filename)
  writeFileSync(path, bytes)
  return { path, sha256: createHash('sha256').update(bytes).digest('hex'), length: bytes.length }
}

async function direct(context: TestContext, service: Service, url: string, path: string) {
  const uv = await need(context, 'uv-0.12')
  return run(uv.command('uv'), [
    ...['publish', '--direct', '--preview-features', 'direct-publish', '--verbose'],
    ...['--publish-url', url, '--token', service.tokens.upload, path],
  ])
}

const digests = async (service: Service, project: string) =>
  (await service.page(project))?.files.map(({ hashes }) => hashes.sha256)

/** Secrets of a place: tickets, and signatures in addresses. */
const SECRETS = /\d{13}\.[0-9a-f]{64}|X-Amz-Signature/

describe.for([
  ['through the index', {}],
  ['through a private index', { isPrivate: true }],
] as const)('%s', ([, options]) => {
  let service: Service
  beforeAll(async () => {
    service = await started(options)
  })
  beforeEach((context) => service.explain(context))

  test('a new file, with either spelling of the address', async (context) => {
    for (const [name, url] of [
      ['slash', service.legacy],
      ['no_slash', service.legacy.slice(0, -1)],
    ] as const) {
      const { path, sha256 } = wheel(service, name, 'directly')
      const { status, output } = await direct(context, service, url, path)
      expect(status, output).toBe(0)
      expect(output).toContain('S3 upload complete')
      expect(output).toContain('Upload finalized')
      expect(await digests(service, name.replace('_', '-'))).toEqual([sha256])
    }
    expect(service.log.join('\n')).not.toMatch(SECRETS)
  })

  test('the same file again sends nothing; other bytes under its name are refused', async (context) => {
    const { path, sha256 } = wheel(service, 'again', 'first')
    expect((await direct(context, service, service.legacy, path)).status).toBe(0)
    const second = await direct(context, service, service.legacy, path)
    expect(second.status, second.output).toBe(0)
    expect(second.output).toContain('File already uploaded')
    const other = await direct(context, service, service.legacy, wheel(service, 'again', 'second').path)
    expect(other.status).not.toBe(0)
    expect(other.output).toContain('File already exists')
    expect(await digests(service, 'again')).toEqual([sha256])
  })

  test('a token that is none', async (context) => {
    const { path } = wheel(service, 'nobody', 'x')
    const uv = await need(context, 'uv-0.12')
    const token = `${service.tokens.upload.slice(0, -8)}AAAAAAAA`
    const words = ['publish', '--direct', '--publish-url', service.legacy, '--token', token, path]
    const { status, output } = await run(uv.command('uv'), words)
    expect(status).not.toBe(0)
    expect(output).toContain('Invalid or non-existent authentication information.')
    expect(await service.page('nobody')).toBeUndefined()
  })
})

test('as the guide has it, and more than a request may hold is told what takes it', async (context) => {
  const service = await started({})
  service.explain(context)
  const uv = await need(context, 'uv-0.12')
  const lines = codeOf('Files over 95 MiB', service.port, 'docs/publishing.md')
  const line = lines.find((code) => code.includes('--direct'))!
  const { path, sha256 } = wheel(service, 'guide', 'typed')
  const env = { TOKEN: service.tokens.upload, PATH: [dirname(uv.command('uv')), process.env.PATH].join(delimiter) }
  mkdirSync(join(service.folder, 'typed', 'dist'), { recursive: true })
  writeFileSync(join(service.folder, 'typed', 'dist', basename(path)), readFileSync(path))
  const typed = await run('sh', ['-ec', line], { cwd: join(service.folder, 'typed'), env })
  expect(typed.status, typed.output).toBe(0)
  expect(await digests(service, 'guide')).toEqual([sha256])

  const large = wheel(service, 'large', 'x', FILE_BYTES_MAX)
  const { status, output } = await direct(context, service, service.legacy, large.path)
  expect(status).not.toBe(0)
  expect(output).toContain('send it with `tuf-edge upload`')
  expect(await service.page('large')).toBeUndefined()
})

test('with a bucket that has an address: past the limit of a request', async (context) => {
  const s3 = await S3.start()
  try {
    const service = await started({
      settings: {
        R2_S3_ENDPOINT: s3.endpoint,
        R2_BUCKET_NAME: ACCESS.bucket,
        R2_ACCESS_KEY_ID: ACCESS.id,
        R2_SECRET_ACCESS_KEY: ACCESS.secret,
      },
    })
    service.explain(context)
    s3.store = (key, bytes) => service.bucket.put(key, bytes)
    const { path, sha256, length } = wheel(service, 'by_itself', 'past the limit', FILE_BYTES_MAX)
    const { status, output } = await direct(context, service, service.legacy, path)
    expect(status, output).toBe(0)
    expect(s3.puts).toEqual([{ key: expect.stringMatching(/^r\/main\/e1\/uploads\/[0-9a-f]{32}$/), length }])
    expect(await digests(service, 'by-itself')).toEqual([sha256])
    expect(service.log.join('\n')).not.toMatch(SECRETS)
    const { url } = (await service.page('by-itself'))!.files[0]!
    const answer = await fetch(new URL(url, `${service.simple}by-itself/`))
    const downloaded = createHash('sha256').update(new Uint8Array(await answer.arrayBuffer()))
    expect(downloaded.digest('hex')).toBe(sha256)
  } finally {
    await s3.stop()
  }
})
