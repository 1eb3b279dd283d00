// Entries of a transparency log (Rekor 1): that the log of the trust root has taken this signature, by this certificate,
// over this statement, and when. State: none.
//
// Both of the log's statements are asked for: the signed entry timestamp, because nothing else vouches for the time, and
// the inclusion proof up to a signed checkpoint, because it is what anybody can look up later. Nobody is asked over the
// network, and that two checkpoints agree with one another is not looked at: both are the work of the log's monitors.
import { sha256, sha256Hex } from '../tuf/digest.ts'
import { FormatError } from '../tuf/errors.ts'
import { asArray, asObject, asString } from '../tuf/fields.ts'
import { toHex } from '../tuf/hex.ts'
import { type Json, parseJson } from '../tuf/json.ts'
import { concat } from './chain.ts'
import { ecdsaHolds } from './ecdsa.ts'
import { AttestationError } from './errors.ts'
import { asBytes, asCount, asExactly } from './fields.ts'
import { type LogKey, type TrustRoot, within } from './trust-root.ts'

/** A log of 2^63 entries. */
const HASHES_MAX = 63
const CHECKPOINT_CHARS_MAX = 16_384
const BODY_DEPTH_MAX = 12
const CLOCK_SKEW_MS = 300_000

export interface LogEntry {
  index: number
  /** Hex. */
  log: string
  kind: string
  version: string
  /** Unix seconds. */
  integrated: number
  promise: Uint8Array
  proof: { index: number; size: number; root: Uint8Array; hashes: Uint8Array[]; checkpoint: string }
  body: Uint8Array
}

/** What the entry has to be about. */
export interface Signed {
  statement: Uint8Array
  signature: Uint8Array
  /** DER. */
  certificate: Uint8Array
}

const MEMBERS = [
  ...['logIndex', 'logId', 'kindVersion', 'integratedTime', 'inclusionPromise', 'inclusionProof'],
  'canonicalizedBody',
]
const PROOF_MEMBERS = ['logIndex', 'rootHash', 'treeSize', 'hashes', 'checkpoint']

/** @throws {FormatError} */
export function readLogEntry(value: Json): LogEntry {
  const entry = asExactly(value, 'A transparency entry', MEMBERS)
  const kind = asExactly(entry.get('kindVersion'), 'kindVersion', ['kind', 'version'])
  const promise = asExactly(entry.get('inclusionPromise'), 'inclusionPromise', ['signedEntryTimestamp'])
  const proof = asExactly(entry.get('inclusionProof'), 'inclusionProof', PROOF_MEMBERS)
  const checkpoint = asExactly(proof.get('checkpoint'), 'checkpoint', ['envelope'])
  const hashes = asArray(proof.get('hashes') ?? [], 'hashes')
  if (hashes.length > HASHES_MAX) throw new FormatError(`An inclusion proof has more than ${HASHES_MAX} hashes.`)
  const envelope = asString(checkpoint.get('envelope'), 'envelope')
  if (envelope.length > CHECKPOINT_CHARS_MAX)
    throw new FormatError(`A checkpoint is over ${CHECKPOINT_CHARS_MAX} characters.`)
  return {
    index: asCount(entry.get('logIndex') ?? 0, 'logIndex'),
    log: toHex(asBytes(asExactly(entry.get('logId'), 'logId', ['keyId']).get('keyId'), 'keyId')),
    kind: asString(kind.get('kind'), 'kind'),
    version: asString(kind.get('version'), 'version'),
    integrated: asCount(entry.get('integratedTime'), 'integratedTime'),
    promise: asBytes(promise.get('signedEntryTimestamp'), 'signedEntryTimestamp'),
    proof: {
      index: asCount(proof.get('logIndex') ?? 0, 'logIndex'),
      size: asCount(proof.get('treeSize'), 'treeSize'),
      root: asBytes(proof.get('rootHash'), 'rootHash'),
      hashes: hashes.map((hash) => asBytes(hash, 'A hash of an inclusion proof')),
      checkpoint: envelope,
    },
    body: asBytes(entry.get('canonicalizedBody'), 'canonicalizedBody'),
  }
}

/** The entry as protobuf's JSON writes it: what was verified, and nothing beside it. */
export const writeLogEntry = ({ index, log, kind, version, integrated, promise, proof, body }: LogEntry) => ({
  logIndex: String(index),
  logId: { keyId: base64(Uint8Array.from(log.match(/../g)!, (byte) => Number.parseInt(byte, 16))) },
  kindVersion: { kind, version },
  integratedTime: String(integrated),
  inclusionPromise: { signedEntryTimestamp: base64(promise) },
  inclusionProof: {
    logIndex: String(proof.index),
    rootHash: base64(proof.root),
    treeSize: String(proof.size),
    hashes: proof.hashes.map(base64),
    checkpoint: { envelope: proof.checkpoint },
  },
  canonicalizedBody: base64(body),
})

