// Attestations of an upload (PEP 740): verified, or dropped with a sentence that says why; never stored unverified. State:
// none. Cost: 1 RPC, which tells whom this project's attestations are trusted by, and about a dozen ECDSA signatures.
//
// One that does not hold refuses the upload, as the PEP has it: whoever sends a proof that is none should hear of it.
import type { BeginRequest, Refused } from '../durable-objects/rpc.ts'
import type { AttestationTrustAnswer } from '../durable-objects/rpc-attestations.ts'
import { Refusal } from '../pypi/refusal.ts'
import { verifyAttestations } from '../sigstore/attestation.ts'
import { AttestationError } from '../sigstore/errors.ts'
import { readTrustRoot } from '../sigstore/trust-root.ts'
import type { Env } from './env.ts'
import { callMember } from './upload-member.ts'

const NOBODY_TRUSTED =
  'This index has no trust root to verify attestations with: those sent with the file were not stored.'

/**
 * The provenance object, or the warning that there is none.
 *
 * @param attestations the form's field @throws Refusal, Problem
 */
export async function provenanceFrom(
  env: Env,
  request: BeginRequest,
  attestations: string,
): Promise<{ provenance?: string; warning?: string }> {
  const ask = () => env.MEMBER.attestationTrust(request)
  const { trustedRoot, publishers } = await callMember<Exclude<AttestationTrustAnswer, Refused>>(ask)
  if (trustedRoot === undefined) return { warning: NOBODY_TRUSTED }
  const { filename, sha256 } = request
  try {
    const root = readTrustRoot(new TextEncoder().encode(trustedRoot))
    const trust = { root, publishers, now: Date.now() }
    return { provenance: await verifyAttestations(attestations, { filename, sha256 }, trust) }
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    throw new Refusal(
      `The attestations do not hold, so nothing was stored: ${error.message} Attest this very file, or upload without.`,
    )
  }
}
