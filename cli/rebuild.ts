// `tuf-edge rebuild`: fills a lost or damaged bucket again, batch after batch. It may be interrupted and repeated: what is
// there and right is left alone.
import { parseArgs } from 'node:util'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, mustHaveToken, parseUrl } from './caller.ts'
import { note, say } from './terminal.ts'

export const REBUILD_HELP = `tuf-edge rebuild [--url URL] [--json]

Puts the index's metadata and pages back into a bucket that lost or damaged them, byte for byte from the ledger, and
names the files whose bytes are missing: those have to be put back from a copy. Exits 1 if any are.
Takes a token with the scope admin; if the bucket is empty, the bootstrap secret in its place.

${CALLER_HELP}

Examples
  tuf-edge rebuild
  tuf-edge rebuild --token-file admin.token --json
`

interface Batch {
  checked: number
  total: number
  restored: string[]
  replaced: string[]
  missing: { key: string; why: string }[]
  cursor?: string
}

export async function rebuildCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: CALLER_OPTIONS })
  if (values.help) {
    say(REBUILD_HELP)
    return
  }
  const token = mustHaveToken(values['token-file'])
  const url = parseUrl(values.url)
  const report = {
    checked: 0,
    restored: [] as string[],
    replaced: [] as string[],
    missing: [] as { key: string; why: string }[],
  }
  let cursor: string | undefined
  do {
    const body = cursor === undefined ? {} : { cursor }
    const batch: Batch = await callApi<Batch>(url, 'POST', '/api/rebuild', { token, body })
    report.checked += batch.checked
    report.restored.push(...batch.restored)
    report.replaced.push(...batch.replaced)
    report.missing.push(...batch.missing)
    note(`checked ${report.checked} of ${batch.total}`)
    cursor = batch.cursor
  } while (cursor !== undefined)
  if (report.missing.length > 0) process.exitCode = 1
  if (values.json) {
    say(JSON.stringify(report, undefined, 2))
    return
  }
  for (const key of report.replaced) say(`replaced ${key}`)
  for (const { key, why } of report.missing) say(`missing ${key}: ${why}`)
  say(`${report.restored.length} restored, ${report.replaced.length} replaced, ${report.missing.length} missing`)
}
