// X.509 v3 certificates as Fulcio issues them (RFC 5280), read strictly. State: none. Invariant: what is read here says
// nothing about trust; `chain.ts` does. An extension that is critical and not known refuses the certificate.
import { DerReader, readSpki } from '../tuf/der.ts'
import { FormatError } from '../tuf/errors.ts'
import { toHex } from '../tuf/hex.ts'
import type { Hash } from './ecdsa.ts'

const BOOLEAN = 0x01
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OID = 0x06
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18
const SEQUENCE = 0x30
const VERSION = 0xa0
const EXTENSIONS = 0xa3

/** Contents of object identifiers, in hex. */
const KEY_USAGE = '551d0f'
const ALTERNATIVE_NAME = '551d11'
const BASIC_CONSTRAINTS = '551d13'
const EXTENDED_KEY_USAGE = '551d25'
const CODE_SIGNING = '2b06010505070303'
export const TIMESTAMP_LIST = '2b06010401d679020402'
/** 1.3.6.1.4.1.57264.1: what Fulcio says of the identity; the last byte is the number of the claim. */
const FULCIO = '2b0601040183bf3001'

const KNOWN = [KEY_USAGE, ALTERNATIVE_NAME, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE]

const SIGNATURES: Readonly<Record<string, Hash>> = {
  '06082a8648ce3d040302': 'SHA-256',
  '06082a8648ce3d040303': 'SHA-384',
}

/** Fulcio's have about twenty; the count bounds the work, the bytes are bounded by DER's two length bytes. */
const EXTENSIONS_MAX = 64

export interface Extension {
  critical: boolean
  value: Uint8Array
  /** With tag and length, as it stands in the certificate. */
  whole: Uint8Array
}

export interface Certificate {
  der: Uint8Array
  /** What is signed, with tag and length. */
  tbs: Uint8Array
  /** What of it stands before the extensions. */
  beforeExtensions: Uint8Array
  issuer: string
  subject: string
  /** SubjectPublicKeyInfo, an ECDSA key. */
  spki: Uint8Array
  curve: 'P-256' | 'P-384'
  /** Unix milliseconds, both inclusive. */
  notBefore: number
  notAfter: number
  extensions: ReadonlyMap<string, Extension>
  hash: Hash
  signature: Uint8Array
}

/** @throws {FormatError} for anything but one such certificate, signed with ECDSA, of an ECDSA key */
export function readCertificate(der: Uint8Array): Certificate {
  const outer = new DerReader(der)
  const parts = new DerReader(outer.read(SEQUENCE))
  outer.end()
  const tbs = parts.whole(SEQUENCE)
  const algorithm = toHex(parts.read(SEQUENCE))
  const signature = bitsOf(parts)
  parts.end()
  const hash = SIGNATURES[algorithm]
  if (!hash) throw new FormatError('A certificate is not signed with ECDSA and SHA-256 or SHA-384.')

  const body = new DerReader(new DerReader(tbs).read(SEQUENCE))
  const version = new DerReader(body.read(VERSION))
  if (toHex(version.read(INTEGER)) !== '02') throw new FormatError('A certificate is not X.509 version 3.')
  version.end()
  body.read(INTEGER) // serial number
  if (toHex(body.read(SEQUENCE)) !== algorithm) throw new FormatError('A certificate names two signature algorithms.')
  const issuer = toHex(body.read(SEQUENCE))
  const validity = new DerReader(body.read(SEQUENCE))
  const [notBefore, notAfter] = [timeOf(validity), timeOf(validity)]
  validity.end()
  const subject = toHex(body.read(SEQUENCE))
  const spki = body.whole(SEQUENCE)
  const key = readSpki(spki)
  if (key.type !== 'ec') throw new FormatError('The key of a certificate is not ECDSA.')
  const beforeExtensions = body.bytes.subarray(0, body.position)
  const extensions = extensionsOf(new DerReader(body.read(EXTENSIONS)))
  body.end()
  const { curve } = key
  return {
    ...{ der, tbs, beforeExtensions, issuer, subject, spki, curve },
    ...{ notBefore, notAfter, extensions, hash, signature },
  }
}

function bitsOf(reader: DerReader): Uint8Array {
  const bits = reader.read(BIT_STRING)
  if (bits[0] !== 0) throw new FormatError('A signature is not a whole number of bytes.')
  return bits.subarray(1)
}

function timeOf(reader: DerReader): number {
  const short = reader.next === UTC_TIME
  const text = String.fromCharCode(...reader.read(short ? UTC_TIME : GENERALIZED_TIME))
  // Two digits of a year below 50 are of this century (RFC 5280, 4.1.2.5.1).
  const full = short ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full)
  const [, year, month, day, hour, minute, second] = match ?? []
  const time = match ? Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) : Number.NaN
  if (!Number.isFinite(time)) throw new FormatError('A date in a certificate is malformed.')
  return time
}

