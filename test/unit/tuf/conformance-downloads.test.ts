// Downloads as tuf-conformance judges them, and the program that speaks its command line: processes and a server, for
// exit codes, files and what is asked for over HTTP are what the suite sees.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestHex, type HashName } from '../../../tuf/digest.ts'
import { FormatError, MismatchError } from '../../../tuf/errors.ts'
import { inside, Run } from './conformance.ts'
import { Repository, text, utf8 } from './repository.ts'

describe('a target', () => {
  const content = utf8('content of the target')

  /** `x` is listed under these digests and served under each of them. */
  async function listed(hashes: Record<string, string>): Promise<Run> {
    const run = await Run.start()
    const { repository } = run
    repository.role('targets').files.set('x', content)
    await repository.publishRole('targets')
    repository.files.delete(`targets/${await digestHex('sha256', content)}.x`)
    await run.alter('2.targets.json', repository.signers.targets, (signed) =>
      inside(signed, 'targets').set('x', { length: content.length, hashes }),
    )
    repository.role('targets').bytes = repository.files.get('2.targets.json')!
    for (const hash of Object.values(hashes)) repository.files.set(`targets/${hash}.x`, content)
    await repository.publishSnapshot()
    await repository.publishTimestamp()
    return run
  }

  test.each<[HashName[]]>([[['sha256']], [['sha512']], [['sha256', 'sha512']]])(
    'test_download_with_hash_algorithms: %s',
    async (names) => {
      const hashes: Record<string, string> = {}
      for (const name of names) hashes[name] = await digestHex(name, content)
      const run = await listed(hashes)
      const client = run.client()
      const info = (await client.targetInfo('x'))!
      run.asked()
      expect(await client.download(info)).toEqual(content)
      const asked = run.asked()
      expect(asked).toHaveLength(1)
      expect(Object.values(hashes).map((hash) => `targets/${hash}.x`)).toContain(asked[0])
    },
  )

  test('test_download_with_unknown_hash_algorithm: it cannot be verified, so it is not handed out', async () => {
    const run = await listed({ unknown: await digestHex('sha512', content) })
    const client = run.client()
    const info = (await client.targetInfo('x'))!
    await expect(client.download(info)).rejects.toThrow(FormatError)
  })

  test('test_repository_substitutes_target_file: other bytes under a good name are refused', async () => {
    const run = await Run.start()
    const { repository } = run
    for (const path of ['x', 'y']) repository.role('targets').files.set(path, utf8(path))
    await repository.publish('targets')
    const client = run.client()
    const [x, y] = [(await client.targetInfo('x'))!, (await client.targetInfo('y'))!]
    expect(text(await client.download(x))).toBe('x')
    for (const name of repository.files.keys())
      if (name.startsWith('targets/')) repository.files.set(name, utf8('malicious'))
    await expect(client.download(x)).rejects.toThrow(MismatchError)
    await expect(client.download(y)).rejects.toThrow(MismatchError)
  })
})

describe('the command line', () => {
  const program = fileURLToPath(new URL('../../conformance/client.ts', import.meta.url))
  const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-conformance-'))
  const [metadata, targets] = [join(folder, 'metadata'), join(folder, 'targets')]
  let repository: Repository
  const server = createServer((request, response) => {
    const path = request.url!.slice('/tuf/'.length)
    repository.requests.push(path)
    const bytes = repository.files.get(path)
    response.writeHead(bytes ? 200 : 404).end(bytes)
  })
  let base: string

  async function client(...args: string[]): Promise<{ code: number | null; stderr: string }> {
    const child = spawn(process.execPath, [program, '--metadata-dir', metadata, ...args])
    let stderr = ''
    child.stderr.on('data', (bytes) => (stderr += bytes))
    child.stdout.on('data', (bytes) => (stderr += bytes))
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    return { code, stderr }
  }
  const download = (...paths: string[]) =>
    client(
      ...['--metadata-url', base, '--target-base-url', `${base}targets/`, '--target-dir', targets],
      ...paths.flatMap((path) => ['--target-name', path]),
      'download',
    )
  const kept = (): Record<string, string> =>
    Object.fromEntries(readdirSync(targets).map((name) => [name, readFileSync(join(targets, name), 'utf8')]))

  beforeAll(async () => {
    repository = await Repository.make(Date.now())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tuf/`
    writeFileSync(join(folder, 'root.json'), repository.files.get('1.root.json')!)
  })
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve))
    rmSync(folder, { recursive: true, force: true })
  })

  test('init asks for nothing, refresh keeps four files, a missing argument is one sentence and exit 1', async () => {
    expect(await client('refresh')).toMatchObject({ code: 1, stderr: '--metadata-url is missing.\n' })
    expect(await client('init', join(folder, 'root.json'))).toEqual({ code: 0, stderr: '' })
    expect(repository.asked()).toEqual([])
    expect(await client('--metadata-url', base, 'refresh')).toEqual({ code: 0, stderr: '' })
    expect(readdirSync(metadata).sort()).toEqual(['root.json', 'snapshot.json', 'targets.json', 'timestamp.json'])
    expect(await client('no')).toMatchObject({ code: 1 })
  })

  // One history, four of the suite's tests: test_client_downloads_expected_file, its …_in_sub_dir, test_artifact_cache
  // and test_multiple_changes_to_target.
  test('test_client_downloads_expected_file_in_sub_dir and what follows it', async () => {
    const files = repository.role('targets').files
    files.set('x', utf8('first')).set('dir/y', utf8('other'))
    await repository.publish('targets')
    expect(await download('x', 'dir/y')).toEqual({ code: 0, stderr: '' })
    expect(kept()).toEqual({ x: 'first', 'dir%2Fy': 'other' })

    // What is there and good is not asked for again; what changed replaces it.
    repository.asked()
    expect(await download('x')).toEqual({ code: 0, stderr: '' })
    expect(repository.asked()).toEqual(['2.root.json', 'timestamp.json'])
    files.set('x', utf8('second'))
    await repository.publish('targets')
    expect((await download('x')).code).toBe(0)
    expect(kept().x).toBe('second')

    // What is wrong leaves the old copy, and the targets after it are not tried.
    files.set('x', utf8('third'))
    await repository.publish('targets')
    for (const name of repository.files.keys()) if (name.endsWith('.x')) repository.files.set(name, utf8('other'))
    repository.asked()
    const { code, stderr } = await download('x', 'dir/y')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^The target "x" does not have the sha256 digest it should\.\n$/)
    expect(kept()).toEqual({ x: 'second', 'dir%2Fy': 'other' })
    expect((await download('nothing')).stderr).toBe('The repository has no target "nothing".\n')
  })
})
