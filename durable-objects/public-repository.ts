// Reads the public repository in the bucket as a client does, from a pinned root chain. State: none. Nothing is believed
// that does not verify from there on; what else lies in the bucket is never looked at.
//
// One rule of a client is left out: dates. Whoever has to be resumed has not signed for a while, and that a view is the
// newest one is not proved by its date but by its versions, which must not be below the ledger's own.
import { keysOfRole } from '../tuf/delegations.ts'
import { sha256Hex } from '../tuf/digest.ts'
import type { Envelope } from '../tuf/envelope.ts'
import { TufError } from '../tuf/errors.ts'
import { metadataKey, pageKey, timestampKey } from '../tuf/layout.ts'
import { LIMITS } from '../tuf/limits.ts'
import { checkBytes } from '../tuf/meta-file.ts'
import { parseTargets, type TargetFile, type Targets } from '../tuf/metadata.ts'
import { TrustedSet } from '../tuf/trusted.ts'
import { verifyRole } from '../tuf/verify.ts'
import { retrying } from './publication/apply.ts'
import type { Context } from './publication/context.ts'

/** Dates are not judged: at this moment nothing had expired. */
const BEFORE_ALL_DATES = 0

/** Why the public repository cannot be taken over; one sentence for the operator. */
export class PublicError extends Error {
  override name = 'PublicError'
}

export interface SignedFile {
  name: string
  version: number
  sha256: string
  expires: number
  bytes: Uint8Array
}

export interface PublicRepository {
  /** Of `timestamp.json` as it was read: the next flip must find it. */
  etag: string
  set: TrustedSet
  /** The whole chain that was walked: the pinned roots and what follows them in the bucket. */
  roots: SignedFile[]
  timestamp: SignedFile
  snapshot: SignedFile
  targets: SignedFile
  bins: SignedFile
}

/** @throws PublicError, RetryableFault */
export async function readPublic(ctx: Context, pinned: readonly Uint8Array[]): Promise<PublicRepository> {
  try {
    const [first, ...more] = pinned
    if (!first) throw new PublicError('There is no pinned root to verify the public repository from.')
    const set = await TrustedSet.start(first, BEFORE_ALL_DATES)
    const roots = [await signedFile('root', set.root)]
    for (const bytes of more) roots.push(await signedFile('root', await set.updateRoot(bytes)))
    for (let next = await nextRoot(ctx, set); next; next = await nextRoot(ctx, set)) roots.push(next)

    const object = await retrying(ctx, () => ctx.bucket.get(timestampKey(ctx.place)))
    if (!object)
      throw new PublicError('The bucket holds no timestamp.json: there is no public repository to take over.')
    await set.updateTimestamp(await bounded(object, LIMITS.timestampBytes, 'timestamp.json'))
    const { version, length } = set.timestamp!.signed.snapshot
    await set.updateSnapshot(
      await read(ctx, metadataKey(ctx.place, version, 'snapshot'), length ?? LIMITS.snapshotBytes),
    )
    for (const [role, delegator] of [
      ['targets', 'root'],
      ['bins', 'targets'],
    ] as const) {
      const named = set.metaOf(role)
      const bytes = await read(ctx, metadataKey(ctx.place, named.version, role), named.length ?? LIMITS.targetsBytes)
      await set.updateDelegated(bytes, role, delegator)
    }
    return {
      etag: object.etag,
      set,
      roots,
      timestamp: await signedFile('timestamp', set.timestamp!),
      snapshot: await signedFile('snapshot', set.snapshot!),
      targets: await signedFile('targets', set.targets('targets')!),
      bins: await signedFile('bins', set.targets('bins')!),
    }
  } catch (error) {
    throw refusal(error)
  }
}

/** The verified file of an online role that `delegator` names. It is not kept: a large index has more than memory holds. */
export async function readRole(
  ctx: Context,
  { set }: PublicRepository,
  name: string,
  delegator: 'bins' | 'targets',
): Promise<SignedFile & { targets: ReadonlyMap<string, TargetFile> }> {
  try {
    const named = set.metaOf(name)
    const delegations = set.targets(delegator)!.signed.delegations
    const keys = delegations && keysOfRole(delegations, name)
    if (!keys) throw new PublicError(`The public ${delegator} does not delegate to ${name}.`)
    const key = metadataKey(ctx.place, named.version, name)
    const bytes = await read(ctx, key, named.length ?? LIMITS.targetsBytes)
    await checkBytes(bytes, named, name)
    const envelope: Envelope<Targets> = parseTargets(bytes)
    await verifyRole(envelope, keys, delegations.keys, name)
    if (envelope.signed.version !== named.version)
      throw new PublicError(`${name} has version ${envelope.signed.version} instead of ${named.version}.`)
    return { ...(await signedFile(name, envelope)), targets: envelope.signed.targets }
  } catch (error) {
    throw refusal(error)
  }
}

/** The bytes of a page that a verified role lists. */
export async function readPage(ctx: Context, path: string, { length, hashes }: TargetFile): Promise<Uint8Array> {
  try {
    const bytes = await read(ctx, pageKey(ctx.place, path, hashes.get('sha256') ?? ''), length)
    await checkBytes(bytes, { length, hashes }, path)
    return bytes
  } catch (error) {
    throw refusal(error)
  }
}

/** The root after the trusted one, if the bucket has one that follows it; a planted one is as good as none. */
async function nextRoot(ctx: Context, set: TrustedSet): Promise<SignedFile | undefined> {
  const version = set.root.signed.version + 1
  const object = await retrying(ctx, () => ctx.bucket.get(metadataKey(ctx.place, version, 'root')))
  if (!object) return undefined
  try {
    return await signedFile('root', await set.updateRoot(await bounded(object, LIMITS.rootBytes, `root ${version}`)))
  } catch (error) {
    if (error instanceof TufError || error instanceof PublicError) return undefined
    throw error
  }
}

async function signedFile(
  name: string,
  { signed, bytes }: Envelope<{ version: number; expiresMs: number }>,
): Promise<SignedFile> {
  return { name, version: signed.version, sha256: await sha256Hex(bytes), expires: signed.expiresMs, bytes }
}

async function read(ctx: Context, key: string, bytesMax: number): Promise<Uint8Array> {
  const object = await retrying(ctx, () => ctx.bucket.get(key))
  if (!object) throw new PublicError(`${key} is missing in the bucket.`)
  return bounded(object, bytesMax, key)
}

async function bounded(object: R2ObjectBody, bytesMax: number, what: string): Promise<Uint8Array> {
  if (object.size > bytesMax)
    throw new PublicError(`${what} has ${object.size} bytes, and at most ${bytesMax} are read.`)
  return new Uint8Array(await object.arrayBuffer())
}

const refusal = (error: unknown): unknown =>
  error instanceof TufError ? new PublicError(`The public repository does not verify: ${error.message}`) : error
