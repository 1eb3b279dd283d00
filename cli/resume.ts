// `tuf-edge resume`: brings a halted index back. Nothing is decided here: the service re-checks, and what it takes over
// from the public repository is shown and confirmed by its digest, so that what is applied is what was shown.
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, confirmed, mustHaveToken, parseUrl } from './caller.ts'
import { CommandError, note, say } from './terminal.ts'

export const RESUME_HELP = `tuf-edge resume [--from-public [--withdraw-missing]] [--yes] [--url URL] [--json]

Clears a halt whose cause is gone; the index checks that again before it writes anything.
With --from-public it first takes over what the public repository says and the ledger does not know: after a restore of
an older database, or when somebody else has published under the same keys. Stop the other one before.
Takes a token with the scope admin.

  --from-public       verify the public repository, show what it has and the ledger lacks, and take that over
  --withdraw-missing  files that the ledger has live and public does not count as withdrawn (else they are published again)
  --yes               take over without asking
${CALLER_HELP}

Examples
  tuf-edge resume
  tuf-edge resume --from-public
`

/** Files as `project/filename`. */
interface Difference {
  timestamp: number
  snapshot: number
  added: string[]
  withoutBytes: string[]
  missing: string[]
  differing: { file: string; why: string }[]
  roles: string[]
}

interface ResumeAnswer {
  applied: boolean
  state: string
  halted?: string
  difference?: Difference
  confirm?: string
}

export async function resumeCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      ...CALLER_OPTIONS,
      'from-public': { type: 'boolean' },
      'withdraw-missing': { type: 'boolean' },
      yes: { type: 'boolean' },
    },
  })
  if (values.help) {
    say(RESUME_HELP)
    return
  }
  if (values['withdraw-missing'] && !values['from-public'])
    throw new CommandError('--withdraw-missing belongs to --from-public.', 2)
  const token = mustHaveToken(values['token-file'])
  const url = parseUrl(values.url)
  const request = values['from-public']
    ? { fromPublic: true, withdrawMissing: values['withdraw-missing'] === true }
    : {}
  const call = (more: object) =>
    callApi<ResumeAnswer>(url, 'POST', '/api/resume', { token, body: { ...request, ...more } })
  let answer = await call({})
  if (answer.confirm !== undefined) {
    if (!values.json) showDifference(answer.difference!, values['withdraw-missing'] === true)
    if (!values.yes && !(await confirmed('Take this over?')))
      throw new CommandError('Nothing was changed: repeat it with --yes to take this over.')
    answer = await call({ confirm: answer.confirm })
  }
  if (answer.halted !== undefined) process.exitCode = 1
  if (values.json) say(JSON.stringify(answer, undefined, 2))
  else if (answer.halted !== undefined) note(`still halted: ${answer.halted}`)
  else say(answer.applied ? 'resumed: the index publishes again' : 'the index had not halted: nothing was changed')
}

function showDifference(difference: Difference, withdraw: boolean): void {
  const { timestamp, snapshot, added, withoutBytes, missing, differing, roles } = difference
  note(`The public repository verifies: timestamp ${timestamp}, snapshot ${snapshot}.`)
  const list = (title: string, lines: string[]) => {
    if (lines.length > 0) note([`${title} (${lines.length})`, ...lines.map((line) => `  ${line}`)].join('\n'))
  }
  list('public and not in the ledger, to be restored', added)
  list('public, but their bytes are not in the bucket: left out', withoutBytes)
  list(`in the ledger and not public, to be ${withdraw ? 'withdrawn' : 'published again'}`, missing)
  list(
    'in both and different',
    differing.map(({ file, why }) => `${file}: ${why}`),
  )
  list('roles signed since', roles)
  note('Tokens that were minted or revoked since the ledger was saved are as they were then: check them.')
}
