// Origin pull: new metadata from the owner's place, on a schedule, through the gate of every push.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isPrivate } from '../../durable-objects/pull-source.ts'
import { timestampKey } from '../../tuf/layout.ts'
import type { Signer } from '../../tuf/sign.ts'
import { newSigner, utf8 } from '../unit/tuf/repository.ts'
import { Adoption, type OurKeys } from './adoption.ts'
import { alarmOf, HOUR, sqlOf, statusOf } from './controls.ts'
import { bindings } from './repository.ts'

const URL_OF = 'https://origin.example/tuf/'

let adoption: Adoption
let keys: OurKeys
let admin: string
/** The pull that was waited for last. */
let noted: number | undefined
const asked: string[] = []
/** Answers instead of the owner's files, if it has one. */
let instead: (path: string) => Response | undefined = () => undefined
const real = globalThis.fetch

const setPull = (setting: object = {}) =>
  adoption.json('PUT', '/api/pull', { url: URL_OF, everySeconds: 600, ...setting }, admin)
const lastPull = async () => (await statusOf(adoption.known)).pull
const events = async (...names: string[]) =>
  (await sqlOf<{ event: string }>(adoption.known, 'SELECT event FROM journal'))
    .map((row) => JSON.parse(row.event) as { event: string })
    .filter((row) => names.includes(row.event))
const timestampEtag = async () => (await bindings.BUCKET.head(timestampKey(adoption.place)))!.etag

const delegating = (by: Record<string, Signer>) => ({
  keys: Object.fromEntries(
    Object.values(by).map(({ key, keyid }) => [
      keyid,
      { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: key.public } },
    ]),
  ),
  roles: Object.entries(by).map(([name, { keyid }]) => ({
    ...{ name, keyids: [keyid], threshold: 1, terminating: false },
    paths: [`${encodeURIComponent(name)}/*`],
  })),
})

/** Waits for the pull that is due at that moment of the publisher's clock. */
async function pulled(at: number) {
  await adoption.later(at)
  await expect.poll(async () => (await lastPull())?.at, { timeout: 10_000 }).not.toBe(noted)
  noted = (await lastPull())?.at
  // What was taken is published in the same go.
  await expect
    .poll(async () => (await sqlOf(adoption.known, 'SELECT 1 AS x FROM unpublished')).length, { timeout: 10_000 })
    .toBe(0)
  return lastPull()
}

beforeEach(async () => {
  adoption = await Adoption.make(['alpha', 'a/x'])
  keys = await adoption.adopt()
  // The owner goes on signing his own timestamp, with keys that no root names any more.
  Object.assign(adoption.theirs.signers, adoption.own)
  admin = await adoption.token('admin')
  await adoption.later(HOUR)
  noted = undefined
  asked.length = 0
  instead = () => undefined
  globalThis.fetch = async (input) => {
    const url = String(input)
    asked.push(url.replace(URL_OF, ''))
    const bytes = adoption.theirs.files.get(url.replace(URL_OF, ''))
    return instead(url.replace(URL_OF, '')) ?? (bytes ? new Response(bytes) : new Response('', { status: 404 }))
  }
})
afterEach(() => {
  globalThis.fetch = real
})

describe('what is new at the origin is taken', () => {
  test('as the owner’s snapshot lists it, while his timestamp is kept up: one request a changed role', async () => {
    for (const role of ['alpha', 'a/x']) {
      adoption.theirs.role(role).files.set(`${encodeURIComponent(role)}/new`, utf8('new'))
      await adoption.theirs.publish(role)
    }
    expect(await setPull()).toMatchObject({ status: 200 })
    expect(await pulled(HOUR + 2_000)).toMatchObject({ url: URL_OF, everySeconds: 600 })
    expect([...asked.slice(0, 4), ...asked.slice(4).sort()]).toEqual([
      '3.root.json',
      '4.root.json',
      'timestamp.json',
      `${adoption.theirs.versions.snapshot}.snapshot.json`,
      '2.a%2Fx.json',
      '2.alpha.json',
    ])
    expect(await events('pulled')).toMatchObject([
      { files: expect.arrayContaining(['2.alpha', '2.a/x']), token: 'origin' },
    ])
    const client = adoption.clientOver(adoption.warm)
    await client.refresh()
    expect(await client.targetInfo('a%2Fx/new')).toMatchObject({ role: 'a/x' })

    // Again at its time and not before; nothing new, no publication, no row of the journal.
    asked.length = 0
    const before = await timestampEtag()
    await adoption.later(HOUR + 300_000)
    expect(asked).toEqual([])
    await pulled(HOUR + 605_000)
    expect(asked).toHaveLength(4)
    expect(await timestampEtag()).toBe(before)
    expect(await alarmOf(adoption.known)).toBeLessThanOrEqual(Date.now() + HOUR + 1_210_000)
    expect(await events('pulled', 'pull-refused')).toHaveLength(1)
  })

  test('by their next numbers, once his timestamp is not: roots, targets, a role that is delegated to for the first time', async () => {
    adoption.theirs.files.delete('timestamp.json')
    await adoption.nameKeys(keys, false)
    const bob = await newSigner()
    adoption.theirs.role('targets').delegations = delegating({
      alpha: adoption.alice,
      'a/x': adoption.alice,
      beta: bob,
    })
    adoption.theirs.role('beta').signers = [bob]
    for (const role of ['targets', 'beta', 'alpha', 'alpha']) await adoption.theirs.publishRole(role)
    await setPull()
    await pulled(HOUR + 2_000)
    expect(await events('pulled')).toMatchObject([
      { files: expect.arrayContaining(['4.root', '3.targets', '3.alpha', '1.beta']) },
    ])
    await adoption.clientOver(adoption.warm).refresh()
    expect(adoption.warm.files.get('root.json')).toEqual(adoption.rootOf(4))
  })
})

