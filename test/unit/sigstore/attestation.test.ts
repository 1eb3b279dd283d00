// Real attestations hold under Sigstore's real trust root, and nothing that was changed about them does.
import { describe, expect, test } from 'vitest'
import { type Trust, verifyAttestations } from '../../../sigstore/attestation.ts'
import { AttestationError } from '../../../sigstore/errors.ts'
import type { Expected } from '../../../sigstore/identity.ts'
import { type Relogged, relogged, rootWithOwnLog } from './own-log.ts'
import {
  attestation,
  bytesOf,
  conformance,
  fileOf,
  GITLAB_SDIST,
  type Loose,
  type LooseEntry,
  type LooseRoot,
  looseRoot,
  rootFrom,
  SDIST,
  STAGING_WHEEL,
} from './vectors.ts'

const NOW = Date.UTC(2026, 0, 1)
const trust = (loose: LooseRoot = looseRoot(), publishers: Expected[] = []): Trust => ({
  root: rootFrom(loose),
  publishers,
  now: NOW,
})
const publish = () => attestation(`${SDIST}.publish`)
const verify = (given: unknown, trusted: Trust = trust(), file = fileOf(SDIST)) =>
  verifyAttestations(JSON.stringify(given), file, trusted)

interface Provenance {
  version: number
  attestation_bundles: { publisher: Record<string, unknown>; attestations: Loose[] }[]
}
const parsed = (text: string) => JSON.parse(text) as Provenance

describe('what is good', () => {
  test('a release of GitHub with both attestations: one bundle, which says what PyPI says of it', async () => {
    const slsa = attestation(`${SDIST}.slsa`)
    const provenance = parsed(await verify([publish(), slsa]))
    expect(provenance.version).toBe(1)
    expect(provenance.attestation_bundles).toHaveLength(1)
    const [{ publisher, attestations }] = provenance.attestation_bundles as [Provenance['attestation_bundles'][0]]
    expect(attestations).toEqual([publish(), slsa])
    const pypi = JSON.parse(new TextDecoder().decode(bytesOf(`${SDIST}.provenance`))) as Provenance
    expect(pypi.attestation_bundles[0]!.publisher).toMatchObject(publisher)
    // PyPI took another attestation of the same release: also that one holds.
    await verify(pypi.attestation_bundles[0]!.attestations)
  })

  test('one of a pipeline of gitlab.com', async () => {
    const provenance = parsed(await verify([attestation(`${GITLAB_SDIST}.publish`)], trust(), fileOf(GITLAB_SDIST)))
    expect(provenance.attestation_bundles[0]!.publisher).toEqual({
      kind: 'GitLab',
      repository: 'facutuesca/gitlab-oidc-project',
      workflow_filepath: '.gitlab-ci.yml',
    })
  })

  test('the bundle of the conformance suite that is good', async () => {
    const { attestation: given, file } = conformance('happy-path-intoto-in-dsse-v3')
    await verify([given], trust(), file)
  })

  test('one in a log of our own, so that what follows fails for what it says', async () => {
    await verify([await relogged(publish())], trust(rootWithOwnLog()))
  })
})

const refusal = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(AttestationError)
  return (error as Error).message
}

describe('the statement', () => {
  test('is about this file', async () => {
    const file = fileOf(SDIST)
    const renamed = { ...file, filename: 'pypi_attestations-0.0.20.tar.gz' }
    expect(await refusal(verify([publish()], trust(), renamed))).toMatch(/another name/)
    const other = { ...file, sha256: fileOf(GITLAB_SDIST).sha256 }
    expect(await refusal(verify([publish()], trust(), other))).toMatch(/another sha256/)
  })

  const statement = () =>
    JSON.parse(atob(publish().envelope.statement)) as Record<string, unknown> & { subject: [object] }
  test.for<[string, Record<string, unknown>, RegExp]>([
    ['another predicate', { predicateType: 'https://example.org/v1' }, /predicate type is none of PEP 740/],
    ['no predicate', { predicateType: undefined }, /predicateType must be a string/],
    ['no in-toto statement', { _type: 'https://in-toto.io/Statement/v0.1' }, /not in-toto version 1/],
    ['two files', { subject: [statement().subject[0], statement().subject[0]] }, /not about one file/],
    ['no file', { subject: [] }, /not about one file/],
    ['what was not signed', { predicate: { builder: 'me' } }, /was not signed with the key/],
  ])('is refused with %s, even if it is logged', async ([, change, message]) => {
    const given = await relogged(publish(), { statement: { ...statement(), ...change } })
    expect(await refusal(verify([given], trust(rootWithOwnLog())))).toMatch(message)
  })

  test('is one of its kind', async () => {
    expect(await refusal(verify([publish(), publish()]))).toMatch(/same predicate type/)
    expect(await refusal(verify([]))).toMatch(/between 1 and 2/)
    expect(await refusal(verify([publish(), publish(), publish()]))).toMatch(/between 1 and 2/)
  })
})

