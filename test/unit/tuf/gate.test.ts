// The gate, rule by rule: what is refused changes nothing, what passes is a repository that clients follow.
import { beforeEach, describe, expect, test } from 'vitest'
import { targetsSigned } from '../../../tuf/build.ts'
import type { Canonical } from '../../../tuf/canonical.ts'
import { sha256Hex } from '../../../tuf/digest.ts'
import {
  type Admitted,
  admit,
  GateError,
  type GateOptions,
  type HeldRole,
  type ReadFile,
  readRole,
  type SignedFile,
} from '../../../tuf/gate.ts'
import type { parseRoot } from '../../../tuf/metadata.ts'
import { type Signer, signRole } from '../../../tuf/sign.ts'
import { DAY, NOW, newSigner, Repository } from './repository.ts'

const options: GateOptions = { now: NOW }

/** A delegation to `names`, each with its signers. */
const delegating = (roles: Record<string, { signers: Signer[]; threshold?: number }>): Canonical => ({
  keys: Object.fromEntries(
    Object.values(roles)
      .flatMap(({ signers }) => signers)
      .map(({ key }) => [key.keyid, { keytype: key.keytype, scheme: key.scheme, keyval: { public: key.public } }]),
  ),
  roles: Object.entries(roles).map(([name, { signers, threshold }]) => ({
    name,
    keyids: signers.map(({ keyid }) => keyid),
    threshold: threshold ?? signers.length,
    paths: ['*'],
    terminating: false,
  })),
})

/** What passed the gate so far, as a ledger keeps it. */
class Kept {
  root: ReturnType<typeof parseRoot> | undefined
  readonly roles = new Map<string, HeldRole>()
  readonly files = new Map<string, Uint8Array>()
  readonly loaded: string[] = []

