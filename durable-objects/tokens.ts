// Tokens: random, prefixed and checksummed so that scanners find leaks; the ledger holds their SHA-256 alone. 256 random
// bits need no slow hash, and the look-up by digest leaks nothing about another token through its time.
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { UNAUTHENTICATED } from '../pypi/refusal.ts'
import { timingSafeEqual } from '../tuf/digest.ts'
import { macHolds, macOf } from './ledger/mac.ts'
import { all, one, run, type Sql } from './ledger/sql.ts'
import { type Refused, refused, type Scope } from './rpc.ts'
import type { TokenShown } from './rpc-tokens.ts'

const PREFIX = 'tue_'
/** 32 bytes in base64url without padding: ceil(256 / 6). */
const SECRET_LENGTH = 43
/** Six hex digits of SHA-256 over what stands before them: a scanner tells a token from noise without asking us. */
const CHECKSUM_LENGTH = 6

/** As the sentence of a refusal names them. */
export const SCOPES = 'read, upload, create, yank, delete, metadata:<role>, audit, admin'
// Of a repository that is signed elsewhere a role has any name, which stands percent-encoded here.
const SCOPE = /^(?:read|upload|create|yank|delete|metadata:[\w.!~*'()%-]{1,200}|audit|admin)$/

export const isScope = (value: unknown): value is Scope => typeof value === 'string' && SCOPE.test(value)

/** When a token was last used is written down at most once an hour: a row an hour, not a row a request. */
const USE_NOTED_MS = 3_600_000

type TokenRow = {
  id: string
  name: string
  scopes: string
  projects: string | null
  minted_by: string
  expires: number
  created: number
  revoked: number | null
  /** Not under the MAC: all that hangs on it is when the bootstrap secret ends, and who knows that may do worse. */
  used: number | null
  digest: string
  mac: ArrayBuffer | null
}

/** Whoever could write a row could upload: a token that was not minted here is none. */
const partsOf = (row: Omit<TokenRow, 'mac' | 'used'>) => [
  row.id,
  row.digest,
  row.name,
  row.scopes,
  row.projects,
  row.minted_by,
  row.created,
  row.expires,
  row.revoked,
]

export interface Bearer {
  id: string
  scopes: Scope[]
  /** Null: every project. */
  projects: string[] | null
  /** Unix milliseconds. */
  expires: number
}

const checksum = (text: string): string => bytesToHex(sha256(utf8ToBytes(text))).slice(0, CHECKSUM_LENGTH)
export const digest = (token: string): string => bytesToHex(sha256(utf8ToBytes(token)))

/** Form and checksum alone; says nothing about whether the token exists. */
export function looksLikeToken(token: string): boolean {
  const body = token.slice(0, PREFIX.length + SECRET_LENGTH)
  return (
    token.length === PREFIX.length + SECRET_LENGTH + CHECKSUM_LENGTH &&
    token.startsWith(PREFIX) &&
    checksum(body) === token.slice(body.length)
  )
}

export interface NewToken {
  name: string
  scopes: Scope[]
  projects: string[] | null
  /** Id of the token that mints it, `bootstrap`, or `publisher ID` of a trusted one. */
  by: string
  /** Unix milliseconds. */
  expires: number
}

/** The token is returned here and never again. */
export function mintToken(sql: Sql, macKey: Uint8Array, now: number, token: NewToken): { id: string; token: string } {
  const random = crypto.getRandomValues(new Uint8Array(32))
  const body =
    PREFIX +
    btoa(String.fromCharCode(...random))
      .replaceAll('+', '-')
      .replaceAll('/', '_')
      .replace(/=+$/, '')
  const secret = body + checksum(body)
  const id = bytesToHex(crypto.getRandomValues(new Uint8Array(6)))
  const row = {
    id,
    digest: digest(secret),
    name: token.name,
    scopes: JSON.stringify(token.scopes),
    projects: token.projects && JSON.stringify(token.projects),
    minted_by: token.by,
    created: now,
    expires: token.expires,
    revoked: null,
  }
  run(
    sql,
    `INSERT INTO tokens (id, digest, name, scopes, projects, minted_by, created, expires, mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.digest,
    row.name,
    row.scopes,
    row.projects,
    row.minted_by,
    row.created,
    row.expires,
    macOf(macKey, partsOf(row), 'tokens'),
  )
  return { id, token: secret }
}

const holds = (macKey: Uint8Array, row: TokenRow): boolean => macHolds(macKey, partsOf(row), row.mac, 'tokens')

/** Also one that has ended since: the bootstrap secret died with its first use. */
export const adminWasUsed = (sql: Sql, macKey: Uint8Array): boolean =>
  admins(sql, macKey).some((row) => row.used !== null)

/** Admin tokens that nobody has shown so far; `by`: of this minter alone. */
export const unusedAdmins = (sql: Sql, macKey: Uint8Array, by?: string): string[] =>
  admins(sql, macKey).flatMap((row) =>
    row.used === null && row.revoked === null && (by === undefined || row.minted_by === by) ? [row.id] : [],
  )

const admins = (sql: Sql, macKey: Uint8Array): TokenRow[] =>
  all<TokenRow>(sql, 'SELECT * FROM tokens').filter((row) => holds(macKey, row) && scopesOf(row).includes('admin'))

/** Who a token belongs to, or why it is refused: one answer for unknown, malformed, revoked and expired ones. */
export function bearerOf(sql: Sql, macKey: Uint8Array, token: string, now: number): Bearer | Refused {
  const row = looksLikeToken(token)
    ? one<TokenRow>(sql, 'SELECT * FROM tokens WHERE digest = ?', digest(token))
    : undefined
  if (!row || !holds(macKey, row) || !isGood(row, now)) return refused('unauthorised', 401, UNAUTHENTICATED)
  if (row.used === null || Math.abs(now - row.used) >= USE_NOTED_MS)
    run(sql, 'UPDATE tokens SET used = ? WHERE id = ?', now, row.id)
  return { id: row.id, scopes: scopesOf(row), projects: projectsOf(row), expires: row.expires }
}

const isGood = ({ revoked, expires }: TokenRow, now: number): boolean => revoked === null && expires > now
const scopesOf = ({ scopes }: TokenRow): Scope[] => JSON.parse(scopes)
const projectsOf = ({ projects }: TokenRow): string[] | null => (projects === null ? null : JSON.parse(projects))

const shown = (row: TokenRow): TokenShown => {
  const seconds = (ms: number): number => Math.floor(ms / 1000)
  return {
    id: row.id,
    name: row.name,
    scopes: scopesOf(row),
    projects: projectsOf(row),
    by: row.minted_by,
    created: seconds(row.created),
    expires: seconds(row.expires),
    ...(row.revoked === null ? {} : { revoked: seconds(row.revoked) }),
    ...(row.used === null ? {} : { lastUsed: seconds(row.used) }),
  }
}

/**
 * At most `limit` tokens after the id, in the order of ids; `ended`: also those that are good no more. `next` is there if
 * there may be more, whatever the rows of this page are worth.
 */
export function tokensAfter(
  sql: Sql,
  macKey: Uint8Array,
  now: number,
  { after, limit, ended }: { after: string; limit: number; ended: boolean },
): { tokens: TokenShown[]; next?: string } {
  const which = ended ? '' : 'AND revoked IS NULL AND expires > ?'
  const bindings = ended ? [after, limit] : [after, now, limit]
  const rows = all<TokenRow>(sql, `SELECT * FROM tokens WHERE id > ? ${which} ORDER BY id LIMIT ?`, ...bindings)
  const tokens = rows.filter((row) => holds(macKey, row)).map(shown)
  return rows.length < limit ? { tokens } : { tokens, next: rows.at(-1)!.id }
}

export function findToken(sql: Sql, macKey: Uint8Array, id: string): TokenShown | undefined {
  const row = one<TokenRow>(sql, 'SELECT * FROM tokens WHERE id = ?', id)
  return row && holds(macKey, row) ? shown(row) : undefined
}

/** Whether a token other than these is good and may administer every project. */
export const otherAdmin = (sql: Sql, macKey: Uint8Array, now: number, ids: readonly string[]): boolean =>
  admins(sql, macKey).some((row) => isGood(row, now) && row.projects === null && !ids.includes(row.id))

export function endToken(sql: Sql, macKey: Uint8Array, id: string, now: number): void {
  const row = one<TokenRow>(sql, 'SELECT * FROM tokens WHERE id = ?', id)!
  const mac = macOf(macKey, partsOf({ ...row, revoked: now }), 'tokens')
  run(sql, 'UPDATE tokens SET revoked = ?, mac = ? WHERE id = ?', now, mac, id)
}

/**
 * Takes the project from the tokens that are limited to it and others, and ends those of it alone: whoever has the name
 * next has given them to nobody. Reads every token that is good.
 */
export function forgetProject(sql: Sql, macKey: Uint8Array, project: string, now: number) {
  const limited = `SELECT * FROM tokens WHERE revoked IS NULL AND expires > ?
    AND EXISTS (SELECT 1 FROM json_each(tokens.projects) WHERE value = ?)`
  return all<TokenRow>(sql, limited, now, project)
    .filter((row) => holds(macKey, row))
    .map((row) => {
      const left = projectsOf(row)!.filter((name) => name !== project)
      if (left.length === 0) endToken(sql, macKey, row.id, now)
      else {
        const projects = JSON.stringify(left)
        const mac = macOf(macKey, partsOf({ ...row, projects }), 'tokens')
        run(sql, 'UPDATE tokens SET projects = ?, mac = ? WHERE id = ?', projects, mac, row.id)
      }
      return { id: row.id, ended: left.length === 0 }
    })
}

export const mayTouch = (bearer: Bearer, scope: Scope, project: string): boolean =>
  bearer.scopes.includes(scope) && (bearer.projects === null || bearer.projects.includes(project))

/** Compares secrets in time that depends on neither; both are hashed first, so lengths do not show either. */
export const sameSecret = (a: string, b: string): boolean =>
  timingSafeEqual(sha256(utf8ToBytes(a)), sha256(utf8ToBytes(b)))
