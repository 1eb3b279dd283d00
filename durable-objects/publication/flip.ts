// Step 5, flip: the commit point of everything. A timestamp is signed now, stored in a transaction of its own, and put
// conditional on the etag last seen. After an answer that is unknown or 429 the same bytes are put again while more than
// half their life is left; then the number is burned and the next one signed.
import { timestampSigned } from '../../tuf/build.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { timestampKey } from '../../tuf/layout.ts'
import { signRole } from '../../tuf/sign.ts'
import { PRIVATE_FIELD } from '../../tuf/timestamp.ts'
import { freshnessOf, lifeOf, wantedPrivate } from '../freshness.ts'
import { getFact } from '../ledger/facts.ts'
import { appendJournal } from '../ledger/journal.ts'
import { burnVersion, liveRole } from '../ledger/roles.ts'
import { insertTimestamp, type TimestampRow, timestampInDoubt } from '../ledger/timestamps.ts'
import { answered } from './apply.ts'
import { type Context, RetryableFault } from './context.ts'
import { nextVersion } from './plan.ts'

/** R2 takes one write a second on a key (platform limit): a repeat before that is refused again. */
const REPEAT_DELAY_MS = 1_000
/** Tries of one pass; what is still unknown then is settled by the fence of the next. */
const TRIES = 3

export interface SnapshotMeta {
  version: number
  length: number
  sha256: string
}

export type FlipResult =
  | { ok: true; row: TimestampRow; etag: string }
  /** Somebody else wrote first: the fence decides. */
  | { ok: false }

/**
 * Makes `snapshot` the present. `condition` is the etag that must be found; null means the object must be absent.
 * @throws RetryableFault when the outcome is unknown after all tries.
 */
export async function flipTimestamp(
  ctx: Context,
  snapshot: SnapshotMeta,
  publication: number | null,
  condition: string | null,
): Promise<FlipResult> {
  const row = reusable(ctx, snapshot, publication) ?? (await signTimestamp(ctx, snapshot, publication))
  const key = timestampKey(ctx.place)
  const onlyIf = condition === null ? { etagDoesNotMatch: '*' } : { etagMatches: condition }
  for (let attempt = 1; ; attempt++) {
    try {
      const put = await answered(
        ctx.bucket.put(key, row.bytes, {
          onlyIf,
          sha256: row.sha256,
          httpMetadata: { contentType: 'application/json' },
        }),
      )
      if (put !== null) return { ok: true, row, etag: put.etag }
      return (await landed(ctx, key, row)) ?? { ok: false }
    } catch (error) {
      if (attempt === TRIES)
        throw new RetryableFault(`timestamp.json could not be put: ${error instanceof Error ? error.message : error}`)
      await ctx.sleep(REPEAT_DELAY_MS)
      const done = await landed(ctx, key, row)
      if (done) return done
    }
  }
}

/** A put that reported failure may have been persisted all the same: read back and compare. */
async function landed(ctx: Context, key: string, row: TimestampRow): Promise<FlipResult | undefined> {
  try {
    const found = await answered(ctx.bucket.get(key))
    if (found && (await sha256Hex(new Uint8Array(await found.arrayBuffer()))) === row.sha256)
      return { ok: true, row, etag: found.etag }
  } catch {
    // still unknown
  }
  return undefined
}

/** A signed timestamp whose put is in doubt, if it says the same and more than half its life is left. */
function reusable(ctx: Context, snapshot: SnapshotMeta, publication: number | null): TimestampRow | undefined {
  const row = timestampInDoubt(ctx.sql, liveRole(ctx.sql, 'timestamp')?.version ?? 0)
  if (!row || row.snapshot !== snapshot.version || row.publication !== publication) return undefined
  if (row.private !== wantedPrivate(ctx.sql)) return undefined
  const left = row.expires - ctx.now()
  const life = row.expires - row.signed
  return left > life / 2 && left <= life ? row : undefined
}

async function signTimestamp(ctx: Context, snapshot: SnapshotMeta, publication: number | null): Promise<TimestampRow> {
  const { sql } = ctx
  const signer = await ctx.custody.signer('timestamp')
  const signed = ctx.now()
  const expires = signed + lifeOf(freshnessOf(sql), 'timestamp')
  const version = nextVersion(sql, 'timestamp')
  const isPrivate = wantedPrivate(sql)
  const extra: Record<string, true> = isPrivate === 1 ? { [PRIVATE_FIELD]: true } : {}
  const bytes = await signRole(timestampSigned({ version, expiresMs: expires, snapshot, extra }), [signer])
  const sha256 = await sha256Hex(bytes)
  const row = { version, bytes, sha256, snapshot: snapshot.version, publication, signed, expires, private: isPrivate }
  ctx.storage.transactionSync(() => {
    insertTimestamp(sql, row)
    burnVersion(sql, 'timestamp', version)
    appendJournal(sql, signed, { event: 'signed', role: 'timestamp', version, sha256, publication })
  })
  return { ...row, bytes: bytes.slice().buffer as ArrayBuffer }
}

/** Etag the next flip must find, or null before the first. */
export const expectedEtag = (ctx: Context): string | null => getFact(ctx.sql, 'pointerEtag') ?? null
