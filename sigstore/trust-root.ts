// Whom attestations are trusted by: Sigstore's trusted_root.json (certificate authorities, transparency logs, certificate
// logs), as Sigstore's own TUF repository publishes it, or one made for a Sigstore of one's own. State: none.
//
// What this code cannot check it leaves out: RSA and Ed25519 keys (so Rekor 2's logs), and timestamp authorities, which
// attestations of PEP 740 have no room for. A root of which nothing usable remains is refused.
import { readSpki } from '../tuf/der.ts'
import { FormatError } from '../tuf/errors.ts'
import { asArray, asObject, asString } from '../tuf/fields.ts'
import { toHex } from '../tuf/hex.ts'
import { type Json, type JsonObject, parseJson } from '../tuf/json.ts'
import { type Certificate, readCertificate } from './certificate.ts'
import { AttestationError } from './errors.ts'
import { asBytes, asDate } from './fields.ts'

/** Sigstore's own has 7 kB. */
export const TRUST_ROOT_BYTES_MAX = 128 * 1024
const DEPTH_MAX = 12
/** Of each kind; a Sigstore that turns its keys over every year for sixteen years. */
const ENTRIES_MAX = 16
const CHAIN_MAX = 4

/** Unix milliseconds, both inclusive. */
export interface Period {
  from: number
  until: number
}
export interface LogKey extends Period {
  spki: Uint8Array
}
export interface Authority extends Period {
  /** From the one that signs to the one that is trusted. */
  chain: readonly Certificate[]
}

export interface TrustRoot {
  authorities: readonly Authority[]
  /** By id in hex. */
  logs: ReadonlyMap<string, LogKey>
  certificateLogs: ReadonlyMap<string, LogKey>
}

export const within = ({ from, until }: Period, time: number): boolean => from <= time && time <= until

/** @throws {AttestationError} */
export function readTrustRoot(bytes: Uint8Array): TrustRoot {
  try {
    return parseTrustRoot(bytes)
  } catch (error) {
    if (error instanceof FormatError) throw new AttestationError(`The trust root is refused: ${error.message}`)
    throw error
  }
}

function parseTrustRoot(bytes: Uint8Array): TrustRoot {
  if (bytes.length > TRUST_ROOT_BYTES_MAX) throw new FormatError(`It is over ${TRUST_ROOT_BYTES_MAX} bytes.`)
  const root = asObject(parseJson(bytes, { maxDepth: DEPTH_MAX }), 'It')
  const mediaType = asString(root.get('mediaType'), 'mediaType')
  if (!/^application\/vnd\.dev\.sigstore\.trustedroot(?:\+json;version=0\.[1-9]|\.v0\.[1-9]\+json)$/.test(mediaType))
    throw new FormatError('Its mediaType is not that of a trusted_root.json.')
  const trusted = {
    authorities: entriesOf(root, 'certificateAuthorities').flatMap((entry) => authorityOf(entry)),
    logs: new Map(entriesOf(root, 'tlogs').flatMap((entry) => logOf(entry, 'tlogs'))),
    certificateLogs: new Map(entriesOf(root, 'ctlogs').flatMap((entry) => logOf(entry, 'ctlogs'))),
  }
  if (trusted.authorities.length === 0 || trusted.logs.size === 0 || trusted.certificateLogs.size === 0)
    throw new FormatError('It needs a certificate authority, a tlog and a ctlog with ECDSA keys each.')
  return trusted
}

function entriesOf(root: JsonObject, name: string): JsonObject[] {
  const entries = asArray(root.get(name), name)
  if (entries.length > ENTRIES_MAX) throw new FormatError(`${name} has more than ${ENTRIES_MAX} entries.`)
  return entries.map((entry) => asObject(entry, `An entry of ${name}`))
}

function periodOf(value: Json | undefined, what: string): Period {
  const period = asObject(value, `${what} validFor`)
  const end = period.get('end')
  return {
    from: asDate(period.get('start'), `${what} start`),
    until: end === undefined ? Number.POSITIVE_INFINITY : asDate(end, `${what} end`),
  }
}

function logOf(entry: JsonObject, what: string): [string, LogKey][] {
  const key = asObject(entry.get('publicKey'), `${what} publicKey`)
  const id = toHex(asBytes(asObject(entry.get('logId'), `${what} logId`).get('keyId'), `${what} keyId`))
  const spki = asBytes(key.get('rawBytes'), `${what} rawBytes`)
  const period = periodOf(key.get('validFor'), `${what} publicKey`)
  if (asString(key.get('keyDetails'), `${what} keyDetails`) !== 'PKIX_ECDSA_P256_SHA_256') return []
  const parsed = readSpki(spki)
  if (parsed.type !== 'ec' || parsed.curve !== 'P-256') throw new FormatError(`A key of ${what} is not what it says.`)
  return [[id, { spki, ...period }]]
}

function authorityOf(entry: JsonObject): Authority[] {
  const what = 'certificateAuthorities'
  const period = periodOf(entry.get('validFor'), what)
  const chain = asArray(
    asObject(entry.get('certChain'), `${what} certChain`).get('certificates'),
    `${what} certificates`,
  )
  if (chain.length === 0 || chain.length > CHAIN_MAX)
    throw new FormatError(`A chain of ${what} has 1 to ${CHAIN_MAX} certificates.`)
  const ders = chain.map((link) => asBytes(asObject(link, `${what} certificate`).get('rawBytes'), `${what} rawBytes`))
  try {
    return [{ chain: ders.map(readCertificate), ...period }]
  } catch (error) {
    // Of an algorithm that is not read here: whoever needs it is told that no authority issued his certificate.
    if (error instanceof FormatError) return []
    throw error
  }
}
