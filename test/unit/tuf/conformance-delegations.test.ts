// Delegations as tuf-conformance judges them: which roles are read for a target, in which order, under whose keys.
import { describe, expect, test } from 'vitest'
import { FormatError, SignatureError } from '../../../tuf/errors.ts'
import { Run } from './conformance.ts'
import { delegationsTo, newSigner, text, utf8 } from './repository.ts'

/** `delegator>role`, with `!` if it is terminating, with `(patterns)` if not everything without a slash. */
type Edge = string

/** Publishes a tree of delegations; `files` are `role:path`, each with its own name as content. */
async function build(edges: readonly Edge[], files: readonly string[] = []): Promise<Run> {
  const run = await Run.start()
  const { repository } = run
  const signer = await newSigner()
  const below = new Map<string, Parameters<typeof delegationsTo>>()
  for (const edge of edges) {
    const [, delegator, name, end, patterns] = /^(\w+)>(\w+)(!?)(?:\((.*)\))?$/.exec(edge)!
    repository.role(name!).signers = [signer]
    const paths = patterns?.split(' ') ?? ['*']
    below.set(delegator!, [...(below.get(delegator!) ?? []), [name!, [signer], paths, { terminating: end === '!' }]])
  }
  for (const [delegator, roles] of below) repository.role(delegator).delegations = delegationsTo(...roles)
  for (const file of files) {
    const [role, path] = file.split(':')
    repository.role(role!).files.set(path!, utf8(file))
  }
  await repository.publish(...repository.roles.keys())
  return run
}

/** The delegated roles that were asked for, in order. */
const visited = (run: Run): string =>
  run
    .asked()
    .flatMap((name) => /^1\.(\w)\.json$/.exec(name)?.[1] ?? [])
    .join('')

test.each<[title: string, edges: Edge[], order: string]>([
  ['one', ['targets>a'], 'a'],
  ['two beside each other', ['targets>a', 'targets>b'], 'ab'],
  ['below the second', ['targets>a', 'targets>b', 'b>c'], 'abc'],
  ['below the first, before the second', ['targets>a', 'targets>b', 'a>c', 'a>d'], 'acdb'],
  ['three deep, before the second', ['targets>a', 'targets>b', 'a>c', 'c>d'], 'acdb'],
  ['a terminating one ends all but what is below it', ['targets>a', 'targets>b', 'a>c!', 'a>d'], 'ac'],
  ['and what is below it is read', ['targets>a', 'targets>b', 'a>c!', 'c>d'], 'acd'],
  ['other paths are passed', ['targets>a(*.py)', 'targets>b', 'a>c'], 'b'],
  ['other paths further down too', ['targets>a', 'targets>b', 'a>c(*.py)', 'c>d'], 'ab'],
  ['a circle', ['targets>a', 'targets>b', 'b>c', 'c>d', 'd>b'], 'abcd'],
  ['one role of two delegators', ['targets>a', 'targets>b', 'b>c', 'a>c'], 'acb'],
  ['of two delegators with other paths', ['targets>a', 'targets>b', 'b>c', 'a>c(*.py)'], 'abc'],
])('test_graph_traversal: %s', async (_, edges, order) => {
  const run = await build(edges)
  expect(await run.client().targetInfo('missing')).toBeUndefined()
  expect(visited(run)).toBe(order)
})

describe('one tree', () => {
  const edges = ['targets>a(*.doc *.md foo-?.tgz)', 'targets>b(out/*/*)', 'b>c(out/x/*)', 'b>d(out/y/*.zip)']
  const files = [
    'targets:file',
    'a:READ.md',
    'a:out/READ.md',
    'a:foo-1.tgz',
    'a:foo-alpha.tgz',
    'c:out/x/1',
    'd:out/y/1.zip',
    'd:out/z/1.zip',
  ]
  test.each<[title: string, path: string, role: string | undefined, order: string]>([
    ['not delegated', 'file', 'targets', ''],
    ['a star', 'READ.md', 'a', 'a'],
    ['stars and slashes', 'out/x/1', 'c', 'bc'],
    ['a star with an ending', 'out/y/1.zip', 'd', 'bd'],
    ['not delegated all the way', 'out/z/1.zip', undefined, 'b'],
    ['a star does not hold a slash', 'out/READ.md', undefined, ''],
    ['a question mark is one character', 'foo-1.tgz', 'a', 'a'],
    ['and not five', 'foo-alpha.tgz', undefined, ''],
    ['case counts', 'READ.MD', undefined, ''],
  ])('test_targetfile_search: %s', async (_, path, role, order) => {
    const run = await build(edges, files)
    const client = run.client()
    const info = await client.targetInfo(path)
    expect(info?.role).toBe(role)
    expect(visited(run)).toBe(order)
    if (info) expect(text(await client.download(info))).toBe(`${role}:${path}`)
  })
})

test('test_cached_role_is_verified_against_current_delegator: a good file of one is not one of the other', async () => {
  const run = await Run.start()
  const { repository } = run
  const [parents, first, second] = [await newSigner(), await newSigner(), await newSigner()]
  for (const name of ['a', 'b']) repository.role(name).signers = [parents]
  repository.role('targets').delegations = delegationsTo(['a', [parents], ['a/*']], ['b', [parents], ['b/*']])
  repository.role('a').delegations = delegationsTo(['shared', [first], ['a/*']])
  repository.role('b').delegations = delegationsTo(['shared', [second], ['b/*']])
  repository.role('shared').signers = [first]
  for (const path of ['a/x', 'b/x']) repository.role('shared').files.set(path, utf8(path))
  await repository.publish('shared', 'a', 'b', 'targets')
  const client = run.client()
  expect(text(await client.download((await client.targetInfo('a/x'))!))).toBe('a/x')
  await expect(client.targetInfo('b/x')).rejects.toThrow(SignatureError)
  // A new process finds the file in the store.
  await expect(run.client().targetInfo('b/x')).rejects.toThrow(SignatureError)
})

test('test_delegation_not_in_snapshot: such a role is not even asked for', async () => {
  const run = await build(['targets>a(dir/*)'], ['a:dir/x'])
  run.repository.roles.delete('a')
  await run.repository.publishSnapshot()
  await run.repository.publishTimestamp()
  await run.refresh()
  run.asked()
  await expect(run.client().targetInfo('dir/x')).rejects.toThrow(FormatError)
  expect(run.asked()).toEqual(['2.root.json', 'timestamp.json'])
  expect(run.stored.a).toBeUndefined()
})
