// Whether an authority of the trust root issued a certificate, at the moment that the log vouches for, and a certificate
// log of the root promised to show it (RFC 6962). State: none. Revocation is not looked at: the leaf lives ten minutes.

import { DerReader } from '../tuf/der.ts'
import { sha256 } from '../tuf/digest.ts'
import { FormatError } from '../tuf/errors.ts'
import { toHex } from '../tuf/hex.ts'
import { type Certificate, mayIdentify, pathLength, TIMESTAMP_LIST } from './certificate.ts'
import { ecdsaHolds } from './ecdsa.ts'
import { AttestationError } from './errors.ts'
import { type Authority, type TrustRoot, within } from './trust-root.ts'

/** Fulcio's certificates have one. */
const TIMESTAMPS_MAX = 4

/** @param time Unix milliseconds @throws {AttestationError} */
export async function verifyChain(leaf: Certificate, root: TrustRoot, time: number): Promise<void> {
  if (!mayIdentify(leaf)) throw new AttestationError('The certificate is not one for signing code.')
  if (leaf.curve !== 'P-256') throw new AttestationError('The key of the certificate is not on P-256.')
  if (time < leaf.notBefore || time > leaf.notAfter)
    throw new AttestationError('The certificate was not valid when the log took the signature.')
  for (const authority of root.authorities) {
    if (!within(authority, time) || !(await issuedBy(leaf, authority, time))) continue
    if (await isLogged(leaf, authority.chain[0]!, root)) return
    throw new AttestationError('No certificate log of the trust root has promised to show the certificate.')
  }
  throw new AttestationError('The certificate was not issued by an authority of the trust root that was valid then.')
}

async function issuedBy(leaf: Certificate, { chain }: Authority, time: number): Promise<boolean> {
  let below = leaf
  for (const [depth, issuer] of chain.entries()) {
    const valid = issuer.notBefore <= time && time <= issuer.notAfter
    if (!valid || below.issuer !== issuer.subject || (pathLength(issuer) ?? -1) < depth) return false
    if (!(await ecdsaHolds(issuer.spki, below.hash, below.signature, below.tbs))) return false
    below = issuer
  }
  return true
}

interface SignedTimestamp {
  log: string
  /** Unix milliseconds. */
  time: number
  /** As they are signed. */
  timeBytes: Uint8Array
  extensions: Uint8Array
  signature: Uint8Array
}

async function isLogged(leaf: Certificate, issuer: Certificate, root: TrustRoot): Promise<boolean> {
  const list = leaf.extensions.get(TIMESTAMP_LIST)
  if (!list) return false
  const issuerKey = await sha256(issuer.spki)
  const tbs = withoutTimestamps(leaf)
  for (const { log, time, timeBytes, extensions, signature } of timestampsOf(list.value)) {
    const key = root.certificateLogs.get(log)
    if (!key || !within(key, time)) continue
    // Version 1, of a certificate; an entry that is a precertificate (RFC 6962, 3.2).
    const message = concat([
      Uint8Array.of(0, 0),
      timeBytes,
      Uint8Array.of(0, 1),
      issuerKey,
      bigEndian(tbs.length, 3),
      tbs,
      bigEndian(extensions.length, 2),
      extensions,
    ])
    if (await ecdsaHolds(key.spki, 'SHA-256', signature, message)) return true
  }
  return false
}

function timestampsOf(extension: Uint8Array): SignedTimestamp[] {
  const outer = new DerReader(extension)
  const list = new TlsReader(outer.read(0x04))
  outer.end()
  const entries = new TlsReader(list.vector())
  list.end()
  const found: SignedTimestamp[] = []
  while (entries.left > 0) {
    if (found.length === TIMESTAMPS_MAX)
      throw new FormatError(`A certificate has more than ${TIMESTAMPS_MAX} timestamps of certificate logs.`)
    const entry = new TlsReader(entries.vector())
    if (entry.take(1)[0] !== 0) throw new FormatError('The timestamp of a certificate log is not of version 1.')
    const log = toHex(entry.take(32))
    const timeBytes = entry.take(8)
    const time = Number(new DataView(timeBytes.buffer, timeBytes.byteOffset, 8).getBigUint64(0))
    const extensions = entry.vector()
    // SHA-256, ECDSA (RFC 5246, 7.4.1.4.1)
    if (toHex(entry.take(2)) !== '0403') throw new FormatError('A certificate log did not sign with ECDSA.')
    const signature = entry.vector()
    entry.end()
    found.push({ log, time, timeBytes, extensions, signature })
  }
  return found
}

/** What the log was given: the certificate before the log's timestamp was put into it. */
function withoutTimestamps({ beforeExtensions, extensions }: Certificate): Uint8Array {
  const kept = [...extensions].flatMap(([id, { whole }]) => (id === TIMESTAMP_LIST ? [] : [whole]))
  return der(0x30, concat([beforeExtensions, der(0xa3, der(0x30, concat(kept)))]))
}

function der(tag: number, content: Uint8Array): Uint8Array {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return concat([Uint8Array.of(tag, ...size), content])
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const bigEndian = (value: number, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** (size - 1 - i)) % 256)

/** TLS's vectors: two bytes of length before the content. */
class TlsReader {
  readonly #bytes: Uint8Array
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#position
  }

  take(count: number): Uint8Array {
    if (count > this.left) throw new FormatError('The timestamp of a certificate log is cut off.')
    this.#position += count
    return this.#bytes.subarray(this.#position - count, this.#position)
  }

  vector(): Uint8Array {
    const [high, low] = this.take(2)
    return this.take(high! * 256 + low!)
  }

  end(): void {
    if (this.left > 0) throw new FormatError('The timestamp of a certificate log has something behind it.')
  }
}
