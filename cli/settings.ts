// `tuf-edge settings`: how fresh the index is kept, who may read it, and where it tells what went wrong.
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl, tokenOf } from './caller.ts'
import { secretFrom } from './secret-input.ts'
import { CommandError, say } from './terminal.ts'

export const SETTINGS_HELP = `tuf-edge settings show
tuf-edge settings freshness standard|tight|lean
tuf-edge settings reading private|public
tuf-edge settings webhook URL [--secret-file FILE]
tuf-edge settings webhook none

Shows or changes how an index behaves. A change holds when it is answered, and stands in the journal. Takes a token of the
scope admin; to show, one only if the index is private.

freshness: how long metadata lives and how often it is signed (docs/freshness.md). reading: private takes a token of the
scope read for everything but a bare /healthz. webhook: where warnings and halts are told; its secret, 16 to 200 characters,
signs what is sent, is never shown again, and comes from --secret-file, the variable TUF_EDGE_WEBHOOK_SECRET, or is asked.

  --secret-file FILE  file with the webhook's secret
${CALLER_HELP}

Examples
  tuf-edge settings show
  tuf-edge settings freshness tight
  tuf-edge settings reading private
  tuf-edge settings webhook https://ops.example/hook --secret-file hook-secret
`

const OPTIONS = { ...CALLER_OPTIONS, 'secret-file': { type: 'string' } } as const

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

interface Shown {
  private: boolean
  freshness?: Record<string, number | string>
}

export async function settingsCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
  if (values.help) {
    say(SETTINGS_HELP)
    return
  }
  const [what, value, ...more] = positionals
  if (values['secret-file'] !== undefined && (what !== 'webhook' || value === 'none'))
    throw new CommandError('Only settings webhook URL takes --secret-file.', 2)
  if (what === 'show' && value === undefined) return show(values)
  if (what === undefined || value === undefined || more.length > 0)
    throw new CommandError(
      'tuf-edge settings wants: show, freshness PROFILE, reading private|public, webhook URL|none.',
      2,
    )
  if (what === 'freshness') await change(values, 'PUT', 'freshness', { freshness: value }, `freshness: ${value}`)
  else if (what === 'reading') {
    if (value !== 'private' && value !== 'public')
      throw new CommandError(`settings reading wants private or public, not '${value}'.`, 2)
    await change(values, 'PUT', 'reading', { private: value === 'private' }, `reading: ${value}`)
  } else if (what === 'webhook') await webhook(values, value)
  else throw new CommandError(`There is no setting '${what}': freshness, reading and webhook are there.`, 2)
}

async function webhook(values: Values, url: string): Promise<void> {
  if (url === 'none') {
    await change(values, 'DELETE', 'webhook', undefined, 'webhook: none')
    return
  }
  const token = mustHaveToken(values['token-file'])
  const source = { what: 'secret of the webhook', variable: 'TUF_EDGE_WEBHOOK_SECRET', file: values['secret-file'] }
  const secret = await secretFrom(source)
  await change(values, 'PUT', 'webhook', { url, secret }, `webhook: ${url}`, token)
}

async function change(
  values: Values,
  method: 'PUT' | 'DELETE',
  setting: string,
  body: object | undefined,
  text: string,
  token = mustHaveToken(values['token-file']),
): Promise<void> {
  const given = body === undefined ? {} : { body }
  const answer = await callApi<object>(parseUrl(values.url), method, `/api/settings/${setting}`, { token, ...given })
  say(values.json ? JSON.stringify(answer, undefined, 2) : text)
}

async function show(values: Values): Promise<void> {
  const token = tokenOf(values['token-file'])
  const path = '/api/status'
  const status = await callApi<Shown>(parseUrl(values.url), 'GET', path, token === undefined ? {} : { token })
  const { freshness = {}, private: isPrivate } = status
  if (values.json) {
    say(JSON.stringify({ freshness, private: isPrivate }, undefined, 2))
    return
  }
  const { profile = 'times of its own', ...times } = freshness
  say(`freshness: ${profile}`)
  for (const [name, seconds] of Object.entries(times)) say(`  ${name} ${seconds}`)
  say(`reading: ${isPrivate ? 'private' : 'public'}`)
}
