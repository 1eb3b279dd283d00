// Fifty uploaders at once, flip interval 0: how many files a second, and how much of what the bucket can take arrives.
//
// Puts are counted by the objects that exist afterwards. Counterpart: a bare Worker on the same emulator that gets as
// many requests on as many connections and does, in each, its share of puts of the same sizes. The two take turns.
import { type Bare, startBare } from '../bare.ts'
import type { Figure } from '../figures.ts'
import { mean, percentile } from '../figures.ts'
import { Http } from '../http.ts'
import { inParallel } from '../load.ts'
import type { Context, Scenario } from '../scenario.ts'
import { countPuts, type Puts, putsBetween, type Service, settled, startBench } from '../service.ts'
import { type Distribution, smallWheel } from '../uploads.ts'

const UPLOADERS = 50
const TARGET = 0.7
/** Objects of each kind whose sizes are looked at. */
const SAMPLE = 15
/** No further round begins after this: a busy machine measures fewer files, not for longer. */
const BUDGET_MS = 60_000
/** Ours and the bare Worker take turns, so that both see the same machine. */
const rounds = ({ quick }: Context): number => (quick ? 2 : 5)

interface Share {
  puts: number
  seconds: number
}

interface Load {
  puts: Puts
  seconds: number
  times: number[]
  bare: Share
  /** The bare Worker with digests and conditions. */
  careful: Share
}

export const many: Scenario = {
  name: 'many',
  title: `${UPLOADERS} uploaders at once, flip interval 0`,
  async run(context) {
    const own = await load(context, context.quick ? 6 : 50, (uploader) => `bench-own-${uploader}`)
    const shared = await load(context, context.quick ? 6 : 20, (uploader) => `bench-shared-${uploader % 5}`)
    return [...figuresOf('a project each', own), ...figuresOf('on 5 projects', shared)]
  },
}

async function load(context: Context, perUploader: number, projectOf: (uploader: number) => string): Promise<Load> {
  const perRound = perUploader / rounds(context)
  const until = performance.now() + (context.quick ? 10_000 : BUDGET_MS)
  const service = await startBench()
  const bare = await startBare(UPLOADERS)
  try {
    const wheels = (round: number) =>
      Array.from({ length: UPLOADERS }, (_, uploader) =>
        Array.from({ length: perRound }, (_, i) => smallWheel(projectOf(uploader), `${uploader + 1}.${round}.${i}`)),
      )
    await upload(service, [Array.from({ length: 10 }, (_, i) => smallWheel('bench-warm', `1.${i}`))])
    const start = await countPuts(service)
    const sum: Load = {
      puts: start,
      seconds: 0,
      times: [],
      bare: { puts: 0, seconds: 0 },
      careful: { puts: 0, seconds: 0 },
    }
    for (
      let round = 0, before = start;
      round < rounds(context) && (round === 0 || performance.now() < until);
      round++
    ) {
      const lanes = wheels(round)
      const started = performance.now()
      sum.times.push(...(await upload(service, lanes)))
      await settled(service)
      sum.seconds += (performance.now() - started) / 1000
      const after = await countPuts(service)
      const puts = putsBetween(before, after)
      before = after
      const sizes = await sizesOf(service, puts, lanes[0]![0]!.size)
      add(sum.bare, await bareLoad(bare, puts, sizes, false))
      add(sum.careful, await bareLoad(bare, puts, sizes, true))
    }
    sum.puts = putsBetween(start, await countPuts(service))
    context.note(`${sum.puts.blobs} files in ${sum.seconds.toFixed(1)} s`)
    return sum
  } finally {
    await bare.stop()
    await service.stop()
  }
}

