// Whether this index is well, for machines: `/healthz` (200 or 503) and `/metrics`. Both are bare: no names of projects,
// no keys, no internals. State: the publisher's last status, for a few seconds, so that nobody can load it with probes.
import type { Status } from '../durable-objects/rpc.ts'
import { formatDate } from '../tuf/dates.ts'
import type { Env } from './env.ts'
import { log, Problem } from './errors.ts'
import { within } from './memory.ts'
import type { Publication } from './publication.ts'
import type { Reader } from './reader.ts'
import { mustRead } from './reading.ts'

/**
 * Unwell when less than this share of the timestamp's life is left. A publisher that works replaces it before half of its
 * life is over, so a quarter is late enough to be no false alarm and early enough for a person to act: 6 h of a day.
 */
const LIFE_LEFT_MIN = 0.25
const STATUS_WAIT_MS = 2_000
const STATUS_KEPT_MS = 5_000

interface Health {
  publication: Publication | undefined
  status: Status | undefined
  /** Empty: all is well. */
  reasons: string[]
}

/** Where neither can say it there is nothing to be told. */
const isPrivate = ({ publication, status }: Health): boolean =>
  publication?.timestamp.signed.private ?? status?.private ?? false

export class HealthCheck {
  readonly #reader: Reader
  #status: { until: number; status: Status | undefined } | undefined

  constructor(reader: Reader) {
    this.#reader = reader
  }

  /** Of a private index, whoever may not read it learns whether it is well and nothing else. */
  async answer(env: Env, request: Request): Promise<Response> {
    const health = await this.#check(env)
    const { publication, status, reasons } = health
    const said = { status: reasons.length === 0 ? 'ok' : 'failing' }
    const all = {
      ...said,
      reasons,
      // What will break, with its date: nothing is wrong yet, so the answer stays 200.
      warnings: status?.warnings ?? [],
      ...(publication && { timestamp: publication.version, expires: publication.timestamp.signed.expires }),
    }
    const bare = isPrivate(health) && !(await this.#reads(env, request))
    return Response.json(bare ? said : all, {
      status: reasons.length === 0 ? 200 : 503,
      headers: { 'Cache-Control': 'no-store' },
    })
  }

  /** The text format of Prometheus. */
  async metrics(env: Env, request: Request): Promise<Response> {
    const health = await this.#check(env)
    if (isPrivate(health)) await mustRead(env, this.#reader.repository, request)
    const { publication, status, reasons } = health
    const lines: string[] = []
    const named = new Set<string>()
    const gauge = (name: string, help: string, value: number | undefined, labels: Record<string, string> = {}) => {
      if (value === undefined) return
      // Said once a name (Prometheus text format, 0.0.4); the samples of a name follow each other.
      if (!named.has(name)) lines.push(`# HELP tuf_edge_${name} ${help}`, `# TYPE tuf_edge_${name} gauge`)
      named.add(name)
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
      lines.push(`tuf_edge_${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`)
    }
    gauge('healthy', '1 if /healthz answers 200.', reasons.length === 0 ? 1 : 0)
    gauge(
      'halted',
      '1 if the publisher stopped signing and waits for a person.',
      status && Number(status.state === 'halted'),
    )
    gauge('staged_files', 'Accepted files that are not visible yet.', status?.staged)
    gauge('quarantined_files', 'Accepted files that could not be published.', status?.quarantined)
    gauge('projects', 'Projects in the ledger.', status?.projects)
    gauge('files', 'Files that are live.', status?.files)
    gauge('timestamp_version', 'Version of the present timestamp.', publication?.version)
    gauge('snapshot_version', 'Version of the present snapshot.', publication?.timestamp.signed.snapshot.version)
    gauge('root_version', 'Version of the newest trusted root.', publication?.trusted.root.signed.version)
    const seconds = (ms: number | undefined) => ms && ms / 1000
    gauge(
      'timestamp_expires_seconds',
      'Unix time at which the present timestamp expires.',
      seconds(publication?.timestamp.signed.expiresMs),
    )
    gauge(
      'root_expires_seconds',
      'Unix time at which the newest root expires.',
      seconds(publication?.trusted.root.signed.expiresMs),
    )
    for (const { role, expires } of status?.roles ?? [])
      gauge('role_expiry_seconds', 'Unix time at which the role expires.', Date.parse(expires) / 1000, { role })
    for (const { role, days } of status?.warnings ?? [])
      gauge('role_warning_days', 'Threshold that the role has passed; 0: late, or expired.', days, { role })
    return new Response(`${lines.join('\n')}\n`, {
      headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8', 'Cache-Control': 'no-store' },
    })
  }

  async #reads(env: Env, request: Request): Promise<boolean> {
    return mustRead(env, this.#reader.repository, request).then(
      () => true,
      () => false,
    )
  }

  async #check(env: Env): Promise<Health> {
    const reasons: string[] = []
    const publication = await this.#reader.current(env).catch((error: unknown) => {
      if (!(error instanceof Problem)) log('health', error)
      reasons.push(error instanceof Problem ? error.message : 'The index cannot be read.')
      return undefined
    })
    const now = Date.now()
    if (publication) {
      const { expiresMs } = publication.timestamp.signed
      const life = expiresMs - publication.putAt
      if (expiresMs <= now) reasons.push(`The timestamp expired at ${formatDate(expiresMs)}.`)
      else if (expiresMs - now < life * LIFE_LEFT_MIN)
        reasons.push(`The timestamp expires at ${formatDate(expiresMs)} and was not replaced in time.`)
      const root = publication.trusted.root.signed
      if (root.expiresMs <= now) reasons.push(`The root expired at ${root.expires}: people must sign a new one.`)
    }
    // Asked also when nothing can be read: that the publisher has halted is then the reason that names the way out.
    const status = await this.#ask(env)
    if (publication && !status) reasons.push('The publisher does not answer.')
    for (const { role, expires } of status?.roles ?? [])
      if (Date.parse(expires) <= now && !['timestamp', 'root'].includes(role))
        reasons.push(`The role ${role} expired at ${expires}: clients refuse the index.`)
    if (status?.state === 'released')
      reasons.push(`The repository was handed back with root ${status.releasing}: nothing is signed here any more.`)
    if (status?.state === 'halted') reasons.push(`The publisher has halted: ${status.halted}`)
    return { publication, status, reasons }
  }

  async #ask(env: Env): Promise<Status | undefined> {
    const now = Date.now()
    if (this.#status && now < this.#status.until) return this.#status.status
    const ask = async (): Promise<Status | undefined> => {
      try {
        const answer = await env.PUBLIC.status(this.#reader.repository)
        return answer.ok ? answer : undefined
      } catch (error) {
        log('status', error)
        return undefined
      }
    }
    const status = await within(ask(), STATUS_WAIT_MS, undefined)
    this.#status = { until: now + STATUS_KEPT_MS, status }
    return status
  }
}

/** A label's value: whoever signs elsewhere names his roles as he likes, and a name ends no label and no line. */
const escaped = (text: string): string => text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')
