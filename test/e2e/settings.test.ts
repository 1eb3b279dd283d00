// `tuf-edge quota` and `tuf-edge settings` against a running service, typed as their help shows them.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type LocalService, startService } from '../../cli/serve.ts'
import { uploadFile } from '../../cli/upload.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { freePort, temporaryFolder } from './process.ts'

const folder = temporaryFolder()
let service: LocalService
const SECRET = 'a-secret-of-the-webhook'

beforeAll(async () => {
  service = await startService(await freePort(), join(folder.path, 'index'), { onLog: () => {} })
})
afterAll(async () => {
  await service?.runtime.stop()
  folder.remove()
})

async function typed(args: string[], more: NodeJS.ProcessEnv = {}) {
  const { TUF_EDGE_WEBHOOK_SECRET: _, ...present } = process.env
  const env = { ...present, TUF_EDGE_TOKEN: service.tokens.admin, NO_COLOR: '1', ...more }
  const child = spawn('node', ['cli/tuf-edge.mjs', ...args, '--url', service.runtime.url], { env })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (err += chunk))
  child.stdin.end()
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { status, out, err }
}

async function upload(version: string): Promise<Buffer | Uint8Array> {
  const { filename, bytes } = buildWheel({ name: 'held', version, summary: 'a test', files: { 'held.py': version } })
  const base = service.runtime.url
  await uploadFile({ base, token: service.tokens.upload, name: 'held', version, filename, bytes })
  return bytes
}

test('a quota is shown and set, what is not named stays, and an upload runs into it', async () => {
  const size = (await upload('1.0')).length
  expect(await typed(['quota', 'set', 'held', '--files', '1'])).toMatchObject({
    status: 0,
    out: `held\n  ${size} bytes, no limit\n  1 files, of at most 1\n  one file: no limit\n`,
  })
  await expect(upload('1.1')).rejects.toThrow(/may hold 1: delete some/)
  expect(await typed(['quota', 'set', 'held', '--bytes', '2MB', '--files', 'none'])).toMatchObject({ status: 0 })
  const shown = await typed(['quota', 'show', 'held', '--json'])
  expect(JSON.parse(shown.out)).toEqual({
    quota: { bytes: 2_000_000, files: null, fileBytes: null },
    held: { files: 1, bytes: size },
  })
  await upload('1.1')
  expect((await typed(['quota', 'show'])).out).toContain('the whole index\n')
  for (const [args, said] of [
    [['quota', 'set', 'held'], /wants --bytes/],
    [['quota', 'show', '--files', '1'], /takes none/],
    [['quota', 'set', '--bytes', '2 MB'], /wants a size such as/],
    [['quota', 'set', '--files', '1.5'], /whole number/],
    [['quota', 'raise'], /show or set/],
  ] as const)
    expect(await typed([...args])).toMatchObject({ status: 2, err: expect.stringMatching(said) })
  expect(await typed(['quota', 'show', 'nobody'])).toMatchObject({
    status: 1,
    err: expect.stringMatching(/no project/),
  })
}, 60_000)

test('settings are changed, shown, and refused in one line', async () => {
  expect(await typed(['settings', 'freshness', 'tight'])).toMatchObject({ status: 0, out: 'freshness: tight\n' })
  expect((await typed(['settings', 'show'])).out).toMatch(
    /^freshness: tight\n {2}timestampSeconds 3600\n(.*\n)+reading: public\n$/,
  )
  expect(await typed(['settings', 'freshness', 'loose'])).toMatchObject({ status: 1, out: '' })

  const simple = () => fetch(`${service.runtime.url}/simple/held/`).then(({ status }) => status)
  expect(await typed(['settings', 'reading', 'private'])).toMatchObject({ status: 0, out: 'reading: private\n' })
  expect(await simple()).toBe(401)
  expect((await typed(['settings', 'show', '--json'])).out).toContain('"private": true')
  expect(await typed(['settings', 'reading', 'public'])).toMatchObject({ status: 0, out: 'reading: public\n' })
  expect((await typed(['settings', 'show', '--json'])).out).toContain('"private": false')

  const url = 'https://ops.example/hook'
  const file = join(folder.path, 'hook-secret')
  writeFileSync(file, `${SECRET}\n`)
  for (const [more, env] of [
    [['--secret-file', file], {}],
    [[], { TUF_EDGE_WEBHOOK_SECRET: SECRET }],
  ] as const)
    expect(await typed(['settings', 'webhook', url, ...more], env)).toEqual({
      status: 0,
      out: `webhook: ${url}\n`,
      err: '',
    })
  expect(await typed(['settings', 'webhook', url])).toMatchObject({
    status: 1,
    err: expect.stringMatching(/is needed/),
  })
  expect(await typed(['settings', 'webhook', 'none'])).toMatchObject({ status: 0, out: 'webhook: none\n' })
  for (const args of [['settings'], ['settings', 'colour', 'red'], ['settings', 'reading', 'closed']])
    expect((await typed(args)).status).toBe(2)
}, 60_000)