export function base64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** @param now Unix milliseconds @returns when the log took it, Unix milliseconds @throws {AttestationError} */
export async function verifyLogEntry(entry: LogEntry, signed: Signed, root: TrustRoot, now: number): Promise<number> {
  const { log, integrated } = entry
  const key = root.logs.get(log)
  if (!key) throw new AttestationError('The transparency log is not one of the trust root.')
  const time = integrated * 1000
  if (!within(key, time) || time > now + CLOCK_SKEW_MS)
    throw new AttestationError('The transparency log was not trusted at the time it names.')
  if (!(await promiseHolds(entry, key)))
    throw new AttestationError('The signed entry timestamp was not signed by the transparency log.')
  await verifyProof(entry, key)
  await verifyBody(entry, signed)
  return time
}

const UTF8 = new TextEncoder()

/** Canonical JSON of these four, in this order. */
function promiseHolds({ body, integrated, log, index, promise }: LogEntry, { spki }: LogKey): Promise<boolean> {
  const text = JSON.stringify({ body: base64(body), integratedTime: integrated, logID: log, logIndex: index })
  return ecdsaHolds(spki, 'SHA-256', promise, UTF8.encode(text))
}

async function verifyProof({ body, proof, log }: LogEntry, key: LogKey): Promise<void> {
  const { size, root, checkpoint } = proof
  const leaf = await sha256(concat([Uint8Array.of(0), body]))
  const reached = await rootOf(leaf, proof)
  if (!reached || toHex(reached) !== toHex(root))
    throw new AttestationError('The inclusion proof does not lead from the entry to its root.')
  const signed = await openCheckpoint(checkpoint, log, key)
  if (!signed) throw new AttestationError('The checkpoint was not signed by the transparency log.')
  if (signed.size !== String(size) || signed.root !== base64(root))
    throw new AttestationError('The checkpoint is not that of the inclusion proof.')
}

/** RFC 9162, 2.1.3.2; undefined if the path does not fit the place. */
async function rootOf(leaf: Uint8Array, { index, size, hashes }: LogEntry['proof']): Promise<Uint8Array | undefined> {
  if (index >= size) return undefined
  let [place, last, hash] = [index, size - 1, leaf]
  const half = (value: number) => Math.floor(value / 2)
  for (const sibling of hashes) {
    if (last === 0) return undefined
    const right = place % 2 === 1 || place === last
    hash = await sha256(concat([Uint8Array.of(1), ...(right ? [sibling, hash] : [hash, sibling])]))
    if (right)
      while (place % 2 === 0 && place > 0) {
        place = half(place)
        last = half(last)
      }
    place = half(place)
    last = half(last)
  }
  return last === 0 ? hash : undefined
}

/**
 * A signed note (C2SP signed-note, tlog-checkpoint): its size and root if the log signed it. Rekor signs alone; lines of
 * others, which nobody here could check, would be handed on with what was checked.
 */
async function openCheckpoint(note: string, log: string, { spki }: LogKey) {
  const match = /^((\S[^\n]*)\n(\d+)\n([^\n]+)\n(?:[^\n]+\n)*)\n\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})\n$/.exec(note)
  if (!match) return undefined
  const [, text, origin, size, root, name, encoded] = match as unknown as string[]
  const signature = asBytes(encoded, 'The signature of a checkpoint')
  if (origin !== name && !origin!.startsWith(`${name} - `)) return undefined
  // The first four bytes hint at the key: those of its id.
  if (toHex(signature.subarray(0, 4)) !== log.slice(0, 8)) return undefined
  const holds = await ecdsaHolds(spki, 'SHA-256', signature.subarray(4), UTF8.encode(text))
  return holds ? { size, root } : undefined
}

/** An entry of the kind dsse 0.0.1, the only one that is written for attestations of PEP 740. */
async function verifyBody({ body, kind, version }: LogEntry, signed: Signed): Promise<void> {
  const entry = asObject(parseJson(body, { maxDepth: BODY_DEPTH_MAX }), 'The body of a transparency entry')
  const is = (name: string, value: string): boolean => entry.get(name) === value
  if (kind !== 'dsse' || version !== '0.0.1' || !is('kind', kind) || !is('apiVersion', version))
    throw new AttestationError('The transparency entry is not of the kind dsse 0.0.1.')
  const spec = asObject(entry.get('spec'), 'spec')
  const payload = asObject(spec.get('payloadHash'), 'payloadHash')
  const signatures = asArray(spec.get('signatures'), 'signatures')
  const [first] = signatures
  if (signatures.length !== 1) throw new AttestationError('The transparency entry is not about one signature.')
  const logged = asObject(first, 'A signature of the transparency entry')
  const verifier = new TextDecoder().decode(asBytes(logged.get('verifier'), 'verifier'))
  const pem = /^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n?$/.exec(verifier)?.[1]
  const same =
    payload.get('algorithm') === 'sha256' &&
    payload.get('value') === (await sha256Hex(signed.statement)) &&
    logged.get('signature') === base64(signed.signature) &&
    pem?.replaceAll('\n', '') === base64(signed.certificate)
  if (!same) throw new AttestationError('The transparency entry is about another statement, signature or certificate.')
}