async function upload(service: Service, lanes: readonly (readonly Distribution[])[]): Promise<number[]> {
  const http = new Http(service.url, UPLOADERS)
  const times: number[] = []
  await inParallel(lanes, UPLOADERS, async (files) => {
    for (const file of files) {
      const answer = await http.send(service.upload(file))
      if (answer.status !== 200 && answer.status !== 202)
        throw new Error(`${file.filename} was answered ${answer.status}: ${answer.bytes}`)
      times.push(answer.ms)
    }
  })
  http.close()
  return times
}

/** Sizes of puts in bytes: of every file its blob and METADATA, and of all others. */
interface Sizes {
  each: number[]
  rest: number[]
}

async function sizesOf(service: Service, puts: Puts, blob: number): Promise<Sizes> {
  const meanOf = async (pattern: RegExp) => {
    const keys = puts.keys.filter((key) => pattern.test(key))
    const step = Math.max(1, Math.floor(keys.length / SAMPLE))
    const sizes = await Promise.all(
      keys.filter((_, i) => i % step === 0).map(async (key) => (await service.bucket.get(key))?.length ?? 0),
    )
    return { count: keys.length, size: sizes.length === 0 ? 0 : Math.round(mean(sizes)) }
  }
  const metadata = await meanOf(/\.metadata$/)
  const kinds = await Promise.all([/\/pages\//, /\/tuf\/\d+\.(bin-|index)/, /\.snapshot\.json$/].map(meanOf))
  const rest = [...kinds, { count: puts.timestamp, size: 500 }].flatMap(({ count, size }) =>
    new Array<number>(count).fill(size),
  )
  return { each: [blob, metadata.size], rest }
}

function add(sum: Share, more: Share): void {
  sum.puts += more.puts
  sum.seconds += more.seconds
}

/** The same puts by the bare Worker: a request a file, the puts that files share spread over the requests. */
async function bareLoad(bare: Bare, puts: Puts, sizes: Sizes, careful: boolean): Promise<Share> {
  const files = Array.from({ length: puts.blobs }, () => [sizes.each, [] as number[]])
  for (const [i, size] of sizes.rest.entries()) files[i % files.length]![1]!.push(size)
  const requests = files.map((groups) => groups.filter((group) => group.length > 0))
  // With digests and conditions a third is enough to tell the rate.
  const sent = careful ? requests.slice(0, Math.ceil(requests.length / 3)) : requests
  const started = performance.now()
  await inParallel(sent, UPLOADERS, (groups) => bare.put(groups, careful))
  return { puts: sent.flat(2).length, seconds: (performance.now() - started) / 1000 }
}

function figuresOf(what: string, { puts, seconds, times, bare, careful }: Load): Omit<Figure, 'scenario'>[] {
  const theirs = bare.puts / bare.seconds
  const rate = puts.total / seconds
  return [
    {
      name: `puts, ${what}`,
      value: rate,
      unit: '/s',
      counterpart: { name: 'bare Worker', value: theirs },
      target: { text: `≥ ${TARGET}× of the bare Worker`, met: rate >= TARGET * theirs },
      note: `${puts.total} puts: ${puts.blobs} + ${puts.metadata} files, ${puts.pages} pages, ${puts.roles} roles, ${puts.timestamp} timestamps`,
    },
    {
      name: `puts, ${what}`,
      value: rate,
      unit: '/s',
      counterpart: { name: 'bare Worker with digests and conditions', value: careful.puts / careful.seconds },
    },
    {
      name: `files, ${what}`,
      value: puts.blobs / seconds,
      unit: '/s',
      counterpart: { name: 'bare Worker, 2 puts a file', value: theirs / 2 },
      note: `answered p50 ${percentile(times, 0.5).toFixed(0)} ms, p95 ${percentile(times, 0.95).toFixed(0)} ms`,
    },
    {
      name: `puts a file, ${what}`,
      value: puts.total / puts.blobs,
      unit: '',
      counterpart: { name: 'alone', value: 7 },
      note: `${puts.publications} publications, ${(puts.blobs / puts.publications).toFixed(1)} files each`,
    },
  ]
}
