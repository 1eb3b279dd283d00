// Step 6, finish: one transaction makes the ledger agree with what the flip made public, and hands what was replaced to
// the collector with its grace. Repeating it is harmless: it happens again after a crash between flip and finish.
import { shardOf } from '../../tuf/bins.ts'
import { metadataKey, pageKey } from '../../tuf/layout.ts'
import { condemnBlob, hastenBlob } from '../collection.ts'
import { toBeCopied } from '../copy.ts'
import { freshnessOf, graceMs } from '../freshness.ts'
import { clearFact, getFact, setFact } from '../ledger/facts.ts'
import { findFile, removedBy, setFileState } from '../ledger/files.ts'
import { addGarbage, retirePage } from '../ledger/garbage.ts'
import { appendJournal } from '../ledger/journal.ts'
import { olderVersions, removeUnpublished } from '../ledger/offline.ts'
import { dropPage, findPage, pageMacHolds, setLivePage } from '../ledger/pages.ts'
import { dropObject, endPublication, findPublication, objectsOf } from '../ledger/publications.ts'
import { changesOf, dropChanges, returnChanges } from '../ledger/queue.ts'
import { liveRole, setLiveRole } from '../ledger/roles.ts'
import { all, one, run } from '../ledger/sql.ts'
import { dropStatus, findStatus, putStatus } from '../ledger/statuses.ts'
import { pruneTimestamps, type TimestampRow } from '../ledger/timestamps.ts'
import { endPublisher } from '../publishers.ts'
import type { Context } from './context.ts'
import { pagePath } from './plan.ts'

/** Queue rows that are live now; their uploaders can be answered. */
export function finishFlip(ctx: Context, row: TimestampRow, etag: string): number[] {
  const { sql, place } = ctx
  const macKey = ctx.custody.macKey()
  const now = ctx.now()
  return ctx.storage.transactionSync(() => {
    setFact(sql, 'pointerEtag', etag)
    setFact(sql, 'pointerVersion', row.version)
    setFact(sql, 'flippedAt', now)
    clearFact(sql, 'lastError')
    clearFact(sql, 'failures')
    const { version, sha256, expires } = row
    setLiveRole(sql, { name: 'timestamp', version, sha256, length: row.bytes.byteLength, expires, publication: null })
    pruneTimestamps(sql, version)
    const publication = row.publication === null ? undefined : findPublication(sql, row.publication)
    if (publication?.state !== 'open') return []

    const notBefore = now + graceMs(freshnessOf(sql))
    for (const object of objectsOf(sql, publication.id)) {
      if (object.kind === 'offline') {
        // The offline table keeps these bytes.
        dropObject(sql, publication.id, object.key)
        const { name: role, version: number } = object
        removeUnpublished(sql, role, number!)
        if (role === 'root' && number === getFact(sql, 'releasing')) {
          setFact(sql, 'state', 'released')
          appendJournal(sql, now, { event: 'released', root: number })
        }
        if (role !== 'root')
          for (const older of olderVersions(sql, role, number!))
            addGarbage(sql, metadataKey(place, older, role), notBefore, 'metadata', 'replaced')
        continue
      }
      if (object.kind === 'metadata') {
        const old = liveRole(sql, object.name)
        if (old) {
          const key = metadataKey(place, old.version, old.name)
          addGarbage(sql, key, notBefore, 'metadata', 'replaced')
          dropObject(sql, old.publication, key)
        }
        setLiveRole(sql, {
          name: object.name,
          version: object.version!,
          sha256: object.sha256,
          length: object.length,
          expires: object.expires!,
          publication: publication.id,
        })
        continue
      }
      const old = findPage(sql, object.name)
      if (old) {
        const key = pageKey(place, object.name, old.sha256)
        if (key !== object.key && pageMacHolds(macKey, old)) retirePage(sql, macKey, key, notBefore)
        dropObject(sql, old.publication, key)
      }
      // A page that went back to bytes it once had is no garbage any more.
      run(sql, 'DELETE FROM garbage WHERE key = ?', object.key)
      const { name: path, sha256: digest, length, mac } = object
      const page = { path, bin: object.bin!, sha256: digest, length }
      // The MAC of the commit: a row that was changed since then gets none that holds.
      setLivePage(sql, page, publication.id, mac && new Uint8Array(mac))
    }
    const changes = changesOf(sql, publication.id)
    const reached = new Map<string, number>()
    for (const { project, seq } of changes) reached.set(project, Math.max(seq, reached.get(project) ?? 0))
    for (const { project, filename } of changes) {
      const file = findFile(sql, project, filename)
      if (file?.state === 'staged') {
        setFileState(sql, project, filename, 'live')
        toBeCopied(ctx, project, filename)
      }
      // Deleted after this publication was planned: it names the file, the next one will not.
      if (file?.state === 'dropping' && file.removal! > reached.get(project)!)
        setFileState(sql, project, filename, 'deleting', file.reason ?? undefined)
    }
    for (const [project, seq] of reached) settleRemovals(ctx, project, seq, notBefore)
    dropChanges(sql, publication.id)
    clearFact(sql, 'applied')
    endPublication(sql, publication.id, 'live')
    appendJournal(sql, now, {
      event: 'live',
      publication: publication.id,
      snapshot: publication.snapshot,
      timestamp: version,
    })
    return changes.map((change) => change.seq)
  })
}

