// A certificate authority of the test's own: for certificates that no authority of Sigstore's would issue. DER by hand.
import { ecdsaToDer } from '../../../tuf/der.ts'

const element = (tag: number, ...content: Uint8Array[]): Uint8Array => {
  const body = Buffer.concat(content)
  const { length } = body
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Uint8Array.of(tag, ...size), body])
}
const sequence = (...content: Uint8Array[]) => element(0x30, ...content)
const hex = (text: string): Uint8Array => Buffer.from(text, 'hex')
const oid = (content: string) => element(0x06, hex(content))
const text = (tag: number, value: string) => element(tag, Buffer.from(value))

const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'))
const KEYS = { name: 'ECDSA', namedCurve: 'P-256' }

export interface Holder {
  name: string
  key: CryptoKeyPair
}
export const holder = async (name: string): Promise<Holder> => ({
  name,
  key: (await crypto.subtle.generateKey(KEYS, true, ['sign', 'verify'])) as CryptoKeyPair,
})

const nameOf = ({ name }: Holder) => sequence(element(0x31, sequence(oid('550403'), text(0x0c, name))))
const extension = (id: string, critical: boolean, value: Uint8Array) =>
  sequence(oid(id), ...(critical ? [hex('0101ff')] : []), element(0x04, value))

/** Extensions, each as a certificate has it. */
export const signsCode = extension('551d25', false, sequence(oid('2b06010505070303')))
export const signsMail = extension('551d25', false, sequence(oid('2b06010505070304')))
export const signsData = extension('551d0f', true, hex('03020780'))
export const signsCertificates = extension('551d0f', true, hex('03020106'))
export const authority = (pathLength?: number) =>
  extension(
    '551d13',
    true,
    sequence(hex('0101ff'), ...(pathLength === undefined ? [] : [element(0x02, Uint8Array.of(pathLength))])),
  )
export const unknown = (critical: boolean) => extension('2a0304', critical, hex('0500'))
export const identity = (tag: number, value: string) => extension('551d11', true, sequence(text(tag, value)))
export const claim = (number: number, value: string) =>
  extension(`2b0601040183bf3001${number.toString(16).padStart(2, '0')}`, false, text(0x0c, value))

/** Of a day: 1 January 2026. @returns DER */
export async function certify(issuer: Holder, subject: Holder, extensions: Uint8Array[]): Promise<Uint8Array> {
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', subject.key.publicKey))
  const tbs = sequence(
    hex('a003020102'),
    hex('020101'),
    ECDSA_SHA256,
    nameOf(issuer),
    sequence(text(0x17, '260101000000Z'), text(0x17, '260102000000Z')),
    nameOf(subject),
    spki,
    element(0xa3, sequence(...extensions)),
  )
  const raw = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, issuer.key.privateKey, Uint8Array.from(tbs))
  const signature = ecdsaToDer(new Uint8Array(raw))
  return sequence(tbs, ECDSA_SHA256, element(0x03, hex('00'), signature))
}
