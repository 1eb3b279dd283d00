// The journal: append-only, every row's hash covers the row before it, and its head stands in each snapshot.
// hash = SHA-256 of `previous hash \n seq \n time \n event`; the first row's previous hash is 64 zeros.
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { all, one, run, type Sql } from './sql.ts'

export interface Head {
  seq: number
  /** 64 hex digits. */
  hash: string
}

const EMPTY: Head = { seq: 0, hash: '0'.repeat(64) }

export function journalHead(sql: Sql): Head {
  return one<{ seq: number; hash: string }>(sql, 'SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1') ?? EMPTY
}

/** Rows after `seq`, oldest first. */
export const journalAfter = (
  sql: Sql,
  seq: number,
  limit: number,
): { seq: number; time: number; event: string; hash: string }[] =>
  all(sql, 'SELECT seq, time, event, hash FROM journal WHERE seq > ? ORDER BY seq LIMIT ?', seq, limit)

export function journalHash(previous: string, seq: number, time: number, event: string): string {
  return bytesToHex(sha256(utf8ToBytes(`${previous}\n${seq}\n${time}\n${event}`)))
}

/** Appends one event; `time` in Unix milliseconds. To be called inside the transaction that makes the change. */
export function appendJournal(sql: Sql, time: number, event: { event: string } & Record<string, unknown>): Head {
  const head = journalHead(sql)
  const seq = head.seq + 1
  const text = JSON.stringify(event)
  const hash = journalHash(head.hash, seq, time, text)
  run(sql, 'INSERT INTO journal (seq, time, event, hash) VALUES (?, ?, ?, ?)', seq, time, text, hash)
  return { seq, hash }
}
