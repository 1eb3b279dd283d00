// Following the roots from the one a client has to the newest (TUF 1.0.34, 5.3).
import { describe, expect, test } from 'vitest'
import { ExpiredError, RollbackError, SignatureError } from '../../../tuf/errors.ts'
import type { Signer } from '../../../tuf/sign.ts'
import type { Transport } from '../../../tuf/transport.ts'
import { DAY, NOW, newSigner, Repository, streamOf, utf8 } from './repository.ts'
import { clientOf, expectStored, setUp } from './setup.ts'

describe('the root chain', () => {
  // Each row: keys, threshold and signatures of root 1, 2, …; all must be taken, or the last one refused.
  type Step = [keys: string, threshold: number, signatures: string]
  const rows: [title: string, steps: Step[], refused: boolean][] = [
    [
      'one key replaced, signed by both',
      [
        ['a', 1, 'a'],
        ['b', 1, 'ab'],
        ['b', 1, 'b'],
      ],
      false,
    ],
    [
      'signatures of strangers do not matter',
      [
        ['a', 1, 'xay'],
        ['b', 1, 'xbay'],
        ['b', 1, 'ybx'],
      ],
      false,
    ],
    [
      'not signed by the old key',
      [
        ['a', 1, 'a'],
        ['b', 1, 'bxy'],
      ],
      true,
    ],
    [
      'not signed by the new key',
      [
        ['a', 1, 'a'],
        ['b', 1, 'axy'],
      ],
      true,
    ],
    [
      'not signed',
      [
        ['a', 1, 'a'],
        ['a', 1, ''],
      ],
      true,
    ],
    [
      'another quorum each time',
      [
        ['abcde', 3, 'ace'],
        ['abcde', 3, 'bde'],
        ['abcde', 3, 'abd'],
        ['abcde', 3, 'cde'],
      ],
      false,
    ],
    [
      'two of three are not enough',
      [
        ['abcde', 3, 'ace'],
        ['abcde', 3, 'bd'],
      ],
      true,
    ],
    [
      'one of five replaced, quorum in both',
      [
        ['abcde', 3, 'ace'],
        ['abdef', 3, 'abe'],
      ],
      false,
    ],
    [
      'one of five replaced, no quorum of the new',
      [
        ['abcde', 3, 'ace'],
        ['abdef', 3, 'ace'],
      ],
      true,
    ],
    [
      'one of five replaced, no quorum of the old',
      [
        ['abcde', 3, 'ace'],
        ['abdef', 3, 'aef'],
      ],
      true,
    ],
    [
      'all replaced, both quorums sign the step',
      [
        ['abcde', 3, 'ace'],
        ['fghij', 3, 'acefgh'],
        ['fghij', 3, 'fgj'],
      ],
      false,
    ],
    [
      'all replaced, only the new sign',
      [
        ['abcde', 3, 'ace'],
        ['fghij', 3, 'fgh'],
      ],
      true,
    ],
    [
      'threshold raised and met',
      [
        ['abc', 1, 'a'],
        ['abc', 2, 'ab'],
        ['abc', 2, 'bc'],
      ],
      false,
    ],
    [
      'threshold raised and not met',
      [
        ['abc', 1, 'a'],
        ['abc', 2, 'a'],
      ],
      true,
    ],
    [
      'threshold lowered, the old one met',
      [
        ['abc', 2, 'ab'],
        ['abc', 1, 'ab'],
        ['abc', 1, 'c'],
      ],
      false,
    ],
    [
      'threshold lowered, the old one not met',
      [
        ['abc', 2, 'ab'],
        ['abc', 1, 'a'],
      ],
      true,
    ],
    [
      'a removed key no longer counts',
      [
        ['ab', 1, 'a'],
        ['b', 1, 'ab'],
        ['b', 1, 'a'],
      ],
      true,
    ],
  ]

  test.each(rows)('%s', async (_, steps, refused) => {
    const repository = await Repository.make()
    const people = new Map<string, Signer>()
    for (const name of 'abcdefghijxy') people.set(name, await newSigner())
    const signers = (names: string) => [...names].map((name) => people.get(name)!)
    repository.versions.root = 0
    for (const [keys, threshold, signatures] of steps) {
      repository.signers.root = signers(keys)
      repository.thresholds.root = threshold
      await repository.publishRoot(signers(signatures))
    }
    const store = await repository.newStore()
    const refresh = clientOf(repository, store).refresh()
    const last = refused ? steps.length - 1 : steps.length
    if (refused) await expect(refresh).rejects.toThrow(SignatureError)
    else await refresh
    expectStored(store, repository, { 'root.json': `${last}.root.json` })
    // Nothing below a chain that broke is looked at.
    if (refused) expect(repository.requests).not.toContain('timestamp.json')
  })

  test.each([[-1], [0], [2]])('a root whose version differs by %i from what follows is refused', async (step) => {
    const { repository, store } = await setUp()
    await repository.publishRoot()
    await clientOf(repository, store).refresh()
    repository.versions.root = 2 + step - 1
    const bytes = await repository.publishRoot()
    repository.files.set('3.root.json', bytes)
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(RollbackError)
    expectStored(store, repository, { 'root.json': '2.root.json' })
  })

  test('roots on the way may be expired; an expired last one is stored, and refused', async () => {
    const { repository, store } = await setUp()
    repository.expires.root = NOW - DAY
    await repository.publishRoot()
    await repository.publishRoot()
    await expect(clientOf(repository, store).refresh()).rejects.toThrow(ExpiredError)
    expectStored(store, repository, { 'root.json': '3.root.json' })
    expect(repository.asked()).toEqual(['2.root.json', '3.root.json', '4.root.json', 'timestamp.json'])
    expect(store.files.has('timestamp.json')).toBe(false)
    repository.expires.root = NOW + DAY
    await repository.publishRoot()
    await clientOf(repository, store).refresh()
    expectStored(store, repository, { 'root.json': '4.root.json' })
  })

  test('a refresh takes at most so many roots, the next one the rest', async () => {
    const { repository, store } = await setUp()
    for (let i = 0; i < 5; i++) await repository.publishRoot()
    await clientOf(repository, store, { limits: { rootRotations: 3 } }).refresh()
    expectStored(store, repository, { 'root.json': '4.root.json' })
    await clientOf(repository, store, { limits: { rootRotations: 3 } }).refresh()
    expectStored(store, repository, { 'root.json': '6.root.json' })
  })

  test.each([403, 410, 500, 503, 301])(
    'status %i for the next root is a failure, not the end of the chain',
    async (status) => {
      const { repository, store } = await setUp()
      const transport: Transport = {
        fetch: async (url, max) =>
          url.endsWith('2.root.json') ? { status, body: streamOf(utf8('')) } : repository.transport().fetch(url, max),
      }
      await expect(clientOf(repository, store, { transport }).refresh()).rejects.toMatchObject({
        code: 'download',
        status,
      })
    },
  )
})
