// What the publisher script is given. Checked once here; everywhere else the values have their final types.
import type { Publisher } from './publisher.ts'

export interface Env {
  BUCKET: R2Bucket
  /** A second bucket that gets a copy of every live file; absent: none. */
  COPY?: R2Bucket
  PUBLISHER: DurableObjectNamespace<Publisher>
  /** ≥ 32 random bytes in base64url; wraps the online keys. Cannot be read back: losing it loses the keys. */
  WRAPPING_SECRET: string
  /** Allows the ceremony, and minting until an admin token is used. */
  BOOTSTRAP_SECRET: string
  /** Milliseconds between two flips: R2 takes one write a second on a key; the local emulator has no such limit. */
  FLIP_INTERVAL_MS: string
  /** Where the objects must lie, such as `eu`; absent: anywhere. For ever, as it is part of an object's id. */
  JURISDICTION?: string
  /** Where an object is made if nothing forces it elsewhere, such as `weur`. Heeded at its first call alone. */
  LOCATION_HINT?: string
  /** The bucket's own address, for direct uploads past the limit of a request; absent: they come through the face. */
  R2_S3_ENDPOINT?: string
  R2_BUCKET_NAME?: string
  R2_ACCESS_KEY_ID?: string
  R2_SECRET_ACCESS_KEY?: string
}

export interface Settings {
  wrappingSecret: string
  flipIntervalMs: number
}

/** @throws Error that names the missing setting and the command that sets it. */
export function readSettings(env: Env): Settings {
  if (typeof env.WRAPPING_SECRET !== 'string' || env.WRAPPING_SECRET.length < 43)
    throw new Error('The secret WRAPPING_SECRET is missing or shorter than 32 bytes; `npm run deploy` sets it.')
  const flipIntervalMs = Number(env.FLIP_INTERVAL_MS)
  if (!Number.isSafeInteger(flipIntervalMs) || flipIntervalMs < 0)
    throw new Error('The variable FLIP_INTERVAL_MS must be a whole number of milliseconds (1000 on Cloudflare).')
  return { wrappingSecret: env.WRAPPING_SECRET, flipIntervalMs }
}

/** A new stub of the repository's object. The same name in another jurisdiction would be another object, with an empty ledger. */
export function objectOf({ PUBLISHER, JURISDICTION, LOCATION_HINT }: Env, repository: string) {
  const namespace = JURISDICTION ? PUBLISHER.jurisdiction(JURISDICTION as DurableObjectJurisdiction) : PUBLISHER
  const hint = LOCATION_HINT ? { locationHint: LOCATION_HINT as DurableObjectLocationHint } : {}
  return namespace.getByName(repository, hint)
}
