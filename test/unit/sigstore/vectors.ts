// Real attestations (test/vectors/sigstore), as uploads carry them.
import { readFileSync } from 'node:fs'
import type { AttestedFile } from '../../../sigstore/attestation.ts'
import { readTrustRoot, type TrustRoot } from '../../../sigstore/trust-root.ts'
import { sha256HexSync } from '../../../tuf/digest.ts'

const FOLDER = new URL('../../vectors/sigstore/', import.meta.url)
export const bytesOf = (name: string): Uint8Array => readFileSync(new URL(name, FOLDER))
const textOf = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8')

/** PEP 740's form of one attestation, to be changed by a test. */
export interface Loose {
  version: unknown
  verification_material: { certificate: string; transparency_entries: LooseEntry[] }
  envelope: { statement: string; signature: string }
  [stray: string]: unknown
}
export interface LooseEntry {
  logIndex: string
  logId: { keyId: string }
  kindVersion: { kind: string; version: string }
  integratedTime: string
  inclusionPromise: { signedEntryTimestamp: string }
  inclusionProof: {
    logIndex: string
    rootHash: string
    treeSize: string
    hashes: string[]
    checkpoint: { envelope: string }
  }
  canonicalizedBody: string
}

interface LooseKey {
  rawBytes: string
  keyDetails: string
  validFor: { start: string; end?: string }
}
/** trusted_root.json, to be changed by a test. */
export interface LooseRoot {
  mediaType: string
  tlogs: { publicKey: LooseKey; logId: { keyId: string } }[]
  certificateAuthorities: {
    certChain: { certificates: { rawBytes: string }[] }
    validFor: { start: string; end?: string }
  }[]
  ctlogs: { publicKey: LooseKey; logId: { keyId: string } }[]
}

export const looseRoot = (): LooseRoot => JSON.parse(textOf('trusted_root.json')) as LooseRoot
export const rootFrom = (loose: unknown): TrustRoot => readTrustRoot(new TextEncoder().encode(JSON.stringify(loose)))

export const attestation = (name: string): Loose => JSON.parse(textOf(`${name}.attestation`)) as Loose

export const SDIST = 'pypi_attestations-0.0.19.tar.gz'
export const GITLAB_SDIST = 'gitlab_oidc_project-0.0.3.tar.gz'
export const STAGING_WHEEL = 'rfc8785-0.1.2-py3-none-any.whl'
export const fileOf = (filename: string): AttestedFile => ({ filename, sha256: sha256HexSync(bytesOf(filename)) })

/** A bundle of the conformance suite in PEP 740's form, and the file it is about. */
export function conformance(name: string): { attestation: Loose; file: AttestedFile } {
  const bundle = JSON.parse(textOf(`${name}.json`)) as {
    verificationMaterial: { certificate: { rawBytes: string }; tlogEntries: LooseEntry[] }
    dsseEnvelope: { payload: string; signatures: [{ sig: string }] }
  }
  const { verificationMaterial: material, dsseEnvelope: envelope } = bundle
  const statement = JSON.parse(atob(envelope.payload)) as { subject: [{ name: string; digest: { sha256: string } }] }
  const [{ name: filename, digest }] = statement.subject
  return {
    file: { filename, sha256: digest.sha256 },
    attestation: {
      version: 1,
      verification_material: {
        certificate: material.certificate.rawBytes,
        transparency_entries: material.tlogEntries,
      },
      envelope: { statement: envelope.payload, signature: envelope.signatures[0].sig },
    },
  }
}
