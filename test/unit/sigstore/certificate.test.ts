// Certificates that no authority of Sigstore's would issue, by an authority of the test's own: what a chain may not be, and
// what an identity may not say. A chain that is accepted is told here by what is asked next: no log has seen its leaf.
import { describe, expect, test } from 'vitest'
import { type Certificate, readCertificate } from '../../../sigstore/certificate.ts'
import { verifyChain } from '../../../sigstore/chain.ts'
import { type Expected, identityOf, isBy, publisherOf } from '../../../sigstore/identity.ts'
import { FormatError } from '../../../tuf/errors.ts'
import {
  authority,
  certify,
  claim,
  holder,
  identity,
  signsCertificates,
  signsCode,
  signsData,
  signsMail,
  unknown,
} from './own-authority.ts'

const [root, middle, leaf, stranger] = await Promise.all(['root', 'middle', 'leaf', 'root'].map(holder))
const NOON = Date.UTC(2026, 0, 1, 12)
const CODE = [signsData, signsCode]
const CA = [signsCertificates, authority()]

const made = async (...given: Parameters<typeof certify>) => readCertificate(await certify(...given))

async function said(certificate: Certificate, chain: Certificate[], time = NOON): Promise<string> {
  const authorities = [{ chain, from: 0, until: Number.POSITIVE_INFINITY }]
  const trust = { authorities, logs: new Map(), certificateLogs: new Map() }
  return verifyChain(certificate, trust, time).then(
    () => 'taken',
    (error: Error) => error.message,
  )
}
const ISSUED = /^No certificate log/
const NOT_ISSUED = /^The certificate was not issued/

describe('a chain', () => {
  test('of a leaf, an authority and the root holds on its day', async () => {
    const [top, between] = [await made(root!, root!, CA), await made(root!, middle!, CA)]
    const end = await made(middle!, leaf!, CODE)
    expect(await said(end, [between, top])).toMatch(ISSUED)
    expect(await said(await made(root!, leaf!, CODE), [top])).toMatch(ISSUED)
    expect(await said(end, [top])).toMatch(NOT_ISSUED)
    expect(await said(end, [between, await made(stranger!, stranger!, CA)])).toMatch(NOT_ISSUED)
  })

  test('wants authorities that may issue, as many below each other as they allow', async () => {
    const top = (extensions: Uint8Array[]) => made(root!, root!, extensions)
    const end = await made(middle!, leaf!, CODE)
    const under = async (extensions: Uint8Array[], rootHas = CA) =>
      said(end, [await made(root!, middle!, extensions), await top(rootHas)])
    expect(await under([signsCertificates, authority(0)], [signsCertificates, authority(1)])).toMatch(ISSUED)
    expect(await under(CA, [signsCertificates, authority(0)])).toMatch(NOT_ISSUED)
    expect(await under([signsCertificates])).toMatch(NOT_ISSUED)
    expect(await under([signsData, authority()])).toMatch(NOT_ISSUED)
    expect(await under(CODE)).toMatch(NOT_ISSUED)
  })

  test('wants the name of the issuer, and not its key alone', async () => {
    const renamed = { ...middle!, name: 'other' }
    const end = await made(renamed, leaf!, CODE)
    const top = await made(root!, root!, CA)
    expect(await said(end, [await made(root!, middle!, CA), top])).toMatch(NOT_ISSUED)
    expect(await said(end, [await made(root!, renamed, CA), top])).toMatch(ISSUED)
  })

  test('ends with its authorities', async () => {
    const top = await made(root!, root!, CA)
    const end = { ...(await made(root!, leaf!, CODE)), notAfter: Number.POSITIVE_INFINITY }
    expect(await said(end, [top], Date.UTC(2026, 0, 2))).toMatch(ISSUED)
    expect(await said(end, [top], Date.UTC(2026, 0, 2) + 1)).toMatch(NOT_ISSUED)
  })

  test.for<[string, Uint8Array[]]>([
    ['says nothing of code', [signsData]],
    ['is for mail', [signsData, signsMail]],
    ['does not sign', [signsCode]],
    ['is an authority', [signsCode, signsCertificates, authority()]],
    ['is an authority that signs', [signsCode, authority(), signsCertificates]],
  ])('has no leaf that %s', async ([, extensions]) => {
    const top = await made(root!, root!, CA)
    expect(await said(await made(root!, leaf!, extensions), [top])).toMatch(/not one for signing code/)
  })
})

