// What will break and when. A TUF index breaks on dates that are known long before, so they are said long before: for
// what people sign (root, targets, bins) 30, 14, 7 and 1 days ahead, for what the publisher signs as soon as it is late.
// State: none; everything is computed from the ledger's roles.
import { formatDate } from '../tuf/dates.ts'
import { freshnessOf, lifeOf } from './freshness.ts'
import { getFact } from './ledger/facts.ts'
import { pullState } from './ledger/pulls.ts'
import { type LiveRole, liveRole, liveRoles, soonestDelegated } from './ledger/roles.ts'
import type { Sql } from './ledger/sql.ts'
import type { Warning } from './rpc-upkeep.ts'

const DAY_MS = 86_400_000
const THRESHOLDS_DAYS = [1, 7, 14, 30] as const
/** Of delegated roles signed elsewhere, in status and warnings. */
const DELEGATED_WATCHED = 10
const TOP_LEVEL = ['root', 'snapshot', 'targets', 'timestamp']
const OFFLINE_ROLES: readonly string[] = ['root', 'targets', 'bins']
/** The publisher replaces what has half of its life left; at a quarter something keeps it from doing so. */
const LATE_SHARE = 1 / 4

/** What breaks first comes first. `now` in Unix milliseconds. */
export function warningsOf(sql: Sql, now: number): Warning[] {
  if (getFact(sql, 'state') !== 'live') return []
  const freshness = freshnessOf(sql)
  const isOnline = (name: string) =>
    name === 'timestamp' || name === 'snapshot' || (!isAdopted(sql) && !OFFLINE_ROLES.includes(name))
  const warnings = watchedRoles(sql).flatMap(({ name, expires }) => {
    if (!isOnline(name)) return offlineWarning(name, expires, now)
    return lateWarning(name, expires, lifeOf(freshness, name), now)
  })
  return [...warnings, ...originWarning(sql)].sort((a, b) => (a.expires < b.expires ? -1 : 1))
}

/** As soon as a pull was refused, or the origin says something else than is served: nothing breaks yet, and something will. */
function originWarning(sql: Sql): Warning[] {
  const { trouble, since } = pullState(sql) ?? {}
  if (trouble === undefined || since === undefined) return []
  return [{ role: 'origin', expires: formatDate(since), days: 0, message: trouble }]
}

const isAdopted = (sql: Sql): boolean => getFact(sql, 'kind') === 'adopted'

/**
 * Every role but the single bins, of which the one that expires first stands for all under the name `bin`. Of a repository
 * that is signed elsewhere the delegated roles are as many and as much people's work as they like: the ten that expire
 * first.
 */
export function watchedRoles(sql: Sql): LiveRole[] {
  if (isAdopted(sql)) {
    const topLevel = TOP_LEVEL.flatMap((name) => liveRole(sql, name) ?? [])
    return [...topLevel, ...soonestDelegated(sql, DELEGATED_WATCHED)]
  }
  const roles = liveRoles(sql)
  const isBin = ({ name }: LiveRole) => name !== 'bins' && name.includes('-')
  const bins = roles.filter(isBin).sort((a, b) => a.expires - b.expires)
  const others = roles.filter((role) => !isBin(role))
  return bins[0] ? [...others, { ...bins[0], name: 'bin' }] : others
}

function offlineWarning(role: string, expiresMs: number, now: number): Warning[] {
  const expires = formatDate(expiresMs)
  if (expiresMs <= now)
    return [
      {
        role,
        expires,
        days: 0,
        message: `${role} expired at ${expires}: clients refuse the index until people sign it.`,
      },
    ]
  const days = THRESHOLDS_DAYS.find((threshold) => expiresMs - now <= threshold * DAY_MS)
  if (days === undefined) return []
  const message = `${role} expires at ${expires}: clients refuse the index from then on unless people sign it before.`
  return [{ role, expires, days, message }]
}

function lateWarning(role: string, expiresMs: number, life: number, now: number): Warning[] {
  if (expiresMs - now >= life * LATE_SHARE) return []
  const expires = formatDate(expiresMs)
  const message =
    expiresMs <= now
      ? `${role} expired at ${expires}: clients refuse the index until the publisher signs it again; see its last error.`
      : `${role} expires at ${expires} and was not signed again in time: see the publisher's last error.`
  return [{ role, expires, days: 0, message }]
}
