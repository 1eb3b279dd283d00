// Target files of a repository that is signed elsewhere: put before or after the metadata that names them, and what a
// batch is answered when they are not there.
import { beforeEach, describe, expect, test } from 'vitest'
import { formatDate } from '../../tuf/dates.ts'
import { digestHex, sha256Hex } from '../../tuf/digest.ts'
import { blobKey } from '../../tuf/layout.ts'
import { signRole } from '../../tuf/sign.ts'
import { utf8 } from '../unit/tuf/repository.ts'
import { Adoption, handOver } from './adoption.ts'
import { bindings } from './repository.ts'

let adoption: Adoption
let admin: string
let uploader: string

const put = (path: string, bytes: Uint8Array, secret = uploader) =>
  adoption
    .newFace()(`/api/targets/${path}`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${secret}`, 'Content-Length': String(bytes.length) },
      body: bytes,
    })
    .then(async (answer) => ({ status: answer.status, ...((await answer.json()) as Record<string, unknown>) }))
const read = async (path: string) => {
  const answer = await adoption.newFace()(`/tuf/targets/${path}`)
  return answer.status === 200 ? new Uint8Array(await answer.arrayBuffer()) : answer.status
}
const push = (role: string) =>
  adoption.json('PUT', '/api/metadata', { files: handOver({ [role]: adoption.fileOf(role) }) }, admin)
const gate = (targets: string) => adoption.json('PUT', '/api/gate', { targets }, admin)
/** The next version of alpha, which names these files too. */
async function name(files: Record<string, Uint8Array>): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) adoption.theirs.role('alpha').files.set(path, bytes)
  await adoption.theirs.publishRole('alpha')
}

beforeEach(async () => {
  adoption = await Adoption.make(['alpha'])
  await adoption.adopt()
  admin = await adoption.token('admin', 'upload')
  uploader = (
    (await adoption.json(
      'POST',
      '/api/tokens',
      { name: 'ci', scopes: ['upload'], allProjects: true, expires: Math.floor(Date.now() / 1000) + 3_600 },
      admin,
    )) as unknown as { token: string }
  ).token
})

describe('a file is put', () => {
  test('after the metadata that names it, without a word about its digest', async () => {
    const bytes = utf8('what was signed')
    await name({ 'alpha/x#y': bytes })
    expect(await push('alpha')).toMatchObject({ status: 200, targets: { fresh: 1, looked: 1, missing: ['alpha/x#y'] } })
    expect(await read('alpha/x%23y')).toBe(503)
    expect(await put('alpha/x%23y', utf8('what was sighed'))).toMatchObject({
      status: 400,
      detail: 'The bytes do not have the digest that was signed or declared.',
    })
    expect(await put('alpha/x%23y', utf8('short'))).toMatchObject({
      status: 400,
      detail: expect.stringContaining('15 were'),
    })
    expect(await put('alpha/x%23y', bytes)).toMatchObject({ status: 201, stored: true, named: true, length: 15 })
    expect(await read('alpha/x%23y')).toEqual(bytes)
    expect(await put('alpha/x%23y', bytes)).toMatchObject({ status: 200, stored: false })
  })

  test('before the metadata, by its digest: nobody reads it until it is named', async () => {
    const bytes = utf8('new')
    const sha256 = await sha256Hex(bytes)
    expect(await put('alpha/new', bytes)).toMatchObject({ status: 404 })
    expect(await put(`alpha/new?sha256=${'0'.repeat(64)}`, bytes)).toMatchObject({ status: 400 })
    expect(await bindings.BUCKET.head(blobKey(adoption.place, '0'.repeat(64), 1))).toBeNull()
    expect(await put(`alpha/new?sha256=${sha256}`, bytes)).toMatchObject({ status: 201, named: false })
    expect(await read('alpha/new')).toBe(404)
    expect(await read(`alpha/${sha256}.new`)).toBe(404)
    await name({ 'alpha/new': bytes })
    expect(await push('alpha')).toMatchObject({ status: 200, targets: { fresh: 1, looked: 1, missing: [] } })
    expect(await read('alpha/new')).toEqual(bytes)
  })

  test('by whoever may not: refused, and told nothing of what is signed', async () => {
    const ofAlpha = await adoption.json(
      'POST',
      '/api/tokens',
      { name: 'm', scopes: ['metadata:alpha'], allProjects: true, expires: Math.floor(Date.now() / 1000) + 3_600 },
      admin,
    )
    const { token } = ofAlpha as unknown as { token: string }
    for (const path of ['alpha/file', 'alpha/none']) {
      expect((await put(path, utf8('x'), token)).status).toBe(403)
      expect((await put(path, utf8('x'), 'nonsense')).status).toBe(401)
    }
    for (const path of ['../alpha', 'alpha//x', '%2e%2e/x', ''])
      expect((await put(path, utf8('x'))).status).toBeGreaterThanOrEqual(400)
  })
})

describe('a batch names files that are not there', () => {
  test('required: refused by name, nothing changed; ignore: nobody looks', async () => {
    expect(await gate('maybe')).toMatchObject({ status: 400 })
    expect(await gate('required')).toMatchObject({ status: 200 })
    const [a, b] = [utf8('a'), utf8('b')]
    await adoption.put(a)
    await name({ 'alpha/a': a, 'alpha/b': b })
    expect(await push('alpha')).toMatchObject({
      status: 400,
      detail: 'targets: The bucket lacks alpha/b: put them first, with their sha256 in the URL.',
    })
    expect((await adoption.newFace()('/tuf/2.alpha.json')).status).toBe(404)
    await adoption.put(b)
    expect(await push('alpha')).toMatchObject({ status: 200, targets: { fresh: 2, looked: 2, missing: [] } })
    expect(await gate('ignore')).toMatchObject({ status: 200 })
    await name({ 'alpha/c': utf8('c') })
    const answer = await push('alpha')
    expect(answer).toMatchObject({ status: 200, accepted: ['3.alpha'] })
    expect(answer).not.toHaveProperty('targets')
  })

  test('more than are looked for: said, and refused where all are required', async () => {
    await name(Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`alpha/${i}`, utf8(`${i}`)])))
    await gate('required')
    expect(await push('alpha')).toMatchObject({
      status: 400,
      detail: expect.stringContaining('501 new files, and at most 500'),
    })
    await gate('warn')
    const answer = (await push('alpha')) as unknown as { targets: { missing: string[] } }
    expect(answer).toMatchObject({ status: 200, targets: { fresh: 501, looked: 500 } })
    expect(answer.targets.missing).toHaveLength(20)
  })
})

describe('digests of other people', () => {
  const signed = async (path: string, hashes: Record<string, string>, length: number) => {
    const role = adoption.theirs.role('alpha')
    const targets = { [path]: { length, hashes } }
    const head = {
      _type: 'targets',
      spec_version: '1.0.31',
      expires: formatDate(role.expires),
      version: ++role.version,
    }
    role.bytes = await signRole({ ...head, targets }, role.signers)
  }

  test('a file with a sha512 alone is put, checked, served whole and in parts, and under its prefix', async () => {
    const bytes = utf8('five hundred and twelve')
    const sha512 = await digestHex('sha512', bytes)
    await signed('alpha/512', { sha512 }, bytes.length)
    expect(await push('alpha')).toMatchObject({ status: 200, targets: { missing: ['alpha/512'] } })
    expect(await put('alpha/512', utf8('five hundred and twelwe'))).toMatchObject({ status: 400 })
    expect(await put('alpha/512', bytes)).toMatchObject({ status: 201, digest: sha512 })
    expect(await read('alpha/512')).toEqual(bytes)
    expect(await read(`alpha/${sha512}.512`)).toEqual(bytes)
    const client = adoption.clientOver(adoption.warm)
    await client.refresh()
    expect(await client.download((await client.targetInfo('alpha/512'))!)).toEqual(bytes)
    await bindings.BUCKET.put(blobKey(adoption.place, sha512, 1), utf8('five hundred and twelwe'))
    expect(await read('alpha/512')).toBe(503)
  })

  test('a large one is withheld at its end until the sha512 is right', async () => {
    const bytes = new Uint8Array(5 * 2 ** 20 + 1).fill(7)
    const sha512 = await digestHex('sha512', bytes)
    await signed('alpha/large', { sha512 }, bytes.length)
    await push('alpha')
    expect(await put('alpha/large', bytes)).toMatchObject({ status: 201 })
    expect(await read('alpha/large')).toHaveLength(bytes.length)
    bytes[0] = 8
    await bindings.BUCKET.put(blobKey(adoption.place, sha512, 1), bytes)
    await expect(read('alpha/large')).rejects.toThrow()
  })

  test('a file that nobody could check is refused at the gate, by name', async () => {
    for (const hashes of [
      { 'blake2b-256': 'ab' },
      { sha384: 'a'.repeat(96) },
      { sha256: 'A'.repeat(64) },
    ] as unknown as Record<string, string>[]) {
      await signed('alpha/none', hashes, 1)
      expect(await push('alpha')).toMatchObject({
        status: 400,
        detail: expect.stringMatching(/^digest: "alpha\/none" of "alpha" has neither/),
      })
    }
  })
})
