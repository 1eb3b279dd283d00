// What the service will ask of an adoption, asked before anybody signs or sends anything: the same gate (tuf/gate.ts), and
// what it keeps of a batch. State: none.
import { admit, BATCH_BYTES_MAX, GateError, type SignedFile } from '../tuf/gate.ts'
import type { NewKeys } from '../tuf/next-roots.ts'
import type { Repository } from './adopt-source.ts'
import { CommandError } from './terminal.ts'

/**
 * The whole repository as a batch.
 *
 * @param keys that the newest of `roots` must name; undefined: before the next two are signed, which may have a later date
 * @throws CommandError
 */
export async function mustPass(
  { roles, last }: Repository,
  roots: ReadonlyMap<number, Uint8Array>,
  keys: NewKeys | undefined,
): Promise<SignedFile[]> {
  const files: SignedFile[] = [
    ...[...roots.values()].map((bytes) => ({ role: 'root', bytes })),
    ...[...roles].map(([role, { bytes }]) => ({ role, bytes })),
  ]
  // What its clients hold goes along.
  const sent = [...files.map(({ bytes }) => bytes), last.snapshot, last.timestamp]
  const total = sent.reduce((sum, bytes) => sum + bytes.length, 0)
  if (total > BATCH_BYTES_MAX)
    throw new CommandError(`Its metadata has ${total} bytes, and ${BATCH_BYTES_MAX} are adopted.`)
  const online = keys && { snapshot: keys.snapshot.keyid, timestamp: keys.timestamp.keyid }
  const nothing = { root: undefined, roles: new Map(), load: (role: string) => Promise.reject(new Error(role)) }
  try {
    await admit(files, nothing, { now: Date.now(), ...(online ? { online } : { expiredToo: true }) })
  } catch (error) {
    if (!(error instanceof GateError)) throw error
    throw new CommandError(`${error.rule}: ${error.message} Nothing was changed.`)
  }
  for (const [role, { signed }] of roles)
    if (signed.expiresMs <= Date.now())
      throw new CommandError(`"${role}" expired at ${signed.expires}, and only its own keys can sign it again.`)
  return files
}
