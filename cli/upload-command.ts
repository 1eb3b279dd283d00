// `tuf-edge upload`: wheels and sdists, as twine sends them. State: what was said of each file. Invariant: nothing is sent
// before every file was read and judged as the index will judge it, so a release with a broken wheel is not half published.
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { FILE_BYTES_MAX } from '../pypi/limits.ts'
import { Refusal } from '../pypi/refusal.ts'
import { ApiError } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl } from './caller.ts'
import { type Distribution, formFileOf, readDistribution } from './distribution.ts'
import { messageOf } from './import-sources.ts'
import { inLanes } from './lanes.ts'
import { Progress } from './progress.ts'
import { CommandError, note, say } from './terminal.ts'
import { persist, sendForm } from './upload-form.ts'
import { sendParts } from './upload-parts.ts'

export const UPLOAD_HELP = `tuf-edge upload FILE… [--url URL] [--token-file FILE] [--json]

Uploads wheels and sdists. Each is checked here as the index checks it before any is sent; files of one release are sent
together and share a publication. One that is too large for a single request goes in parts, up to 1 GiB; cut short, it goes
on where it was when the command is repeated. What is there already, byte for byte, is a success. Exits 1 if one was refused.

${CALLER_HELP}

Examples
  tuf-edge upload dist/*
  tuf-edge upload dist/sample-1.0-py3-none-any.whl --url https://pypi.example.org --token-file upload-token
`

/** A person waits: a broken line is mended in seconds, or it is worth saying so. */
const TRIES = 5

interface Uploaded {
  file: string
  sha256: string
  /** Bytes. */
  size: number
  /** Visible now; else stored for good and soon to be seen; absent: refused. */
  visible?: boolean
  warnings: string[]
  refused?: string
}

export async function uploadCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: CALLER_OPTIONS })
  if (values.help) {
    say(UPLOAD_HELP)
    return
  }
  if (positionals.length === 0) throw new CommandError('upload wants the names of files.', 2)
  const target = { base: parseUrl(values.url), token: mustHaveToken(values['token-file']) }
  const files: Distribution[] = []
  for (const path of positionals) files.push(await readOne(path))
  const answers = await uploadAll(files, target)
  if (answers.some(({ refused }) => refused !== undefined)) process.exitCode = 1
  if (values.json) {
    say(JSON.stringify(answers, undefined, 2))
    return
  }
  for (const { file, refused, visible, warnings } of answers) {
    say(
      refused === undefined
        ? `${file}: ${visible ? 'published' : 'stored, and soon to be seen'}`
        : `refused ${file}: ${refused}`,
    )
    for (const warning of warnings) note(`  ${warning}`)
  }
}

async function readOne(path: string): Promise<Distribution> {
  try {
    return await readDistribution(path)
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (missing) throw new CommandError(`There is no file ${path}. Nothing was uploaded.`)
    if (error instanceof Refusal) throw new CommandError(`${basename(path)}: ${error.message} Nothing was uploaded.`)
    throw error
  }
}

async function uploadAll(
  files: readonly Distribution[],
  target: { base: string; token: string },
  progress = new Progress(),
): Promise<Uploaded[]> {
  const answers: Uploaded[] = []
  let [sent, done] = [0, 0]
  try {
    await inLanes(files, async ({ path, file, metadata, ...digested }) => {
      const answer: Uploaded = { file: file.filename, ...digested, warnings: [] }
      answers.push(answer)
      const show = (bytes: number) => {
        sent += bytes
        progress.show('uploaded', done, files.length, sent, file.filename)
      }
      try {
        const form = { ...formFileOf(path, file, digested), metadata }
        Object.assign(
          answer,
          await (digested.size > FILE_BYTES_MAX
            ? sendParts({ path, filename: file.filename, ...digested }, { ...target, sent: show }, TRIES)
            : persist(() => sendForm(form, { ...target, sent: show }), TRIES)),
        )
      } catch (error) {
        // One token for all: if it is none, nothing else will be taken.
        if (!(error instanceof ApiError) || error.status === 401) throw error
        answer.refused = messageOf(error)
      }
      done++
    })
  } finally {
    progress.end()
  }
  return answers
}
