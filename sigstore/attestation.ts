// PEP 740: the attestations of one upload, verified, and the provenance object that is made of them. State: none.
// Invariant: provenance holds what was verified and nothing beside it, because it is written anew from what was read.
//
// Work for one attestation: its own signature, ≤ 4 certificates for each of ≤ 16 authorities that name its issuer, ≤ 4
// timestamps of certificate logs, and two signatures for each of ≤ 2 transparency entries.
import { FormatError } from '../tuf/errors.ts'
import { asArray, asObject, asString } from '../tuf/fields.ts'
import { type Json, parseJson } from '../tuf/json.ts'
import { type Certificate, readCertificate } from './certificate.ts'
import { concat, verifyChain } from './chain.ts'
import { ecdsaHolds } from './ecdsa.ts'
import { AttestationError } from './errors.ts'
import { asBytes, asExactly } from './fields.ts'
import { type Expected, type Identity, identityOf, isBy, publisherOf } from './identity.ts'
import { base64, type LogEntry, readLogEntry, verifyLogEntry, writeLogEntry } from './log-entry.ts'
import type { TrustRoot } from './trust-root.ts'

/** Each says one thing about the file, so one of each kind. */
const PREDICATES: readonly string[] = [
  'https://slsa.dev/provenance/v1',
  'https://docs.pypi.org/attestations/publish/v1',
]
const ENTRIES_MAX = 2
/** An attestation is 7 deep, a statement of SLSA 10. */
const DEPTH_MAX = 32

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
const PAYLOAD_TYPE = 'application/vnd.in-toto+json'

export interface AttestedFile {
  filename: string
  /** Hex. */
  sha256: string
}

export interface Trust {
  root: TrustRoot
  /** Trusted publishers of the project: one of them has to be the signer, if there are any. */
  publishers: readonly Expected[]
  /** Unix milliseconds. */
  now: number
}

interface Attestation {
  certificate: Certificate
  entries: LogEntry[]
  statement: Uint8Array
  signature: Uint8Array
}

/**
 * The provenance object of a file, as it is served.
 *
 * @param text the form's field, a JSON array @throws {AttestationError} if any of them does not hold
 */
export async function verifyAttestations(text: string, file: AttestedFile, trust: Trust): Promise<string> {
  try {
    return await verifyAll(text, file, trust)
  } catch (error) {
    if (error instanceof FormatError) throw new AttestationError(error.message)
    throw error
  }
}

async function verifyAll(text: string, file: AttestedFile, trust: Trust): Promise<string> {
  const list = asArray(parseJson(new TextEncoder().encode(text), { maxDepth: DEPTH_MAX }), 'The attestations')
  if (list.length === 0 || list.length > PREDICATES.length)
    throw new AttestationError(`A file has between 1 and ${PREDICATES.length} attestations.`)
  const predicates = new Set<string>()
  const bundles = new Map<string, unknown[]>()
  for (const value of list) {
    const attestation = readAttestation(value)
    const { predicate, identity } = await verifyOne(attestation, file, trust)
    if (predicates.has(predicate)) throw new AttestationError('Two attestations are of the same predicate type.')
    predicates.add(predicate)
    const publisher = JSON.stringify(publisherOf(identity))
    bundles.set(publisher, [...(bundles.get(publisher) ?? []), writeAttestation(attestation)])
  }
  return JSON.stringify({
    version: 1,
    attestation_bundles: [...bundles].map(([publisher, attestations]) => ({
      publisher: JSON.parse(publisher) as unknown,
      attestations,
    })),
  })
}

function readAttestation(value: Json): Attestation {
  const attestation = asExactly(value, 'An attestation', ['version', 'verification_material', 'envelope'])
  if (attestation.get('version') !== 1) throw new FormatError('An attestation is not of version 1.')
  const envelope = asExactly(attestation.get('envelope'), 'envelope', ['statement', 'signature'])
  const material = asExactly(attestation.get('verification_material'), 'verification_material', [
    'certificate',
    'transparency_entries',
  ])
  const entries = asArray(material.get('transparency_entries'), 'transparency_entries')
  if (entries.length === 0 || entries.length > ENTRIES_MAX)
    throw new FormatError(`An attestation has between 1 and ${ENTRIES_MAX} transparency entries.`)
  return {
    certificate: readCertificate(asBytes(material.get('certificate'), 'certificate')),
    entries: entries.map(readLogEntry),
    statement: asBytes(envelope.get('statement'), 'statement'),
    signature: asBytes(envelope.get('signature'), 'signature'),
  }
}

const writeAttestation = ({ certificate, entries, statement, signature }: Attestation) => ({
  version: 1,
  verification_material: { certificate: base64(certificate.der), transparency_entries: entries.map(writeLogEntry) },
  envelope: { statement: base64(statement), signature: base64(signature) },
})

async function verifyOne(
  { certificate, entries, statement, signature }: Attestation,
  file: AttestedFile,
  { root, publishers, now }: Trust,
): Promise<{ predicate: string; identity: Identity }> {
  const predicate = checkStatement(statement, file)
  const signed = { statement, signature, certificate: certificate.der }
  for (const entry of entries) await verifyChain(certificate, root, await verifyLogEntry(entry, signed, root, now))
  if (!(await ecdsaHolds(certificate.spki, 'SHA-256', signature, preAuthenticated(statement))))
    throw new AttestationError('The statement was not signed with the key of the certificate.')
  const identity = identityOf(certificate)
  if (publishers.length > 0 && !publishers.some((publisher) => isBy(identity, publisher)))
    throw new AttestationError('The certificate is not that of a trusted publisher of this project.')
  return { predicate, identity }
}

/** The predicate type of a statement that is about this file and no other. */
function checkStatement(bytes: Uint8Array, { filename, sha256 }: AttestedFile): string {
  const statement = asObject(parseJson(bytes, { maxDepth: DEPTH_MAX }), 'The statement')
  if (statement.get('_type') !== STATEMENT_TYPE) throw new AttestationError('The statement is not in-toto version 1.')
  const subjects = asArray(statement.get('subject'), 'subject')
  if (subjects.length !== 1) throw new AttestationError('The statement is not about one file.')
  const subject = asObject(subjects[0], 'subject')
  if (subject.get('name') !== filename) throw new AttestationError('The statement is about a file of another name.')
  if (asObject(subject.get('digest'), 'digest').get('sha256') !== sha256)
    throw new AttestationError('The statement is about a file with another sha256.')
  const predicate = asString(statement.get('predicateType'), 'predicateType')
  if (!PREDICATES.includes(predicate)) throw new AttestationError('The predicate type is none of PEP 740.')
  return predicate
}

/** What DSSE signs: DSSEv1, then type and payload, each with its length. */
function preAuthenticated(payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `
  return concat([new TextEncoder().encode(head), payload])
}