describe('a certificate', () => {
  test('with a critical extension that nobody here knows is not read, with another it is', async () => {
    await made(root!, leaf!, [...CODE, unknown(false)])
    await expect(made(root!, leaf!, [...CODE, unknown(true)])).rejects.toThrow(/critical extension/)
    await expect(made(root!, leaf!, [...CODE, signsCode])).rejects.toThrow(FormatError)
  })
})

describe('an identity', () => {
  const REPOSITORY = 'https://github.com/octo-org/sample'
  const WORKFLOW = `${REPOSITORY}/.github/workflows/release.yml@refs/tags/v1`
  const GITHUB = 'https://token.actions.githubusercontent.com'
  const of = async ({ name = WORKFLOW, trigger = 'push', config = WORKFLOW, ref = 'refs/tags/v1', issuer = GITHUB }) =>
    identityOf(
      await made(root!, leaf!, [
        ...CODE,
        identity(0x86, name),
        claim(8, issuer),
        claim(12, REPOSITORY),
        claim(13, 'abcdef'),
        claim(14, ref),
        claim(17, '65'),
        claim(18, config),
        claim(20, trigger),
      ]),
    )
  const expected: Expected = {
    kind: 'github',
    issuer: GITHUB,
    repository: 'octo-org/sample',
    ownerId: '65',
    workflow: 'release.yml',
  }

  test('is a workflow on the ref or the commit that the certificate names', async () => {
    expect(isBy(await of({}), expected)).toBe(true)
    expect(isBy(await of({ name: WORKFLOW.replace(/@.*/, '@abcdef') }), expected)).toBe(true)
    expect(isBy(await of({ name: WORKFLOW.replace(/@.*/, '@refs/heads/evil') }), expected)).toBe(false)
  })

  test('is no pull request of a stranger, and no workflow of another repository that was called', async () => {
    expect(isBy(await of({ trigger: 'pull_request_target' }), expected)).toBe(false)
    const called = WORKFLOW.replace('octo-org/sample', 'octo-org/shared')
    expect(isBy(await of({ name: called }), expected)).toBe(false)
  })

  test('is named in provenance by the kind that it is, and by issuer and name otherwise', async () => {
    expect(publisherOf(await of({}))).toEqual({
      kind: 'GitHub',
      repository: 'octo-org/sample',
      workflow: 'release.yml',
    })
    const other = { kind: 'Sigstore', claims: { issuer: 'https://ci.example.org', identity: WORKFLOW } }
    expect(publisherOf(await of({ issuer: 'https://ci.example.org' }))).toEqual(other)
    expect(
      publisherOf(await of({ config: 'https://evil.example/.github/workflows/x.yml@refs/tags/v1' })),
    ).toMatchObject({
      kind: 'Sigstore',
    })
    const person = async (issuer: string) =>
      identityOf(await made(root!, leaf!, [...CODE, identity(0x81, 'a@example.org'), claim(8, issuer)]))
    const google = await person('https://accounts.google.com')
    expect(publisherOf(google)).toEqual({ kind: 'Google', email: 'a@example.org' })
    const told = (claims: Record<string, string>): Expected => ({ kind: 'oidc', issuer: google.issuer, claims })
    expect(isBy(google, told({ email: 'a@example.org' }))).toBe(true)
    expect(isBy(google, told({ email: 'b@example.org' }))).toBe(false)
    expect(isBy(google, told({ email: 'a@example.org', hd: 'example.org' }))).toBe(false)
  })

  test('is one printable name', async () => {
    const named = (extension: Uint8Array) => made(root!, leaf!, [...CODE, claim(8, GITHUB), extension])
    for (const bad of [identity(0x82, 'example.org'), identity(0x86, 'https://a\u0000b'), identity(0x86, '')]) {
      const certificate = await named(bad)
      expect(() => identityOf(certificate)).toThrow(FormatError)
    }
    const nobody = await made(root!, leaf!, [...CODE, identity(0x86, WORKFLOW)])
    expect(() => identityOf(nobody)).toThrow(/who vouched/)
  })
})
