// The journal as an auditor reads it: the whole feed, its chain of hashes, and what it says was signed and accepted.
import { createHash } from 'node:crypto'
import { callApi } from './api.ts'

const PAGE = 1_000

interface Row {
  seq: number
  time: number
  event: string
  hash: string
}

export interface Journal {
  /** Newest number, 0 if there is none. */
  head: number
  /** Hash by number; the chain holds up to `head`. */
  hashes: Map<number, string>
  /** `role version` → digests that were signed, or taken over, under this number. More than one is a fork. */
  signed: Map<string, Set<string>>
  /** `project/filename` → digest that was accepted. */
  accepted: Map<string, string>
  /** What is wrong with the journal itself. */
  differences: string[]
}

type Event = { event?: unknown } & Record<string, unknown>

/** Reads the feed to its end. @throws ApiError if the token is refused */
export async function readJournal(base: string, token: string, progress: (rows: number) => void): Promise<Journal> {
  const journal: Journal = { head: 0, hashes: new Map(), signed: new Map(), accepted: new Map(), differences: [] }
  let previous = '0'.repeat(64)
  for (let end = false; !end; ) {
    const path = `/api/journal?after=${journal.head}&limit=${PAGE}`
    const { rows, head } = await callApi<{ rows: Row[]; head: number }>(base, 'GET', path, { token })
    for (const row of rows) {
      const expected = createHash('sha256').update(`${previous}\n${row.seq}\n${row.time}\n${row.event}`).digest('hex')
      if (row.seq !== journal.head + 1)
        journal.differences.push(`journal: row ${journal.head + 1} is missing, the next one is ${row.seq}`)
      if (row.hash !== expected)
        journal.differences.push(`journal: the hash of row ${row.seq} does not follow from its text`)
      previous = row.hash
      journal.head = row.seq
      journal.hashes.set(row.seq, row.hash)
      take(journal, row)
    }
    progress(journal.head)
    end = rows.length === 0 || journal.head >= head
  }
  for (const [name, digests] of journal.signed)
    if (digests.size > 1)
      journal.differences.push(`journal: ${name} was signed with ${digests.size} different contents`)
  return journal
}

function take(journal: Journal, { seq, event: text }: Row): void {
  let event: Event
  try {
    event = JSON.parse(text) as Event
  } catch {
    journal.differences.push(`journal: row ${seq} is not JSON`)
    return
  }
  if (event.event === 'signed' || event.event === 'adopted') {
    const name = `${event.role} ${event.version}`
    journal.signed.set(name, (journal.signed.get(name) ?? new Set()).add(String(event.sha256)))
  } else if (event.event === 'accepted')
    journal.accepted.set(`${event.project}/${event.filename}`, String(event.sha256))
  else if (event.event === 'resumed-from-public' && Array.isArray(event.added))
    for (const { project, filename, sha256 } of event.added as Record<string, unknown>[])
      journal.accepted.set(`${project}/${filename}`, String(sha256))
}
