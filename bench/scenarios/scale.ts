// What a publication costs when the ledger holds 1,000 targets and when it holds 100,000, with the same bins changed:
// one wheel to one project (one bin), and a burst of a wheel to each of 50 projects. Both ledgers are filled with rows
// that are as valid as accepted ones (`seed.ts`); two services run side by side and are asked in turn, so that both see
// the same machine. Processor time is the publisher isolate's, sampled by workerd's own profiler in rounds of their own.
import { type Figure, median } from '../figures.ts'
import { Http } from '../http.ts'
import { Inspector } from '../inspector.ts'
import { inParallel } from '../load.ts'
import { freePort, temporaryFolder } from '../place.ts'
import type { Context, Scenario } from '../scenario.ts'
import { seed, seededProject } from '../seed.ts'
import { type Service, startBench } from '../service.ts'
import { smallWheel } from '../uploads.ts'

const SMALL = 1_000
const LARGE = 100_000
const TARGET = 1.5
const BURST = 50
/** Functions named in the progress: what a slow large ledger spends its time in. */
const NAMED = 8

interface Side {
  targets: number
  service: Service
  http: Http
  inspectorPort: number
  lone: number[]
  burst: number[]
}

export const scale: Scenario = {
  name: 'scale',
  title: `publications over ${SMALL} and over ${LARGE} targets, the same bins changed`,
  async run(context) {
    const places = [temporaryFolder(), temporaryFolder()]
    const sides: Side[] = []
    try {
      for (const [i, targets] of [SMALL, LARGE].entries()) sides.push(await side(context, places[i]!.path, targets))
      return await measure(context, sides)
    } finally {
      for (const { http, service } of sides) {
        http.close()
        await service.stop()
      }
      for (const place of places) place.remove()
    }
  },
}

async function side(context: Context, folder: string, targets: number): Promise<Side> {
  const first = await startBench({ folder })
  await first.stop()
  const started = performance.now()
  await seed(folder, targets)
  context.note(`${targets} targets seeded in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  const inspectorPort = await freePort()
  const service = await startBench({ folder, inspectorPort })
  return { targets, service, http: new Http(service.url, BURST), inspectorPort, lone: [], burst: [] }
}

async function measure(context: Context, sides: Side[]): Promise<Omit<Figure, 'scenario'>[]> {
  const lones = context.quick ? 12 : 40
  const bursts = context.quick ? 2 : 5
  let version = 1
  // Two rounds to warm up; then one upload here, one there.
  for (let i = -2; i < lones; i++, version++)
    for (const side of sides) {
      const ms = await upload(side, (i + 2) % (SMALL / 10), `2.${version}`)
      if (i >= 0) side.lone.push(ms)
    }
  for (let i = -1; i < bursts; i++, version++)
    for (const side of sides) {
      const started = performance.now()
      await wave(side, `3.${version}`)
      if (i >= 0) side.burst.push(performance.now() - started)
    }
  const cpu: { lone: number; burst: number }[] = []
  for (const side of sides) {
    const lone = await profile(context, side, lones, 'an upload', (i) => upload(side, i, `4.${i}`))
    const burst = await profile(context, side, bursts, `${BURST} uploads`, (i) => wave(side, `5.${i}`))
    cpu.push({ lone, burst })
  }
  const [small, large] = sides as [Side, Side]
  const compared = (name: string, ours: number, theirs: number, judged: boolean): Omit<Figure, 'scenario'> => ({
    name,
    value: ours,
    unit: 'ms',
    counterpart: { name: `${SMALL} targets`, value: theirs },
    ...(judged ? { target: { text: `≤ ${TARGET}×`, met: ours <= TARGET * theirs } } : {}),
  })
  return [
    compared(`upload → visible over ${LARGE} targets, 1 bin, p50`, median(large.lone), median(small.lone), true),
    compared(`${BURST} uploads at once over ${LARGE} targets, p50`, median(large.burst), median(small.burst), true),
    compared(`processor time of the publisher, 1 bin, mean`, cpu[1]!.lone, cpu[0]!.lone, false),
    compared(`processor time of the publisher, ${BURST} uploads, mean`, cpu[1]!.burst, cpu[0]!.burst, false),
  ]
}

async function upload({ service, http }: Side, project: number, version: string): Promise<number> {
  const answer = await http.send(service.upload(smallWheel(seededProject(project), version)))
  if (answer.status !== 200) throw new Error(`The upload was answered ${answer.status}: ${answer.bytes}`)
  return answer.ms
}

/** Milliseconds of processor time of the publisher each time. */
async function profile(
  context: Context,
  { targets, inspectorPort }: Side,
  times: number,
  what: string,
  work: (i: number) => Promise<unknown>,
): Promise<number> {
  const inspector = await Inspector.open(inspectorPort, 'tuf-edge-publisher')
  const { busyMs, functions } = await inspector.profile(async () => {
    for (let i = 0; i < times; i++) await work(i)
  })
  inspector.close()
  const named = functions.slice(0, NAMED).map(({ name, ms }) => `${name} ${(ms / times).toFixed(2)}`)
  context.note(`${targets} targets, publisher ms for ${what}: ${named.join(', ')}`)
  return busyMs / times
}

async function wave(side: Side, version: string): Promise<void> {
  const projects = Array.from({ length: BURST }, (_, i) => i)
  await inParallel(projects, BURST, (project) => upload(side, project, version))
}
