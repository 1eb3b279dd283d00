// `tuf-edge fetch`: downloads the newest release of one project, with everything on the way verified. Nothing is believed
// that does not follow from the trusted root: not the server, not the network, not a cache in between.
import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { parseFilename } from '../pypi/filenames.ts'
import { isValidName, normalizeName } from '../pypi/names.ts'
import { PageError, type PageFile, type ProjectPage, parseProjectJson } from '../pypi/simple.ts'
import { compareVersions, isPrerelease } from '../pypi/versions.ts'
import { shardOf } from '../tuf/bins.ts'
import { Client, initStore } from '../tuf/client.ts'
import { TufError } from '../tuf/errors.ts'
import { tokenOf } from './caller.ts'
import { fileStore, writeWhole } from './file-store.ts'
import { CommandError, note, say } from './terminal.ts'
import { DEFAULT_ROOT, readRoot, refuseDevelopmentRoot } from './trusted-root.ts'
import { transportOf } from './whole-index.ts'

export const FETCH_HELP = `tuf-edge fetch NAME [--index URL] [--root FILE] [--into DIR] [--state DIR] [--token-file FILE]

Downloads the newest release of a project and verifies it from the trusted root on: its wheel for any platform,
else its source archive. It takes this one file: dependencies are neither resolved nor downloaded.

  --index URL   the index (http://127.0.0.1:8787)
  --root FILE   the root you trust, as the operator gave it to you (.tuf-edge/root.json)
  --into DIR    where the file goes (.)
  --token-file FILE  for a private index: file with a token, - for the standard input; else TUF_EDGE_TOKEN has it
  --state DIR   what this client has seen, which is how it notices an older state (the user's state folder)

Examples
  tuf-edge fetch hello-tuf-edge
  tuf-edge fetch hello-tuf-edge --index https://pypi.example.org --root root.json --into wheels
`

const DEFAULT_INDEX = 'http://127.0.0.1:8787'

export interface Fetched {
  filename: string
  version: string
  /** Lower-case hex. */
  sha256: string
  bytes: Uint8Array
}

/** Target path of a project's JSON page. */
export const pagePath = (project: string): string => `simple/${shardOf(project)}/${project}/vnd.pypi.simple.v1.json`

export const filePath = (project: string, filename: string): string =>
  `files/${shardOf(project)}/${project}/${filename}`

/** A verifying client of the index at `base`. */
export const clientOf = (base: string, folder: string, token?: string): Client =>
  new Client({
    store: fileStore(folder),
    transport: transportOf(token),
    metadataUrl: new URL('/tuf/', base).href,
    targetsUrl: new URL('/tuf/targets/', base).href,
  })

/** The newest release of `project` (normalised). @throws TufError for what does not verify, CommandError for the rest */
export async function fetchNewest(client: Client, project: string): Promise<Fetched> {
  const pageInfo = await client.targetInfo(pagePath(project))
  if (!pageInfo) throw new CommandError(`The index has no project '${project}'.`)
  const page = readPage(await client.download(pageInfo), project)
  const chosen = newestFile(page)
  if (!chosen) throw new CommandError(`'${project}' has no file for every platform: nothing was downloaded.`)
  const { filename, version, sha256 } = chosen
  const info = await client.targetInfo(filePath(project, filename))
  // Page and file are signed together; that they disagree would mean two states mixed.
  if (info?.hashes.get('sha256') !== sha256)
    throw new CommandError(`The signed page and the signed list of files disagree about ${filename}.`)
  return { filename, version, sha256, bytes: await client.download(info) }
}

/** As installers choose: yanked files never, pre-releases only if there is nothing else, a wheel before its source. */
export function newestFile(page: ProjectPage): (PageFile & { version: string }) | undefined {
  const usable = page.files.flatMap((file) => {
    const name = parseFilename(file.filename)
    const wheel = name.kind === 'bdist_wheel'
    const anywhere = !wheel || (name.platform.includes('any') && name.abi.includes('none'))
    return file.yanked === false && anywhere ? [{ ...file, version: name.version, wheel }] : []
  })
  const finals = usable.filter(({ version }) => !isPrerelease(version))
  const [best] = (finals.length > 0 ? finals : usable).sort(
    (a, b) => compareVersions(b.version, a.version) || Number(b.wheel) - Number(a.wheel),
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
      'token-file': text,
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say(FETCH_HELP)
    return
  }
  const [name, ...more] = positionals
  if (name === undefined || more.length > 0) throw new CommandError('fetch wants the name of one project.', 2)
  if (!isValidName(name)) throw new CommandError(`'${name}' is not the name of a project.`, 2)
  const base = parseIndex(values.index ?? DEFAULT_INDEX)
  const root = readRoot(values.root ?? DEFAULT_ROOT)
  // One folder for each trusted root, so that two indexes never share what they know.
  const state = join(values.state ?? defaultState(), createHash('sha256').update(root).digest('hex').slice(0, 32))
  const store = fileStore(state)
  try {
    refuseDevelopmentRoot(root, base)
    if (!(await store.get('root.json'))) await initStore(store, root)
    const fetched = await fetchNewest(clientOf(base.href, state, tokenOf(values['token-file'])), normalizeName(name))
    const target = join(resolve(values.into ?? '.'), fetched.filename)
    await writeWhole(target, fetched.bytes)
    note(`verified ${fetched.filename}, sha256 ${fetched.sha256}`)
    say(target)
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    const refused = error.code === 'download' ? '' : 'Refused: '
    throw new CommandError(`${refused}${error.message} Nothing was written.`)
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

function parseIndex(text: string): URL {
  if (!URL.canParse(text)) throw new CommandError(`--index wants a URL, not '${text}'.`, 2)
  return new URL(text)
}

function defaultState(): string {
  const { LOCALAPPDATA, XDG_STATE_HOME } = process.env
  if (process.platform === 'win32') return join(LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'tuf-edge')
  return join(XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'tuf-edge')
}
