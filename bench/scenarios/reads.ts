// Reads as pip and uv make them, eight connections, one kind of request at a time, each for a few seconds: a project's
// page (10 and 1,000 files), the same answered 304, a small wheel, the timestamp. Every server alone on the machine.
//
// Bucket reads cannot be counted from outside; that a warm page costs one (the timestamp) and a 304 reads no page is
// asserted by the tests of the face, which count the calls of a wrapped bucket.
import type { Figure } from '../figures.ts'
import { Http, type Send } from '../http.ts'
import { type Hammered, hammer, inParallel } from '../load.ts'
import { withPeers } from '../peers/peer.ts'
import type { Context, Scenario } from '../scenario.ts'
import { startBench } from '../service.ts'
import { type Distribution, smallWheel } from '../uploads.ts'

const CONNECTIONS = 8
const JSON_PAGE = 'application/vnd.pypi.simple.v1+json'
const SMALL = 'bench-ten'
const LARGE = 'bench-thousand'

type Kind = 'page, 10 files' | 'page, 10 files, 304' | 'page, 1,000 files' | 'wheel of 2 kB' | '/tuf/timestamp.json'
type Reads = Map<Kind, Hammered>

export const reads: Scenario = {
  name: 'reads',
  title: `reads on ${CONNECTIONS} connections`,
  async run(context) {
    const ten = Array.from({ length: 10 }, (_, i) => smallWheel(SMALL, `1.${i}`))
    const thousand = Array.from({ length: context.quick ? 0 : 1_000 }, (_, i) => smallWheel(LARGE, `1.${i}`))
    const ours = await ourReads(context, ten, thousand)
    const peers: [string, Reads][] = []
    await withPeers(context, async (peer) => {
      const http = new Http(peer.url, CONNECTIONS)
      const upload = async (file: Distribution) => {
        const answer = await http.send(peer.upload(file))
        if (answer.status !== 200) throw new Error(`${peer.name} answered ${answer.status}: ${answer.bytes}`)
      }
      for (const file of ten) await upload(file)
      // devpi took 14 minutes for a thousand files of one project: its large page is not measured.
      const large = peer.largeProjects ? thousand : []
      for (const file of large) await upload(file)
      const found: Reads = new Map()
      found.set('page, 10 files', await repeat(context, http, { method: 'GET', path: peer.page(SMALL) }))
      if (large.length > 0)
        found.set('page, 1,000 files', await repeat(context, http, { method: 'GET', path: peer.page(LARGE) }))
      const page = await http.get(peer.page(SMALL))
      const href = /href="([^"#]+\.whl)/.exec(page.bytes.toString())?.[1]
      if (href === undefined) throw new Error(`${peer.name} lists no wheel.`)
      const path = new URL(href, `${peer.url}${peer.page(SMALL)}`).pathname
      found.set('wheel of 2 kB', await repeat(context, http, { method: 'GET', path }))
      http.close()
      peers.push([peer.name, found])
    })
    return [...ours].flatMap(([kind, { perSecond, p50, p99 }]) => figuresOf(kind, perSecond, p50, p99, ours, peers))
  },
}

async function ourReads(context: Context, ten: Distribution[], thousand: Distribution[]): Promise<Reads> {
  const service = await startBench()
  try {
    const http = new Http(service.url, CONNECTIONS)
    const uploaders = new Http(service.url, 50)
    await inParallel([...ten, ...thousand], 50, async (file) => {
      const answer = await uploaders.send(service.upload(file))
      if (answer.status !== 200 && answer.status !== 202) throw new Error(`${answer.status}: ${answer.bytes}`)
    })
    uploaders.close()
    const headers = { Accept: JSON_PAGE }
    const path = `/simple/${SMALL}/`
    const page = await http.get(path, headers)
    const { files } = JSON.parse(page.bytes.toString()) as { files: { url: string }[] }
    const wheel = new URL(files[0]!.url, `${service.url}${path}`).pathname
    const found: Reads = new Map()
    found.set('page, 10 files', await repeat(context, http, { method: 'GET', path, headers }))
    const conditional = { ...headers, 'If-None-Match': String(page.headers.etag) }
    found.set('page, 10 files, 304', await repeat(context, http, { method: 'GET', path, headers: conditional }, 304))
    if (thousand.length > 0) {
      const large: Send = { method: 'GET', path: `/simple/${LARGE}/`, headers }
      found.set('page, 1,000 files', await repeat(context, http, large))
    }
    found.set('wheel of 2 kB', await repeat(context, http, { method: 'GET', path: wheel }))
    found.set('/tuf/timestamp.json', await repeat(context, http, { method: 'GET', path: '/tuf/timestamp.json' }))
    http.close()
    return found
  } finally {
    await service.stop()
  }
}

/** Once to warm up, then for real. */
async function repeat({ quick }: Context, http: Http, send: Send, status = 200): Promise<Hammered> {
  await hammer(http, send, status, { connections: CONNECTIONS, ms: quick ? 150 : 500 })
  return hammer(http, send, status, { connections: CONNECTIONS, ms: quick ? 800 : 3_000 })
}

function figuresOf(
  kind: Kind,
  perSecond: number,
  p50: number,
  p99: number,
  ours: Reads,
  peers: readonly (readonly [string, Reads])[],
): Omit<Figure, 'scenario'>[] {
  const note = `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
  const base = { name: kind, value: perSecond, unit: '/s' }
  const beside = peers.flatMap(([name, found]): Omit<Figure, 'scenario'>[] => {
    const theirs = found.get(kind)
    if (!theirs) return []
    const both = `${note}; theirs p50 ${theirs.p50.toFixed(1)} ms, p99 ${theirs.p99.toFixed(1)} ms`
    return [{ ...base, counterpart: { name, value: theirs.perSecond }, note: both }]
  })
  if (beside.length > 0) return beside
  const page = ours.get('page, 10 files')!
  const counterpart =
    kind === 'page, 10 files' ? {} : { counterpart: { name: 'page, 10 files', value: page.perSecond } }
  return [{ ...base, ...counterpart, note }]
}
