// The two roots of a handover: what moves, and that nothing else does.
import { expect, test } from 'vitest'
import { parseRoot } from '../../../tuf/metadata.ts'
import { nextRoots, whyNotNext } from '../../../tuf/next-roots.ts'
import { signRole } from '../../../tuf/sign.ts'
import { newSigner, utf8 } from './repository.ts'

const hexKey = (publicKey: string, more: object = {}) => ({
  keytype: 'ed25519',
  scheme: 'ed25519',
  keyval: { public: publicKey },
  ...more,
})

/** A root as other tools write them: unknown fields everywhere, one key for two roles, thresholds of two. */
async function theirs() {
  const [root, shared, snapshot, snapshot2, unused] = (
    await Promise.all([newSigner(), newSigner(), newSigner(), newSigner(), newSigner()])
  ).map(({ key }) => key.public)
  const signed = {
    _type: 'root',
    spec_version: '1.0.31',
    version: 7,
    expires: '2031-01-01T00:00:00Z',
    consistent_snapshot: false,
    'x-tuf-on-ci-expiry-period': 365,
    keys: {
      r: hexKey(root!, { 'x-tuf-on-ci-keyowner': '@alice' }),
      shared: hexKey(shared!),
      s1: hexKey(snapshot!),
      s2: hexKey(snapshot2!),
      unused: hexKey(unused!),
      strange: { keytype: 'sphincs', scheme: 'sphincs', keyval: { public: 'x', z: 1 } },
    },
    roles: {
      root: { keyids: ['r'], threshold: 1 },
      targets: { keyids: ['shared', 'strange'], threshold: 1 },
      snapshot: { keyids: ['s1', 's2'], threshold: 2, 'x-signing': [1, { a: null }] },
      timestamp: { keyids: ['shared'], threshold: 1 },
    },
  }
  const bytes = utf8(JSON.stringify({ signatures: [{ keyid: 'r', sig: '' }], signed }))
  return { signed, root: parseRoot(bytes).signed }
}

const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, item) => (item instanceof Map ? Object.fromEntries(item) : item)))

test('the first names both, the second ours alone; everything else stays as it was', async () => {
  const { signed, root } = await theirs()
  const keys = { snapshot: (await newSigner()).key, timestamp: (await newSigner()).key }
  const [s, t] = [keys.snapshot.keyid, keys.timestamp.keyid]
  const ours = { [s]: hexKey(keys.snapshot.public), [t]: hexKey(keys.timestamp.public) }
  const [both, alone] = nextRoots(root, keys)
  expect(plain(both)).toEqual({
    ...signed,
    version: 8,
    keys: { ...signed.keys, ...ours },
    roles: {
      ...signed.roles,
      snapshot: { ...signed.roles.snapshot, keyids: ['s1', 's2', s], threshold: 1 },
      timestamp: { keyids: ['shared', t], threshold: 1 },
    },
  })
  const { s1: _, s2: __, ...rest } = signed.keys
  expect(plain(alone)).toEqual({
    ...signed,
    version: 9,
    // `shared` signs targets still.
    keys: { ...rest, ...ours },
    roles: {
      ...signed.roles,
      snapshot: { ...signed.roles.snapshot, keyids: [s], threshold: 1 },
      timestamp: { keyids: [t], threshold: 1 },
    },
  })
  const [later] = nextRoots(root, keys, '2035-01-01T00:00:00Z')
  expect(later.get('expires')).toBe('2035-01-01T00:00:00Z')
  // What was read stays as it was read.
  expect(plain(root.raw)).toEqual(signed)
})

test('what a person gives back is told from what was asked for', async () => {
  const { root } = await theirs()
  const keys = { snapshot: (await newSigner()).key, timestamp: (await newSigner()).key }
  const other = { ...keys, snapshot: (await newSigner()).key }
  const [both, alone] = await Promise.all(
    nextRoots(root, keys).map(async (signed) => parseRoot(await signRole(signed, [])).signed),
  )
  expect(whyNotNext(root, both!, keys, true)).toBeUndefined()
  expect(whyNotNext(root, alone!, keys, false)).toBeUndefined()
  expect(whyNotNext(root, both!, keys, false)).toBe('it has version 8 instead of 9')
  expect(whyNotNext(root, both!, other, true)).toBe(`it does not name the key ${other.snapshot.keyid} for snapshot`)
  const lone = { ...alone!, version: 8 }
  expect(whyNotNext(root, lone, keys, true)).toBe('it does not name the key s1 for snapshot')
  expect(whyNotNext(root, { ...both!, version: 9 }, keys, false)).toMatch(/it names other keys beside/)
  expect(whyNotNext(root, { ...both!, consistentSnapshot: true }, keys, true)).toBe('it changes consistent_snapshot')
})

test('another key under the keyid of ours is refused', async () => {
  const { signed } = await theirs()
  const keys = { snapshot: (await newSigner()).key, timestamp: (await newSigner()).key }
  const taken = { ...signed, keys: { ...signed.keys, [keys.snapshot.keyid]: hexKey((await newSigner()).key.public) } }
  const root = parseRoot(utf8(JSON.stringify({ signatures: [], signed: taken }))).signed
  expect(() => nextRoots(root, keys)).toThrow(`Root 7 lists another key under the keyid ${keys.snapshot.keyid}.`)
})
