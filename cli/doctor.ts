// `tuf-edge doctor`: asks an index as different clients would, and says what stands between them and it. It changes
// nothing, and takes at most one project and one file.
import { parseArgs } from 'node:util'
import { parseProjectJson } from '../pypi/simple.ts'
import { shardOf } from '../tuf/bins.ts'
import { initStore } from '../tuf/client.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { TufError } from '../tuf/errors.ts'
import { parseRoot, parseTimestamp } from '../tuf/metadata.ts'
import { repositoryUrl } from './api.ts'
import { tokenOf } from './caller.ts'
import { type Expected, examine, type Finding, finder } from './doctor-findings.ts'
import { type Answer, type ClientName, probe } from './doctor-probe.ts'
import { bold, CommandError, dim, green, red, say } from './terminal.ts'
import { readRoot } from './trusted-root.ts'
import { transportOf, verifyingClient } from './whole-index.ts'

export const DOCTOR_HELP = `tuf-edge doctor URL [--root FILE] [--token-file FILE] [--json]

Asks an index as pip, urllib, a TUF client and a client without User-Agent would, and says what is in their way: bot
protection, redirects, wrong caching, compressed or rewritten bytes, wrong types, plain HTTP, clocks, dates that come near.
Each finding says what is wrong and what to do. Exits 1 if there is one.

  --root FILE        the root you trust; else the index's own first one is believed
  --token-file FILE  for a private index: file with a token of the scope read; else TUF_EDGE_TOKEN
  --json             the findings as JSON

Examples
  tuf-edge doctor https://pypi.example.org
`

const JSON_PAGE = 'application/vnd.pypi.simple.v1+json'
const LIST = 'simple/vnd.pypi.simple.v1'
/** A file larger than this is not downloaded to look at it. */
const FILE_BYTES_MAX = 16 * 1024 * 1024
const ROOTS_MAX = 256
const DAY_MS = 86_400_000
/** As /healthz and the webhook warn first. */
const ROOT_DAYS_MIN = 30
const TIMESTAMP_MINUTES_MIN = 10

export interface DoctorOptions {
  url: string
  root?: Uint8Array
  token?: string
}

export async function doctorCommand(args: string[]): Promise<void> {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { root: text, 'token-file': text, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) {
    say(DOCTOR_HELP)
    return
  }
  const [address, ...more] = positionals
  if (address === undefined || more.length > 0) throw new CommandError('doctor wants the URL of one index.', 2)
  if (!/^https?:/.test(address) || !URL.canParse(address))
    throw new CommandError(`doctor wants a URL such as https://pypi.example.org, not '${address}'.`, 2)
  const token = tokenOf(values['token-file'])
  const findings = await diagnose({
    url: repositoryUrl(address),
    ...(values.root !== undefined && { root: readRoot(values.root) }),
    ...(token !== undefined && { token }),
  })
  if (findings.length > 0) process.exitCode = 1
  if (values.json) say(JSON.stringify({ findings }, undefined, 2))
  else show(findings)
}

function show(findings: Finding[]): void {
  for (const { code, path, as, wrong, todo } of findings) {
    say(`${red(code)}  ${bold(path)} ${dim(`as ${as}`)}`)
    say(`  ${wrong}`)
    say(`  ${todo}`)
  }
  say(findings.length === 0 ? green('nothing is in the way') : `${findings.length} findings`)
}

/** Everything that is in the way of clients, one finding a cause and address. */
export async function diagnose(options: DoctorOptions): Promise<Finding[]> {
  const visit = new Visit(options)
  await visit.metadata()
  await visit.pages()
  await visit.health()
  await visit.plainHttp()
  return visit.findings
}

class Visit {
  readonly findings: Finding[] = []
  readonly #options: DoctorOptions
  readonly #authorization: Record<string, string>
  /** Digest by target path, from the verified chain; undefined while it does not verify. */
  #digestOf: ((path: string) => Promise<string | undefined>) | undefined

  constructor(options: DoctorOptions) {
    this.#options = options
    const basic = Buffer.from(`__token__:${options.token}`).toString('base64')
    this.#authorization = options.token === undefined ? {} : { Authorization: `Basic ${basic}` }
  }

