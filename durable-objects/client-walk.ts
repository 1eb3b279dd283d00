// The client's walk over what a batch is going to make public (tuf/client-walk.ts): what it is answered, and where it
// starts from. State: none; to be called after the gate and before the transaction that keeps the batch.
//
// A snapshot and a timestamp are signed here as the publication will sign them, and thrown away: they are given to nobody,
// so nothing of them is burned. Two signatures for each moment at which roots go out, one or two.
import { snapshotSigned, timestampSigned } from '../tuf/build.ts'
import { Kept, type Present, refreshAsClient, type Walked, walkRoles } from '../tuf/client-walk.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { TufError } from '../tuf/errors.ts'
import { type Admitted, GateError, type Held } from '../tuf/gate.ts'
import { metadataKey } from '../tuf/layout.ts'
import { LIMITS } from '../tuf/limits.ts'
import { parseRoot, type Root } from '../tuf/root.ts'
import { signRole } from '../tuf/sign.ts'
import type { Beginning } from './former-signer.ts'
import { freshnessOf, lifeOf } from './freshness.ts'
import { gateAnswer, rootsGoOut } from './handed-over.ts'
import { offlineVersions, unpublishedRoots } from './ledger/offline.ts'
import { objectBytes } from './ledger/publications.ts'
import { liveRole } from './ledger/roles.ts'
import { timestampByDigest } from './ledger/timestamps.ts'
import type { Context } from './publication/context.ts'
import { nextVersion } from './publication/plan.ts'
import { byName, rolesToList } from './publication/sign.ts'
import type { Refused } from './rpc.ts'

interface Circumstances {
  /** Nothing is public yet. */
  beginning?: Beginning
  /** Of a batch in parts: which of its roles were walked to in a call before. */
  walked?: Walked | undefined
  /** What goes out later is the owner's: nothing that is signed here holds under it. */
  handsBack?: boolean
}

/** Why clients would not follow; undefined if they do. */
export async function refusedByClients(
  ctx: Context,
  admitted: Admitted,
  held: Held,
  { beginning, walked, handsBack = false }: Circumstances = {},
): Promise<Refused | undefined> {
  if (admitted.roots.length + admitted.roles.length === 0) return undefined
  try {
    await new Walk(ctx, admitted, held, beginning, walked).run(handsBack)
    return undefined
  } catch (error) {
    return gateAnswer(error)
  }
}

interface Outgoing {
  bytes: Uint8Array
  signed: Root
  notBefore: number
}

class Walk {
  readonly #ctx: Context
  readonly #admitted: Admitted
  readonly #held: Held
  readonly #beginning: Beginning | undefined
  readonly #walked: Walked | undefined

  constructor(
    ctx: Context,
    admitted: Admitted,
    held: Held,
    beginning: Beginning | undefined,
    walked: Walked | undefined,
  ) {
    this.#ctx = ctx
    this.#admitted = admitted
    this.#held = held
    this.#beginning = beginning
    this.#walked = walked
  }

