// How a file of TUF metadata is sent, whoever signed it.
import { sha256Hex } from '../tuf/digest.ts'
import { sendBytes } from './content.ts'
import type { Env } from './env.ts'
import type { Reader } from './reader.ts'

export const JSON_TYPE = { 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff' }

/** Digests of files that stay in memory: 6 ms for the largest bin, paid once. */
const digests = new WeakMap<Uint8Array, string>()

export async function digestOf(bytes: Uint8Array): Promise<string> {
  const held = digests.get(bytes)
  if (held) return held
  const sha256 = await sha256Hex(bytes)
  digests.set(bytes, sha256)
  return sha256
}

export async function answerTimestamp(env: Env, reader: Reader, request: Request): Promise<Response> {
  const publication = await reader.current(env)
  // Past its date it is served, for whoever wants to see it, and nobody may keep it.
  const cache = publication.expired(Date.now()) ? 'no-store' : 'no-cache, no-transform'
  return sendBytes(request, publication.timestamp.bytes, publication.sha256, { ...JSON_TYPE, 'Cache-Control': cache })
}
