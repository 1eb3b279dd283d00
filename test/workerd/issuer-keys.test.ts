// The keys of JWT issuers: how they are fetched, and what of the issuer's answers is not taken.
import { describe, expect, test } from 'vitest'
import { setClock } from './controls.ts'
import { JwtIssuer, times } from './jwt-issuer.ts'
import {
  add,
  asked,
  audience,
  expectDenied,
  github,
  makeProject,
  mint,
  newIssuer,
  type Serve,
  serve,
  sites,
  withIssuers,
} from './oidc-harness.ts'
import { world } from './upload-harness.ts'

withIssuers()

describe('the keys of an issuer', () => {
  /** A publisher of an issuer of its own, and a way to try it. */
  async function publisherOf(issuer: JwtIssuer) {
    const project = new URL(issuer.url).hostname.split('.')[0]!
    await makeProject(project)
    await add({ project, kind: 'oidc', issuer: issuer.url, claims: { sub: 'x' } })
    return async (signer = issuer) => mint(await signer.sign({ ...times(), aud: audience, sub: 'x' }))
  }

  const bad: [string, (issuer: JwtIssuer) => Serve, RegExp][] = [
    ['more bytes than keys have', (issuer) => huge(issuer), /more than 65536 bytes/],
    ['a redirect', () => () => Response.redirect('https://elsewhere.example/jwks', 302), /answered 302/],
    ['a redirect to its own host', (issuer) => () => Response.redirect(`${issuer.url}/jwks`, 302), /answered 302/],
    ['a fault', () => () => new Response('no', { status: 500 }), /answered 500/],
    ['a page', () => () => new Response('<html>'), /./],
    ['another issuer’s configuration', () => (path) => Response.json(github.answer(path)), /another issuer/],
    ['keys over plain http', (issuer) => elsewhere(issuer, 'http://127.0.0.1:1/jwks'), /no jwks_uri/],
    ['no address of keys', (issuer) => elsewhere(issuer, 'jwks'), /no jwks_uri/],
    ['nothing, for ever', () => () => new Promise(() => {}), /not answer in time/],
    ['half an answer, and then nothing', () => () => new Response(stalled()), /not answer in time/],
  ]
  const huge =
    (issuer: JwtIssuer): Serve =>
    (path) =>
      path === '/jwks'
        ? new Response(JSON.stringify({ keys: [issuer.jwk], pad: 'x'.repeat(70_000) }))
        : Response.json(issuer.answer(path))
  const elsewhere =
    (issuer: JwtIssuer, uri: string): Serve =>
    () =>
      Response.json({ issuer: issuer.url, jwks_uri: uri })
  const stalled = () =>
    new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('{"issuer":')),
    })

  test.for(bad)('are not had from %s', async ([, serving, said]) => {
    const issuer = await newIssuer()
    const tryIt = await publisherOf(issuer)
    sites.set(issuer.url, serving(issuer))
    const answer = await tryIt()
    expect(answer.headers.get('retry-after')).toBe('30')
    await expectDenied(answer, 'unavailable', said, 503)
    // Not asked again at once, whoever comes.
    const before = asked.length
    serve(issuer)
    await expectDenied(await tryIt(), 'unavailable', said, 503)
    expect(asked).toHaveLength(before)
    await setClock(world.repository, 31_000)
    expect((await tryIt()).status).toBe(200)
  })

  test('are asked for once, also by many at once, and again for a key that is new', async () => {
    const issuer = await newIssuer('old')
    const tryIt = await publisherOf(issuer)
    const answers = await Promise.all(Array.from({ length: 4 }, () => tryIt()))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(asked).toHaveLength(2)
    const next = await JwtIssuer.make(issuer.url, 'new')
    for (let i = 0; i < 3; i++) await expectDenied(await tryIt(next), 'invalid-token', /no key/)
    expect(asked).toHaveLength(2)
    serve(issuer, [issuer.jwk, next.jwk])
    await setClock(world.repository, 31_000)
    expect([(await tryIt(next)).status, (await tryIt()).status]).toEqual([200, 200])
    expect(asked).toHaveLength(4)
    // Taken back by the issuer: believed for an hour at most.
    serve(issuer, [next.jwk])
    await setClock(world.repository, 31_000 + 3_600_000)
    const later = Math.floor(Date.now() / 1000) + 3_631
    await expectDenied(
      await mint(await issuer.sign({ ...times(later), aud: audience, sub: 'x' })),
      'invalid-token',
      /no key/,
    )
  })

  test('that are too short, or for something else, are none', async () => {
    const short = await newIssuer('short', 'RS256', 1024)
    await expectDenied(await (await publisherOf(short))(), 'invalid-token', /no key/)
    const sealing = await newIssuer()
    serve(sealing, [{ ...sealing.jwk, use: 'enc' }, 7 as never])
    await expectDenied(await (await publisherOf(sealing))(), 'unavailable', /must be an object/, 503)
    serve(sealing, [{ ...sealing.jwk, use: 'enc' }])
    await setClock(world.repository, 31_000)
    await expectDenied(
      await mint(await sealing.sign({ ...times(), aud: audience, sub: 'x' })),
      'invalid-token',
      /no key/,
    )
  })
})