  async run(handsBack: boolean): Promise<void> {
    const now = this.#ctx.now()
    const { first, next } = this.#roots(now)
    const moments = [...new Set(next.map(({ notBefore }) => notBefore).filter((at) => at > now))].sort((a, b) => a - b)
    const changed = new Map(this.#admitted.roles.map((role) => [role.role, role]))
    const warm = this.#warm(first)
    const fresh = new Kept({ root: first })
    for (const [moment, at] of [now, ...moments].entries()) {
      const out = next.filter(({ notBefore }) => notBefore <= at)
      const root = out.at(-1)?.signed ?? parseRoot(first).signed
      this.#mustLast(root, moments[moment])
      const present = await this.#present(root, out, moment)
      // A root that stays and has expired lets nobody arrive: see client-walk.ts.
      const judged = root.expiresMs <= now && this.#admitted.roots.length === 0 ? 0 : now
      if (warm) await refreshAsClient(warm, present, judged, 'A client that is up to date')
      const runs = Math.ceil((out.length + 1) / LIMITS.rootRotations)
      const client = await refreshAsClient(fresh, present, judged, 'A new client', runs)
      // Roles do not wait for roots.
      if (moment === 0) await walkRoles(client, present, changed, this.#held, this.#walked)
      if (handsBack) return
    }
  }

  /** The newest root that is public, and those that follow it, each with its time. */
  #roots(now: number): { first: Uint8Array; next: Outgoing[] } {
    const { sql, custody } = this.#ctx
    const kept = this.#beginning ? [] : offlineVersions(sql, custody.macKey(), 'root')
    const waiting = new Map(unpublishedRoots(sql).map(({ version, notBefore }) => [version, notBefore]))
    const all = [
      ...kept.map(({ version, bytes }) => ({ bytes, notBefore: waiting.get(version) ?? 0 })),
      ...rootsGoOut(this.#ctx, this.#admitted.roots, this.#held.root?.signed, now).map(({ root, notBefore }) => ({
        bytes: root.envelope.bytes,
        notBefore,
      })),
    ]
    const published = kept.filter(({ version }) => !waiting.has(version)).length
    const start = Math.max(0, published - 1)
    const next = all.slice(start + 1).map((root) => ({ ...root, signed: parseRoot(root.bytes).signed }))
    return { first: all[start]!.bytes, next }
  }

  /** What a client holds that was here a moment ago; undefined: nothing is public yet. */
  #warm(root: Uint8Array): Kept | undefined {
    const { sql, place } = this.#ctx
    if (this.#beginning) return this.#beginning.warm && new Kept(this.#beginning.warm)
    const [timestamp, snapshot] = [liveRole(sql, 'timestamp'), liveRole(sql, 'snapshot')]
    const row = timestamp && timestampByDigest(sql, timestamp.sha256)
    if (!row || snapshot?.publication == null) return undefined
    const bytes = objectBytes(sql, snapshot.publication, metadataKey(place, snapshot.version, 'snapshot'))
    return new Kept({ root, timestamp: new Uint8Array(row.bytes), snapshot: bytes })
  }

  /** A root that another one follows later is what clients go by until then. */
  #mustLast({ version, expires, expiresMs }: Root, until: number | undefined): void {
    if (until === undefined || expiresMs > until || !this.#admitted.roots.some((root) => root.version === version))
      return
    throw new GateError(
      'expired',
      `root ${version} expires at ${expires}, and root ${version + 1} goes out later: no client would take anything meanwhile.`,
    )
  }

  async #present(root: Root, out: readonly Outgoing[], moment: number): Promise<Present> {
    const { roles } = this.#admitted
    const { snapshot, timestamp } = await this.#signed(moment)
    const given = new Map(roles.map((file) => [file.role, file]))
    return {
      roots: new Map(out.map(({ signed, bytes }) => [signed.version, bytes])),
      timestamp,
      snapshot,
      consistentSnapshot: root.consistentSnapshot,
      load: async (role) => given.get(role)?.bytes ?? (this.#held.roles.has(role) ? this.#held.load(role) : undefined),
    }
  }

  async #signed(moment: number): Promise<{ snapshot: Uint8Array; timestamp: Uint8Array }> {
    const { sql, custody, now } = this.#ctx
    const { freshness, served, former } = this.#beginning ?? { freshness: freshnessOf(sql), former: {} }
    const expires = (role: string) => now() + lifeOf(freshness, role)
    const number = (role: 'snapshot' | 'timestamp') => (served ? served[role] + 1 : nextVersion(sql, role)) + moment
    const meta = rolesToList(sql)
    for (const [role, version] of Object.entries(former)) meta.set(role, { version })
    for (const { role, version, sha256, length } of this.#admitted.roles) meta.set(role, { version, sha256, length })
    try {
      const version = number('snapshot')
      const listed = snapshotSigned({ version, expiresMs: expires('snapshot'), meta: byName(meta) })
      const snapshot = await signRole(listed, [await custody.signer('snapshot')])
      const named = { version, length: snapshot.length, sha256: await sha256Hex(snapshot) }
      const timed = { version: number('timestamp'), expiresMs: expires('timestamp'), snapshot: named }
      return { snapshot, timestamp: await signRole(timestampSigned(timed), [await custody.signer('timestamp')]) }
    } catch (error) {
      if (error instanceof TufError) throw new GateError('client', `No snapshot can list it: ${error.message}`)
      throw error
    }
  }
}
