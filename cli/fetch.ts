// `tuf-edge fetch`: downloads one release of one project, with everything on the way verified. Nothing is believed
// that does not follow from the trusted root: not the server, not the network, not a cache in between.

import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { parseFilename } from '../pypi/filenames.ts'
import { isValidName, normalizeName } from '../pypi/names.ts'
import { shown } from '../pypi/refusal.ts'
import { PageError, type PageFile, type ProjectPage, parseProjectJson } from '../pypi/simple.ts'
import { compareVersions, isPrerelease, parseVersion } from '../pypi/versions.ts'
import { shardOf } from '../tuf/bins.ts'
import { type Client, initStore } from '../tuf/client.ts'
import { DownloadError, TufError } from '../tuf/errors.ts'
import { nobodyThere, tokenOf } from './caller.ts'
import { fileStore, writeWhole } from './file-store.ts'
import { CommandError, note, say } from './terminal.ts'
import { DEFAULT_ROOT, readRoot, refuseDevelopmentRoot } from './trusted-root.ts'
import { transportOf, verifyingClient } from './whole-index.ts'

export const FETCH_HELP = `tuf-edge fetch NAME [--version V] [--index URL] [--root FILE] [--into DIR] [--state DIR] [--token-file FILE]

Downloads a release of a project, the newest if none is named, and verifies it from the trusted root on: its wheel for any
platform, else its source archive. It takes this one file: dependencies are neither resolved nor downloaded.

  --version V   this release, also a pre-release or a yanked one (the newest)
  --index URL   the index (http://127.0.0.1:8787)
  --root FILE   the root you trust, as the operator gave it to you (.tuf-edge/root.json)
  --into DIR    where the file goes (.)
  --token-file FILE  for a private index: file with a token, - for the standard input; else TUF_EDGE_TOKEN has it
  --state DIR   what this client has seen, which is how it notices an older state; a folder for each root in it
                (~/.local/state/tuf-edge; on Windows %LOCALAPPDATA%\\tuf-edge)

Examples
  tuf-edge fetch hello-tuf-edge --into downloads
  tuf-edge fetch hello-tuf-edge --version 1.0 --index https://pypi.example.org --root root.json --into wheels
`

const DEFAULT_INDEX = 'http://127.0.0.1:8787'

export interface Fetched {
  filename: string
  version: string
  /** Lower-case hex. */
  sha256: string
  /** As on its page: true or a reason if it was yanked. */
  yanked: boolean | string
  bytes: Uint8Array
}

/** Target path of a project's JSON page. */
export const pagePath = (project: string): string => `simple/${shardOf(project)}/${project}/vnd.pypi.simple.v1.json`

export const filePath = (project: string, filename: string): string =>
  `files/${shardOf(project)}/${project}/${filename}`

/** A verifying client of the index at `base`. */
export const clientOf = (base: string, folder: string, token?: string): Client =>
  verifyingClient(base, fileStore(folder), transportOf(token))

/**
 * A release of `project` (normalised), the newest if none is named.
 *
 * @throws TufError for what does not verify, CommandError for the rest
 */
export async function fetchRelease(client: Client, project: string, release?: string): Promise<Fetched> {
  const pageInfo = await client.targetInfo(pagePath(project))
  if (!pageInfo) throw new CommandError(`The index has no project '${project}'.`)
  const page = readPage(await client.download(pageInfo), project)
  const chosen = chooseFile(page, release)
  if (!chosen && release !== undefined)
    throw new CommandError(`'${project}' has no file of ${release} for every platform: nothing was downloaded.`)
  if (!chosen) throw new CommandError(`'${project}' has no file for every platform: nothing was downloaded.`)
  const { filename, version, sha256, yanked } = chosen
  const info = await client.targetInfo(filePath(project, filename))
  // Page and file are signed together; that they disagree would mean two states mixed.
  if (info?.hashes.get('sha256') !== sha256)
    throw new CommandError(`The signed page and the signed list of files disagree about ${filename}.`)
  return { filename, version, sha256, yanked, bytes: await client.download(info) }
}

/**
 * As installers choose: a wheel before its source; of the newest release yanked files never, and pre-releases only if there
 * is nothing else; of one that is named any (PEP 440, 592).
 */
