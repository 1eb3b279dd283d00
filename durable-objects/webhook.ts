// The webhook: tells an address of the operator's what a person has to know. What is told is computed from the ledger: each
// warning once per role, date and threshold; each halt, quarantine and foreign write once per row of the journal. So
// nothing has to be remembered where it happens, and a crash loses nothing. Delivery runs beside publishing, never in it.
//
// Signature: `X-Tuf-Edge-Signature: t=<Unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>" under the secret>`. A receiver
// compares it in constant time and refuses a `t` more than five minutes from its own clock. The secret lies in the ledger
// sealed under the wrapping secret and is never given back.
import { formatDate } from '../tuf/dates.ts'
import { fromHex, toHex } from '../tuf/hex.ts'
import { clearFact, getFact, setFact } from './ledger/facts.ts'
import { appendJournal, journalHead } from './ledger/journal.ts'
import { addNotice, clearNotices, dueNotices, noteAttempt, noteDelivered } from './ledger/notices.ts'
import { all, type Sql } from './ledger/sql.ts'
import { isLoopback } from './loopback.ts'
import { permitted } from './operator.ts'
import type { Context } from './publication/context.ts'
import { type Done, refused } from './rpc.ts'
import type { WebhookRequest } from './rpc-upkeep.ts'
import { warningsOf } from './warnings.ts'

/** A receiver only has to write the notice down. */
const TIMEOUT_MS = 5_000
/** After a failure: 1, 2, 4 … minutes, at most 6 hours; 20 tries are 2.9 days, then the notice is given up. */
const RETRY_MS = 60_000
const RETRY_MAX_MS = 6 * 3_600_000
const TRIES_MAX = 20
/** Delivered in one go; the rest comes with the next alarm, so that a slow receiver holds no invocation for minutes. */
const BATCH = 10
const TOLD: readonly string[] = [
  'halted',
  'quarantined',
  'foreign-write',
  'push-refused',
  'pull-refused',
  'origin-differs',
  'releasing',
  'released',
]
const SECRET = /^[\x21-\x7e]{16,200}$/
const URL_LENGTH_MAX = 2_000

interface Stored {
  url: string
  /** AES-GCM, hex. */
  sealed: string
  iv: string
}

const stored = (sql: Sql): Stored | undefined => {
  const text = getFact(sql, 'webhook')
  return text === undefined ? undefined : (JSON.parse(text) as Stored)
}

/** Sets or removes the webhook. What happened before it was set is not told, what is the case is. */
export async function setWebhook(ctx: Context, { token, webhook }: WebhookRequest): Promise<Done> {
  const { sql } = ctx
  // Asked twice: nobody without the scope makes us seal anything, and the transaction has the last word.
  const asked = permitted(ctx, token, ['admin'])
  if ('ok' in asked) return asked
  const wrong = webhook && complaint(webhook)
  if (wrong) return refused('invalid', 400, wrong)
  const sealed = webhook && (await ctx.custody.seal('webhook', new TextEncoder().encode(webhook.secret)))
  return ctx.storage.transactionSync(() => {
    const now = ctx.now()
    const bearer = permitted(ctx, token, ['admin'])
    if ('ok' in bearer) return bearer
    clearNotices(sql)
    if (webhook && sealed) {
      const row: Stored = { url: webhook.url, sealed: toHex(sealed.bytes), iv: toHex(sealed.iv) }
      setFact(sql, 'webhook', JSON.stringify(row))
    } else clearFact(sql, 'webhook')
    appendJournal(sql, now, { event: 'webhook', url: webhook?.url ?? null, token: bearer.id })
    setFact(sql, 'noticedSeq', journalHead(sql).seq)
    return { ok: true }
  })
}

/** Why the webhook cannot be taken, or undefined. */
function complaint({ url, secret }: { url: string; secret: string }): string | undefined {
  if (typeof secret !== 'string' || !SECRET.test(secret))
    return 'The secret of a webhook is 16 to 200 printable ASCII characters without spaces.'
  const parsed = typeof url === 'string' && url.length <= URL_LENGTH_MAX && URL.canParse(url) ? new URL(url) : undefined
  const good =
    parsed &&
    parsed.username === '' &&
    parsed.password === '' &&
    (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLoopback(parsed)))
  return good ? undefined : 'The url of a webhook is https, or http to this machine, without a password in it.'
}

/** Writes down what has to be told and was not yet. One transaction, no waiting. */
export function takeNotices({ sql, storage, place, now }: Context): void {
  if (!stored(sql)) return
  storage.transactionSync(() => {
    const time = now()
    const body = (event: string, at: number, detail: object) =>
      JSON.stringify({ event, repository: place.repository, time: formatDate(at), ...detail })
    for (const warning of warningsOf(sql, time)) {
      const { role, expires, days } = warning
      addNotice(sql, `warning ${role} ${expires} ${days}`, body('warning', time, warning), time)
    }
    const rows = all<{ seq: number; time: number; event: string }>(
      sql,
      'SELECT seq, time, event FROM journal WHERE seq > ? ORDER BY seq',
      getFact(sql, 'noticedSeq') ?? 0,
    )
    for (const row of rows) {
      const { event, ...detail } = JSON.parse(row.event) as { event: string }
      if (TOLD.includes(event)) addNotice(sql, `journal ${row.seq}`, body(event, row.time, detail), time)
    }
    const last = rows.at(-1)
    if (last) setFact(sql, 'noticedSeq', last.seq)
  })
}

/**
 * Sends what is due, one after the other. The next try is noted before the first byte is sent: a crash repeats a notice
 * (receivers know its number) and never loses one, and no alarm rings for what is on its way.
 */
export async function deliverNotices(ctx: Context): Promise<void> {
  const { sql } = ctx
  const webhook = stored(sql)
  if (!webhook) return
  const due = dueNotices(sql, ctx.now(), BATCH)
  for (const { id, attempts } of due) {
    const wait = Math.min(RETRY_MS * 2 ** attempts, RETRY_MAX_MS)
    noteAttempt(sql, id, attempts + 1 >= TRIES_MAX ? null : ctx.now() + wait)
  }
  for (const { id, body, attempts } of due) {
    const failure = await deliver(ctx, webhook, id, body)
    if (failure === undefined) noteDelivered(sql, id)
    else console.error(JSON.stringify({ event: 'webhook-failed', notice: id, tries: attempts + 1, failure }))
  }
}

/** What went wrong, or undefined: a receiver that answers 2xx has it. */
async function deliver(ctx: Context, webhook: Stored, id: number, body: string): Promise<string | undefined> {
  try {
    const secret = await ctx.custody.open('webhook', fromHex(webhook.sealed), fromHex(webhook.iv))
    const response = await fetch(webhook.url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'X-Tuf-Edge-Notice': String(id),
        'X-Tuf-Edge-Signature': await signature(secret, body, Math.floor(ctx.now() / 1000)),
      },
      body,
      // A receiver that moved has to be told so by the operator: nothing follows it elsewhere.
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    await response.body?.cancel()
    return response.ok ? undefined : `answered ${response.status}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function signature(secret: Uint8Array<ArrayBuffer>, body: string, seconds: number): Promise<string> {
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const mac = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(`${seconds}.${body}`))
  return `t=${seconds},v1=${toHex(new Uint8Array(mac))}`
}
