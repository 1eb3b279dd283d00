// `tuf-edge import`: brings the files of a folder or of another index into this one, through the public API. State: the
// report. It may be killed at any moment and run again: what is there already is known by its digest, and what was sent
// twice is one file, because the index knows a file by name and digest.
//
// Uploads do not wait for their publication (`Prefer: respond-async`), so everything staged meanwhile shares the next one;
// at the end it waits until all of it is on the pages. Requests: 1 page a project before and 1 or more after, 1 a new file.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseFilename } from '../pypi/filenames.ts'
import { FILE_BYTES_MAX } from '../pypi/limits.ts'
import { Refusal } from '../pypi/refusal.ts'
import { ApiError } from './api.ts'
import { DEFAULT_URL, mustHaveToken, parseUrl } from './caller.ts'
import { digestFile, formFileOf } from './distribution.ts'
import { folderSource, indexSource, messageOf, type SourceFile, type TakenFile } from './import-sources.ts'
import { ImportTarget } from './import-target.ts'
import { inLanes } from './lanes.ts'
import { Progress } from './progress.ts'
import { CommandError, say } from './terminal.ts'
import { persist, Silence, sendForm } from './upload-form.ts'
import { sendParts } from './upload-parts.ts'

export const IMPORT_HELP = `tuf-edge import SOURCE [--url URL] [--project NAME]… [--keep-times] [--token-file FILE] [--json]

Brings wheels and sdists into an index: those below a folder, or those another index lists. SOURCE is a folder, or the
address of a simple page: https://pypi.example.org/simple/, or devpi's https://devpi.example.org/user/index/+simple/.
Digests of the source are compared, upload dates and yanks are kept, every file is checked as an upload is. Run it again
after it was cut short: it goes on with what is missing. Names every file that was refused, and exits 1 if there is one.

  --url URL          the index to fill (${DEFAULT_URL})
  --project NAME     of another index, this project only; may be repeated
  --keep-times       of a folder, the time of last change counts as the upload date
  --token-file FILE  file with a token of the scopes upload, create and admin; else from the variable TUF_EDGE_TOKEN
  --json             what was done as JSON

If SOURCE wants a user and a password, they are taken from TUF_EDGE_SOURCE_AUTH as user:password.

Examples
  tuf-edge import /srv/packages --keep-times
  tuf-edge import https://devpi.example.org/team/stable/+simple/ --url https://pypi.example.org
`

export interface ImportReport {
  /** Files the source has. */
  found: number
  /** There before, byte for byte. */
  there: number
  imported: number
  importedBytes: number
  /** Of those imported: the source names no digest, so nothing could be compared. */
  unchecked: number
  refused: { file: string; why: string }[]
}

export interface ImportOptions {
  base: string
  token: string
  source: AsyncIterable<SourceFile>
  report: ImportReport
  progress?: Progress
}

export const emptyReport = (): ImportReport => ({
  ...{ found: 0, there: 0, imported: 0, importedBytes: 0, unchecked: 0 },
  refused: [],
})

export async function importCommand(args: string[]): Promise<void> {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      url: text,
      'token-file': text,
      project: { type: 'string', multiple: true },
      'keep-times': { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say(IMPORT_HELP)
    return
  }
  const [where, ...more] = positionals
  if (where === undefined || more.length > 0) throw new CommandError('import wants one folder or one URL.', 2)
  const base = parseUrl(values.url)
  const token = mustHaveToken(values['token-file'])
  const report = emptyReport()
  const source = sourceOf(where, values.project ?? [], values['keep-times'] === true, report)
  await importAll({ base, token, source, report })
  if (report.refused.length > 0) process.exitCode = 1
  if (values.json) {
    say(JSON.stringify(report, undefined, 2))
    return
  }
  const { found, there, imported, importedBytes, unchecked, refused } = report
  for (const { file, why } of refused) say(`refused ${file}: ${why}`)
  say(`${found} files: ${imported} imported (${importedBytes} bytes), ${there} there before, ${refused.length} refused`)
  if (unchecked > 0) say(`  ${unchecked} without a digest to compare: the source names none`)
}

