// The fence: what `timestamp.json` is in the bucket before anything is written, and what follows from it.
//
// | found                                                    | do                                                   |
// |----------------------------------------------------------|------------------------------------------------------|
// | the etag of the pointer                                  | go on                                                |
// | bytes of ours, stored, not older than live               | mark live, go on                                     |
// | absent, bad signature, or ours and not newer than live   | replace by a fresh timestamp; the 4th an hour halts  |
// | verifies under our key and we never stored it            | halt: second writer or restored ledger               |
// | verifies under a key root names that is not ours         | halt: handed over                                    |
import { sha256Hex } from '../../tuf/digest.ts'
import { timestampKey } from '../../tuf/layout.ts'
import { parseRoot, parseTimestamp } from '../../tuf/metadata.ts'
import { verifySignature } from '../../tuf/verify.ts'
import { getFact, setFact } from '../ledger/facts.ts'
import { appendJournal } from '../ledger/journal.ts'
import { newestOffline } from '../ledger/offline.ts'
import { liveRole } from '../ledger/roles.ts'
import { type TimestampRow, timestampByDigest } from '../ledger/timestamps.ts'
import { retrying } from './apply.ts'
import { type Context, Halt } from './context.ts'

const HOUR_MS = 3_600_000
/** Foreign writes an hour that are repaired; one more means somebody keeps writing, and a person has to look. */
const FOREIGN_WRITES_MAX = 3

export type Found =
  | { kind: 'pointer' }
  | { kind: 'ours'; row: TimestampRow; etag: string }
  | { kind: 'foreign'; etag: string | null; why: string }

/** Reads and classifies; one class B read when nothing is wrong. @throws Halt where the table says so. */
export async function inspectTimestamp(ctx: Context): Promise<Found> {
  const { sql } = ctx
  const key = timestampKey(ctx.place)
  const pointer = getFact(sql, 'pointerEtag')
  const head = await retrying(ctx, () => ctx.bucket.head(key))
  if (head === null) return pointer === undefined ? { kind: 'pointer' } : { kind: 'foreign', etag: null, why: 'absent' }
  if (head.etag === pointer) return { kind: 'pointer' }

  const object = await retrying(ctx, () => ctx.bucket.get(key))
  if (!object) return { kind: 'foreign', etag: null, why: 'absent' }
  const bytes = new Uint8Array(await object.arrayBuffer())
  const live = liveRole(sql, 'timestamp')?.version ?? 0
  const row = timestampByDigest(sql, await sha256Hex(bytes))
  if (row && row.version >= live) return { kind: 'ours', row, etag: object.etag }

  const foreign = (why: string): Found => ({ kind: 'foreign', etag: object.etag, why })
  let envelope: ReturnType<typeof parseTimestamp>
  try {
    envelope = parseTimestamp(bytes)
  } catch {
    return foreign('not a timestamp')
  }
  const signedBy = async (keys: { keyid: string; key: Parameters<typeof verifySignature>[0] }[]): Promise<boolean> => {
    for (const { keyid, key: publicKey } of keys) {
      const signature = envelope.signatures.find((entry) => entry.keyid === keyid)
      if (signature && (await verifySignature(publicKey, envelope.payload, signature.sig))) return true
    }
    return false
  }
  const own = ctx.custody.key('timestamp')
  const { version } = envelope.signed
  if (await signedBy([{ keyid: own.keyid, key: own }])) {
    if (version > live)
      throw new Halt(
        `timestamp.json in the bucket is version ${version} under our key, and this ledger never stored it (live: ${live}): ` +
          'a second writer or a restored ledger. Stop the other one, then run `tuf-edge resume --from-public`.',
      )
    return foreign(`version ${version}, older than the live ${live}`)
  }
  const root = parseRoot(newestOffline(sql, ctx.custody.macKey(), 'root')!.bytes).signed
  const named = root.roles.timestamp.keyids
    .filter((keyid) => keyid !== own.keyid && root.keys.has(keyid))
    .map((keyid) => ({ keyid, key: root.keys.get(keyid)! }))
  if (await signedBy(named))
    throw new Halt(
      `timestamp.json in the bucket is signed by another key that root names: the repository was handed over. ` +
        'If that was not meant, publish a root that names only our key, then run `tuf-edge resume --from-public`.',
    )
  return foreign('bad signature')
}

/** Journals a foreign write. @throws Halt on the fourth within an hour. */
export function recordForeignWrite(ctx: Context, why: string): void {
  const now = ctx.now()
  ctx.storage.transactionSync(() => {
    const recent = (JSON.parse(getFact(ctx.sql, 'foreignWrites') ?? '[]') as number[]).filter(
      (time) => time <= now && now - time < HOUR_MS,
    )
    recent.push(now)
    setFact(ctx.sql, 'foreignWrites', JSON.stringify(recent))
    appendJournal(ctx.sql, now, { event: 'foreign-write', object: 'timestamp.json', why })
    return recent.length
  })
  const count = (JSON.parse(getFact(ctx.sql, 'foreignWrites')!) as number[]).length
  if (count > FOREIGN_WRITES_MAX)
    throw new Halt(
      `timestamp.json was overwritten by somebody else ${count} times within an hour (last: ${why}). ` +
        'Revoke the bucket token that leaked, then run `tuf-edge resume`.',
    )
}
