// A certificate for this machine, made for one run: what uv wants before it speaks to a publish URL about tokens. X.509 v3,
// self-signed, ECDSA P-256, for 127.0.0.1 and localhost. Node can use certificates and has no way to make one.
import { ecdsaToDer } from '../../tuf/der.ts'
import { source } from '../../tuf/digest.ts'

const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OID = 0x06
const UTF8_STRING = 0x0c
const UTC_TIME = 0x17
/** Names in a subjectAltName (RFC 5280, 4.2.1.6). */
const DNS_NAME = 0x82
const IP_ADDRESS = 0x87

const ECDSA_WITH_SHA256 = '2a8648ce3d040302'
const COMMON_NAME = '550403'
const SUBJECT_ALT_NAME = '551d11'

type Part = Uint8Array | string

/** A DER element; text stands for its bytes. */
function der(tag: number, ...parts: Part[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)))
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const oid = (hex: string): Buffer => der(OID, Buffer.from(hex, 'hex'))
const utcTime = (ms: number): Buffer =>
  der(UTC_TIME, `${new Date(ms).toISOString().slice(2, 19).replace(/[-T:]/g, '')}Z`)
const pem = (label: string, bytes: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(bytes)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`

export async function makeCertificate(): Promise<{ cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const signedWith = der(SEQUENCE, oid(ECDSA_WITH_SHA256))
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, oid(COMMON_NAME), der(UTF8_STRING, 'tuf-edge test'))))
  const names = der(SEQUENCE, der(DNS_NAME, 'localhost'), der(IP_ADDRESS, Buffer.from([127, 0, 0, 1])))
  const extensions = der(SEQUENCE, der(SEQUENCE, oid(SUBJECT_ALT_NAME), der(OCTET_STRING, names)))
  const body = der(
    SEQUENCE,
    der(0xa0, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, Buffer.from([1, ...crypto.getRandomValues(new Uint8Array(8))])),
    signedWith,
    name,
    der(SEQUENCE, utcTime(Date.now() - 3_600_000), utcTime(Date.now() + 86_400_000)),
    name,
    Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey)),
    der(0xa3, extensions),
  )
  const signature = ecdsaToDer(new Uint8Array(await crypto.subtle.sign(algorithm, keys.privateKey, source(body))))
  const cert = der(SEQUENCE, body, signedWith, der(BIT_STRING, Buffer.from([0]), signature))
  const key = await crypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { cert: pem('CERTIFICATE', cert), key: pem('PRIVATE KEY', new Uint8Array(key)) }
}
