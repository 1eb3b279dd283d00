// The API of repair and audit: resume, rebuild and the journal's feed. State: none. Who may do what is the publisher's to
// say; here words become requests. Nothing is cached.
import type { Hono } from 'hono'
import type { JournalAnswer, RebuildAnswer, Refused, ResumeAnswer, ResumeRequest } from '../durable-objects/rpc.ts'
import { FormatError } from '../tuf/errors.ts'
import { asBoolean, asInteger, asString, asStrings } from '../tuf/fields.ts'
import type { Json } from '../tuf/json.ts'
import { answer, credentialOf, fromBase64, objectOf, readBody } from './api-json.ts'
import { freshnessFrom } from './api-upkeep.ts'
import type { Env } from './env.ts'

/** A ceremony in base64 at most: ten roots, targets and bins of 512,000 bytes each. */
const BODY_BYTES_MAX = 8 * 1024 * 1024
/** Rows of one page of the journal: of ≤ 500 bytes each, half a megabyte. */
const JOURNAL_ROWS_MAX = 1_000
const JOURNAL_ROWS_DEFAULT = 100
/** Objects of one batch of a rebuild; the publisher takes no more. */
const BATCH_DEFAULT = 200

type Given<T> = Exclude<T, Refused>

export function addRecovery(api: Hono<{ Bindings: Env }>, repository: string): void {
  /** Clears a halt, or shows what public has and the ledger lacks; with `confirm` takes over what was shown. */
  api.post('/api/resume', async (c) => {
    const secret = credentialOf(c.req.raw)
    const known = ['fromPublic', 'withdrawMissing', 'confirm', 'ceremony']
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, known)
    const flag = (name: string) => body.has(name) && asBoolean(body.get(name), name)
    const request: ResumeRequest = {
      repository,
      fromPublic: flag('fromPublic'),
      withdrawMissing: flag('withdrawMissing'),
      ...(body.has('confirm') ? { confirm: asString(body.get('confirm'), 'confirm') } : {}),
      ...(body.has('ceremony') ? { ceremony: ceremonyFrom(body.get('ceremony')) } : {}),
    }
    return answer<Given<ResumeAnswer>>(await c.env.MEMBER.resume(request, secret))
  })

  /** One batch of filling the bucket again from the ledger. `cursor` of the answer goes into the next call. */
  api.post('/api/rebuild', async (c) => {
    const secret = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, ['cursor', 'limit'])
    const request = {
      repository,
      limit: body.has('limit') ? asInteger(body.get('limit'), 1, 'limit') : BATCH_DEFAULT,
      ...(body.has('cursor') ? { cursor: asString(body.get('cursor'), 'cursor') } : {}),
    }
    return answer<Given<RebuildAnswer>>(await c.env.MEMBER.rebuild(request, secret))
  })

  /** Rows after `after`, oldest first, at most `limit`. A reader goes on with the number of its last row. */
  api.get('/api/journal', async (c) => {
    const secret = credentialOf(c.req.raw)
    const after = numberOf(c.req.query('after'), 'after', 0)
    const limit = numberOf(c.req.query('limit'), 'limit', JOURNAL_ROWS_DEFAULT)
    if (limit < 1 || limit > JOURNAL_ROWS_MAX) throw new FormatError(`limit must be between 1 and ${JOURNAL_ROWS_MAX}.`)
    return answer<Given<JournalAnswer>>(await c.env.MEMBER.journal(repository, after, limit, secret))
  })
}

function ceremonyFrom(json: Json | undefined): NonNullable<ResumeRequest['ceremony']> {
  const ceremony = objectOf(json, 'ceremony', ['roots', 'targets', 'bins', 'freshness'])
  return {
    roots: asStrings(ceremony.get('roots'), 'roots').map((text) => fromBase64(text, 'roots')),
    targets: fromBase64(asString(ceremony.get('targets'), 'targets'), 'targets'),
    bins: fromBase64(asString(ceremony.get('bins'), 'bins'), 'bins'),
    freshness: freshnessFrom(ceremony.get('freshness')),
  }
}

function numberOf(text: string | undefined, name: string, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^\d{1,15}$/.test(text)) throw new FormatError(`${name} must be a whole number.`)
  return Number(text)
}
