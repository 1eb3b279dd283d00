// The second half of an adoption: the owner has signed. The repository is read once more, because its signer went on
// meanwhile, and handed over with the highest versions seen. Then a client that knew it as it was is sent to the new place.
//
// Invariant: the service takes all of it or nothing; if the answer was lost, the root that it serves says which.
import { join } from 'node:path'
import { Client, roleFile, type Store } from '../tuf/client.ts'
import { formatDate } from '../tuf/dates.ts'
import { TufError } from '../tuf/errors.ts'
import { parseRoot } from '../tuf/metadata.ts'
import type { TargetInfo } from '../tuf/search.ts'
import { webTransport } from '../tuf/transport.ts'
import { mustPass } from './adopt-check.ts'
import { type Repository, walkRepository } from './adopt-source.ts'
import { ApiError, apiUrl, callApi, toBase64 } from './api.ts'
import { fileStore } from './file-store.ts'
import { ADMIN_DAYS, mintFirst } from './first-admin.ts'
import { handOver } from './hand-over.ts'
import { type Handover, type HandoverFolder, keysOf, type NextRoot } from './handover-folder.ts'
import { Progress } from './progress.ts'
import { bold, CommandError, say, typedHere } from './terminal.ts'

/** A publication takes a second or two; the alarm repeats one that failed within minutes. Each file is a put of its own. */
const PUBLISHED_WAIT_MS = 60_000
const FILE_WAIT_MS = 60
const LOOK_MS = 500
const ORIGIN_WAIT_MS = 10_000
const ADMIN_SCOPES = ['read', 'audit', 'admin']

export interface FinishInput {
  stale: boolean
  freshness: string
  /** Where target files are fetched; undefined: said later. */
  targets: string | undefined
  bootstrapSecret: string
  /** Told the first admin token as soon as there is one: its first use is the end of the bootstrap secret. */
  onToken(token: string): void
}

export interface Adopted {
  metadataUrl: string
  targetsUrl: string
  /** What a client that knew the repository as it was trusts now. */
  root: number
  timestamp: number
  snapshot: number
  /** The target that was downloaded to see that targets come; null without `--targets`. */
  downloaded: string | null
  /** Why targets do not come; null if they do. */
  problem: string | null
  /** Roots that go out later. */
  held: { root: number; notBefore: string }[]
  warnings: string[]
  /** Null: it was shown before. */
  token: string | null
}

/** @throws CommandError, ApiError */
export async function finishAdoption(
  folder: HandoverFolder,
  adoption: Handover,
  { stale, freshness, targets, bootstrapSecret, onToken }: FinishInput,
): Promise<Adopted> {
  const trusted = folder.trustedRoot
  if (!trusted) throw new CommandError(`${folder.path} lacks trusted-root.json: run adopt again without --finish.`)
  const keys = keysOf(adoption)
  const progress = new Progress()
  const repository = await walkRepository(adoption.source, { folder: folder.path, trusted, stale, progress })
  const base = repository.roots.get(adoption.root)
  if (!base) throw new CommandError(`The repository no longer serves root ${adoption.root}. Nothing was changed.`)
  const next = await folder.signedNext(parseRoot(base), keys)
  const roots = new Map(repository.roots)
  for (const { file, bytes, envelope } of next) {
    const there = roots.get(envelope.signed.version)
    if (there && Buffer.compare(there, bytes) !== 0)
      throw new CommandError(
        `The repository has published another root ${envelope.signed.version} than ${file}: move both away, run adopt again, and sign the new ones.`,
      )
    roots.set(envelope.signed.version, bytes)
  }
  const files = await mustPass(repository, roots, keys)
  const service = `${adoption.service}/r/${adoption.name}`
  let taken: Pick<Adopted, 'warnings'> & { held: { root: number; notBefore: number }[] } = { held: [], warnings: [] }
  if (!(await serves(service, next[0])))
    taken = await handOver(service, bootstrapSecret, files, {
      method: 'POST',
      path: '/api/adopt',
      more: {
        served: repository.served,
        last: { snapshot: toBase64(repository.last.snapshot), timestamp: toBase64(repository.last.timestamp) },
        freshness,
      },
    })
  await published(service, next[0], files.length)
  const client = await follow(service, join(folder.path, 'seen'))
  const token = await mintFirst(service, bootstrapSecret, ADMIN_SCOPES)
  // The token is shown once, so from here on nothing may take the answer away.
  if (token !== undefined) onToken(token)
  const targetsSeen =
    targets === undefined
      ? { downloaded: null, problem: null }
      : await setTargets(
          { service, token: token ?? process.env.TUF_EDGE_TOKEN?.trim(), url: targets },
          client,
          repository,
        )
  const { root, timestamp, snapshot } = client.trusted!
  return {
    metadataUrl: `${service}/tuf/`,
    targetsUrl: `${service}/tuf/targets/`,
    root: root.signed.version,
    timestamp: timestamp!.signed.version,
    snapshot: snapshot!.signed.version,
    ...targetsSeen,
    held: taken.held.map(({ root, notBefore }) => ({ root, notBefore: formatDate(notBefore) })),
    warnings: taken.warnings,
    token: token ?? null,
  }
}