describe('what is wrong at the origin changes nothing and is said', () => {
  test('a bad signature: journalled once, shown until it is mended', async () => {
    const before = await timestampEtag()
    const alice = adoption.theirs.role('alpha').signers
    adoption.theirs.role('alpha').signers = [await newSigner()]
    await adoption.theirs.publish('alpha')
    await setPull()
    expect(await pulled(HOUR + 2_000)).toMatchObject({ trouble: expect.stringMatching(/^threshold: "alpha"/) })
    await pulled(HOUR + 605_000)
    expect(await events('pull-refused')).toMatchObject([{ reason: expect.stringMatching(/^threshold/) }])
    expect(await timestampEtag()).toBe(before)
    const health = await adoption.newFace()('/healthz')
    expect(await health.json()).toMatchObject({
      warnings: [{ role: 'origin', days: 0, message: expect.stringMatching(/^threshold/) }],
    })
    expect(await (await adoption.newFace()('/metrics')).text()).toContain('tuf_edge_role_warning_days{role="origin"} 0')
    adoption.theirs.role('alpha').signers = alice
    await adoption.theirs.publish('alpha')
    expect(await pulled(HOUR + 1_210_000)).not.toHaveProperty('trouble')
    expect(await events('pulled')).toMatchObject([{ files: ['3.alpha'] }])
    expect((await statusOf(adoption.known)).warnings).toEqual([])
  })

  test('another file under a version that is served here, and an older one', async () => {
    adoption.theirs.role('alpha').version = 0
    adoption.theirs.role('alpha').files.set('alpha/other', utf8('other'))
    await adoption.theirs.publish('alpha')
    await setPull()
    expect(await pulled(HOUR + 2_000)).toMatchObject({
      trouble: 'Origin and edge disagree: "alpha" 1 has other bytes there.',
    })
    await adoption.theirs.publish('alpha')
    await pulled(HOUR + 605_000)
    adoption.theirs.role('alpha').version = 0
    await adoption.theirs.publish('alpha')
    expect(await pulled(HOUR + 1_210_000)).toMatchObject({
      trouble: 'Origin and edge disagree: "alpha" is 1 there and 2 here.',
    })
    expect(await events('origin-differs')).toHaveLength(2)
  })

  test.each([
    ['an answer that is none', () => new Response('', { status: 500 }), /answered 500 for 3\.root\.json/],
    ['another host', () => Response.redirect('https://elsewhere.example/3.root.json', 302), /to another host/],
    ['a circle', () => Response.redirect(`${URL_OF}3.root.json`, 302), /more than 3 times/],
    ['a file without an end', () => new Response(new Uint8Array(512_001)), /longer than the 512000 bytes/],
  ])('%s', async (_, response, trouble) => {
    instead = (path) => (path === '3.root.json' ? response() : undefined)
    await setPull()
    expect(await pulled(HOUR + 2_000)).toMatchObject({ trouble: expect.stringMatching(trouble) })
    expect(asked.every((url) => !url.includes('elsewhere'))).toBe(true)
  })

  test('a redirect on the same host is followed', async () => {
    await adoption.theirs.publish('alpha')
    instead = (path) => (path === '2.alpha.json' ? Response.redirect(`${URL_OF}moved/2.alpha.json`, 302) : undefined)
    adoption.theirs.files.set('moved/2.alpha.json', adoption.fileOf('alpha'))
    await setPull()
    expect(await pulled(HOUR + 2_000)).not.toHaveProperty('trouble')
    expect(await events('pulled')).toHaveLength(1)
  })
})

describe('the setting', () => {
  test('takes an admin and a place that may be pulled from; ends when it is removed', async () => {
    for (const setting of [
      { url: 'http://origin.example/tuf/' },
      { url: 'https://origin.example/tuf' },
      { url: 'https://u:p@origin.example/' },
      { url: 'https://10.0.0.1/' },
      { url: 'https://metadata.internal/', privateAddresses: false },
      { url: 'http://127.0.0.1:8000/' },
      { everySeconds: 59 },
      { everySeconds: 604_801 },
    ])
      expect(await setPull(setting)).toMatchObject({ status: 400 })
    expect((await statusOf(adoption.known)).pull).toBeUndefined()
    expect(asked).toEqual([])
    expect(await setPull({ url: 'http://127.0.0.1:8000/', privateAddresses: true })).toMatchObject({ status: 200 })
    expect(await adoption.json('DELETE', '/api/pull', {}, 'nonsense')).toMatchObject({ status: 401 })
    expect(await adoption.json('DELETE', '/api/pull', {}, admin)).toMatchObject({ status: 200 })
    asked.length = 0
    await adoption.later(5 * HOUR)
    expect(asked).toEqual([])
  })

  test.each([
    '10.1.2.3',
    '127.1',
    '0x7f.1',
    '169.254.169.254',
    '172.31.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '[::1]',
    '[fd00::1]',
    '[fe80::1]',
    '[::ffff:10.0.0.1]',
    '[2002:a00:1::]',
    'localhost',
    'a.localhost',
    'db.internal',
    'printer.local',
    'intranet',
    'x.localhost.',
  ])('%s is private', (host) => expect(isPrivate(new URL(`https://${host}/`))).toBe(true))
  test.each(['origin.example', '1.1.1.1', '172.32.0.1', '100.128.0.1', '[2606:4700::1111]'])('%s is public', (host) =>
    expect(isPrivate(new URL(`https://${host}/`))).toBe(false),
  )
})
