// The commands of the model test: what may happen to an index, in any order. Each does it to the world, and tells the
// model what the answer allows to believe.
import { evictDurableObject } from 'cloudflare:test'
import fc from 'fast-check'
import { HOUR } from './matrix-subject.ts'
import { type Answer, describeUpload } from './matrix-upload.ts'
import { type Belief, GRACE, type Model, type Standing, type World, type Yanked } from './model-world.ts'

const VERSIONS = ['1.0', '1.1']

type Command = fc.AsyncCommand<Model, World>

const believe = async (model: Model, project: string, version: string) => {
  const name = `${project} ${version}`
  let belief = model.get(name)
  if (!belief) {
    const upload = await describeUpload(project, version, '')
    belief = {
      upload,
      contents: new Set([undefined]),
      yanks: new Set<Yanked>([false]),
      burned: new Set([false]),
      seen: false,
    }
    model.set(name, belief)
  }
  return belief
}

abstract class Base implements Command {
  abstract act(model: Model, world: World): Promise<void>
  abstract toString(): string
  check = () => true
  async run(model: Model, world: World): Promise<void> {
    await this.act(model, world)
    await world.checkAlarm()
  }
}

interface File {
  project: string
  version: string
  content: string
}

/** One or several at once, the same file with other bytes among them. */
class Uploads extends Base {
  readonly files: File[]
  constructor(files: File[]) {
    super()
    this.files = files
  }

  async act(model: Model, world: World): Promise<void> {
    const answers = await Promise.all(this.files.map((file) => world.upload(file.project, file.version, file.content)))
    const order = (answer: Answer) => (answer === 'none' || answer === 503 ? 0 : answer < 300 ? 1 : 2)
    const done = this.files.map((file, index) => ({ ...file, answer: answers[index]! }))
    for (const { project, version, content, answer } of done.sort((a, b) => order(a.answer) - order(b.answer))) {
      const belief = await believe(model, project, version)
      const name = `${project} ${version}`
      const standings = world.standings(project)
      if (order(answer) === 0) {
        if (belief.contents.has(undefined) && belief.burned.has(false)) belief.contents.add(content)
      } else if (answer === 403) {
        standings.delete('active')
        if (standings.size === 0) world.problems.push(`${name}: answered 403 without a reason`)
      } else if (order(answer) === 1) {
        if (!belief.contents.has(content) && !belief.contents.has(undefined))
          world.problems.push(`${name}: other bytes were answered ${answer}`)
        if (!standings.has('active'))
          world.problems.push(`${name}: an upload to a closed project was answered ${answer}`)
        if (!belief.burned.has(false)) world.problems.push(`${name}: a deleted file was taken again`)
        standings.clear()
        standings.add('active')
        belief.burned = new Set([false])
        belief.contents = new Set([content])
        if (answer === 200) belief.seen = true
      } else if (belief.burned.has(true)) {
        belief.contents.delete(content)
        if (belief.contents.size < 2) burn(belief)
      } else {
        belief.contents.delete(undefined)
        belief.contents.delete(content)
        if (belief.contents.size === 0) world.problems.push(`${name}: answered ${answer} without a reason`)
      }
    }
  }

  toString = () =>
    `upload(${this.files.map(({ project, version, content }) => `${project} ${version} ${content}`).join(' | ')})`
}

class Yank extends Base {
  readonly file: File
  readonly yanked: Yanked
  constructor(file: File, yanked: Yanked) {
    super()
    this.file = file
    this.yanked = yanked
  }

  async act(model: Model, world: World): Promise<void> {
    const belief = await believe(model, this.file.project, this.file.version)
    const answer = await world.yank(this.file.project, belief.upload.filename, this.yanked)
    if (answer === 404) {
      if (belief.seen || !belief.contents.has(undefined))
        world.problems.push(`${this}: answered 404 for a file that is there`)
      belief.contents = new Set([undefined])
    } else if (answer === 'none' || answer === 503) belief.yanks.add(this.yanked)
    else {
      belief.contents.delete(undefined)
      belief.yanks = new Set([this.yanked])
    }
  }

  toString = () => `yank(${this.file.project} ${this.file.version} ${this.yanked})`
}

function burn(belief: Belief): void {
  belief.contents = new Set([undefined])
  belief.burned = new Set([true])
}

/** A file, or with no version a whole project. */
class Remove extends Base {
  readonly project: string
  readonly version: string | undefined
  readonly purge: boolean
  constructor(project: string, version: string | undefined, purge: boolean) {
    super()
    this.project = project
    this.version = version
    this.purge = purge
  }

