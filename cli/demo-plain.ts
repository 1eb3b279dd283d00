// Installing without TUF where there is no Python: it believes what pip believes, the page that the index answers and the
// digests on it, and nothing more.
import { createHash } from 'node:crypto'
import { parseProjectJson } from '../pypi/simple.ts'
import { shardOf } from '../tuf/bins.ts'
import type { Installer } from './demo-python.ts'
import { chooseFile } from './fetch.ts'

export const plainFetch: Installer = {
  name: 'a plain download',
  async install({ url }, { project, bytes: genuine }) {
    const pageUrl = `${url}/simple/${project}/`
    const page = await get(pageUrl, 'application/vnd.pypi.simple.v1+json')
    if (page.status !== 200) return refusal(page)
    const file = chooseFile(parseProjectJson(page.bytes, project, shardOf(project)))
    if (!file) return { verdict: 'failed', detail: 'the page has no file' }
    const folder = `../../files/${shardOf(project)}/${project}/`
    const answer = await get(new URL(folder + file.filename, pageUrl).href, '*/*')
    if (answer.status !== 200) return refusal(answer)
    if (createHash('sha256').update(answer.bytes).digest('hex') !== file.sha256)
      return { verdict: 'refused by the client', detail: 'the file does not have the digest that the page states' }
    return Buffer.compare(answer.bytes, genuine) === 0
      ? { verdict: 'genuine', detail: `${file.filename}, as published` }
      : { verdict: 'altered', detail: `it took ${file.filename} with other bytes than were published` }
  },
}

interface Got {
  status: number
  bytes: Uint8Array
}

async function get(url: string, accept: string): Promise<Got> {
  const response = await fetch(url, { headers: { accept } })
  return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) }
}

const refusal = ({ status, bytes }: Got) => ({
  verdict: status === 503 ? ('refused by the service' as const) : ('failed' as const),
  detail: `the index said ${status} ${new TextDecoder().decode(bytes).trim()}`,
})
