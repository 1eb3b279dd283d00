// Keys in PEM as TUF lists them. State: none.
import type { KeyObject } from 'node:crypto'
import { ed25519Key, type Key, spkiKey } from '../tuf/keys.ts'
import { CommandError } from './terminal.ts'

/** @param file for the refusal. @throws CommandError, or FormatError for a size or curve that is not used */
export function keyOf(publicKey: KeyObject, file: string): Key {
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
  switch (publicKey.asymmetricKeyType) {
    case 'ed25519':
      return ed25519Key(Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('hex'))
    case 'ec': {
      const large = publicKey.asymmetricKeyDetails?.namedCurve === 'secp384r1'
      return spkiKey(large ? 'ecdsa-sha2-nistp384' : 'ecdsa-sha2-nistp256', spki)
    }
    case 'rsa':
      return spkiKey('rsassa-pss-sha256', spki)
    default:
      throw new CommandError(`${file} is of the type ${publicKey.asymmetricKeyType}, which signs no TUF metadata.`)
  }
}
