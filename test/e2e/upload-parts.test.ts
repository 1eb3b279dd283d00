// A wheel of 120 MB, over the request limit of every plan's smallest: `tuf-edge upload` is killed in the middle, goes on when
// it is repeated, and what is downloaded is what was built.
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { strToU8, zipSync } from 'fflate'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort, type Process, startProcess, temporaryFolder } from './process.ts'

const BYTES = 120_000_000
const FILENAME = 'huge-1.0-py3-none-any.whl'

let service: Process
let sha256: string
const folder = temporaryFolder()
const [state, file] = [join(folder.path, 'index'), join(folder.path, FILENAME)]

beforeAll(async () => {
  const entries = {
    'huge.bin': randomBytes(BYTES),
    'huge-1.0.dist-info/METADATA': strToU8('Metadata-Version: 2.1\nName: huge\nVersion: 1.0\n'),
    'huge-1.0.dist-info/WHEEL': strToU8(
      'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    ),
  }
  const lines = Object.entries(entries).map(
    ([name, bytes]) => `${name},sha256=${createHash('sha256').update(bytes).digest('base64url')},${bytes.length}\n`,
  )
  const record = 'huge-1.0.dist-info/RECORD'
  const wheel = zipSync({ ...entries, [record]: strToU8(`${lines.join('')}${record},,\n`) }, { level: 0 })
  writeFileSync(file, wheel)
  sha256 = createHash('sha256').update(wheel).digest('hex')
  service = await startProcess(state, await freePort())
})
afterAll(async () => {
  await service?.kill()
  folder.remove()
})

const token = () => (JSON.parse(readFileSync(join(state, 'tokens.json'), 'utf8')) as { upload: string }).upload

function upload() {
  const child = spawn(process.execPath, ['cli/main.ts', 'upload', file, '--url', service.url, '--json'], {
    env: { ...process.env, TUF_EDGE_TOKEN: token() },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, output })) }
}

async function partsThere(): Promise<number> {
  const answer = await fetch(`${service.url}/api/uploads`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ filename: FILENAME, sha256, size: readFileSync(file).length }),
  })
  return ((await answer.json()) as { parts: number[] }).parts.length
}

test('goes on where it was killed, and is whole', async () => {
  const first = upload()
  while ((await partsThere()) < 3) await new Promise((resolve) => setTimeout(resolve, 50))
  first.child.kill('SIGKILL')
  expect((await first.ended).code).toBe(null)
  const there = await partsThere()
  expect(there).toBeLessThan(8)
  expect((await fetch(`${service.url}/simple/huge/`)).status).toBe(404)

  const { code, output } = await upload().ended
  expect(code, output).toBe(0)
  expect(JSON.parse(output)).toMatchObject([{ file: FILENAME, sha256, visible: true }])

  const headers = { accept: 'application/vnd.pypi.simple.v1+json' }
  const page = await fetch(`${service.url}/simple/huge/`, { headers })
  const [listed] = ((await page.json()) as { files: { url: string; hashes: { sha256: string } }[] }).files
  expect(listed!.hashes.sha256).toBe(sha256)
  const download = await fetch(new URL(listed!.url, `${service.url}/simple/huge/`))
  const hash = createHash('sha256')
  for await (const chunk of download.body as unknown as AsyncIterable<Uint8Array>) hash.update(chunk)
  expect(hash.digest('hex')).toBe(sha256)
})
