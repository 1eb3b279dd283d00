// Tokens: random, prefixed and checksummed so that scanners find leaks; the ledger holds their SHA-256 alone. 256 random
// bits need no slow hash, and the look-up by digest leaks nothing about another token through its time.
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { timingSafeEqual } from '../tuf/digest.ts'
import { macHolds, macOf } from './ledger/mac.ts'
import { all, one, run, type Sql } from './ledger/sql.ts'
import { type Refused, refused, type Scope } from './rpc.ts'

const PREFIX = 'tue_'
/** 32 bytes in base64url without padding: ceil(256 / 6). */
const SECRET_LENGTH = 43
/** Six hex digits of SHA-256 over what stands before them: a scanner tells a token from noise without asking us. */
const CHECKSUM_LENGTH = 6

export const SCOPES: readonly Scope[] = ['read', 'upload', 'create', 'yank', 'delete', 'audit', 'admin']

type TokenRow = {
  id: string
  name: string
  scopes: string
  projects: string | null
  expires: number
  created: number
  revoked: number | null
  digest: string
  mac: ArrayBuffer | null
}

/** Whoever could write a row could upload: a token that was not minted here is none. */
const partsOf = (row: Omit<TokenRow, 'mac'>) => [
  row.id,
  row.digest,
  row.name,
  row.scopes,
  row.projects,
  row.created,
  row.expires,
  row.revoked,
]

export interface Bearer {
  id: string
  scopes: Scope[]
  /** Null: every project. */
  projects: string[] | null
}

const checksum = (text: string): string => bytesToHex(sha256(utf8ToBytes(text))).slice(0, CHECKSUM_LENGTH)
const digest = (token: string): string => bytesToHex(sha256(utf8ToBytes(token)))

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
    created: now,
    expires: token.expires,
    revoked: null,
  }
  run(
    sql,
    'INSERT INTO tokens (id, digest, name, scopes, projects, created, expires, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    row.id,
    row.digest,
    row.name,
    row.scopes,
    row.projects,
    row.created,
    row.expires,
    macOf(macKey, partsOf(row), 'tokens'),
  )
  return { id, token: secret }
}

const holds = (macKey: Uint8Array, row: TokenRow): boolean => macHolds(macKey, partsOf(row), row.mac, 'tokens')

export const adminExists = (sql: Sql, macKey: Uint8Array): boolean =>
  all<TokenRow>(sql, 'SELECT * FROM tokens').some(
    (row) => holds(macKey, row) && JSON.parse(row.scopes).includes('admin'),
  )

/** Who a token belongs to, or why it is refused: one answer for unknown, malformed, revoked and expired ones. */
export function bearerOf(sql: Sql, macKey: Uint8Array, token: string, now: number): Bearer | Refused {
  const row = looksLikeToken(token)
    ? one<TokenRow>(sql, 'SELECT * FROM tokens WHERE digest = ?', digest(token))
    : undefined
  if (!row || !holds(macKey, row) || row.revoked !== null || row.expires <= now)
    return refused('unauthorised', 401, 'Invalid or non-existent authentication information.')
  return {
    id: row.id,
    scopes: JSON.parse(row.scopes),
    projects: row.projects === null ? null : JSON.parse(row.projects),
  }
}

export const mayTouch = (bearer: Bearer, scope: Scope, project: string): boolean =>
  bearer.scopes.includes(scope) && (bearer.projects === null || bearer.projects.includes(project))

/** Compares secrets in time that depends on neither; both are hashed first, so lengths do not show either. */
export const sameSecret = (a: string, b: string): boolean =>
  timingSafeEqual(sha256(utf8ToBytes(a)), sha256(utf8ToBytes(b)))
