// One uploader, one small wheel after the other: how long until the upload is answered 200, until a page read shows the
// file, and until a TUF client that knows only the root has verified it. The clock starts with the upload's first byte.
//
// Counterparts: the bare Worker doing the same seven puts in the same order, and the peers' uploads.
import { startBare } from '../bare.ts'
import { type Figure, median, percentile } from '../figures.ts'
import { Http } from '../http.ts'
import { withPeers } from '../peers/peer.ts'
import type { Context, Scenario } from '../scenario.ts'
import { countPuts, putsBetween, type Service, startBench } from '../service.ts'
import { freshDownload } from '../tuf-client.ts'
import { type Distribution, smallWheel } from '../uploads.ts'

const TARGET_MS = 500
const JSON_PAGE = 'application/vnd.pypi.simple.v1+json'

interface Times {
  answered: number[]
  page: number[]
  tuf: number[]
  /** The TUF client alone, from its first request. */
  client: number[]
}

export const lone: Scenario = {
  name: 'lone',
  title: 'one uploader, small wheels one after the other',
  async run(context) {
    const count = context.quick ? 15 : 60
    const files = Array.from({ length: count }, (_, i) => smallWheel('bench-lone', `1.${i}`))
    const fresh = Array.from({ length: count }, (_, i) => smallWheel(`bench-lone-${i}`, '1.0'))
    const service = await startBench()
    let known: Times
    let made: Times
    let putsEach: number
    try {
      // The first uploads pay for compiling; nobody's second upload does.
      for (const version of ['0.1', '0.2', '0.3']) await uploadAll(service, [smallWheel('bench-lone', version)])
      const before = await countPuts(service)
      known = await uploadAll(service, files)
      putsEach = putsBetween(before, await countPuts(service)).total / count
      made = await uploadAll(service, fresh)
    } finally {
      await service.stop()
    }
    const bare = await barePuts(count, files[0]!.size)
    const figures: Omit<Figure, 'scenario'>[] = [
      {
        name: 'upload answered 200, p50',
        value: median(known.answered),
        unit: 'ms',
        counterpart: { name: 'bare Worker, the same 7 puts', value: median(bare) },
        target: target(median(known.answered)),
        note: `p95 ${percentile(known.answered, 0.95).toFixed(0)} ms, ${putsEach.toFixed(1)} puts each`,
      },
      visible('visible on the page, p50', known.page, known.answered),
      {
        ...visible('verified by a fresh TUF client, p50', known.tuf, known.answered),
        note: `p95 ${percentile(known.tuf, 0.95).toFixed(0)} ms, the client alone ${median(known.client).toFixed(0)} ms`,
      },
      {
        name: 'upload of a new project, p50',
        value: median(made.answered),
        unit: 'ms',
        counterpart: { name: 'to a known project', value: median(known.answered) },
        target: target(median(made.tuf), 'to TUF p50'),
        note: `p95 ${percentile(made.answered, 0.95).toFixed(0)} ms, to TUF p50 ${median(made.tuf).toFixed(0)} ms`,
      },
    ]
    figures.push(...(await peerUploads(context, files, median(known.answered))))
    return figures
  },
}

const target = (ms: number, what = 'p50') => ({ text: `${what} ≤ ${TARGET_MS} ms`, met: ms <= TARGET_MS })

function visible(name: string, times: number[], answered: number[]): Omit<Figure, 'scenario'> {
  return {
    name,
    value: median(times),
    unit: 'ms',
    counterpart: { name: 'answered', value: median(answered) },
    target: target(median(times)),
    note: `p95 ${percentile(times, 0.95).toFixed(0)} ms`,
  }
}

/** Uploads one file after the other; each is looked for on its page and through TUF before the next. */
async function uploadAll(service: Service, files: readonly Distribution[]): Promise<Times> {
  const http = new Http(service.url, 1)
  const times: Times = { answered: [], page: [], tuf: [], client: [] }
  for (const file of files) {
    const started = performance.now()
    const answer = await http.send(service.upload(file))
    if (answer.status !== 200) throw new Error(`The upload was answered ${answer.status}: ${answer.bytes}`)
    times.answered.push(performance.now() - started)
    const page = await http.get(`/simple/${file.project}/`, { Accept: JSON_PAGE })
    const listed = (JSON.parse(page.bytes.toString()) as { files: { filename: string; url: string }[] }).files.find(
      ({ filename }) => filename === file.filename,
    )
    if (!listed) throw new Error(`${file.filename} was answered 200 and is not on its page.`)
    times.page.push(performance.now() - started)
    const url = new URL(listed.url, `${service.url}/simple/${file.project}/`)
    times.client.push(await freshDownload(service.url, service.root, url.pathname.slice(1)))
    times.tuf.push(performance.now() - started)
  }
  http.close()
  return times
}

/** What an upload puts: blob and METADATA; two pages and a bin; the snapshot; the timestamp. Sizes of a small index. */
async function barePuts(count: number, size: number): Promise<number[]> {
  const bare = await startBare(1)
  try {
    const groups = [[size, 150], [2_000, 2_000, 2_000], [30_000], [500]]
    for (let i = 0; i < 3; i++) await bare.put(groups)
    const times: number[] = []
    for (let i = 0; i < count; i++) times.push(await bare.put(groups))
    return times
  } finally {
    await bare.stop()
  }
}

async function peerUploads(
  context: Context,
  files: readonly Distribution[],
  ours: number,
): Promise<Omit<Figure, 'scenario'>[]> {
  const figures: Omit<Figure, 'scenario'>[] = []
  await withPeers(context, async (peer) => {
    const http = new Http(peer.url, 1)
    const times: number[] = []
    for (const file of files) {
      const answer = await http.send(peer.upload(file))
      if (answer.status !== 200) throw new Error(`${peer.name} answered ${answer.status}: ${answer.bytes}`)
      times.push(answer.ms)
    }
    http.close()
    figures.push({
      name: 'upload answered 200, p50',
      value: ours,
      unit: 'ms',
      counterpart: { name: peer.name, value: median(times) },
      note: `theirs p95 ${percentile(times, 0.95).toFixed(0)} ms`,
    })
  })
  return figures
}
