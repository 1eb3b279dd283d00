// `tuf-edge token` against a running service, typed as its help shows it.
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

beforeAll(async () => {
  service = await startService(await freePort(), join(folder.path, 'index'), { onLog: () => {} })
})
afterAll(async () => {
  await service?.runtime.stop()
  folder.remove()
})

async function run(args: string[], more: { token?: string; input?: string } = {}) {
  const { TUF_EDGE_TOKEN: _, ...env } = process.env
  const child = spawn('node', ['cli/tuf-edge.mjs', ...args], {
    env: { ...env, ...(more.token === undefined ? {} : { TUF_EDGE_TOKEN: more.token }) },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  child.stdin.end(more.input ?? '')
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { status, stdout, stderr }
}
const token = (args: string[], more: { token?: string; input?: string } = { token: service.tokens.admin }) =>
  run(['token', ...args, '--url', service.runtime.url], more)

test('create, list, revoke', async () => {
  const made = await token(['create', 'ci-hello', '--scope', 'upload', '--project', 'Hello.Tuf-Edge', '--days', '90'])
  expect(made).toMatchObject({ status: 0, stdout: expect.stringMatching(/^tue_[\w-]{43}[0-9a-f]{6}\n$/) })
  expect(made.stderr).toMatch(
    /^token [0-9a-f]{12} "ci-hello", good until \d{4}-\d\d-\d\d \d\d:\d\dZ; it is shown this once:\n$/,
  )
  const id = made.stderr.split(' ')[1]!

  const upload = (version: string) => {
    const name = 'hello-tuf-edge'
    const { filename, bytes } = buildWheel({ name, version, summary: 'x', files: { 'a.py': '' } })
    return uploadFile({ base: service.runtime.url, token: made.stdout.trim(), name, version, filename, bytes })
  }
  expect(await upload('1.1')).toBe(200)

  const shown = await token(['list'])
  expect(shown.stdout).toContain(`${id}  ci-hello\n  upload; hello-tuf-edge\n`)
  expect(shown.stdout + shown.stderr).not.toContain(made.stdout.trim())
  const listed = JSON.parse((await token(['list', '--json'])).stdout) as { id: string; lastUsed?: number }[]
  expect(listed.find((one) => one.id === id)).toHaveProperty('lastUsed')

  const ended = await token(['revoke', id, '--drop-staged'])
  expect(ended).toMatchObject({ status: 0, stdout: expect.stringContaining(`revoked ${id}`) })
  await expect(upload('1.2')).rejects.toThrow('Invalid or non-existent authentication information.')
  expect((await token(['list'])).stdout).not.toContain(id)
  expect((await token(['list', '--ended'])).stdout).toMatch(new RegExp(`${id}  ci-hello  revoked`))
})

test('the caller’s token comes from the environment, a file or the standard input', async () => {
  const file = join(folder.path, 'admin-token')
  writeFileSync(file, `${service.tokens.admin}\n`)
  for (const [args, input] of [
    [['--token-file', file], ''],
    [['--token-file', '-'], `${service.tokens.admin}\n`],
  ] as const)
    expect(await token(['list', '--json', ...args], { input })).toMatchObject({ status: 0 })
  const none = await token(['list'], {})
  expect(none).toMatchObject({ status: 1, stderr: expect.stringContaining('set TUF_EDGE_TOKEN') })
})

test('wrong words are refused before anything is asked', async () => {
  for (const [args, why] of [
    [[], 'one of the words create, list, revoke'],
    [['create', 'x', '--scope', 'read'], 'either --project, once for each, or --all-projects'],
    [['create', 'x', '--scope', 'read', '--project', 'a', '--all-projects'], 'either --project'],
    [['create', 'x', '--all-projects'], 'at least one --scope'],
    [['create', '--scope', 'read', '--all-projects'], 'wants one name'],
    [['create', 'x', '--scope', 'read', '--all-projects', '--days', '0'], 'whole number of days'],
    [['list', '--scope', 'read'], 'does not take --scope'],
    [['revoke'], 'wants one id'],
  ] as const)
    expect(await token([...args])).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(why) })
  const wide = await token(['create', 'x', '--scope', 'read', '--project', 'a', '--days', '9999'])
  expect(wide).toMatchObject({
    status: 1,
    stderr: 'tuf-edge: A token lives five years at most: give it an earlier expiry.\n',
  })
})