  /** The chain as TUF clients read it, and the answers in it as others get them. */
  async metadata(): Promise<void> {
    const present: Expected = { status: 200, type: 'application/json', kept: 'present' }
    for (const as of ['urllib', 'a client without User-Agent'] as const)
      await this.#ask('/tuf/timestamp.json', as, present)
    const timestamp = await this.#ask('/tuf/timestamp.json', 'a TUF client', present)
    if (timestamp) this.#timestampDate(timestamp)
    const first = await this.#roots()
    const trusted = this.#options.root ?? first
    if (trusted) await this.#verify(trusted)
  }

  async pages(): Promise<void> {
    const page = (type: string): Expected => ({ status: 200, type, kept: 'present' })
    await this.#signed('/simple/', 'an old pip', page('text/html'), `${LIST}.html`)
    const list = await this.#signed('/simple/', 'pip', page(JSON_PAGE), `${LIST}.json`)
    const name = list && firstProject(list.bytes)
    if (name === undefined) return
    const shard = shardOf(name)
    const path = `/simple/${name}/`
    await this.#signed(path, 'an old pip', page('text/html'), `simple/${shard}/${name}/vnd.pypi.simple.v1.html`)
    const target = `simple/${shard}/${name}/vnd.pypi.simple.v1.json`
    const answer = await this.#signed(path, 'pip', page(JSON_PAGE), target)
    const file = answer && smallFile(answer.bytes, name, shard)
    if (file === undefined) return
    const kept: Expected = { status: 200, type: 'application/octet-stream', kept: 'immutable' }
    await this.#signed(`/files/${shard}/${name}/${file}`, 'pip', kept, `files/${shard}/${name}/${file}`)
  }

  /** What the index says of itself; the way there was looked at before. */
  async health(): Promise<void> {
    const answer = await this.#get('/healthz', 'urllib')
    if (!answer || ![200, 503].includes(answer.status)) return
    const find = finder(answer)
    let said: { reasons?: unknown; warnings?: unknown }
    try {
      said = JSON.parse(new TextDecoder().decode(answer.bytes)) as typeof said
    } catch {
      return
    }
    const todo = 'See docs/operations.md; `tuf-edge status` shows more.'
    for (const reason of strings(said.reasons)) this.#add(find('unwell', reason, todo))
    const messages = Array.isArray(said.warnings) ? said.warnings.map((warning) => warning?.message) : []
    for (const warning of strings(messages)) this.#add(find('date', warning, 'Sign the role again before that day.'))
  }

