// The operator's commands as they are typed, against a whole service: what they print, and what pip would then see.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { uploadFile } from '../../cli/upload.ts'
import { buildWheel } from '../../cli/wheel.ts'
import { freePort, startProcess, temporaryFolder } from './process.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

test('yank, delete, purge and status do what they say, and refuse in one line', async () => {
  const { path: folder, remove } = temporaryFolder()
  cleanups.push(remove)
  const service = await startProcess(folder, await freePort())
  cleanups.push(service.kill)
  const tokens = JSON.parse(readFileSync(join(folder, 'tokens.json'), 'utf8'))
  const { url } = service
  const typed = (...args: string[]) => {
    const env = { ...process.env, TUF_EDGE_TOKEN: tokens.admin, NO_COLOR: '1' }
    const { status, stdout, stderr } = spawnSync(process.execPath, ['cli/main.ts', ...args, '--url', url], {
      env,
      encoding: 'utf8',
    })
    return [status, `${stdout}${stderr}`.trim()]
  }
  const page = async () => {
    const headers = { accept: 'application/vnd.pypi.simple.v1+json' }
    return (await fetch(`${url}/simple/typed/`, { headers })).json() as Promise<{
      files: { filename: string; yanked: unknown }[]
    }>
  }
  for (const version of ['1.0', '1.1', '1.2']) {
    const { filename, bytes } = buildWheel({
      name: 'typed',
      version,
      summary: 'a test',
      files: { 'typed.py': version },
    })
    await uploadFile({ base: url, token: tokens.upload, name: 'typed', version, filename, bytes })
  }
  const file = 'typed-1.2-py3-none-any.whl'
  const yanked = async () => (await page()).files.map((each) => each.yanked)

  expect(typed('yank', 'typed', '--version', '1.0', '--reason', 'broken')).toEqual([0, 'typed 1.0: yanked'])
  expect(await yanked()).toEqual(['broken', false, false])
  expect(typed('unyank', 'typed', '--version', '1.0')).toEqual([0, 'typed 1.0: no longer yanked'])
  expect(await yanked()).toEqual([false, false, false])
  expect(typed('delete', 'typed', '--file', file)).toEqual([1, 'tuf-edge: Nothing was done: answer y, or give --yes.'])
  expect(await yanked()).toHaveLength(3)
  expect(typed('delete', 'typed', '--file', file, '--yes')).toEqual([0, `${file}: deleted (1 file)`])
  expect(await yanked()).toHaveLength(2)
  expect(typed('purge', 'typed', '--version', '1.1', '--yes')).toEqual([2, expect.stringContaining('give a --reason')])
  const [status, json] = typed('purge', 'typed', '--version', '1.1', '--reason', 'a password', '--yes', '--json')
  expect([status, JSON.parse(json as string)]).toEqual([0, { visible: true, files: 1, erased: 1 }])
  expect((await page()).files).toHaveLength(1)
  expect(typed('project', 'status', 'typed', 'archived', '--reason', 'use other')).toEqual([0, 'typed: archived'])
  expect(await page()).toMatchObject({ 'project-status': { status: 'archived', reason: 'use other' } })
  expect(typed('delete', 'nobody', '--yes')).toEqual([1, "tuf-edge: There is no project 'nobody'."])
  expect(typed('yank', 'typed')).toEqual([2, expect.stringContaining('wants --file or --version')])
})
