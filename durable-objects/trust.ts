// What the face may believe because the publisher says so: digests of roots and of people's metadata. State: none.
import { getFact } from './ledger/facts.ts'
import { isUnpublished, offlineFile, offlineVersions } from './ledger/offline.ts'
import { liveRole } from './ledger/roles.ts'
import type { Context } from './publication/context.ts'
import { type Refused, refused, type Trust } from './rpc.ts'
import type { MetadataAnswer } from './rpc-adopt.ts'

/** Every root that is public, and the newest timestamp that was flipped. */
export function trustOf({ sql, custody, place }: Context): Trust | Refused {
  const live = liveRole(sql, 'timestamp')
  if (!live) return refused('unavailable', 503, 'This repository is not initialised yet.')
  const roots = offlineVersions(sql, custody.macKey(), 'root')
    .filter(({ version }) => !isUnpublished(sql, 'root', version))
    .map(({ version, sha256, bytes }) => ({ version, sha256, length: bytes.length }))
  const development = getFact(sql, 'development') === 1
  // Not one holds: the secret is another, and the next pass says so in its halt.
  if (roots.length === 0)
    return refused(
      'unavailable',
      503,
      'No root in the ledger can be read with this WRAPPING_SECRET. Put the old one back.',
    )
  const released = getFact(sql, 'state') === 'released' ? getFact(sql, 'releasing') : undefined
  const adopted = { origin: getFact(sql, 'origin') ?? '', ...(released === undefined ? {} : { released }) }
  return {
    ok: true,
    epoch: place.epoch,
    roots,
    timestamp: live.version,
    development,
    ...(getFact(sql, 'kind') === 'adopted' ? { adopted } : {}),
  }
}

/** The digest of what was published under this name, if it is kept. */
export function metadataOf({ sql, custody }: Context, role: string, version: number): MetadataAnswer {
  const row = isUnpublished(sql, role, version) ? undefined : offlineFile(sql, custody.macKey(), role, version)
  if (!row) return refused('missing', 404, `There is no ${version}.${role}.json.`)
  return { ok: true, sha256: row.sha256, length: row.bytes.length }
}
