// The readers of attestations, certificates and trust roots. Properties: the only error is an AttestationError (of a
// certificate alone: a FormatError) of one sentence, and nothing that was changed is taken for what it was.
import { type Trust, verifyAttestations } from '../../sigstore/attestation.ts'
import { readCertificate } from '../../sigstore/certificate.ts'
import { AttestationError } from '../../sigstore/errors.ts'
import { readTrustRoot } from '../../sigstore/trust-root.ts'
import { FormatError } from '../../tuf/errors.ts'
import { attestation, bytesOf, fileOf, looseRoot, rootFrom, SDIST } from '../unit/sigstore/vectors.ts'
import { bytesOf as bytesOfText, simplified, type Target } from './fuzz.ts'
import { text } from './judging.ts'

async function judged(work: () => unknown, kind: typeof AttestationError | typeof FormatError): Promise<string> {
  try {
    return `taken ${JSON.stringify(await work())}`
  } catch (error) {
    if (!(error instanceof kind)) throw error
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    if (/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(error.message) || error.message.length > 700)
      throw new Error(`A refusal that would spoil a terminal: ${JSON.stringify(error.message)}`)
    return `refused ${error.message}`
  }
}

const GIVEN = attestation(`${SDIST}.publish`)
const TRUST: Trust = { root: rootFrom(looseRoot()), publishers: [], now: Date.UTC(2026, 0, 1) }
const FILE = fileOf(SDIST)
const WANTED = await verifyAttestations(JSON.stringify([GIVEN]), FILE, TRUST)

const attestations: Target = {
  name: 'attestations',
  corpus: [bytesOfText(JSON.stringify([GIVEN]))],
  dictionary: ['null', '{}', '[]', '"', '=="', '-1', '9007199254740993', '\\n', '\\u0000', '"hashes":[', '\u2014 x '],
  run: async (input) =>
    simplified(
      await judged(async () => {
        // What is taken is what was there: white space and escapes of the JSON are all that may be otherwise.
        const provenance = await verifyAttestations(text(input), FILE, TRUST)
        if (provenance !== WANTED) throw new Error('Something else was taken.')
        return provenance.length
      }, AttestationError),
    ),
}

const certificate: Target = {
  name: 'certificate',
  corpus: [Buffer.from(GIVEN.verification_material.certificate, 'base64')],
  dictionary: ['\u0000', '0', '\u0001\u0001', '\u0002\u0001\u0002', '\u0017\r', '\u0003\u0002\u0000'],
  run: async (input) => simplified(await judged(() => readCertificate(input).extensions.size, FormatError)),
}

const trustRoot: Target = {
  name: 'trust-root',
  corpus: [bytesOf('trusted_root.json')],
  dictionary: ['null', '{}', '[]', '"tlogs"', '"rawBytes"', 'PKIX_ED25519', '"end":"2020-01-01T00:00:00Z"'],
  run: async (input) => simplified(await judged(() => readTrustRoot(input).authorities.length, AttestationError)),
}

export const SIGSTORE_TARGETS: Target[] = [attestations, certificate, trustRoot]
