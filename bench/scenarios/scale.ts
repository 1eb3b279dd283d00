// What a publication costs when the ledger holds 1,000 targets and when it holds 100,000, with the same bins changed:
// one wheel to one project (one bin), and a burst of a wheel to each of 50 projects. Both ledgers are filled with rows
// that are as valid as accepted ones (`seed.ts`); two services run side by side and are asked in turn, so that both see
// the same machine. Processor time is the publisher isolate's, sampled by workerd's own profiler in rounds of their own.
import { type Figure, median } from '../figures.ts'
import { Http } from '../http.ts'
import { type Cpu, Inspector } from '../inspector.ts'
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
      await burst(side, `3.${version}`)
      if (i >= 0) side.burst.push(performance.now() - started)
    }
  const cpu: Cpu[] = []
  for (const side of sides) {
    const inspector = await Inspector.open(side.inspectorPort, 'tuf-edge-publisher')
    const spent = await inspector.profile(async () => {
      for (let i = 0; i < lones; i++) await upload(side, i, `4.${i}`)
    })
    inspector.close()
    cpu.push(spent)
    const named = spent.functions.slice(0, NAMED).map(({ name, ms }) => `${name} ${(ms / lones).toFixed(2)}`)
    context.note(`${side.targets} targets, publisher ms an upload: ${named.join(', ')}`)
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
    compared(
      `publisher's processor time an upload over ${LARGE} targets`,
      cpu[1]!.busyMs / lones,
      cpu[0]!.busyMs / lones,
      false,
    ),
  ]
}

async function upload({ service, http }: Side, project: number, version: string): Promise<number> {
  const answer = await http.send(service.upload(smallWheel(seededProject(project), version)))
  if (answer.status !== 200) throw new Error(`The upload was answered ${answer.status}: ${answer.bytes}`)
  return answer.ms
}

async function burst(side: Side, version: string): Promise<void> {
  const projects = Array.from({ length: BURST }, (_, i) => i)
  await inParallel(projects, BURST, (project) => upload(side, project, version))
}
