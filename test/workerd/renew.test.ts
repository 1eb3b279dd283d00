// What people sign of an index made here, signed again: through the gate, all or nothing, and nothing but what is theirs.
import { describe, expect, test } from 'vitest'
import { holdCeremony, makeOfflineKey } from '../../cli/ceremony.ts'
import { targetsSigned } from '../../tuf/build.ts'
import { parseRoot, parseTargets } from '../../tuf/metadata.ts'
import { signRole } from '../../tuf/sign.ts'
import { newReader } from './reading.ts'
import { newRepository, type TestRepository } from './repository.ts'
import { stageFile } from './staging.ts'

const YEAR = 365 * 86_400_000
type Role = 'root' | 'targets' | 'bins'

/** The ceremony's files once more, as version `version`. */
const again = ({ online, offline }: TestRepository, version: number, change: Partial<TestRepository['offline']> = {}) =>
  holdCeremony({
    online,
    offline: { ...offline, ...change },
    thresholds: { root: 1, targets: 1, bins: 1 },
    expiresMs: Date.now() + YEAR,
    development: true,
    version,
  })

const push = ({ member, name }: TestRepository, token: string, files: Partial<Record<Role | 'index', Uint8Array>>) =>
  member.push({
    repository: name,
    token,
    files: Object.entries(files).map(([role, bytes]) => ({ role, bytes: bytes! })),
  })

describe('people sign their roles again', () => {
  test('clients go on, cold and warm; uploads go on in the same publications', async () => {
    const repository = await newRepository()
    const uploader = await repository.token()
    const admin = await repository.token(['admin'])
    const before = await stageFile(repository, uploader, 'alpha', '1.0')
    const warm = await newReader(repository)
    expect(await warm.text(before.path)).toBe('alpha 1.0')
    const files = await again(repository, 2)
    expect(await push(repository, admin, files)).toMatchObject({
      ok: true,
      accepted: ['2.root', '2.targets', '2.bins'],
      visible: true,
    })
    const after = await stageFile(repository, uploader, 'alpha', '1.1')
    for (const reader of [warm, await newReader(repository)]) expect(await reader.text(after.path)).toBe('alpha 1.1')
    const status = await repository.public.status(repository.name)
    expect(status.ok && status.roles.filter(({ role }) => role in files).map(({ version }) => version)).toEqual([
      2, 2, 2,
    ])
  })

  test('with other keys: the root names who signs targets, targets who signs bins', async () => {
    const repository = await newRepository()
    const uploader = await repository.token()
    const admin = await repository.token(['admin'])
    const { path } = await stageFile(repository, uploader, 'alpha', '1.0')
    const warm = await newReader(repository)
    await warm.text(path)
    const [targets, bins] = [[await makeOfflineKey()], [await makeOfflineKey()]]
    const files = await again(repository, 2, { targets, bins })
    // Each alone leaves the index without somebody's signature.
    const { targets: alone, root } = files
    expect(await push(repository, admin, { root })).toMatchObject({
      message: expect.stringMatching(/^threshold: "targets"/),
    })
    expect(await push(repository, admin, { targets: alone })).toMatchObject({
      message: expect.stringMatching(/^threshold: "targets"/),
    })
    expect(await push(repository, admin, { root, targets: alone })).toMatchObject({
      message: expect.stringMatching(/^threshold: "bins"/),
    })
    expect(await push(repository, admin, files)).toMatchObject({ ok: true, visible: true })
    for (const reader of [warm, await newReader(repository)]) expect(await reader.text(path)).toBe('alpha 1.0')
  })

  test('refused: other online keys, a missing delegation, a role that is signed here, who may not', async () => {
    const repository = await newRepository()
    const [uploader, ofBins] = [await repository.token(), await repository.token(['metadata:bins'])]
    const admin = await repository.token(['admin'])
    const other = await newRepository()
    const strange = await again({ ...repository, online: other.online }, 2)
    const refusal = (rule: string) => ({ ok: false, message: expect.stringMatching(rule) })
    expect(await push(repository, admin, { root: strange.root })).toMatchObject(
      refusal('^online-keys: root 2 must name'),
    )
    expect(await push(repository, admin, { bins: strange.bins })).toMatchObject(refusal('^online-keys: "bin-00"'))
    const empty = await signRole(
      targetsSigned({ version: 2, expiresMs: Date.now() + YEAR, targets: [] }),
      repository.offline.targets.map(({ signer }) => signer),
    )
    expect(await push(repository, admin, { targets: empty })).toMatchObject(
      refusal("^index: targets must delegate to 'index'"),
    )
    expect(await push(repository, admin, { index: empty })).toMatchObject(refusal('^threshold: "index"'))
    const files = await again(repository, 2)
    expect(await push(repository, uploader, files)).toMatchObject({ ok: false, status: 403 })
    expect(await push(repository, ofBins, { targets: files.targets })).toMatchObject({ ok: false, status: 403 })
    expect(await push(repository, ofBins, { bins: files.bins })).toMatchObject({ ok: true, accepted: ['2.bins'] })
    expect(parseTargets(files.bins).signed.version).toBe(2)
    expect(parseRoot(repository.root).signed.version).toBe(1)
  })
})
