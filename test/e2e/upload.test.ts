// `tuf-edge upload`, against a running index: what is sent, what is refused before anything is sent, and what is said.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildWheel } from '../../cli/wheel.ts'
import { makeSdist } from '../workerd/distributions.ts'
import { freePort, outcomeOf, type Process, startProcess, temporaryFolder } from './process.ts'

let service: Process
const folder = temporaryFolder()
const state = join(folder.path, 'index')
beforeAll(async () => {
  service = await startProcess(state, await freePort())
})
afterAll(async () => {
  await service?.kill()
  folder.remove()
})

const token = () => (JSON.parse(readFileSync(join(state, 'tokens.json'), 'utf8')) as { upload: string }).upload
const write = (filename: string, bytes: Uint8Array): string => {
  const path = join(folder.path, filename)
  writeFileSync(path, bytes)
  return path
}
const wheelOf = (name: string, version: string, metadata: string[] = []) =>
  buildWheel({ name, version, summary: 'x', metadata, files: { [`${name}.py`]: '' } })

async function run(words: string[], env: NodeJS.ProcessEnv = { TUF_EDGE_TOKEN: token() }) {
  const child = spawn(process.execPath, ['cli/main.ts', 'upload', ...words, '--url', service.url], {
    env: { ...process.env, TUF_EDGE_TOKEN: '', ...env },
  })
  return outcomeOf(child)
}

async function page(project: string): Promise<{ filename: string; hashes: { sha256: string } }[]> {
  const headers = { accept: 'application/vnd.pypi.simple.v1+json' }
  const answer = await fetch(`${service.url}/simple/${project}/`, { headers })
  return answer.ok ? ((await answer.json()) as { files: { filename: string; hashes: { sha256: string } }[] }).files : []
}

test('a wheel and an sdist are published, and a second time is a success that changes nothing', async () => {
  const wheel = wheelOf('sample', '1.0', ['Requires-Python: >=3.9', 'Classifier: Private :: Do Not Upload'])
  const sdist = await makeSdist('sample', '1.0')
  const paths = [write(wheel.filename, wheel.bytes), write(sdist.filename, sdist.bytes)]
  const first = await run([...paths, '--json'])
  expect(first.code, first.told).toBe(0)
  const sha256 = createHash('sha256').update(wheel.bytes).digest('hex')
  expect(JSON.parse(first.said)).toEqual([
    { file: wheel.filename, sha256, size: wheel.bytes.length, visible: true, warnings: [] },
    { file: sdist.filename, sha256: sdist.sha256, size: sdist.bytes.length, visible: true, warnings: [] },
  ])
  const listed = await page('sample')
  expect(listed.map((file) => file.hashes.sha256).sort()).toEqual([sha256, sdist.sha256].sort())
  const again = await run(paths)
  expect(again.code).toBe(0)
  expect(again.said).toBe(`${wheel.filename}: published\n${sdist.filename}: published\n`)
  expect(await page('sample')).toEqual(listed)
})

test('one broken file, and nothing of the release is sent', async () => {
  const good = wheelOf('half', '1.0')
  const broken = write('half-1.0-cp313-cp313-win_amd64.whl', new TextEncoder().encode('no zip'))
  const { code, told } = await run([write(good.filename, good.bytes), broken])
  expect(code).toBe(1)
  expect(told).toContain('half-1.0-cp313-cp313-win_amd64.whl')
  expect(told).toContain('Nothing was uploaded.')
  expect(await page('half')).toEqual([])
})

test('what the index refuses is named, and the rest is published', async () => {
  const first = wheelOf('taken', '1.0')
  expect((await run([write(first.filename, first.bytes)])).code).toBe(0)
  const other = wheelOf('taken', '1.0', ['Requires-Python: >=3.10'])
  const next = wheelOf('taken', '1.1')
  const { code, said } = await run([write(other.filename, other.bytes), write(next.filename, next.bytes)])
  expect(code).toBe(1)
  expect(said).toContain(`refused ${other.filename}: File already exists`)
  expect(said).toContain(`${next.filename}: published`)
})

test('the token comes from a file or the environment, and never from the words', async () => {
  const wheel = wheelOf('tokens', '1.0')
  const path = write(wheel.filename, wheel.bytes)
  const none = await run([path], {})
  expect([none.code, none.told]).toEqual([1, expect.stringContaining('TUF_EDGE_TOKEN')])
  const wrong = await run([path], { TUF_EDGE_TOKEN: `tue_${'x'.repeat(49)}` })
  expect([wrong.code, wrong.told]).toEqual([1, expect.stringContaining('authentication')])
  expect((await run([path, '--token', token()])).code).toBe(2)
  const file = write('upload-token', new TextEncoder().encode(`${token()}\n`))
  expect((await run([path, '--token-file', file], {})).code).toBe(0)
})
