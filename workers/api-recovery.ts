// The API of repair and audit: status, resume, rebuild and the journal's feed. State: none. Who may do what is the
// publisher's to say; here words become requests. Nothing is cached.
import type { JournalAnswer, RebuildAnswer, Refused, ResumeAnswer, Status } from '../durable-objects/rpc.ts'
import { answer } from './api-json.ts'
import { CEREMONY, CEREMONY_BYTES_MAX, ceremonyOf } from './ceremony-shape.ts'
import { type AnyOperation, operation, present } from './operations.ts'
import type { Reader } from './reader.ts'
import { mustRead } from './reading.ts'
import { flag, given, integer, list, maybe, record, text, word } from './shapes.ts'

/** Rows of one page of the journal: of ≤ 500 bytes each, half a megabyte. */
const JOURNAL_ROWS_MAX = 1_000
const JOURNAL_ROWS_DEFAULT = 100
/** Objects of one batch of a rebuild; the publisher takes no more. */
const BATCH_DEFAULT = 200

type Given<T> = Exclude<T, Refused>

const count = integer(0)
const LINE = text(2_000)
const LINES = list(LINE)
const STATE = word('keys', 'live', 'halted', 'released')

const STATUS = given({
  state: STATE,
  halted: maybe(LINE),
  releasing: maybe(count),
  epoch: count,
  projects: count,
  files: count,
  staged: count,
  quarantined: count,
  live: maybe(given({ timestamp: count, snapshot: count, expires: LINE, publication: count })),
  uncopied: maybe(count),
  private: flag,
  roles: list(given({ role: LINE, version: count, expires: LINE })),
  freshness: maybe(
    given({
      profile: maybe(LINE),
      timestampSeconds: count,
      snapshotSeconds: count,
      binSeconds: count,
      tickSeconds: count,
    }),
  ),
  warnings: list(given({ role: LINE, expires: LINE, days: count, message: LINE })),
  lastError: maybe(LINE),
}).schema

const DIFFERENCE = given({
  timestamp: count,
  snapshot: count,
  added: LINES,
  withoutBytes: LINES,
  missing: LINES,
  differing: list(given({ file: LINE, why: LINE })),
  roles: LINES,
})
const RESUMED = given({
  applied: flag,
  state: STATE,
  halted: maybe(LINE),
  difference: maybe(DIFFERENCE),
  confirm: maybe(LINE),
}).schema
const REBUILT = given({
  checked: count,
  total: count,
  restored: LINES,
  replaced: LINES,
  missing: list(given({ key: LINE, why: LINE })),
  cursor: maybe(LINE),
}).schema
const JOURNAL = given({
  rows: list(given({ seq: count, time: count, event: text(1_000_000), hash: text(64) })),
  head: count,
}).schema

export function recoveryOperations(reader: Reader): AnyOperation[] {
  const { repository } = reader
  return [
    operation({
      id: 'getStatus',
      method: 'GET',
      path: '/api/status',
      summary:
        'State, versions, expiries and the last error. It says little the metadata does not, so it is as open as they are; it answers also when nothing can be read.',
      params: {},
      query: {},
      answers: { 200: { description: 'As the publisher has it.', schema: STATUS } },
      run: async ({ env, request }) => {
        const status = await env.PUBLIC.status(repository)
        if (status.ok && status.private) await mustRead(env, repository, request)
        return answer<Status>(status)
      },
    }),
    operation({
      id: 'resume',
      method: 'POST',
      path: '/api/resume',
      summary:
        'Clears a halt whose cause is gone; with `fromPublic` shows what public has and the ledger lacks, and with `confirm` takes over what was shown.',
      scopes: ['admin'],
      secret: true,
      params: {},
      query: {},
      body: {
        fromPublic: maybe(flag),
        withdrawMissing: maybe(flag),
        confirm: maybe(text(100)),
        ceremony: maybe(record(CEREMONY)),
      },
      bodyMax: CEREMONY_BYTES_MAX,
      answers: { 200: { description: 'What was done, or would be.', schema: RESUMED } },
      refusals: [409],
      run: async ({ env, token, body: { fromPublic = false, withdrawMissing = false, confirm, ceremony } }) => {
        const request = {
          ...{ repository, fromPublic, withdrawMissing },
          ...present({ confirm, ceremony: ceremony && ceremonyOf(ceremony) }),
        }
        return answer<Given<ResumeAnswer>>(await env.MEMBER.resume(request, token))
      },
    }),
    operation({
      id: 'rebuild',
      method: 'POST',
      path: '/api/rebuild',
      summary:
        'One batch of filling the bucket again from the ledger. `cursor` of the answer goes into the next call; without one it is complete.',
      scopes: ['admin'],
      secret: true,
      params: {},
      query: {},
      body: { cursor: maybe(LINE), limit: maybe(integer(1)) },
      answers: { 200: { description: 'What was looked at and put back.', schema: REBUILT } },
      refusals: [409],
      run: async ({ env, token, body: { cursor, limit = BATCH_DEFAULT } }) =>
        answer<Given<RebuildAnswer>>(await env.MEMBER.rebuild({ repository, limit, ...present({ cursor }) }, token)),
    }),
    operation({
      id: 'readJournal',
      method: 'GET',
      path: '/api/journal',
      summary: 'Rows after `after`, oldest first. A reader goes on with the number of its last row.',
      scopes: ['audit', 'admin'],
      params: {},
      query: { after: maybe(count), limit: maybe(integer(1, JOURNAL_ROWS_MAX)) },
      answers: { 200: { description: '`head` is the number of the newest row.', schema: JOURNAL } },
      run: async ({ env, token, query: { after = 0, limit = JOURNAL_ROWS_DEFAULT } }) =>
        answer<Given<JournalAnswer>>(await env.MEMBER.journal(repository, after, limit, token)),
    }),
  ]
}
