// Step 2, sign: the exact bytes of a planned publication. Outside any transaction, nothing is written here.
//
// Signatures: one a planned bin, one for `index` if planned, one for the snapshot. The new snapshot is compared with the
// live one before it is signed: no version may be lower and no role may be gone (TUF 1.0.34, 5.5.5), so that every client
// that followed the live view can follow this one.
import { type MetaInput, snapshotSigned, targetsSigned } from '../../tuf/build.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { metadataKey, pageKey } from '../../tuf/layout.ts'
import { type Signer, signRole } from '../../tuf/sign.ts'
import { freshnessOf, lifeOf } from '../freshness.ts'
import { journalHead } from '../ledger/journal.ts'
import type { StoredObject } from '../ledger/publications.ts'
import { formerRoles, liveRoles } from '../ledger/roles.ts'
import type { Sql } from '../ledger/sql.ts'
import type { Context } from './context.ts'
import { nextVersion, type Plan, type Target } from './plan.ts'

export interface SignedPublication {
  snapshot: number
  objects: StoredObject[]
  /** Unix milliseconds after which less than half of some role's life is left. */
  halfLife: number
}

/** Signatures made side by side: WebCrypto works off the JavaScript thread, and memory stays bounded. */
const PARALLEL = 16

export async function signPublication(ctx: Context, plan: Plan): Promise<SignedPublication> {
  const { sql, place } = ctx
  const freshness = freshnessOf(sql)
  const now = ctx.now()
  const objects: StoredObject[] = []
  let halfLife = Number.MAX_SAFE_INTEGER
  const contents = new Map<string, Target[]>(plan.bins)

  for (const page of plan.pages) {
    const bytes = new TextEncoder().encode(page.text)
    const sha256 = await sha256Hex(bytes)
    contents.get(page.bin)!.push({ path: page.path, length: bytes.length, sha256 })
    objects.push({
      key: pageKey(place, page.path, sha256),
      kind: 'page',
      name: page.path,
      bin: page.bin,
      version: null,
      expires: null,
      sha256,
      bytes,
    })
  }

  for (const { role: name, version, sha256 } of plan.offline)
    objects.push({
      key: metadataKey(place, version, name),
      kind: 'offline',
      name,
      bin: null,
      version,
      expires: null,
      sha256,
      // They lie in a table of their own, and together they may be more than memory holds.
      bytes: new Uint8Array(),
    })

  const add = async (name: string, signer: Signer, version: number, expires: number, signed: unknown) => {
    const bytes = await signRole(signed as Parameters<typeof signRole>[0], [signer])
    const sha256 = await sha256Hex(bytes)
    halfLife = Math.min(halfLife, expires - lifeOf(freshness, name) / 2)
    const key = metadataKey(place, version, name)
    objects.push({ key, kind: 'metadata', name, bin: null, version, expires, sha256, bytes })
  }

  const queue = [...contents]
  // A repository that is signed elsewhere has no such key, and nothing to sign with it.
  const binSigner = queue.length > 0 ? await ctx.custody.signer('bin') : undefined
  const lane = async () => {
    if (!binSigner) return
    for (let next = queue.pop(); next; next = queue.pop()) {
      const [name, targets] = next
      const version = nextVersion(sql, name)
      const expires = now + lifeOf(freshness, name)
      await add(
        name,
        binSigner,
        version,
        expires,
        targetsSigned({ version, expiresMs: expires, targets: entries(targets) }),
      )
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, lane))

  const meta = rolesToList(sql)
  for (const object of objects) {
    if (object.kind !== 'metadata') continue
    const { name, version, sha256 } = object
    const live = meta.get(name)
    if (live && live.version >= version!)
      throw new Error(`The plan would lower ${name} from ${live.version} to ${version}.`)
    meta.set(name, { version: version!, sha256, length: object.bytes.length })
  }
  const version = plan.snapshot
  const expires = now + lifeOf(freshness, 'snapshot')
  const journal = journalHead(sql)
  const signed = snapshotSigned({
    version,
    expiresMs: expires,
    meta: byName(meta),
    extra: { 'x-tuf-edge-journal': { seq: journal.seq, sha256: journal.hash } },
  })
  await add('snapshot', await ctx.custody.signer('snapshot'), version, expires, signed)
  return { snapshot: version, objects, halfLife }
}

/** What a snapshot says of every role, before anything of a publication. */
export function rolesToList(sql: Sql): Map<string, MetaInput> {
  const meta = new Map<string, MetaInput>(formerRoles(sql))
  for (const { name, version, sha256, length } of liveRoles(sql)) meta.set(name, { version, sha256, length })
  for (const role of ['root', 'timestamp', 'snapshot']) meta.delete(role)
  return meta
}

/** Equal content gives equal bytes. */
export const byName = (meta: ReadonlyMap<string, MetaInput>): [string, MetaInput][] =>
  [...meta].sort(([a], [b]) => (a < b ? -1 : 1))

/** Bin entries in the order of their paths, so that equal content gives equal bytes. */
function* entries(targets: Target[]) {
  targets.sort((a, b) => (a.path < b.path ? -1 : 1))
  for (const { path, length, sha256, n } of targets)
    yield [path, { length, sha256, ...(n === undefined ? {} : { custom: { n } }) }] as const
}
