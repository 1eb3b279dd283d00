// Trusted publishers, and the JWTs they were given tokens for. A publisher's row carries a MAC: whoever could write one
// could upload. `exchanges` remembers each JWT until it has expired, so that none is good twice; `publisher_tokens` says
// whose tokens to end with a publisher, and is forgotten a day after they expired, together with them.
import { macHolds, macOf } from './mac.ts'
import { all, one, run, type Sql } from './sql.ts'

/** The list of tokens still shows yesterday's. */
const KEPT_MS = 86_400_000
/** Rows forgotten with one exchange, which adds one of each: the tables shrink to what is current. */
const FORGET = 20

export type PublisherRow = {
  id: string
  project: string
  issuer: string
  /** What a look-up goes by (publisher-sources.ts). */
  subject: string
  /** JSON of the source. */
  source: string
  /** 1: its project does not exist yet. */
  pending: number
  /** Unix milliseconds. */
  created: number
  added_by: string
  mac: ArrayBuffer
}

type Facts = Omit<PublisherRow, 'mac'>

const mac = (key: Uint8Array, row: Facts): Uint8Array => macOf(key, partsOf(row), 'publishers')

const partsOf = (row: Facts) =>
  [row.id, row.project, row.issuer, row.subject, row.source, row.pending, row.created, row.added_by] as (
    | string
    | number
  )[]

const holding = (key: Uint8Array, rows: PublisherRow[]): PublisherRow[] =>
  rows.filter((row) => macHolds(key, partsOf(row), row.mac, 'publishers'))

export function insertPublisher(sql: Sql, key: Uint8Array, row: Facts): void {
  run(
    sql,
    `INSERT INTO publishers (id, project, issuer, subject, source, pending, created, added_by, mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.project,
    row.issuer,
    row.subject,
    row.source,
    row.pending,
    row.created,
    row.added_by,
    mac(key, row),
  )
}

/** Its project exists now, and is its own. */
export function bindPublisher(sql: Sql, key: Uint8Array, row: PublisherRow): void {
  const bound = mac(key, { ...row, pending: 0 })
  run(sql, 'UPDATE publishers SET pending = 0, mac = ? WHERE id = ?', bound, row.id)
}

/** The tokens it was given are the caller's to end. */
export function deletePublisher(sql: Sql, id: string): void {
  run(sql, 'DELETE FROM publishers WHERE id = ?', id)
}

export const findPublisher = (sql: Sql, key: Uint8Array, id: string): PublisherRow | undefined =>
  holding(key, all<PublisherRow>(sql, 'SELECT * FROM publishers WHERE id = ?', id))[0]

/** Rows after `after`, in the order of ids; `last` is the id to go on from, whatever the rows are worth. */
export function publishersAfter(
  sql: Sql,
  key: Uint8Array,
  { after, limit, project }: { after: string; limit: number; project?: string | undefined },
): { rows: PublisherRow[]; last?: string } {
  const rows =
    project === undefined
      ? all<PublisherRow>(sql, 'SELECT * FROM publishers WHERE id > ? ORDER BY id LIMIT ?', after, limit)
      : all<PublisherRow>(
          sql,
          'SELECT * FROM publishers WHERE project = ? AND id > ? ORDER BY id LIMIT ?',
          project,
          after,
          limit,
        )
  return { rows: holding(key, rows), ...(rows.length < limit ? {} : { last: rows.at(-1)!.id }) }
}

/** Whether a JWT of this issuer is worth asking anybody about. */
export const knowsIssuer = (sql: Sql, issuer: string): boolean =>
  one(sql, 'SELECT 1 AS x FROM publishers WHERE issuer = ? LIMIT 1', issuer) !== undefined

export const publishersOf = (sql: Sql, key: Uint8Array, issuer: string, subject: string): PublisherRow[] =>
  holding(key, all<PublisherRow>(sql, 'SELECT * FROM publishers WHERE issuer = ? AND subject = ?', issuer, subject))

export const pendingOf = (sql: Sql, key: Uint8Array, project: string): PublisherRow[] =>
  holding(key, all<PublisherRow>(sql, 'SELECT * FROM publishers WHERE project = ? AND pending = 1', project))

/** False if the JWT was used before. `until`: Unix milliseconds from which on it is refused by its date. */
export const spend = (sql: Sql, issuer: string, jwt: string, until: number): boolean =>
  run(sql, 'INSERT INTO exchanges (issuer, jwt, until) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', issuer, jwt, until) > 0

export const isSpent = (sql: Sql, issuer: string, jwt: string): boolean =>
  one(sql, 'SELECT 1 AS x FROM exchanges WHERE issuer = ? AND jwt = ?', issuer, jwt) !== undefined

export function noteToken(sql: Sql, token: string, publisher: string, expires: number): void {
  run(sql, 'INSERT INTO publisher_tokens (token, publisher, expires) VALUES (?, ?, ?)', token, publisher, expires)
}

export const isTokenOf = (sql: Sql, token: string, publisher: string): boolean =>
  one(sql, 'SELECT 1 AS x FROM publisher_tokens WHERE token = ? AND publisher = ?', token, publisher) !== undefined

/** Ids of the tokens that a publisher was given and that have not expired. */
export const tokensOf = (sql: Sql, publisher: string, now: number): string[] =>
  all<{ token: string }>(
    sql,
    'SELECT token FROM publisher_tokens WHERE publisher = ? AND expires > ?',
    publisher,
    now,
  ).map(({ token }) => token)

/** Whether some trusted publisher was given it. */
export const isGiven = (sql: Sql, token: string): boolean =>
  one(sql, 'SELECT 1 AS x FROM publisher_tokens WHERE token = ? LIMIT 1', token) !== undefined

/** Forgets some of what its date has ended. */
export function forgetEnded(sql: Sql, now: number): void {
  run(
    sql,
    `DELETE FROM exchanges WHERE (issuer, jwt) IN
       (SELECT issuer, jwt FROM exchanges WHERE until <= ? ORDER BY until LIMIT ${FORGET})`,
    now,
  )
  const ended = all<{ token: string }>(
    sql,
    `SELECT DISTINCT token FROM publisher_tokens WHERE expires <= ? LIMIT ${FORGET}`,
    now - KEPT_MS,
  )
  for (const { token } of ended) {
    run(sql, 'DELETE FROM publisher_tokens WHERE token = ?', token)
    run(sql, 'DELETE FROM tokens WHERE id = ?', token)
  }
}
