// Step 4, apply: puts the stored bytes, put-if-absent, at most six at a time (platform limit on open connections).
// Every put may be repeated: "absent" lost with equal bytes is success. Other bytes under a version's name burn that
// number; under a page's name, which its digest fixes, they can only be damage and are replaced.
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey } from '../../tuf/layout.ts'
import { parseSnapshot, parseTargets } from '../../tuf/metadata.ts'
import { verifySignature } from '../../tuf/verify.ts'
import { getFact, setFact } from '../ledger/facts.ts'
import { findFile } from '../ledger/files.ts'
import { offlineBytes } from '../ledger/offline.ts'
import { objectBytes, objectsOf, type Publication } from '../ledger/publications.ts'
import { changesOf } from '../ledger/queue.ts'
import { type Context, Halt, RetryableFault } from './context.ts'

/** Simultaneous open connections of one Worker invocation (Cloudflare limit). */
const CONNECTIONS = 6
/** Azul's figures: three repeats bridge a busy bucket, more only delay the back-off of the whole pass. */
const RETRY_DELAYS_MS = [100, 200, 400]
/** The largest object here has 2 MB, put in well under a second; four tries of a dead bucket end within 81 s. */
const BUCKET_WAIT_MS = 20_000

/**
 * Puts of one pass. An invocation has 10,000 calls to the bucket and 30 s of processor time (platform limits), and the fence,
 * the heads, repeats and the collector share them: a thousand puts are two seconds of it. What is left goes on with the alarm.
 */
const PUTS_A_PASS = 1_000

export type ApplyResult =
  | { ok: true }
  /** So much is in the bucket that another pass has to go on. */
  | { ok: true; more: true }
  /** The publication cannot go out as it is; the file that is at fault, if one is. */
  | { ok: false; reason: string; poison?: { project: string; filename: string } }

export async function applyPublication(
  ctx: Context,
  publication: Publication,
  between: () => Promise<void>,
): Promise<ApplyResult> {
  const missing = await checkBlobs(ctx, publication)
  if (missing) return missing
  const objects = objectsOf(ctx.sql, publication.id)
  // What clients look for without being told its name comes when everything behind it is there: first the snapshot, by
  // habit, then roots, in their order, because a new root is believed at once.
  const isRoot = (object: ObjectHead) => object.kind === 'offline' && object.name === 'root'
  const roots = objects.filter(isRoot).sort((a, b) => a.version! - b.version!)
  const last = [...objects.filter((object) => object.name === 'snapshot'), ...roots]
  const others = objects.filter((object) => !last.includes(object))
  const done = appliedBefore(ctx, publication)
  let failure: ApplyResult = { ok: true }
  await inLanes(others.slice(done, done + PUTS_A_PASS), async (object) => {
    const result = await putImmutable(ctx, publication.id, object)
    if (!result.ok) failure = result
    await between()
    return failure.ok
  })
  if (failure.ok && done + PUTS_A_PASS < others.length) {
    setFact(ctx.sql, 'applied', JSON.stringify({ publication: publication.id, puts: done + PUTS_A_PASS }))
    return { ok: true, more: true }
  }
  for (const object of last) if (failure.ok) failure = await putImmutable(ctx, publication.id, object)
  return failure
}

/** The objects of an open publication do not change, and are put in one order. */
function appliedBefore({ sql }: Context, { id }: Publication): number {
  const { publication, puts } = JSON.parse(getFact(sql, 'applied') ?? '{}') as { publication?: number; puts?: number }
  return publication === id ? (puts ?? 0) : 0
}

type ObjectHead = ReturnType<typeof objectsOf>[number]

