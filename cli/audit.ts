// `tuf-edge audit`: from outside, whether an index serves what it signed and signed what it accepted. Nothing is believed
// that does not verify from the root given; every difference is named, and none ends the audit early but the chain itself.
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { type PageFile, parseProjectJson } from '../pypi/simple.ts'
import { shardOf } from '../tuf/bins.ts'
import { initStore, type Store } from '../tuf/client.ts'
import { digestHex } from '../tuf/digest.ts'
import type { TargetFile } from '../tuf/metadata.ts'
import { targetUrlName, targetUrlPath } from '../tuf/paths.ts'
import type { TrustedSet } from '../tuf/trusted.ts'
import { ApiError, apiUrl } from './api.ts'
import { type Journal, readJournal } from './audit-journal.ts'
import { CALLER_HELP, CALLER_OPTIONS, parseUrl, tokenOf } from './caller.ts'
import { inLanes } from './lanes.ts'
import { note, say } from './terminal.ts'
import { DEFAULT_ROOT, readRoot } from './trusted-root.ts'
import { transportOf, verifyingClient } from './whole-index.ts'

export const AUDIT_HELP = `tuf-edge audit [--url URL] [--root FILE] [--deep] [--json]

Verifies an index from outside: the chain of roots, the timestamp, the snapshot, every bin, every page, every file (its
presence, length and ETag; with --deep its bytes). With a token of the scope audit or admin also the journal: its chain
of hashes, that the snapshot names it, and that everything served was signed and accepted there.
Names every difference and exits 1 if there is one.

  --root FILE        the root you trust (.tuf-edge/root.json)
  --deep             download every file
${CALLER_HELP}

Examples
  tuf-edge audit
  tuf-edge audit --url https://pypi.example.org --root root.json --deep
`

interface Report {
  root: number
  timestamp: number
  snapshot: number
  roles: number
  pages: number
  files: number
  /** Newest journal row compared with; null: no token was given, or it may not read the journal. */
  journal: number | null
  differences: string[]
}

type Get = (path: string, method?: 'GET' | 'HEAD') => Promise<Response>

export async function auditCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { ...CALLER_OPTIONS, root: { type: 'string' }, deep: { type: 'boolean' } },
  })
  if (values.help) {
    say(AUDIT_HELP)
    return
  }
  const token = tokenOf(values['token-file'])
  const report = await audit(parseUrl(values.url), readRoot(values.root ?? DEFAULT_ROOT), {
    deep: values.deep === true,
    progress: note,
    ...(token === undefined ? {} : { token }),
  })
  if (report.differences.length > 0) process.exitCode = 1
  if (values.json) {
    say(JSON.stringify(report, undefined, 2))
    return
  }
  for (const difference of report.differences) say(difference)
  const { root, timestamp, snapshot, roles, pages, files, journal } = report
  say(`root ${root}, timestamp ${timestamp}, snapshot ${snapshot}: ${roles} roles, ${pages} pages, ${files} files`)
  say(
    journal === null
      ? 'the journal was not compared: that takes a token with the scope audit'
      : `journal of ${journal} rows compared`,
  )
  say(report.differences.length === 0 ? 'no difference' : `${report.differences.length} differences`)
}

export interface AuditOptions {
  deep: boolean
  token?: string
  progress(line: string): void
}

/** @throws TufError when the chain from the root to the bins does not verify: then nothing below can be judged */
export async function audit(base: string, root: Uint8Array, options: AuditOptions): Promise<Report> {
  const { token, progress } = options
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const get: Get = (path, method = 'GET') => fetch(apiUrl(base, path), { method, headers })
  const store = memoryStore()
  await initStore(store, root)
  const client = verifyingClient(base, store, transportOf(token))
  await client.refresh()
  const set = client.trusted!
  const report: Report = {
    root: set.root.signed.version,
    timestamp: set.timestamp!.signed.version,
    snapshot: set.snapshot!.signed.version,
    roles: set.snapshot!.signed.meta.size,
    pages: 0,
    files: 0,
    journal: null,
    differences: [],
  }
  progress(`root ${report.root}, timestamp ${report.timestamp}, snapshot ${report.snapshot} verify`)
  const targets = await loadRoles(set, get, report)
  progress(`${report.roles} roles verify, ${targets.size} targets`)
  await checkTargets(targets, get, options, report)
  if (token !== undefined) await compareJournal(base, token, set, targets, progress, report)
  return report
}

/** Every delegated role that the snapshot lists, verified; and all targets by path. */
async function loadRoles(set: TrustedSet, get: Get, report: Report): Promise<Map<string, TargetFile>> {
  const targets = new Map<string, TargetFile>()
  const delegators = ['targets']
  for (let delegator = delegators.shift(); delegator !== undefined; delegator = delegators.shift()) {
    const from = delegator
    const names = (set.targets(from)?.signed.delegations?.roles ?? []).map(({ name }) => name)
    await inLanes(names, async (name) => {
      try {
        const { version } = set.metaOf(name)
        const answer = await get(`/tuf/${version}.${name}.json`)
        if (!answer.ok) throw new Error(`is answered ${answer.status}`)
        const { signed } = await set.updateDelegated(new Uint8Array(await answer.arrayBuffer()), name, from)
        if (signed.delegations?.roles) delegators.push(name)
        for (const [path, file] of signed.targets) {
          if (targets.has(path)) report.differences.push(`${path}: listed by two roles`)
          targets.set(path, file)
        }
      } catch (error) {
        report.differences.push(`${name}: ${messageOf(error)}`)
      }
    })
  }
  return targets
}