describe('the certificate', () => {
  test('is of an authority of the root', async () => {
    const root = looseRoot()
    root.certificateAuthorities.splice(1, 1)
    expect(await refusal(verify([publish()], trust(root)))).toMatch(/not issued by an authority/)
    const staging = attestation(`${STAGING_WHEEL}.publish`)
    const given = await relogged(staging)
    const work = verify([given], trust(rootWithOwnLog()), fileOf(STAGING_WHEEL))
    expect(await refusal(work)).toMatch(/not issued by an authority/)
  })

  test('is of an authority that was trusted then', async () => {
    const root = looseRoot()
    root.certificateAuthorities[1]!.validFor.end = '2024-12-04T23:14:00Z'
    expect(await refusal(verify([publish()], trust(root)))).toMatch(/not issued by an authority .* valid then/)
  })

  test.for([-1, 601])('had not ended and had begun when it was logged: %i s after its first', async (seconds) => {
    const first = Date.UTC(2024, 11, 4, 23, 14, 1) / 1000
    const at = (integrated: number) => relogged(publish(), { integrated })
    await verify([await at(first)], trust(rootWithOwnLog()))
    await verify([await at(first + 600)], trust(rootWithOwnLog()))
    expect(await refusal(verify([await at(first + seconds)], trust(rootWithOwnLog())))).toMatch(/was not valid when/)
  })

  test('is whole: of a hundred changed bytes none goes through', async () => {
    const bytes = Buffer.from(publish().verification_material.certificate, 'base64')
    for (let at = 5; at < bytes.length; at += Math.floor(bytes.length / 100)) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1
      const given = publish()
      given.verification_material.certificate = changed.toString('base64')
      await refusal(verify([await relogged(given)], trust(rootWithOwnLog())))
    }
  })

  test('was promised to a certificate log of the root', async () => {
    const root = looseRoot()
    root.ctlogs[1]!.publicKey.rawBytes = root.tlogs[0]!.publicKey.rawBytes
    expect(await refusal(verify([publish()], trust(root)))).toMatch(/No certificate log/)
    const ended = looseRoot()
    ended.ctlogs[1]!.publicKey.validFor.end = '2024-12-04T00:00:00Z'
    expect(await refusal(verify([publish()], trust(ended)))).toMatch(/No certificate log/)
    const unknown = looseRoot()
    unknown.ctlogs.splice(1, 1)
    expect(await refusal(verify([publish()], trust(unknown)))).toMatch(/No certificate log/)
  })
})

