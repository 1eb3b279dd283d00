// `tuf-edge publisher` against a running service, typed as its help shows it.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type LocalService, startService } from '../../cli/serve.ts'
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

async function publisher(...args: string[]) {
  const env = { ...process.env, TUF_EDGE_TOKEN: service.tokens.admin }
  const child = spawn('node', ['cli/tuf-edge.mjs', 'publisher', ...args, '--url', service.runtime.url], { env })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { status, stdout, stderr }
}

const OCTO = ['--github', 'octo-org/hello', '--owner-id', '65', '--workflow', 'release.yml']

test('add, list, remove', async () => {
  const added = await publisher('add', 'Hello.Tuf-Edge', ...OCTO)
  expect(added).toMatchObject({ status: 0, stdout: expect.stringMatching(/^publisher [0-9a-f]{12} may upload to /) })
  const id = added.stdout.split(' ')[1]!
  const claims = ['--claim', 'sub=project:7', '--claim', 'stage=a=b']
  const other = ['add', 'not-yet', '--pending', '--issuer', 'https://ci.example.org', ...claims, '--json']
  expect(JSON.parse((await publisher(...other)).stdout)).toEqual({ id: expect.stringMatching(/^[0-9a-f]{12}$/) })

  const { stdout } = await publisher('list')
  expect(stdout).toContain(
    `${id}  hello-tuf-edge\n  github: repository octo-org/hello, ownerId 65, workflow release.yml\n`,
  )
  expect(stdout).toContain('not-yet  (pending)\n  oidc: stage a=b, sub project:7\n  https://ci.example.org\n')
  expect(JSON.parse((await publisher('list', 'hello-tuf-edge', '--json')).stdout)).toMatchObject([{ id }])

  expect(await publisher('remove', id)).toMatchObject({ status: 0, stdout: `removed ${id}; its tokens have ended\n` })
  expect((await publisher('list')).stdout).not.toContain(id)
  const gone = await publisher('remove', id)
  expect(gone).toMatchObject({ status: 1, stderr: expect.stringContaining('There is no trusted publisher of that id') })
})

test('the audience is shown, and set', async () => {
  expect((await publisher('audience')).stdout).toMatch(/^tuf-edge-[0-9a-f]{16}\n$/)
  expect((await publisher('audience', 'pypi.example.org')).stdout).toBe('pypi.example.org\n')
  expect(JSON.parse((await publisher('audience', '--json')).stdout)).toEqual({ audience: 'pypi.example.org' })
})

test('wrong words are refused, the index’s own sentence is shown', async () => {
  for (const [args, status, why] of [
    [[], 2, 'one of the words add, list, remove, audience'],
    [['add'], 2, 'wants the name of a project'],
    [['add', 'x'], 2, 'one of --github, --gitlab, --claim'],
    [['add', 'x', ...OCTO, '--gitlab', 'a/b'], 2, 'one of --github, --gitlab, --claim'],
    [['add', 'x', '--issuer', 'https://ci.example.org', '--claim', 'sub'], 2, '--claim wants NAME=VALUE'],
    [['list', '--pending'], 2, 'publisher list does not take --pending'],
    [['remove'], 2, 'wants an id'],
    [['remove', 'a', 'b'], 2, 'one name at most'],
    [['add', 'nowhere', ...OCTO], 1, "There is no project 'nowhere' yet"],
    [['add', 'hello-tuf-edge', ...OCTO.slice(0, 4)], 1, 'The field workflow is the name of a file'],
  ] as const)
    expect({ args, ...(await publisher(...args)) }).toMatchObject({ status, stderr: expect.stringContaining(why) })
})
