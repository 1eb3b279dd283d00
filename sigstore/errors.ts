// The one error that leaves this folder for bad input: an attestation or a trust root that is not taken. Its message is
// one sentence that says what is wrong; what was given is never repeated in it but for names of fields and issuers.

export class AttestationError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'AttestationError'
  }
}