  async take(files: SignedFile[], more: Partial<GateOptions> = {}): Promise<Admitted> {
    const admitted = await admit(files, this.#held(), { ...options, ...more })
    this.root = admitted.roots.at(-1)?.envelope ?? this.root
    for (const { role, version, sha256, delegates, bytes } of admitted.roles) {
      this.roles.set(role, { version, sha256, delegates })
      this.files.set(role, bytes)
    }
    return admitted
  }

  async refuses(files: SignedFile[], rule: string, message: RegExp, more: Partial<GateOptions> = {}): Promise<void> {
    const error = await admit(files, this.#held(), { ...options, ...more }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(GateError)
    expect([(error as GateError).rule, (error as GateError).message]).toEqual([rule, expect.stringMatching(message)])
  }

  #held() {
    return {
      root: this.root,
      roles: this.roles,
      load: async (role: string) => {
        this.loaded.push(role)
        return this.files.get(role)!
      },
    }
  }
}

let repository: Repository
let kept: Kept
let [alice, bob]: Signer[] = []

async function signed(role: string, version: number, by: Signer[], delegations?: Canonical, expires = NOW + 90 * DAY) {
  const input = { version, expiresMs: expires, targets: [], ...(delegations === undefined ? {} : { delegations }) }
  return { role, bytes: await signRole(targetsSigned(input), by) }
}
const targets = (version: number, delegations?: Canonical) =>
  signed('targets', version, repository.signers.targets, delegations)
const rootFile = (version: number): SignedFile => ({
  role: 'root',
  bytes: repository.files.get(`${version}.root.json`)!,
})

beforeEach(async () => {
  repository = await Repository.make()
  kept = new Kept()
  alice = await newSigner()
  bob = await newSigner()
  const two = delegating({ alpha: { signers: [alice] }, beta: { signers: [bob] } })
  await kept.take([
    rootFile(1),
    await targets(1, two),
    await signed('alpha', 1, [alice]),
    await signed('beta', 1, [bob]),
  ])
})

describe('what passes', () => {
  test('a role alone: its delegator is read, its sisters are not', async () => {
    kept.loaded.length = 0
    const file = await signed('alpha', 2, [alice!])
    const { roots, roles } = await kept.take([file])
    expect(roots).toEqual([])
    expect(roles).toMatchObject([{ role: 'alpha', version: 2, sha256: await sha256Hex(file.bytes), delegates: false }])
    expect(kept.loaded).toEqual(['targets'])
  })

  test('what is held already, byte for byte, is nothing new; the whole chain may be handed over again', async () => {
    await repository.publishRoot()
    await kept.take([rootFile(2)])
    const again = [rootFile(1), rootFile(2), ...[...kept.files].map(([role, bytes]) => ({ role, bytes }))]
    expect(await kept.take(again)).toEqual({ roots: [], roles: [] })
  })

  test('several roots in any order, a delegation with new keys and the role they sign, in one batch', async () => {
    await repository.publishRoot()
    await repository.publishRoot()
    const carol = await newSigner()
    const two = delegating({ alpha: { signers: [carol] }, beta: { signers: [bob!] } })
    const batch = [await signed('alpha', 2, [carol]), rootFile(3), await targets(2, two), rootFile(2)]
    const { roots, roles } = await kept.take(batch)
    expect(roots.map(({ version }) => version)).toEqual([2, 3])
    expect(roles.map(({ role }) => role).sort()).toEqual(['alpha', 'targets'])
  })

  test('a role that is no longer delegated to keeps its number: delegated to again, it cannot start over', async () => {
    await kept.take([await targets(2, delegating({ alpha: { signers: [alice!] } }))])
    const both = delegating({ alpha: { signers: [alice!] }, beta: { signers: [alice!] } })
    await kept.refuses([await targets(3, both)], 'threshold', /"beta", as "targets" asks, is signed by 0 of the 1/)
    await kept.refuses([await targets(3, both), await signed('beta', 1, [alice!])], 'two-contents', /"beta" 1/)
    await kept.take([await targets(3, both), await signed('beta', 2, [alice!])])
  })

  test('two delegators of one role must both be satisfied', async () => {
    const below = delegating({ shared: { signers: [bob!] } })
    const middle = async (role: string, by: Signer, delegations: Canonical) => signed(role, 2, [by], delegations)
    const byAlice = delegating({ shared: { signers: [alice!] } })
    const pair = [await middle('alpha', alice!, byAlice), await middle('beta', bob!, below)]
    await kept.refuses([...pair, await signed('shared', 1, [alice!])], 'threshold', /as "beta" asks/)
    await kept.take([...pair, await signed('shared', 1, [alice!, bob!])])
  })
})

describe('what is refused, by rule', () => {
  test('threshold: other keys, or one key twice', async () => {
    await kept.refuses([await signed('alpha', 2, [bob!])], 'threshold', /"alpha", as "targets" asks/)
    const two = delegating({ alpha: { signers: [alice!], threshold: 2 }, beta: { signers: [bob!] } })
    await kept.refuses([await targets(2, two)], 'threshold', /signed by 1 of the 2 keys/)
  })

  test('threshold: a root not signed by the one before it, or not by itself', async () => {
    repository.signers.root = [await newSigner()]
    await repository.publishRoot()
    await kept.refuses([rootFile(2)], 'threshold', /root 2, as 1 asks,/)
  })

  test('threshold: targets under the keys of the new root', async () => {
    const former = repository.signers.targets
    repository.signers.targets = [await newSigner()]
    await repository.publishRoot()
    await kept.refuses([rootFile(2)], 'threshold', /"targets", as root 2 asks,/)
    await kept.refuses([rootFile(2), await signed('targets', 2, former)], 'threshold', /"targets"/)
  })

  test('next-root, two-contents and rollback', async () => {
    await repository.publishRoot()
    await repository.publishRoot()
    await kept.refuses([rootFile(3)], 'next-root', /root 3 cannot follow root 1: only 2 can/)
    const other = await Repository.make()
    await kept.refuses([{ role: 'root', bytes: other.files.get('1.root.json')! }], 'two-contents', /root 1/)
    await kept.refuses([await signed('alpha', 1, [alice!], undefined, NOW + DAY)], 'two-contents', /"alpha" 1/)
    await kept.take([await signed('alpha', 5, [alice!])])
    await kept.refuses([await signed('alpha', 4, [alice!])], 'rollback', /version 4, and version 5/)
    const file = await signed('alpha', 6, [alice!])
    await kept.refuses([file, file], 'two-contents', /twice/)
  })

  test('incomplete, unreachable, cycle', async () => {
    const more = delegating({ alpha: { signers: [alice!] }, gamma: { signers: [bob!] } })
    await kept.refuses([await targets(2, more)], 'incomplete', /"targets" delegates to "gamma"/)
    await kept.refuses([await signed('gamma', 1, [bob!])], 'unreachable', /"gamma" is delegated to by no role/)
    const up = delegating({ beta: { signers: [bob!] } })
    const down = delegating({ alpha: { signers: [alice!] } })
    const circle = [await signed('alpha', 2, [alice!], up), await signed('beta', 2, [bob!], down)]
    await kept.refuses(circle, 'cycle', /"beta" delegates to "alpha", which is above it/)
    await kept.refuses([await signed('alpha', 2, [alice!], down)], 'cycle', /"alpha" delegates to "alpha"/)
    await expect(new Kept().take([await targets(1)])).rejects.toThrow('holds no root')
  })

  test('online-keys and consistent-snapshot', async () => {
    const keyidOf = (role: 'snapshot' | 'timestamp') => repository.signers[role][0]!.keyid
    const online = { snapshot: keyidOf('snapshot'), timestamp: keyidOf('timestamp') }
    const alpha = await signed('alpha', 2, [alice!])
    await admit(
      [alpha],
      { root: kept.root, roles: kept.roles, load: async (role) => kept.files.get(role)! },
      { now: NOW, online },
    )
    await kept.refuses([alpha], 'online-keys', /for snapshot/, { online: { ...online, snapshot: alice!.keyid } })
    repository.signers.timestamp.push(alice!)
    repository.thresholds.timestamp = 2
    await repository.publishRoot()
    await kept.refuses([rootFile(2)], 'online-keys', /for timestamp with threshold 1/, { online })
  })

  test('expired: a file of the batch, the newest root alone', async () => {
    await kept.refuses([await signed('alpha', 2, [alice!], undefined, NOW)], 'expired', /"alpha" expired at 2030-06-01/)
    repository.expires.root = NOW - DAY
    await repository.publishRoot()
    await kept.refuses([rootFile(2)], 'expired', /root expired/)
    repository.expires.root = NOW + DAY
    await repository.publishRoot()
    await kept.take([rootFile(2), rootFile(3)])
  })

  test('name: a role that would be taken for a root, where files have no number in front', async () => {
    repository = await Repository.make(NOW, { consistent: false })
    const two = delegating({ '2.root': { signers: [alice!] }, '2.targets': { signers: [alice!] } })
    const batch = [rootFile(1), await targets(1, two), await signed('2.root', 1, [alice!])]
    kept = new Kept()
    await kept.refuses([...batch, await signed('2.targets', 1, [alice!])], 'name', /"2.root" would be taken for a root/)
  })

  test('name, size, format', async () => {
    const bytes = (await signed('alpha', 2, [alice!])).bytes
    await kept.refuses([{ role: 'snapshot', bytes }], 'name', /signed here/)
    await kept.refuses([{ role: '', bytes }], 'name', /between 1 and 200/)
    await kept.refuses([{ role: '\ud800', bytes }], 'name', /between 1 and 200/)
    await kept.refuses([{ role: 'é'.repeat(40), bytes }], 'name', /between 1 and 200/)
    await kept.refuses([{ role: 'alpha', bytes: new Uint8Array(5_000_001) }], 'size', /5000001 bytes/)
    await kept.refuses([{ role: 'alpha', bytes: bytes.slice(1) }], 'format', /./)
    await kept.refuses([{ role: 'alpha', bytes: rootFile(1).bytes }], 'format', /its type is "root"/)
  })
})

test('a batch that is larger than a call: what was verified is asked for once, under whatever keys the tree then has', async () => {
  const fresh = new Kept()
  const read: string[] = []
  const remembered = new Map<string, string[]>()
  let share = 2
  const voices = {
    of: (sha256: string) => remembered.get(sha256) ?? [],
    add(sha256: string, identities: Iterable<string>) {
      remembered.set(sha256, [...identities])
      if (--share === 0) throw new Error('the share is used up')
    },
  }
  const names = ['a', 'b', 'c', 'd']
  const files = [
    targets(1, delegating(Object.fromEntries(names.map((name) => [name, { signers: [alice!] }])))),
    // Each has other bytes: two names for the same bytes are one thing to verify.
    ...names.map((name, i) => signed(name, 1, [alice!], undefined, NOW + (90 + i) * DAY)),
  ]
  const batch = [
    { role: 'root', bytes: repository.files.get('1.root.json')! },
    ...(await Promise.all(files.map(async (file) => lazily(await readRole(await file), read)))),
  ]
  await expect(fresh.take(batch, { voices })).rejects.toThrow('used up')
  share = 2
  await expect(fresh.take(batch, { voices })).rejects.toThrow('used up')
  share = 9
  expect((await fresh.take(batch, { voices })).roles).toHaveLength(5)
  // The delegator is read again in every call and by `take` at the end; the others once to be verified, once by `take`.
  for (const name of names) expect(read.filter((each) => each === name)).toHaveLength(2)

  // The same bytes under another key: what is remembered is no voice there.
  const others = new Kept()
  const strict = await targets(1, delegating(Object.fromEntries(names.map((name) => [name, { signers: [bob!] }]))))
  await others.refuses([batch[0]!, strict, ...batch.slice(2)], 'threshold', /"a".*signed/, { voices })
})

function lazily(file: ReadFile, read: string[]): ReadFile {
  const { bytes, ...said } = file
  return Object.defineProperty(said, 'bytes', {
    get: () => {
      read.push(file.role)
      return bytes
    },
  }) as ReadFile
}
