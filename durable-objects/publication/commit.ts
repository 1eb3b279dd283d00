// Step 3, commit: one transaction stores the exact bytes and burns their numbers. From here a crash re-applies the same
// bytes; before it, nothing happened. The timestamp is not among them: it is signed at the flip.

import { nextAlarm } from '../freshness.ts'
import { setFact } from '../ledger/facts.ts'
import { setFileState } from '../ledger/files.ts'
import { appendJournal } from '../ledger/journal.ts'
import { dropPage, pageMac } from '../ledger/pages.ts'
import { insertObject, insertPublication, openPublication, type Publication } from '../ledger/publications.ts'
import { assignToPublication, enqueue, waitingNewProjects } from '../ledger/queue.ts'
import { burnVersion } from '../ledger/roles.ts'
import type { Context } from './context.ts'
import type { Plan } from './plan.ts'
import type { SignedPublication } from './sign.ts'

export function commitPublication(ctx: Context, plan: Plan, signed: SignedPublication): Publication {
  const { sql } = ctx
  const now = ctx.now()
  const macKey = ctx.custody.macKey()
  return ctx.storage.transactionSync(() => {
    if (openPublication(sql)) throw new Error('A publication is open already: two flights ran at once.')
    const id = insertPublication(sql, signed.snapshot, now, signed.halfLife)
    for (const object of signed.objects) {
      const { kind, name, bin, sha256, bytes } = object
      const page = { path: name, bin: bin ?? '', sha256, length: bytes.length }
      insertObject(sql, id, kind === 'page' ? { ...object, mac: pageMac(macKey, page) } : object)
      if (object.kind !== 'metadata') continue
      burnVersion(sql, object.name, object.version!)
      const { version } = object
      appendJournal(sql, now, { event: 'signed', role: name, version, sha256, publication: id })
    }
    for (const { project, seq } of plan.projects) assignToPublication(sql, project, seq, id)
    for (const { project, filename, reason } of plan.quarantine) {
      setFileState(sql, project, filename, 'quarantined', reason)
      appendJournal(sql, now, { event: 'quarantined', project, filename, reason })
      // Its page must lose it too; the page was rendered without it only if its project was planned.
      if (!plan.projects.some((planned) => planned.project === project)) enqueue(sql, project, filename)
    }
    for (const path of plan.strangers)
      if (dropPage(sql, path) > 0) appendJournal(sql, now, { event: 'page-dropped', path })
    if (plan.list) {
      // What was staged during the signing, or was too much for this plan, is not in the list yet.
      const listed = new Set(plan.projects.map(({ project }) => project))
      setFact(sql, 'listDirty', waitingNewProjects(sql).some((project) => !listed.has(project)) ? 1 : 0)
      setFact(sql, 'listedAt', now)
    }
    // Who staged something set the alarm with it. One for freshness alone may be the work of a call, under a clock that went
    // back, and the alarm that stands then is set by the clock as it was.
    const alarm = plan.projects.length === 0 ? nextAlarm(sql, now) : null
    if (alarm !== null) void ctx.storage.setAlarm(alarm)
    return openPublication(sql)!
  })
}
