// A transparency log of the test's own, for what no real log would take: it puts its signatures under whatever it is given.
import { ecdsaToDer } from '../../../tuf/der.ts'
import { sha256 } from '../../../tuf/digest.ts'
import { toHex } from '../../../tuf/hex.ts'
import { type Loose, type LooseRoot, looseRoot } from './vectors.ts'

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

const { privateKey, publicKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
  'sign',
  'verify',
])
const SPKI = new Uint8Array(await crypto.subtle.exportKey('spki', publicKey))
const ID = await sha256(SPKI)

const sign = async (text: string): Promise<Uint8Array> =>
  ecdsaToDer(new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, bytesOf(text))))

/** Sigstore's trust root with this log in it, beside Rekor. */
export function rootWithOwnLog(): LooseRoot {
  const root = looseRoot()
  const key = {
    rawBytes: base64(SPKI),
    keyDetails: 'PKIX_ECDSA_P256_SHA_256',
    validFor: { start: '2020-01-01T00:00:00Z' },
  }
  root.tlogs.push({ publicKey: key, logId: { keyId: base64(ID) } })
  return root
}

export interface Relogged {
  /** Of the attestation, in place of its own. */
  statement?: unknown
  /** Unix seconds. */
  integrated?: number
  kind?: string
  /** What the body of the entry says instead: base64. */
  about?: { statement?: string; certificate?: string }
  /** What the checkpoint says instead. */
  checkpoint?: { size?: string; root?: string }
}

/** The attestation as this log takes it: as it is, or otherwise. */
export async function relogged(
  attestation: Loose,
  { statement, integrated, kind = 'dsse', about = {}, checkpoint = {} }: Relogged = {},
): Promise<Loose> {
  const { verification_material: material, envelope } = attestation
  const payload = statement === undefined ? envelope.statement : base64(bytesOf(JSON.stringify(statement)))
  const certificate = about.certificate ?? material.certificate
  const pem = `-----BEGIN CERTIFICATE-----\n${certificate.replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`
  const hash = toHex(await sha256(Buffer.from(about.statement ?? payload, 'base64')))
  const body = base64(
    bytesOf(
      JSON.stringify({
        apiVersion: '0.0.1',
        kind,
        spec: {
          payloadHash: { algorithm: 'sha256', value: hash },
          signatures: [{ signature: envelope.signature, verifier: base64(bytesOf(pem)) }],
        },
      }),
    ),
  )
  const integratedTime = integrated ?? Number(material.transparency_entries[0]!.integratedTime)
  const promise = JSON.stringify({ body, integratedTime, logID: toHex(ID), logIndex: 0 })
  const root = await sha256(Buffer.concat([Uint8Array.of(0), Buffer.from(body, 'base64')]))
  const note = `own.log\n${checkpoint.size ?? '1'}\n${checkpoint.root ?? base64(root)}\n`
  const signature = base64(Buffer.concat([ID.subarray(0, 4), await sign(note)]))
  return {
    ...attestation,
    envelope: { ...envelope, statement: payload },
    verification_material: {
      certificate: material.certificate,
      transparency_entries: [
        {
          logIndex: '0',
          logId: { keyId: base64(ID) },
          kindVersion: { kind, version: '0.0.1' },
          integratedTime: String(integratedTime),
          inclusionPromise: { signedEntryTimestamp: base64(await sign(promise)) },
          inclusionProof: {
            logIndex: '0',
            rootHash: base64(root),
            treeSize: '1',
            hashes: [],
            checkpoint: { envelope: `${note}\n\u2014 own.log ${signature}\n` },
          },
          canonicalizedBody: body,
        },
      ],
    },
  }
}
