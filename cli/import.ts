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
import { type FileThere, ImportTarget } from './import-target.ts'
import { inLanes } from './lanes.ts'
import { Progress } from './progress.ts'
import { CommandError, say } from './terminal.ts'
import { persist, Silence, sendForm } from './upload-form.ts'
import { sendParts } from './upload-parts.ts'

export const IMPORT_HELP = `tuf-edge import SOURCE [--url URL] [--project NAME]… [--keep-times] [--keep-yanks]
                [--token-file FILE] [--json]

Brings wheels and sdists into an index: those below a folder, or those another index lists. SOURCE is a folder, or the
address of a simple page: https://pypi.example.org/simple/, or devpi's https://devpi.example.org/user/index/+simple/.
Digests of the source are compared, upload dates and yanks are kept, every file is checked as an upload is. Run it again
after it was cut short: it goes on with what is missing. Names every file that was refused, and exits 1 if there is one.

Run it again later and it brings what is new, and yanks or un-yanks what the other index has yanked or un-yanked since, also
where the yank was made here. What the source says nothing about, it leaves alone: no file is deleted here because the source
deleted it, and one that was deleted here is refused, because its name is never given again.

  --url URL          the index to fill (${DEFAULT_URL})
  --project NAME     of another index, this project only; may be repeated
  --keep-times       of a folder, the time of last change counts as the upload date
  --keep-yanks       files that are here already stay as they are, yanked or not
  --token-file FILE  file with a token of the scopes upload, create, yank and admin; else from the variable TUF_EDGE_TOKEN
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
  /** There before, and yanked because the source says so now. */
  yanked: { file: string; reason?: string }[]
  /** There before and yanked, and no longer. */
  unyanked: string[]
  refused: { file: string; why: string }[]
}

export interface ImportOptions {
  base: string
  token: string
  source: AsyncIterable<SourceFile>
  report: ImportReport
  /** Files that are there keep the yank they have or have not. */
  keepYanks?: boolean
  progress?: Progress
}

export const emptyReport = (): ImportReport => ({
  ...{ found: 0, there: 0, imported: 0, importedBytes: 0, unchecked: 0 },
  ...{ yanked: [], unyanked: [], refused: [] },
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
      'keep-yanks': { type: 'boolean' },
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
  await importAll({ base, token, source, report, keepYanks: values['keep-yanks'] === true })
  if (report.refused.length > 0) process.exitCode = 1
  if (values.json) {
    say(JSON.stringify(report, undefined, 2))
    return
  }
  const { found, there, imported, importedBytes, unchecked, yanked, unyanked, refused } = report
  for (const { file, why } of refused) say(`refused ${file}: ${why}`)
  say(`${found} files: ${imported} imported (${importedBytes} bytes), ${there} there before, ${refused.length} refused`)
  for (const { file, reason } of yanked) say(`  yanked ${file}${reason === undefined ? '' : `: ${reason}`}`)
  for (const file of unyanked) say(`  no longer yanked: ${file}`)
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
  const { base, token, source, report, keepYanks = false, progress = new Progress() } = options
  const target = new ImportTarget(base, token)
  const folder = mkdtempSync(join(tmpdir(), 'tuf-edge-import-'))
  let names = 0
  try {
    await inLanes(source, async (file) => {
      report.found++
      progress.show('imported', report.imported + report.there, undefined, report.importedBytes, file.filename)
      const into = join(folder, String(names++))
      try {
        const there = await importOne(file, into, target, { base, token }, report)
        if (there && !keepYanks) await followYank(file, there, target, report, progress)
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

/** @returns the file, if it was there before */
async function importOne(
  source: SourceFile,
  into: string,
  target: ImportTarget,
  index: { base: string; token: string },
  report: ImportReport,
): Promise<FileThere | undefined> {
  const file = parseFilename(source.filename)
  const there = await target.has(file.project, file.filename)
  const isThere = (sha256: string): boolean => {
    if (there !== undefined && there.sha256 !== sha256) throw new Refusal(otherBytes(there.sha256))
    if (there !== undefined) report.there++
    return there !== undefined
  }
  if (there !== undefined && source.sha256 !== undefined && isThere(source.sha256)) return there
  const taken = await source.take(into)
  const digested = await digestFile(taken.path)
  if (isThere(digested.sha256)) return there
  const form = { ...formFileOf(taken.path, file, digested), ...said(source, taken) }
  if (digested.size > FILE_BYTES_MAX) await sendParts({ ...form, path: taken.path }, index)
  else await persist(() => sendForm(form, { ...index, wait: false }))
  target.await(file.project, file.filename, digested.sha256)
  report.imported++
  report.importedBytes += digested.size
  if (!taken.checked) report.unchecked++
  return undefined
}

/** Has the file here yanked as the source has it, if the source says anything about it. */
async function followYank(
  { filename, yanked }: SourceFile,
  there: FileThere,
  target: ImportTarget,
  report: ImportReport,
  progress: Progress,
): Promise<void> {
  if (yanked === undefined || yanked === there.yanked) return
  progress.show(yanked === false ? 'un-yanking' : 'yanking', report.there, undefined, 0, filename)
  await target.yank(parseFilename(filename).project, filename, yanked)
  if (yanked === false) report.unyanked.push(filename)
  else report.yanked.push({ file: filename, ...(yanked === true ? {} : { reason: yanked }) })
}

const otherBytes = (sha256: string): string => `The index has a file of that name with other bytes, sha256 ${sha256}.`

const said = ({ yanked = false }: SourceFile, { uploadTime }: TakenFile) => ({
  ...(yanked === false ? {} : { yanked }),
  // Other indexes write other forms of a date; one that is none is the index's to refuse.
  ...(uploadTime === undefined ? {} : { uploadTime: isoTime(uploadTime) }),
})

const isoTime = (text: string): string => {
  const time = Date.parse(text)
  return Number.isFinite(time) ? new Date(time).toISOString() : text
}

/** A token that is none, or an index that is gone (0: no answer), is the same for every file. */
const endsAll = (error: unknown): boolean =>
  error instanceof Silence || (error instanceof ApiError && [0, 401, 503].includes(error.status))
