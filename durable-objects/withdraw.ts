// Taking back what a stolen token staged. A file that was never live leaves no trace but the journal's: its name is free
// again, because nobody was ever shown what it stood for. What waits goes in the transaction of the revocation; what is in
// an open publication makes the pass give that publication up, and goes then, unless the flip was faster.
import { condemnBlob } from './collection.ts'
import { getFact, setFact } from './ledger/facts.ts'
import { fileMacHolds, findFile, forgetFile } from './ledger/files.ts'
import { appendJournal } from './ledger/journal.ts'
import { all, one, run } from './ledger/sql.ts'
import { dropStatus } from './ledger/statuses.ts'
import type { Context } from './publication/context.ts'

type Change = { seq: number; project: string; filename: string; publication: number | null; token: string }

/** To be called in the transaction that ends the token. `seqs`: queue rows that nobody needs to wait for any more. */
export function withdrawStaged(ctx: Context, token: string) {
  const { sql } = ctx
  run(
    sql,
    `UPDATE queue SET withdrawn = 1 WHERE token = ? AND EXISTS
       (SELECT 1 FROM files WHERE project = queue.project AND filename = queue.filename AND state = 'staged')`,
    token,
  )
  // No publication is worth more than its files: past its half-life the pass gives it up (pass.ts).
  run(
    sql,
    `UPDATE publications SET half_life = 0
     WHERE state = 'open' AND id IN (SELECT publication FROM queue WHERE withdrawn = 1)`,
  )
  const under = all<Change>(sql, 'SELECT * FROM queue WHERE withdrawn = 1 AND publication IS NOT NULL')
  const gone = dropWithdrawn(ctx)
  const names = (changes: Change[]) => changes.map(({ project, filename }) => `${project}/${filename}`)
  return { dropped: names(gone), withdrawing: names(under), seqs: gone.map(({ seq }) => seq) }
}

/** Drops what was withdrawn and is in no publication. To be called in a transaction. */
export function dropWithdrawn(ctx: Context): Change[] {
  const { sql } = ctx
  const changes = all<Change>(sql, 'SELECT * FROM queue WHERE withdrawn = 1 AND publication IS NULL ORDER BY seq')
  if (changes.length === 0) return changes
  for (const { seq, project, filename, token } of changes) {
    const file = findFile(sql, project, filename)
    if (file?.state === 'staged') {
      if (fileMacHolds(ctx.custody.macKey(), file)) condemnBlob(ctx, file.sha256, file.n, 'withdrawn')
      forgetFile(sql, file)
      appendJournal(sql, ctx.now(), { event: 'dropped', project, filename, sha256: file.sha256, token })
    }
    run(sql, 'DELETE FROM queue WHERE seq = ?', seq)
    run(
      sql,
      'DELETE FROM projects WHERE name = ? AND NOT EXISTS (SELECT 1 FROM files WHERE project = projects.name)',
      project,
    )
    // A project that never was has no standing: left behind, it would meet whoever takes the free name next.
    if (one(sql, 'SELECT 1 AS x FROM projects WHERE name = ?', project) === undefined) dropStatus(sql, project)
  }
  setFact(sql, 'withdrawals', withdrawals(ctx) + 1)
  return changes
}

/** Changes whenever something was dropped: what was planned before is planned again. */
export const withdrawals = ({ sql }: Context): number => getFact(sql, 'withdrawals') ?? 0