/** What the project's changes up to `seq` took away is public no more: its bytes and pages are the collector's. */
function settleRemovals(ctx: Context, project: string, seq: number, notBefore: number): void {
  const { sql, place } = ctx
  const macKey = ctx.custody.macKey()
  const removed = removedBy(sql, project, seq)
  for (const { filename, sha256, n, reason, purge } of removed) {
    setFileState(sql, project, filename, 'deleted', reason ?? undefined)
    condemnBlob(ctx, sha256, n, purge === 1 ? 'purged' : 'deleted')
    if (purge === 1) hastenBlob(ctx, sha256, n)
  }
  if (removed.length > 0) setFact(sql, 'listDirty', 1)
  const standing = findStatus(sql, macKey, project)
  if (!standing || standing.seq > seq) return
  if (standing.status !== 'deleted' && standing.status !== 'active') {
    if (standing.live !== standing.status) putStatus(sql, macKey, { ...standing, live: standing.status })
    return
  }
  dropStatus(sql, project)
  if (standing.status === 'active') return
  for (const form of ['json', 'html'] as const) {
    const page = findPage(sql, pagePath(shardOf(project), project, form))
    if (!page) continue
    const key = pageKey(place, page.path, page.sha256)
    if (pageMacHolds(macKey, page)) retirePage(sql, macKey, key, notBefore)
    dropObject(sql, page.publication, key)
    dropPage(sql, page.path)
  }
  // Whoever has the name next has not trusted them.
  for (const { id } of all<{ id: string }>(sql, 'SELECT id FROM publishers WHERE project = ?', project))
    endPublisher(ctx, id)
  run(sql, 'DELETE FROM projects WHERE name = ?', project)
}

/** Gives a publication up: its numbers stay burned, its changes wait again, its objects are collected after the grace. */
export function supersede(
  ctx: Context,
  id: number,
  reason: string,
  poison?: { project: string; filename: string },
): void {
  const { sql } = ctx
  const now = ctx.now()
  ctx.storage.transactionSync(() => {
    const notBefore = now + graceMs(freshnessOf(sql))
    for (const object of objectsOf(sql, id)) {
      if (object.kind === 'offline') continue
      const current =
        object.kind === 'page' &&
        one(sql, 'SELECT 1 AS x FROM pages WHERE path = ? AND sha256 = ?', object.name, object.sha256) !== undefined
      if (!current) addGarbage(sql, object.key, notBefore, object.kind, 'superseded')
    }
    returnChanges(sql, id)
    endPublication(sql, id, 'superseded', reason)
    // The list was rendered into a publication that never went out.
    if (getFact(sql, 'kind') !== 'adopted') {
      setFact(sql, 'listDirty', 1)
      setFact(sql, 'listedAt', 0)
    }
    appendJournal(sql, now, { event: 'superseded', publication: id, reason })
    if (poison) {
      setFileState(sql, poison.project, poison.filename, 'quarantined', reason)
      appendJournal(sql, now, { event: 'quarantined', ...poison, reason })
    }
  })
}