  async act(model: Model, world: World): Promise<void> {
    const { project, version, purge } = this
    const versions = version === undefined ? VERSIONS : [version]
    const beliefs = await Promise.all(versions.map((each) => believe(model, project, each)))
    const seen = beliefs.some((belief) => belief.seen || !belief.contents.has(undefined))
    // From the call on nobody need find it.
    for (const belief of beliefs) belief.seen = false
    const file = version === undefined ? undefined : beliefs[0]!.upload.filename
    const answer = await world.remove(project, file, purge)
    if (answer === 404 && seen) world.problems.push(`${this}: answered 404 for what is there`)
    for (const belief of beliefs) {
      const there = [...belief.contents].some((content) => content !== undefined)
      if (answer === 404) belief.contents = new Set([undefined])
      else if (answer === 'none' || answer === 503) {
        if (there) belief.burned.add(true)
        belief.contents.add(undefined)
      } else if (!belief.contents.has(undefined)) burn(belief)
      else {
        if (there || file !== undefined) belief.burned.add(true)
        belief.contents = new Set([undefined])
      }
    }
    if (version !== undefined || answer === 404) return
    const standings = world.standings(project)
    if (answer !== 'none' && answer !== 503) standings.clear()
    standings.add('active')
  }

  toString = () => `${this.purge ? 'purge' : 'delete'}(${this.project} ${this.version ?? ''})`
}

class SetStatus extends Base {
  readonly project: string
  readonly status: Standing
  constructor(project: string, status: Standing) {
    super()
    this.project = project
    this.status = status
  }

  async act(model: Model, world: World): Promise<void> {
    if (this.status === 'quarantined')
      for (const version of VERSIONS) (await believe(model, this.project, version)).seen = false
    const answer = await world.setStatus(this.project, this.status)
    const standings = world.standings(this.project)
    if (answer === 404) {
      for (const version of VERSIONS)
        if (!(await believe(model, this.project, version)).contents.has(undefined))
          world.problems.push(`${this}: answered 404 for what is there`)
      return
    }
    if (answer !== 'none' && answer !== 503) standings.clear()
    standings.add(this.status)
  }

  toString = () => `status(${this.project} ${this.status})`
}

class Simple extends Base {
  readonly name: string
  readonly what: (world: World) => Promise<unknown>
  constructor(name: string, what: (world: World) => Promise<unknown>) {
    super()
    this.name = name
    this.what = what
  }
  async act(_: Model, world: World): Promise<void> {
    await this.what(world)
  }
  toString = () => this.name
}

const jump = (ms: number) => async (world: World) => {
  world.subject.offset += ms
  if (ms > 0) world.mayBeStale = true
}

const project = fc.constantFrom('alpha', 'beta', 'gamma')
const file = fc.record({
  project,
  version: fc.constantFrom(...VERSIONS),
  content: fc.constantFrom('x', 'y'),
})
const uploads = fc.array(file, { minLength: 1, maxLength: 4 }).map((files) => new Uploads(files))
const simple = (name: string, what: (world: World) => Promise<unknown>) => fc.constant(new Simple(name, what))

/** A write that fails while somebody changes something; with a crash the publisher dies in it. */
class Trouble extends Base {
  readonly what: Base
  readonly trouble: [number, 'lost' | 'unacknowledged' | 'refused', boolean]
  constructor(what: Base, trouble: Trouble['trouble']) {
    super()
    this.what = what
    this.trouble = trouble
  }

  async act(model: Model, world: World): Promise<void> {
    world.arm(...this.trouble)
    await this.what.act(model, world)
  }

  toString = () => {
    const [nth, fate, crash] = this.trouble
    return `${crash ? 'crash' : 'fault'} at write ${nth} (${fate}) of ${this.what}`
  }
}

const fate = fc.constantFrom('lost' as const, 'unacknowledged' as const, 'refused' as const)
const change = fc.oneof(
  fc
    .record({ project, version: fc.constantFrom(...VERSIONS, undefined), purge: fc.boolean() })
    .map(({ project: of, version, purge }) => new Remove(of, version, purge)),
  fc
    .tuple(project, fc.constantFrom<Standing[]>('active', 'active', 'archived', 'quarantined'))
    .map(([of, status]) => new SetStatus(of, status)),
)
const trouble = fc
  .tuple(fc.oneof(uploads, uploads, change), fc.tuple(fc.nat(9), fate, fc.boolean()))
  .map(([what, how]) => new Trouble(what, how))

export const COMMANDS: fc.Arbitrary<Command>[] = [
  uploads,
  uploads,
  uploads,
  change,
  fc.tuple(file, fc.constantFrom<Yanked[]>(true, false, 'broken')).map(([target, yanked]) => new Yank(target, yanked)),
  simple('refresh', async ({ subject }) => subject.stub.refresh().catch(() => undefined)),
  simple('rest', (world) => world.rest()),
  simple('collect', async (world) => {
    await jump(GRACE + HOUR)(world)
    await world.rest()
  }),
  simple('restart', async ({ subject }) => evictDurableObject(subject.stub).catch(() => undefined)),
  simple('crash', ({ subject }) => subject.crash()),
  trouble,
  trouble,
  trouble,
  fc.constantFrom(20 * 60_000, 2 * HOUR, 3 * 24 * HOUR).map((ms) => new Simple(`sleep ${ms / HOUR} h`, jump(ms))),
  fc.constantFrom(-HOUR, -48 * HOUR).map((ms) => new Simple(`clock back ${-ms / HOUR} h`, jump(ms))),
]
