// `tuf-edge attestations`: whom the attestations of uploads are trusted by.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { callApi, repositoryUrl } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl } from './caller.ts'
import { CommandError, dim, say } from './terminal.ts'

export const ATTESTATIONS_HELP = `tuf-edge attestations trust FILE [--origin URL]
tuf-edge attestations status
tuf-edge attestations off

Attestations (PEP 740) that come with uploads are verified under a trust root, Sigstore's trusted_root.json, and served as
provenance; without one they are dropped. It takes a token of the scope admin.

  --origin URL       where pages say that provenance is (--url)
${CALLER_HELP}

Examples
  tuf-edge attestations trust trusted_root.json --url https://pypi.example.org
  tuf-edge attestations status
`

const OPTIONS = { ...CALLER_OPTIONS, origin: { type: 'string' } } as const
const PATH = '/api/settings/attestations'

interface Shown {
  trustedRoot: string | null
  origin: string | null
}

export async function attestationsCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: OPTIONS })
  if (values.help) {
    say(ATTESTATIONS_HELP)
    return
  }
  const [what, file, ...more] = positionals
  if (more.length > 0 || (what !== 'trust' && file !== undefined))
    throw new CommandError(`attestations ${what} was given more words than it takes.`, 2)
  if (what !== 'trust' && values.origin !== undefined)
    throw new CommandError(`attestations ${what} does not take --origin.`, 2)
  const url = parseUrl(values.url)
  const call = <T>(method: string, body?: unknown) =>
    callApi<T>(url, method, PATH, {
      token: mustHaveToken(values['token-file']),
      ...(body === undefined ? {} : { body }),
    })
  switch (what) {
    case 'trust': {
      if (file === undefined) throw new CommandError('attestations trust wants a file: a trusted_root.json.', 2)
      const origin = values.origin ?? repositoryUrl(url)
      await call('PUT', { trustedRoot: textOf(file), origin })
      say(values.json ? '{}' : `attestations are verified from now on; pages name provenance under ${origin}`)
      return
    }
    case 'off':
      await call('DELETE')
      say(values.json ? '{}' : 'attestations are dropped from now on; what was verified before is still served')
      return
    case 'status':
      show(await call<Shown>('GET'), values.json === true)
      return
    default:
      throw new CommandError('attestations wants one of the words trust, status, off.', 2)
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CommandError(
      `The trust root ${file} cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}.`,
    )
  }
}

function show(shown: Shown, asJson: boolean): void {
  if (asJson) {
    say(JSON.stringify(shown, undefined, 2))
    return
  }
  if (shown.trustedRoot === null) {
    say('no trust root: attestations that are sent are dropped')
    return
  }
  const root = JSON.parse(shown.trustedRoot) as Record<'certificateAuthorities' | 'tlogs', Record<string, string>[]>
  say(`provenance under ${shown.origin}`)
  for (const { uri } of root.certificateAuthorities) say(dim(`  authority ${uri}`))
  for (const { baseUrl } of root.tlogs) say(dim(`  log       ${baseUrl}`))
}