async function putImmutable(ctx: Context, publication: number, object: ObjectHead): Promise<ApplyResult> {
  const bytes =
    object.kind === 'offline' ? offlineBytes(ctx.sql, object.sha256) : objectBytes(ctx.sql, publication, object.key)
  const httpMetadata = {
    contentType: object.name.endsWith('.html') ? 'text/html; charset=utf-8' : 'application/json',
  }
  const options = { sha256: object.sha256, httpMetadata }
  const put = await retrying(ctx, () =>
    ctx.bucket.put(object.key, bytes, { ...options, onlyIf: { etagDoesNotMatch: '*' } }),
  )
  if (put !== null) return { ok: true }
  const found = await retrying(ctx, () => ctx.bucket.get(object.key))
  if (!found) throw new RetryableFault(`${object.key} was there and is gone.`)
  const foundBytes = new Uint8Array(await found.arrayBuffer())
  if ((await sha256Hex(foundBytes)) === object.sha256) return { ok: true }
  if (object.kind === 'page') {
    const repaired = await retrying(ctx, () =>
      ctx.bucket.put(object.key, bytes, { ...options, onlyIf: { etagMatches: found.etag } }),
    )
    if (repaired === null) throw new RetryableFault(`${object.key} changed while it was repaired.`)
    return { ok: true }
  }
  if (object.kind === 'offline')
    throw new Halt(
      `${object.key} in the bucket is not the file the ceremony signed. Remove that object, then run \`tuf-edge resume\`.`,
    )
  if (await signedByUs(ctx, object.name, foundBytes))
    throw new Halt(
      `${object.key} carries our signature on bytes this ledger never stored: a second writer or a restored ledger. ` +
        'Stop the other one, then run `tuf-edge resume --from-public`.',
    )
  return { ok: false, reason: `foreign bytes at ${object.key}: the number is burned` }
}

async function signedByUs(ctx: Context, role: string, bytes: Uint8Array): Promise<boolean> {
  try {
    const envelope = role === 'snapshot' ? parseSnapshot(bytes) : parseTargets(bytes)
    const key = ctx.custody.key(role === 'snapshot' ? 'snapshot' : 'bin')
    const signature = envelope.signatures.find((entry) => entry.keyid === key.keyid)
    return signature !== undefined && (await verifySignature(key, envelope.payload, signature.sig))
  } catch {
    return false
  }
}

/** Every file the publication makes visible for the first time must be in the bucket: one head each. */
async function checkBlobs(ctx: Context, publication: Publication): Promise<ApplyResult | undefined> {
  const files = changesOf(ctx.sql, publication.id)
    .map((change) => findFile(ctx.sql, change.project, change.filename))
    .filter((file) => file?.state === 'staged')
  let failure: ApplyResult | undefined
  await inLanes(files, async (file) => {
    const { project, filename, sha256, size, n } = file!
    const head = await retrying(ctx, () => ctx.bucket.head(blobKey(ctx.place, sha256, n)))
    if (head?.size !== size)
      failure = {
        ok: false,
        reason: `The bytes of ${filename} are not in the bucket.`,
        poison: { project, filename },
      }
    return failure === undefined
  })
  return failure
}

/**
 * Works off the items, last first, until the work says false or throws. When this ends, nothing of it is under way any
 * more: a pass that failed must not put or flip beside the next one.
 */
export async function inLanes<T>(items: T[], work: (item: T) => Promise<boolean>): Promise<void> {
  let stopped = false
  const lane = async () => {
    try {
      while (!stopped && items.length > 0) if (!(await work(items.pop()!))) stopped = true
    } catch (error) {
      stopped = true
      throw error
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: CONNECTIONS }, lane))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/**
 * A bucket call that never answers is a failed one whose outcome is unknown, like a lost answer: everything here may be
 * repeated, and one call that hangs must not keep a pass, and with it the next timestamp, waiting for ever.
 */
export async function answered<T>(call: Promise<T>): Promise<T> {
  let timer: number | null = null
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${BUCKET_WAIT_MS / 1000} s`)), BUCKET_WAIT_MS)
  })
  try {
    return await Promise.race([call, silence])
  } finally {
    clearTimeout(timer)
  }
}

/** Repeats an idempotent bucket call; what still fails is retryable by the whole pass. */
export async function retrying<T>(ctx: Context, call: () => Promise<T>): Promise<T> {
  for (const delay of [...RETRY_DELAYS_MS, undefined]) {
    try {
      return await answered(call())
    } catch (error) {
      if (delay === undefined)
        throw new RetryableFault(`The bucket did not answer: ${error instanceof Error ? error.message : String(error)}`)
      await ctx.sleep(delay)
    }
  }
  throw new RetryableFault('The bucket did not answer.')
}
