// The two secrets of the publisher. Invariant: one that is set is never replaced by a run that was not told to, because
// the wrapping secret cannot be read back and the online keys are lost with it.
import { createHash, randomBytes } from 'node:crypto'
import { CommandError } from './terminal.ts'

export const SECRETS = ['WRAPPING_SECRET', 'BOOTSTRAP_SECRET'] as const
export type SecretName = (typeof SECRETS)[number]

/** 32 random bytes in base64url: what durable-objects/env.ts asks for. */
const SECRET_FORM = /^[A-Za-z0-9_-]{43,128}$/

/** Where a deployment without a person takes a secret from; also how one that was lost is put back. */
export const variableOf = (name: SecretName): string => `TUF_EDGE_${name}`

export interface MadeSecret {
  name: SecretName
  value: string
  /** False: it was given, so whoever runs this has it already. */
  fresh: boolean
}

/** Values for the names that are missing: given by the environment, else made. @throws CommandError on a given one that is too short */
export function secretsFor(
  missing: readonly SecretName[],
  env: Readonly<Record<string, string | undefined>>,
): MadeSecret[] {
  return missing.map((name) => {
    const given = env[variableOf(name)]?.trim()
    if (given === undefined || given === '') return { name, value: randomBytes(32).toString('base64url'), fresh: true }
    if (!SECRET_FORM.test(given))
      throw new CommandError(
        `${variableOf(name)} must be 32 random bytes in base64url (43 characters): nothing was set.`,
      )
    return { name, value: given, fresh: false }
  })
}

/** Tells one secret from another and nothing else: a digest of 256 random bits gives nothing away. */
export const fingerprintOf = (value: string): string => createHash('sha256').update(value).digest('hex').slice(0, 16)