describe('the transparency entry', () => {
  test('is of a log of the root, trusted then', async () => {
    const staging = [attestation(`${STAGING_WHEEL}.publish`)]
    expect(await refusal(verify(staging, trust(), fileOf(STAGING_WHEEL)))).toMatch(/log is not one of the trust root/)
    const ended = looseRoot()
    ended.tlogs[0]!.publicKey.validFor.end = '2024-12-04T00:00:00Z'
    expect(await refusal(verify([publish()], trust(ended)))).toMatch(/not trusted at the time/)
    const before = { ...trust(), now: Date.UTC(2024, 0, 1) }
    expect(await refusal(verify([publish()], before))).toMatch(/not trusted at the time/)
  })

  const flipped = (text: string): string => {
    const bytes = Buffer.from(text, 'base64')
    bytes[bytes.length - 1]! ^= 1
    return bytes.toString('base64')
  }
  const plus = (text: string): string => String(Number(text) + 1)
  const note = ({ inclusionProof: { checkpoint } }: LooseEntry, from: RegExp, to: string) => {
    expect(checkpoint.envelope).toMatch(from)
    checkpoint.envelope = checkpoint.envelope.replace(from, to)
  }
  test.for<[string, (entry: LooseEntry) => void, RegExp]>([
    [
      'time',
      (entry) => {
        entry.integratedTime = plus(entry.integratedTime)
      },
      /signed entry timestamp/,
    ],
    [
      'index',
      (entry) => {
        entry.logIndex = plus(entry.logIndex)
      },
      /signed entry timestamp/,
    ],
    [
      'promise',
      ({ inclusionPromise: promise }) => {
        promise.signedEntryTimestamp = flipped(promise.signedEntryTimestamp)
      },
      /signed entry timestamp/,
    ],
    [
      'place',
      ({ inclusionProof: proof }) => {
        proof.logIndex = plus(proof.logIndex)
      },
      /inclusion proof/,
    ],
    [
      'place behind the end',
      ({ inclusionProof: proof }) => {
        proof.logIndex = proof.treeSize
      },
      /inclusion proof/,
    ],
    [
      'size',
      ({ inclusionProof: proof }) => {
        proof.treeSize = plus(proof.treeSize)
      },
      /inclusion proof does not/,
    ],
    [
      'root',
      ({ inclusionProof: proof }) => {
        proof.rootHash = flipped(proof.rootHash)
      },
      /inclusion proof/,
    ],
    [
      'path',
      ({ inclusionProof: { hashes } }) => {
        hashes[3] = flipped(hashes[3]!)
      },
      /inclusion proof/,
    ],
    ['path, cut', ({ inclusionProof: { hashes } }) => void hashes.pop(), /inclusion proof/],
    ['path, longer', ({ inclusionProof: { hashes } }) => void hashes.push(hashes[0]!), /inclusion proof/],
    ['checkpoint', (entry) => note(entry, /^rekor/, 'reko'), /checkpoint was not signed/],
    ['checkpoint, of another tree', (entry) => note(entry, /^(\S+ - )\d/, '$17'), /checkpoint was not signed/],
    ['checkpoint, of nobody', (entry) => note(entry, /\n\n.*\n$/, '\n\n'), /checkpoint was not signed/],
    ['checkpoint, of two', (entry) => note(entry, /\n$/, '\n— other AAAAAAAA\n'), /checkpoint was not signed/],
    ['checkpoint, of another name', (entry) => note(entry, /— rekor/, '— roker'), /checkpoint was not signed/],
    [
      'kind',
      ({ kindVersion }) => {
        kindVersion.kind = 'intoto'
      },
      /not of the kind dsse/,
    ],
    [
      'version',
      ({ kindVersion }) => {
        kindVersion.version = '0.0.2'
      },
      /not of the kind dsse/,
    ],
  ])('is refused with another %s', async ([, change, message]) => {
    const given = publish()
    change(given.verification_material.transparency_entries[0]!)
    expect(await refusal(verify([given]))).toMatch(message)
  })

  test('has a checkpoint of its own tree', async () => {
    const [given, other] = [publish(), attestation(`${SDIST}.slsa`)]
    const checkpointOf = (each: Loose) => each.verification_material.transparency_entries[0]!.inclusionProof.checkpoint
    expect(checkpointOf(given).envelope).not.toBe(checkpointOf(other).envelope)
    checkpointOf(given).envelope = checkpointOf(other).envelope
    expect(await refusal(verify([given]))).toMatch(/checkpoint is not that of the inclusion proof/)
  })

  test('is refused even if its log says so, with another size, root, kind, statement or certificate', async () => {
    const other = attestation(`${SDIST}.slsa`)
    const { certificate } = other.verification_material
    const cases: [Relogged, RegExp][] = [
      [{ checkpoint: { size: '2' } }, /checkpoint is not that of/],
      [{ checkpoint: { root: btoa('x'.repeat(32)) } }, /checkpoint is not that of/],
      [{ kind: 'intoto' }, /not of the kind dsse/],
      [{ about: { statement: other.envelope.statement } }, /another statement, signature or certificate/],
      [{ about: { certificate } }, /another statement, signature or certificate/],
    ]
    for (const [otherwise, message] of cases)
      expect(await refusal(verify([await relogged(publish(), otherwise)], trust(rootWithOwnLog())))).toMatch(message)
  })

  test('is about this very signature, statement and certificate', async () => {
    const [given, other] = [publish(), attestation(`${SDIST}.slsa`)]
    given.verification_material.transparency_entries = other.verification_material.transparency_entries
    expect(await refusal(verify([given]))).toMatch(/another statement, signature or certificate/)
    for (const name of ['dsse-invalid-sig_fail', 'dsse-mismatch-envelope_fail', 'dsse-mismatch-sig_fail']) {
      const { attestation: bundle, file } = conformance(name)
      expect(await refusal(verify([bundle], trust(), file))).toMatch(/another statement, signature or certificate/)
    }
  })

  test('is there, and there are no more than two', async () => {
    const entries = (count: number) => {
      const given = publish()
      const [entry] = given.verification_material.transparency_entries
      given.verification_material.transparency_entries = Array.from({ length: count }, () => entry!)
      return [given]
    }
    await verify(entries(2))
    for (const count of [0, 3]) expect(await refusal(verify(entries(count)))).toMatch(/between 1 and 2 transparency/)
  })
})