export function chooseFile(page: ProjectPage, release?: string): (PageFile & { version: string }) | undefined {
  const usable = page.files.flatMap((file) => {
    const name = parseFilename(file.filename)
    const wheel = name.kind === 'bdist_wheel'
    const anywhere = !wheel || (name.platform.includes('any') && name.abi.includes('none'))
    const wanted = release === undefined ? file.yanked === false : compareVersions(name.version, release) === 0
    return wanted && anywhere ? [{ ...file, version: name.version, wheel }] : []
  })
  const finals = usable.filter(({ version }) => !isPrerelease(version))
  const [best] = (finals.length > 0 ? finals : usable).sort(
    (a, b) =>
      compareVersions(b.version, a.version) ||
      Number(a.yanked !== false) - Number(b.yanked !== false) ||
      Number(b.wheel) - Number(a.wheel),
  )
  return best
}

export async function fetchCommand(args: string[]): Promise<void> {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      index: text,
      root: text,
      into: text,
      state: text,
      version: text,
      'token-file': text,
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say(FETCH_HELP)
    return
  }
  const [name, ...more] = positionals
  const release = values.version === undefined ? undefined : parseRelease(values.version)
  mustNameOne(name, more)
  const base = parseIndex(values.index ?? DEFAULT_INDEX)
  const root = readRoot(values.root ?? DEFAULT_ROOT)
  // One folder for each trusted root, so that two indexes never share what they know.
  const into = resolve(values.into ?? '.')
  mustBeFolder('--into', into)
  const state = join(values.state ?? defaultState(), createHash('sha256').update(root).digest('hex').slice(0, 32))
  const store = fileStore(state)
  try {
    refuseDevelopmentRoot(root, base)
    if (!(await store.get('root.json'))) await initStore(store, root)
    const client = clientOf(base.href, state, tokenOf(values['token-file']))
    const fetched = await fetchRelease(client, normalizeName(name), release)
    const target = join(into, fetched.filename)
    if (fetched.yanked !== false)
      note(`${fetched.filename} was yanked${fetched.yanked === true ? '' : `: ${shown(fetched.yanked)}`}`)
    await writeWhole(target, fetched.bytes)
    note(`verified ${fetched.filename}, sha256 ${fetched.sha256}`)
    say(target)
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    const refused = error.code === 'download' ? '' : 'Refused: '
    const silent = error instanceof DownloadError && error.status === undefined
    throw new CommandError(
      `${refused}${error.message}${silent ? ` ${nobodyThere('--index')}` : ''} Nothing was written.`,
    )
  }
}

function readPage(bytes: Uint8Array, project: string): ProjectPage {
  try {
    return parseProjectJson(bytes, project, shardOf(project))
  } catch (error) {
    if (error instanceof PageError) throw new CommandError(`The page of '${project}' cannot be read: ${error.message}.`)
    throw error
  }
}

function mustNameOne(name: string | undefined, more: string[]): asserts name is string {
  const [version] = more
  if (name === undefined) throw new CommandError('fetch wants the name of one project.', 2)
  if (version !== undefined)
    throw new CommandError(
      isVersion(version)
        ? `A release is named so: \`tuf-edge fetch ${name} --version ${version}\`.`
        : 'fetch wants the name of one project, and no more.',
      2,
    )
  if (isValidName(name)) return
  const pinned = /^(.+?)==(.+)$/.exec(name)
  throw new CommandError(
    pinned && isValidName(pinned[1]!) && isVersion(pinned[2]!)
      ? `A release is named so: \`tuf-edge fetch ${pinned[1]} --version ${pinned[2]}\`.`
      : `'${name}' is not the name of a project.`,
    2,
  )
}

function parseRelease(text: string): string {
  if (!isVersion(text)) throw new CommandError(`--version wants a version such as 1.0, not '${text}'.`, 2)
  return text
}

const isVersion = (text: string): boolean => parseVersion(text) !== null

/** Said before anything is downloaded. What does not exist yet is made. */
function mustBeFolder(option: string, path: string): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found && !found.isDirectory()) throw new CommandError(`${option} wants a folder, and ${path} is a file.`, 2)
}

function parseIndex(text: string): URL {
  if (!URL.canParse(text)) throw new CommandError(`--index wants a URL, not '${text}'.`, 2)
  return new URL(text)
}

function defaultState(): string {
  const { LOCALAPPDATA, XDG_STATE_HOME } = process.env
  if (process.platform === 'win32') return join(LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'tuf-edge')
  return join(XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'tuf-edge')
}
