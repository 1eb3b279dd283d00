// `tuf-edge serve`, which `npm start` runs: the whole service on this machine, ready for pip, twine and TUF clients.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { relative } from 'node:path'
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { developmentCeremony, isInitialised, makePrivate, mintTokens, publishHello } from './development.ts'
import { type Runtime, type RuntimeOptions, startRuntime } from './runtime.ts'
import { StateFolder, type Tokens } from './state-folder.ts'
import { bold, CommandError, dim, note, say } from './terminal.ts'
import { refuseKeptByNpm, startedBy } from './wrong-words.ts'

export const SERVE_HELP = `tuf-edge serve [--port N] [--folder DIR] [--private]

Runs the whole index on this machine: http://127.0.0.1:8787/, everything it keeps in .tuf-edge/.
The first start makes development keys and publishes one package. Ctrl-C stops it; the same command goes on.

  --port N       port on 127.0.0.1 (8787)
  --folder DIR   folder for keys, bucket and ledger (.tuf-edge)
  --private      reading takes a token from now on (docs/private.md); it stays so without the option

Examples
  npm start
  npm start -- --port 9000 --folder /tmp/other-index
`

const DEFAULT_PORT = 8787

export interface LocalService {
  runtime: Runtime
  folder: StateFolder
  tokens: Tokens
  /** True when this start held the ceremony. */
  first: boolean
}

/** Starts the service and brings it to the point where it may say "ready": initialised, fresh, with its tokens. */
export async function startService(
  port: number,
  path: string,
  {
    isPrivate = false,
    ...options
  }: Pick<RuntimeOptions, 'flipIntervalMs' | 'inspectorPort' | 'onLog' | 'publisherEntry'> & {
    isPrivate?: boolean
  } = {},
): Promise<LocalService> {
  await mustBeFree(port)
  const folder = new StateFolder(path)
  await folder.take()
  const runtime = await startRuntime({ port, folder: folder.runtime, ...folder.secrets(), ...options })
  try {
    const first = !(await isInitialised(runtime.url))
    if (first) await developmentCeremony(runtime.url, folder)
    // After a night or a month of sleep the metadata is past its date: sign it again before anybody is invited.
    else await runtime.watchdog()
    const tokens = await mintTokens(runtime.url, folder)
    if (isPrivate) await makePrivate(runtime.url, tokens.admin)
    if (first) await publishHello(runtime.url, tokens.upload)
    return { runtime, folder, tokens, first }
  } catch (error) {
    await runtime.stop()
    folder.release()
    throw error
  }
}

export async function serve(args: string[]): Promise<void> {
  refuseKeptByNpm('start', args, { port: true, folder: true, private: false })
  const { values } = parseArgs({
    args,
    options: {
      port: { type: 'string' },
      folder: { type: 'string' },
      private: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say(SERVE_HELP)
    return
  }
  const port = parsePort(values.port)
  const path = values.folder ?? '.tuf-edge'
  note(dim('starting …', process.stderr))
  const service = await startService(port, path, { isPrivate: values.private ?? false })
  await introduce(service)
  await untilSignal()
  note('\nstopping …')
  await service.runtime.stop()
  service.folder.release()
}

async function introduce({ runtime, folder, tokens, first }: LocalService): Promise<void> {
  const { url } = runtime
  const status = await callApi<{
    state: string
    halted?: string
    live?: { timestamp: number; expires: string }
    private: boolean
  }>(url, 'GET', '/api/status', { token: tokens.admin })
  if (status.state !== 'live' || !status.live)
    throw new CommandError(`The index cannot publish: ${status.halted ?? 'it is not initialised'}`)
  const fingerprint = createHash('sha256').update(readFileSync(folder.rootFile)).digest('hex')
  const lines = [
    '',
    `${bold('tuf-edge is ready')}   ${url}/   ${dim(`timestamp ${status.live.timestamp}, good until ${status.live.expires}`)}`,
    ...(first ? [dim(`First start: development keys are in ${folder.path}. Never use them for a real index.`)] : []),
    '',
    ...(status.private
      ? [
          `${bold('Install')}   ${dim('private: reading takes a token (docs/private.md has every tool)')}`,
          `  UV_INDEX_OURS_USERNAME=__token__ UV_INDEX_OURS_PASSWORD=${tokens.read} \\`,
          `    uv pip install --index ours=${url}/simple/ hello-tuf-edge`,
        ]
      : [
          bold('Install'),
          `  pip install --index-url ${url}/simple/ hello-tuf-edge`,
          `  uv pip install --default-index ${url}/simple/ hello-tuf-edge`,
        ]),
    '',
    bold('Upload'),
    `  export TWINE_USERNAME=__token__ TWINE_PASSWORD=${tokens.upload}`,
    `  twine upload --repository-url ${url}/legacy/ dist/*`,
    `  export UV_PUBLISH_TOKEN=${tokens.upload}`,
    `  uv publish --publish-url ${url}/legacy/ dist/*`,
    '',
    bold('Verify'),
    ...(status.private ? [`  export TUF_EDGE_TOKEN=${tokens.read}`] : []),
    `  npx tuf-edge fetch hello-tuf-edge --index ${url}/ --root ${fromHere(folder.rootFile)} --into downloads`,
    dim(`  that root's SHA-256 is ${fingerprint};`),
    dim(`  to other TUF clients metadata are at ${url}/tuf/, targets at ${url}/tuf/targets/`),
    '',
    dim('Ctrl-C stops it; the same command goes on where it was.'),
  ]
  say(lines.join('\n'))
}

/** A path as people would type it in this folder. */
function fromHere(path: string): string {
  const short = relative('.', path)
  const typed = short.startsWith('..') ? path : short
  return /^[\w./:\\~-]+$/.test(typed) ? typed : `"${typed}"`
}

function parsePort(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new CommandError(`--port wants a number from 1 to 65535, not '${text}'.`, 2)
  return port
}

async function mustBeFree(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new CommandError(
          error.code === 'EADDRINUSE'
            ? `Port ${port} on 127.0.0.1 is taken: stop the program that uses it, or choose another with ${startedBy('start') ? '`npm start -- --port N`' : '--port'}.`
            : `Port ${port} on 127.0.0.1 cannot be used: ${error.message}`,
        ),
      ),
    )
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve()))
  })
}

async function untilSignal(): Promise<void> {
  await new Promise<void>((resolve) => {
    // `on`, not `once`: one that is sent twice (to the group and by the parent) must not cut the stopping short.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve())
  })
}