function extensionsOf(outer: DerReader): Map<string, Extension> {
  const list = new DerReader(outer.read(SEQUENCE))
  outer.end()
  const extensions = new Map<string, Extension>()
  while (list.next !== undefined) {
    const whole = list.whole(SEQUENCE)
    const parts = new DerReader(new DerReader(whole).read(SEQUENCE))
    const id = toHex(parts.read(OID))
    const critical = parts.next === BOOLEAN && isTrue(parts.read(BOOLEAN))
    const value = parts.read(OCTET_STRING)
    parts.end()
    if (extensions.has(id) || extensions.size >= EXTENSIONS_MAX)
      throw new FormatError(`A certificate has an extension twice, or more than ${EXTENSIONS_MAX}.`)
    if (critical && !KNOWN.includes(id))
      throw new FormatError('A certificate has a critical extension that is not known.')
    extensions.set(id, { critical, value, whole })
  }
  return extensions
}

/** FALSE is the default, which DER leaves out. */
function isTrue(content: Uint8Array): boolean {
  if (toHex(content) !== 'ff') throw new FormatError('A boolean in a certificate is not DER.')
  return true
}

/** Bits of keyUsage (RFC 5280, 4.2.1.3), counted from the left. */
const DIGITAL_SIGNATURE = 0x80
const KEY_CERT_SIGN = 0x04

function hasUsage({ extensions }: Certificate, usage: number): boolean {
  const extension = extensions.get(KEY_USAGE)
  if (!extension) return false
  const reader = new DerReader(extension.value)
  const bits = reader.read(BIT_STRING)
  reader.end()
  return ((bits[1] ?? 0) & usage) !== 0
}

/** How many certificates of authorities may stand below this one; undefined: it is of no authority that signs. */
export function pathLength(certificate: Certificate): number | undefined {
  const extension = certificate.extensions.get(BASIC_CONSTRAINTS)
  if (!extension) return undefined
  const outer = new DerReader(extension.value)
  const parts = new DerReader(outer.read(SEQUENCE))
  outer.end()
  const authority = parts.next === BOOLEAN && isTrue(parts.read(BOOLEAN))
  const length = parts.next === INTEGER ? parts.unsigned() : undefined
  parts.end()
  if (!authority || !hasUsage(certificate, KEY_CERT_SIGN)) return undefined
  return length === undefined ? Number.POSITIVE_INFINITY : length.reduce((sum, byte) => sum * 256 + byte, 0)
}

/** Whether its key may sign code, and nothing else is signed with it that counts. */
export function mayIdentify(certificate: Certificate): boolean {
  const extension = certificate.extensions.get(EXTENDED_KEY_USAGE)
  if (!extension || !hasUsage(certificate, DIGITAL_SIGNATURE) || pathLength(certificate) !== undefined) return false
  const outer = new DerReader(extension.value)
  const list = new DerReader(outer.read(SEQUENCE))
  outer.end()
  let found = false
  while (list.next !== undefined) if (toHex(list.read(OID)) === CODE_SIGNING) found = true
  return found
}

const EMAIL = 0x81
const URI = 0x86

/** The one alternative name: an address of mail, or a URI. */
export function alternativeName({ extensions }: Certificate): string {
  const extension = extensions.get(ALTERNATIVE_NAME)
  const outer = new DerReader(extension?.value ?? new Uint8Array())
  const names = new DerReader(outer.read(SEQUENCE))
  outer.end()
  const tag = names.next
  if (tag !== EMAIL && tag !== URI) throw new FormatError('The identity of a certificate is neither a URI nor e-mail.')
  const name = names.read(tag)
  names.end()
  return textOf(name)
}

const UTF8_STRING = 0x0c

/** Fulcio's claim of this number (oid-info: 8 and above are DER), or undefined. */
export function claimOf({ extensions }: Certificate, number: number): string | undefined {
  const extension = extensions.get(`${FULCIO}${number.toString(16).padStart(2, '0')}`)
  if (!extension) return undefined
  const reader = new DerReader(extension.value)
  const text = textOf(reader.read(UTF8_STRING))
  reader.end()
  return text
}

function textOf(bytes: Uint8Array): string {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new FormatError('A text in a certificate is not UTF-8.')
  }
  if (text === '' || text.length > 1_000 || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text))
    throw new FormatError('A text in a certificate is empty, longer than 1000 characters or not printable.')
  return text
}
