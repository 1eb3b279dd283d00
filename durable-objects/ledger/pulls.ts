// What is known of origin pull: the setting, when the next is due, how the last one ended.
import type { PullSetting, PullState } from '../rpc-adopt.ts'
import { getFact } from './facts.ts'
import type { Sql } from './sql.ts'

export const pullSetting = (sql: Sql): PullSetting | undefined => {
  const text = getFact(sql, 'pull')
  return text === undefined ? undefined : (JSON.parse(text) as PullSetting)
}

export const pullState = (sql: Sql): PullState | undefined => {
  const text = getFact(sql, 'pulled')
  return text === undefined ? undefined : (JSON.parse(text) as PullState)
}

/** Unix milliseconds; undefined: none is set, or nothing would be taken. */
export const nextPull = (sql: Sql): number | undefined =>
  getFact(sql, 'releasing') === undefined ? getFact(sql, 'pullAt') : undefined
