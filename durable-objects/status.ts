// What the publisher says about itself to anybody who asks. State: none; computed from the ledger in a few queries.
import { formatDate } from '../tuf/dates.ts'
import { uncopiedCount } from './copy.ts'
import { freshnessOf } from './freshness.ts'
import { getFact } from './ledger/facts.ts'
import { pullSetting, pullState } from './ledger/pulls.ts'
import { waitingCount } from './ledger/queue.ts'
import { liveRole } from './ledger/roles.ts'
import { one, type Sql } from './ledger/sql.ts'
import { profileOf } from './profiles.ts'
import type { Status } from './rpc.ts'
import type { FreshnessInForce } from './rpc-upkeep.ts'
import { warningsOf, watchedRoles } from './warnings.ts'

/** `now` in Unix milliseconds. */
export function statusOf(sql: Sql, now: number): Status {
  const halted = getFact(sql, 'halted')
  const lastError = getFact(sql, 'lastError')
  const pull = pullSetting(sql)
  const releasing = getFact(sql, 'releasing')
  const count = (query: string) => one<{ n: number }>(sql, query)!.n
  const timestamp = liveRole(sql, 'timestamp')
  const snapshot = liveRole(sql, 'snapshot')
  const publication = one<{ id: number }>(
    sql,
    "SELECT id FROM publications WHERE state = 'live' ORDER BY id DESC LIMIT 1",
  )
  return {
    ok: true,
    state: halted !== undefined ? 'halted' : (getFact(sql, 'state') ?? 'keys'),
    ...(halted === undefined ? {} : { halted }),
    ...(releasing === undefined ? {} : { releasing }),
    epoch: getFact(sql, 'epoch') ?? 1,
    projects: count('SELECT count(*) AS n FROM projects'),
    files: count("SELECT count(*) AS n FROM files WHERE state = 'live'"),
    staged: waitingCount(sql),
    quarantined: count("SELECT count(*) AS n FROM files WHERE state = 'quarantined'"),
    ...(timestamp && snapshot
      ? {
          live: {
            timestamp: timestamp.version,
            snapshot: snapshot.version,
            expires: formatDate(timestamp.expires),
            publication: publication?.id ?? 0,
          },
        }
      : {}),
    private: getFact(sql, 'private') === 1,
    roles: watchedRoles(sql).map((role) => ({
      role: role.name,
      version: role.version,
      expires: formatDate(role.expires),
    })),
    ...(getFact(sql, 'freshness') === undefined ? {} : { freshness: freshnessInForce(sql) }),
    warnings: warningsOf(sql, now),
    ...(getFact(sql, 'copying') === 1 ? { uncopied: uncopiedCount(sql) } : {}),
    ...(pull === undefined ? {} : { pull: { ...pull, ...pullState(sql) } }),
    ...(lastError === undefined ? {} : { lastError }),
  }
}

export function freshnessInForce(sql: Sql): FreshnessInForce {
  const { former: _, ...freshness } = freshnessOf(sql)
  const profile = profileOf(freshness)
  return profile === undefined ? freshness : { profile, ...freshness }
}