  /** A token that is typed into the wrong URL once must not cross the network in the clear twice. */
  async plainHttp(): Promise<void> {
    const { url } = this.#options
    if (!url.startsWith('https:')) return
    const plain = url.replace('https:', 'http:')
    const answer = await probe(plain, '/simple/', 'pip').catch(() => undefined)
    if (!answer || /^https:/.test(answer.header('location') ?? '') || answer.status === 403) return
    this.#add(
      finder(answer)(
        'plain-http',
        `${plain}/ is answered (status ${answer.status}) instead of leading to https://`,
        'Switch "Always Use HTTPS" on in the zone: a token sent there is read by everybody on the way.',
      ),
    )
  }

  /** Every root, up to the 404 that says there is no newer one. @returns the first */
  async #roots(): Promise<Uint8Array | undefined> {
    let first: Uint8Array | undefined
    for (let version = 1; version <= ROOTS_MAX; version++) {
      const path = `/tuf/${version}.root.json`
      const answer = await this.#get(path, 'a TUF client')
      if (!answer) return first
      const absent = version > 1 && answer.status !== 200
      const { status, kept } = absent
        ? { status: 404, kept: 'absent' as const }
        : { status: 200, kept: 'immutable' as const }
      const findings = examine(answer, { status, kept, type: 'application/json' })
      for (const finding of findings) this.#add(finding)
      if (absent || answer.status !== 200) return first
      first ??= answer.bytes
    }
    return first
  }

  #timestampDate(answer: Answer): void {
    const find = finder(answer)
    try {
      const { expiresMs, expires } = parseTimestamp(answer.bytes).signed
      const left = expiresMs - Date.now()
      if (left <= 0)
        this.#add(
          find(
            'expired',
            `it expired at ${expires}`,
            'Every TUF client refuses the index: `tuf-edge status` says why nothing is signed.',
          ),
        )
      else if (left < TIMESTAMP_MINUTES_MIN * 60_000)
        this.#add(
          find(
            'date',
            `it expires at ${expires}`,
            'It should have been replaced: `tuf-edge status` says why it was not.',
          ),
        )
    } catch {
      this.#add(
        find(
          'rewritten',
          'it is not TUF metadata',
          'Look what answers on this host name, and what changes bodies in front of it.',
        ),
      )
    }
  }

  async #verify(trusted: Uint8Array): Promise<void> {
    const files = new Map<string, Uint8Array>()
    const store = {
      get: async (file: string) => files.get(file),
      put: async (file: string, bytes: Uint8Array) => void files.set(file, bytes),
    }
    const find = finder({ path: '/tuf/', as: 'a TUF client' })
    try {
      await initStore(store, trusted)
      const client = verifyingClient(this.#options.url, store, transportOf(this.#options.token))
      await client.refresh()
      const root = parseRoot(files.get('root.json') ?? trusted).signed
      const days = Math.floor((root.expiresMs - Date.now()) / DAY_MS)
      if (days < ROOT_DAYS_MIN)
        this.#add(
          find(
            'date',
            `the root expires at ${root.expires}`,
            'Its holders must sign a new root before that day: every client stops then.',
          ),
        )
      this.#digestOf = async (path) => (await client.targetInfo(path))?.hashes.get('sha256')
    } catch (error) {
      if (!(error instanceof TufError)) throw error
      const todo =
        'If something above changes answers, put that right first; else `tuf-edge audit` names every difference.'
      this.#add(find('does-not-verify', error.message, todo))
    }
  }

  /** As `#ask`, and the bytes are the ones that were signed for `target`. */
  async #signed(path: string, as: ClientName, expected: Expected, target: string): Promise<Answer | undefined> {
    const answer = await this.#ask(path, as, expected)
    // What was compressed on the way is a finding already.
    if (!answer || !this.#digestOf || answer.header('content-encoding')) return answer
    let signed: string | undefined
    try {
      signed = await this.#digestOf(target)
    } catch (error) {
      if (!(error instanceof TufError)) throw error
      this.#add(finder(answer)('does-not-verify', error.message, '`tuf-edge audit` names every difference.'))
      return answer
    }
    if (signed !== undefined && signed !== (await sha256Hex(answer.bytes)))
      this.#add(
        finder(answer)(
          'rewritten',
          'its bytes are not the ones that were signed',
          'Switch off what rewrites bodies for this host name (e-mail obfuscation, Rocket Loader, minification, injected scripts), or ask again: the index may just have published.',
        ),
      )
    return answer
  }

  async #ask(path: string, as: ClientName, expected: Expected): Promise<Answer | undefined> {
    const answer = await this.#get(path, as)
    if (!answer) return undefined
    for (const finding of examine(answer, expected)) this.#add(finding)
    return answer.status === expected.status ? answer : undefined
  }

  async #get(path: string, as: ClientName): Promise<Answer | undefined> {
    try {
      return await probe(this.#options.url, path, as, this.#authorization)
    } catch (error) {
      const reason = error instanceof Error ? error.message || String(error) : String(error)
      this.#add(
        finder({ path, as })(
          'unreachable',
          `there is no answer: ${reason}`,
          'Look at the host name (DNS, custom domain), the certificate, and your own network.',
        ),
      )
      return undefined
    }
  }

  #add(finding: Finding): void {
    const same = ({ code, path, as }: Finding) => code === finding.code && path === finding.path && as === finding.as
    if (!this.findings.some(same)) this.findings.push(finding)
  }
}

const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []

function firstProject(bytes: Uint8Array): string | undefined {
  try {
    const { projects } = JSON.parse(new TextDecoder().decode(bytes)) as { projects: { name: string }[] }
    return projects[0]?.name
  } catch {
    return undefined
  }
}

function smallFile(bytes: Uint8Array, project: string, shard: string): string | undefined {
  try {
    return parseProjectJson(bytes, project, shard).files.find(({ size }) => size <= FILE_BYTES_MAX)?.filename
  } catch {
    return undefined
  }
}