describe('the signer', () => {
  const github = { kind: 'github', issuer: 'https://token.actions.githubusercontent.com' } as const
  const right = { ...github, repository: 'trailofbits/pypi-attestations', ownerId: '2314423', workflow: 'release.yml' }
  const by = (...publishers: Expected[]) => verify([publish()], trust(looseRoot(), publishers))

  test('is a trusted publisher of the project, whatever the spelling of its name', async () => {
    await by(right)
    await by({ ...right, repository: 'TrailOfBits/pypi-attestations' })
    await by({ ...right, workflow: 'other.yml' }, right)
  })

  test.for<[string, Expected]>([
    ['repository', { ...right, repository: 'trailofbits/pypi' }],
    ['owner', { ...right, ownerId: '1' }],
    ['workflow', { ...right, workflow: 'tests.yml' }],
    ['issuer', { ...right, issuer: 'https://github.example.org/_services/token' }],
    ['kind', { kind: 'gitlab', issuer: right.issuer, repository: right.repository, projectId: '1', workflow: 'x.yml' }],
    ['claim', { kind: 'oidc', issuer: right.issuer, claims: { repository: right.repository } }],
    ['subject', { kind: 'oidc', issuer: right.issuer, claims: { sub: 'repo:trailofbits/pypi-attestations' } }],
  ])('is none with another %s', async ([, expected]) => {
    expect(await refusal(by(expected))).toMatch(/not that of a trusted publisher/)
  })

  test('of GitLab is told by the number of the project', async () => {
    const file = fileOf(GITLAB_SDIST)
    const expected = {
      kind: 'gitlab',
      issuer: 'https://gitlab.com',
      repository: 'facutuesca/gitlab-oidc-project',
      projectId: '55235664',
      workflow: '.gitlab-ci.yml',
    } as const
    const given = [attestation(`${GITLAB_SDIST}.publish`)]
    await verify(given, trust(looseRoot(), [expected]), file)
    const other = trust(looseRoot(), [{ ...expected, projectId: '1' }])
    expect(await refusal(verify(given, other, file))).toMatch(/not that of a trusted publisher/)
  })
})

describe('the form', () => {
  test.for<[string, (given: Loose) => unknown, RegExp]>([
    ['a version', (given) => ({ ...given, version: 2 }), /not of version 1/],
    ['no more members', (given) => ({ ...given, note: 'x' }), /has a member beside/],
    [
      'no more members in an entry',
      (given) => {
        Object.assign(given.verification_material.transparency_entries[0]!, { note: 'x' })
        return given
      },
      /has a member beside/,
    ],
    [
      'base64',
      (given) => ({ ...given, envelope: { ...given.envelope, signature: 'no!' } }),
      /signature must be base64/,
    ],
    [
      'no extra bits in base64',
      (given) => ({ ...given, envelope: { ...given.envelope, signature: 'TR==' } }),
      /signature must be base64/,
    ],
    ['objects', () => 7, /An attestation must be an object/],
  ])('has %s', async ([, change, message]) => {
    expect(await refusal(verify([change(publish())]))).toMatch(message)
  })

  test('is JSON, not nested to death', async () => {
    for (const text of ['', '{}', '[', `${'['.repeat(100_000)}`, '[{"version":1,"version":1}]'])
      await refusal(verifyAttestations(text, fileOf(SDIST), trust()))
  })
})

describe('a trust root', () => {
  const changed = (change: (root: LooseRoot) => void) => {
    const root = looseRoot()
    change(root)
    return () => rootFrom(root)
  }
  test.for<[string, (root: LooseRoot) => void, RegExp]>([
    [
      'media type',
      (root) => {
        root.mediaType = 'application/json'
      },
      /mediaType/,
    ],
    [
      'authority',
      (root) => {
        root.certificateAuthorities = []
      },
      /needs a certificate authority/,
    ],
    ['log', (root) => void root.tlogs.splice(0, 1), /needs a certificate authority, a tlog and a ctlog/],
    [
      'certificate log',
      (root) => {
        root.ctlogs = []
      },
      /needs a certificate authority, a tlog and a ctlog/,
    ],
    [
      'date',
      (root) => {
        root.tlogs[0]!.publicKey.validFor.start = 'yesterday'
      },
      /must be a date/,
    ],
  ])('needs a proper %s', ([, change, message]) => {
    expect(changed(change)).toThrow(AttestationError)
    expect(changed(change)).toThrow(message)
  })

  test('has a bounded size', () => {
    expect(() => rootFrom({ ...looseRoot(), note: 'x'.repeat(200_000) })).toThrow(/over 131072 bytes/)
    expect(changed((root) => root.ctlogs.push(...Array(20).fill(root.ctlogs[0])))).toThrow(/more than 16/)
  })
})