export async function serves(service: string, { bytes, envelope }: NextRoot): Promise<boolean> {
  const url = apiUrl(service, `/tuf/${envelope.signed.version}.root.json`)
  const answer = await fetch(url).catch(() => undefined)
  const there = answer && new Uint8Array(await answer.arrayBuffer())
  return answer?.status === 200 && Buffer.compare(there!, bytes) === 0
}

export async function published(service: string, root: NextRoot, files = 0): Promise<void> {
  const deadline = Date.now() + PUBLISHED_WAIT_MS + files * FILE_WAIT_MS
  while (!(await serves(service, root))) {
    if (Date.now() > deadline)
      throw new CommandError(
        `The service took the repository and does not publish: see ${service}/healthz, and repeat.`,
      )
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

/** What the repository's own clients will do: with the state that the former signer left them, to the new place. */
async function follow(service: string, seen: string): Promise<Client> {
  const kept = fileStore(seen)
  const changed = new Map<string, Uint8Array>()
  const store: Store = {
    get: async (file) => changed.get(file) ?? (await kept.get(file)),
    put: async (file, bytes) => {
      changed.set(file, bytes)
    },
  }
  const [metadataUrl, targetsUrl] = [`${service}/tuf/`, `${service}/tuf/targets/`]
  const client = new Client({ store, transport: webTransport(), metadataUrl, targetsUrl })
  try {
    await client.refresh()
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    throw new CommandError(
      `The service has the repository, and a client that knew ${roleFile('root')} as it was does not follow: ${error.message} Leave clients where they are, and repeat.`,
    )
  }
  return client
}

/** Whether targets are where `--targets` says is seen from one of them. @returns its path; null if there is none */
async function smallest(client: Client, { roles }: Repository): Promise<string | null> {
  const all = [...roles.values()].flatMap(({ signed }) => [...signed.targets])
  const paths = all.sort(([, a], [, b]) => a.length - b.length).map(([path]) => path)
  for (const path of paths) {
    const info = await client.targetInfo(path)
    // A role may list what nobody delegated to it.
    if (!info) continue
    await download(client, info)
    return path
  }
  return null
}

/** An isolate of the service may have heard of the repository before its origin was set; it asks again in some seconds. */
async function download(client: Client, info: TargetInfo): Promise<void> {
  for (const deadline = Date.now() + ORIGIN_WAIT_MS; ; await new Promise((resolve) => setTimeout(resolve, LOOK_MS))) {
    try {
      await client.download(info)
      return
    } catch (error) {
      if (!(error instanceof TufError)) throw error
      if (Date.now() > deadline) throw error
    }
  }
}

interface Targets {
  service: string
  token: string | undefined
  url: string
}

async function setTargets(
  { service, token, url }: Targets,
  client: Client,
  repository: Repository,
): Promise<Pick<Adopted, 'downloaded' | 'problem'>> {
  if (token === undefined)
    return {
      downloaded: null,
      problem: 'Set TUF_EDGE_TOKEN to the admin token, which was shown before, for --targets.',
    }
  try {
    await callApi(service, 'PUT', '/api/origin', { token, body: { url } })
    return { downloaded: await smallest(client, repository), problem: null }
  } catch (error) {
    if (!(error instanceof TufError || error instanceof ApiError)) throw error
    const problem = `Targets do not come from ${url}: ${error.message} Set TUF_EDGE_TOKEN to the admin token, and repeat with another --targets.`
    return { downloaded: null, problem }
  }
}

export function showToken(token: string): void {
  say(`The admin token, shown this once; it is good for ${ADMIN_DAYS} days:\n  ${token}\n`)
}

export function introduceAdopted({ name, source, service: at }: Handover, result: Adopted): void {
  const { metadataUrl, targetsUrl, root, timestamp, snapshot, downloaded, held, warnings, token } = result
  const service = metadataUrl.slice(0, -'/tuf/'.length)
  say(
    [
      `${bold(`${name} is adopted`)}   a client that knew it as it was followed: root ${root}, timestamp ${timestamp}, snapshot ${snapshot}`,
      ...(downloaded === null ? [] : [`  and downloaded ${downloaded}`]),
      ...held.map(
        ({ root: version, notBefore }) => `  root ${version}, the service’s keys alone, goes out at ${notBefore}`,
      ),
      ...warnings.map((warning) => `  ${warning}`),
      '',
      bold('Administer'),
      `  ${token === null ? 'Its first admin token was shown before; nothing was minted now.' : 'The admin token is shown above.'}`,
      '',
      bold('Next'),
      `  1. Point clients here; their trusted root and their state stay as they are:`,
      `     metadata ${metadataUrl}`,
      `     targets  ${targetsUrl}`,
      `  2. Leave ${source} as it is until the last client has moved. One that has moved cannot go back there:`,
      `     versions here are above those that were ever served there.`,
      `  3. Stop its signer then. What you sign from now on, with a token in TUF_EDGE_TOKEN, the admin token or one of that role:`,
      `     ${typedHere()} push FILE … --name ${name} --url ${at}`,
      `  4. Watch ${service}/healthz: it warns before a root or a role that only you can sign expires.`,
    ].join('\n'),
  )
}