function sourceOf(
  where: string,
  projects: string[],
  keepTimes: boolean,
  report: ImportReport,
): AsyncIterable<SourceFile> {
  if (!/^https?:\/\//i.test(where)) {
    if (projects.length > 0) throw new CommandError('--project chooses from another index, not from a folder.', 2)
    if (statSync(where, { throwIfNoEntry: false })?.isDirectory()) return folderSource(where, { keepTimes })
    throw new CommandError(`${where} is neither a folder nor an http address.`)
  }
  if (!URL.canParse(where)) throw new CommandError(`'${where}' is not a URL.`, 2)
  const { username, password } = new URL(where)
  if (username !== '' || password !== '')
    throw new CommandError(
      'A password in the address stands in process lists: put user:password into TUF_EDGE_SOURCE_AUTH.',
      2,
    )
  if (keepTimes) throw new CommandError('--keep-times is for folders: an index says its own dates.', 2)
  const login = process.env.TUF_EDGE_SOURCE_AUTH
  return indexSource(where, {
    projects,
    unreadable: (project, why) => report.refused.push({ file: `${project} (the whole project)`, why }),
    ...(login ? { authorization: `Basic ${Buffer.from(login).toString('base64')}` } : {}),
  })
}

/** Imports everything; what is refused is in the report and ends nothing. @throws ApiError when no file can succeed */
export async function importAll(options: ImportOptions): Promise<void> {
  const { base, token, source, report, progress = new Progress() } = options
  const target = new ImportTarget(base, token)
  const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-import-'))
  let names = 0
  try {
    await inLanes(source, async (file) => {
      report.found++
      progress.show('imported', report.imported + report.there, undefined, report.importedBytes, file.filename)
      const into = join(folder, String(names++))
      try {
        await importOne(file, into, target, { base, token }, report)
      } catch (error) {
        if (endsAll(error)) throw error
        report.refused.push({ file: file.filename, why: messageOf(error) })
      } finally {
        rmSync(into, { force: true })
      }
    })
    const unseen = await target.settle((left) => progress.show('waiting for', left, undefined, 0, 'files to appear'))
    for (const file of unseen) report.refused.push({ file, why: 'It was accepted and is not on its page yet.' })
  } finally {
    progress.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function importOne(
  source: SourceFile,
  into: string,
  target: ImportTarget,
  index: { base: string; token: string },
  report: ImportReport,
): Promise<void> {
  const file = parseFilename(source.filename)
  const there = await target.has(file.project, file.filename)
  if (there !== undefined && source.sha256 !== undefined) {
    if (there === source.sha256) report.there++
    else throw new Refusal(otherBytes(there))
    return
  }
  const taken = await source.take(into)
  const digested = await digestFile(taken.path)
  if (there !== undefined && there !== digested.sha256) throw new Refusal(otherBytes(there))
  if (there !== undefined) {
    report.there++
    return
  }
  const form = { ...formFileOf(taken.path, file, digested), ...said(source, taken) }
  if (digested.size > FILE_BYTES_MAX) await sendParts({ ...form, path: taken.path }, index)
  else await persist(() => sendForm(form, { ...index, wait: false }))
  target.await(file.project, file.filename, digested.sha256)
  report.imported++
  report.importedBytes += digested.size
  if (!taken.checked) report.unchecked++
}

const otherBytes = (sha256: string): string => `The index has a file of that name with other bytes, sha256 ${sha256}.`

const said = ({ yanked }: SourceFile, { uploadTime }: TakenFile) => ({
  ...(yanked === false ? {} : { yanked: yanked === true ? true : yanked.slice(0, 500).replace(/\p{Cc}+/gu, ' ') }),
  // Other indexes write other forms of a date; one that is none is the index's to refuse.
  ...(uploadTime === undefined ? {} : { uploadTime: isoTime(uploadTime) }),
})

const isoTime = (text: string): string => {
  const time = Date.parse(text)
  return Number.isFinite(time) ? new Date(time).toISOString() : text
}

/** A token that is none, or an index that is gone, is the same for every file. */
const endsAll = (error: unknown): boolean =>
  error instanceof Silence || (error instanceof ApiError && [401, 503].includes(error.status))