async function checkTargets(
  targets: ReadonlyMap<string, TargetFile>,
  get: Get,
  { deep, progress }: AuditOptions,
  report: Report,
): Promise<void> {
  let done = 0
  await inLanes([...targets], async ([path, file]) => {
    const page = path.startsWith('simple/')
    report[page ? 'pages' : 'files']++
    const sha256 = file.hashes.get('sha256') ?? ''
    const url = `/tuf/targets/${targetUrlPath(targetUrlName(path, sha256))}`
    try {
      if (!page && !deep) await checkHead(await get(url, 'HEAD'), file.length, sha256)
      else {
        const bytes = await download(await get(url), file)
        if (path.endsWith('.json')) comparePage(path, bytes, targets, report)
      }
    } catch (error) {
      report.differences.push(`${path}: ${messageOf(error)}`)
    }
    done++
    if (done % 500 === 0 || done === targets.size) progress(`${done} of ${targets.size} targets checked`)
  })
}

async function checkHead(answer: Response, length: number, sha256: string): Promise<void> {
  if (!answer.ok) throw new Error(`is answered ${answer.status}`)
  const got = answer.headers.get('content-length')
  if (got !== String(length)) throw new Error(`has ${got} bytes instead of ${length}`)
  if (answer.headers.get('etag') !== `"${sha256}"`) throw new Error('has another ETag than its digest')
}

async function download(answer: Response, { length, hashes }: TargetFile): Promise<Uint8Array> {
  if (!answer.ok) throw new Error(`is answered ${answer.status}`)
  const bytes = new Uint8Array(await answer.arrayBuffer())
  if (bytes.length !== length) throw new Error(`has ${bytes.length} bytes instead of ${length}`)
  const digest = createHash('sha256').update(bytes).digest('hex')
  if (digest !== hashes.get('sha256')) throw new Error(`has the digest ${digest}`)
  return bytes
}

/** A project's page and the signed files of the project must be the same set. */
function comparePage(path: string, bytes: Uint8Array, targets: ReadonlyMap<string, TargetFile>, report: Report): void {
  const [, shard, project, name] = path.split('/')
  if (name === undefined) return
  const listed = new Map<string, PageFile>(
    parseProjectJson(bytes, project!, shard!).files.map((file) => [file.filename, file]),
  )
  const prefix = `files/${shardOf(project!)}/${project}/`
  for (const [file, { hashes }] of targets) {
    if (!file.startsWith(prefix)) continue
    const filename = file.slice(prefix.length)
    if (listed.get(filename)?.sha256 !== hashes.get('sha256'))
      report.differences.push(`${path}: does not list ${filename}`)
    listed.delete(filename)
  }
  for (const filename of listed.keys()) report.differences.push(`${path}: lists ${filename}, which no role signs`)
}

async function compareJournal(
  base: string,
  token: string,
  set: TrustedSet,
  targets: ReadonlyMap<string, TargetFile>,
  progress: (line: string) => void,
  report: Report,
): Promise<void> {
  let journal: Journal
  try {
    journal = await readJournal(base, token, (rows) => progress(`journal: ${rows} rows`))
  } catch (error) {
    // A token to read the index may not read its journal: the public parts were audited.
    if (error instanceof ApiError && error.status === 403) return
    throw error
  }
  report.journal = journal.head
  report.differences.push(...journal.differences)
  const snapshot = set.snapshot!
  const head = snapshot.signed.raw.get('x-tuf-edge-journal')
  const seq = head instanceof Map ? Number(head.get('seq')) : Number.NaN
  if (!(head instanceof Map) || journal.hashes.get(seq) !== head.get('sha256'))
    report.differences.push(
      `snapshot ${snapshot.signed.version}: names row ${seq} with a hash the journal does not have`,
    )
  const compare = (role: string, version: number, sha256: string | undefined) => {
    if (!journal.signed.get(`${role} ${version}`)?.has(sha256 ?? ''))
      report.differences.push(`${role} ${version}: the journal does not know that these bytes were signed`)
  }
  compare('timestamp', set.timestamp!.signed.version, await digestHex('sha256', set.timestamp!.bytes))
  compare('snapshot', snapshot.signed.version, await digestHex('sha256', snapshot.bytes))
  for (const [role, { version, hashes }] of snapshot.signed.meta)
    if (role !== 'targets' && role !== 'bins') compare(role, version, hashes?.get('sha256'))
  for (const [path, { hashes }] of targets) {
    const [kind, , project, filename] = path.split('/')
    if (kind === 'files' && journal.accepted.get(`${project}/${filename}`) !== hashes.get('sha256'))
      report.differences.push(`${path}: the journal does not know that these bytes were accepted`)
  }
}

function memoryStore(): Store {
  const files = new Map<string, Uint8Array>()
  return { get: async (file) => files.get(file), put: async (file, bytes) => void files.set(file, bytes) }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
