// What the model test believes (`Model`), and the repository it holds against it (`World`).
//
// The belief about a file is a set: every content it may have after what was answered so far, `undefined` for absent. An
// answer or a look makes the set smaller; an empty set is a broken promise. So are whether a file's name is burned, and the
// status a project may have: what is quarantined is not seen, and keeps what was believed of it.
import { ExpiredError } from '../../tuf/errors.ts'
import { HOUR, Subject } from './matrix-subject.ts'
import { type Answer, describeUpload, send, type Upload } from './matrix-upload.ts'
import type { Reader } from './reading.ts'

/** Bins outlive a run: signing all of them again, and checking after each of those writes, is the matrix's business. */
export const FRESHNESS = {
  timestampSeconds: 86_400,
  snapshotSeconds: 172_800,
  binSeconds: 31_536_000,
  tickSeconds: 3_600,
}
/** Beyond the life of a timestamp and what caches keep. */
export const GRACE = 25 * HOUR

/**
 * An uploader whose pass failed is answered after 8 s, and here only another command brings the next pass. One that succeeds
 * takes a tenth of a second on a busy machine; who is answered 202 instead of 200 is only believed less.
 */
const ANSWER_WITHIN_MS = 8_000
const ANSWERED_HERE_MS = 500

const setTimer = globalThis.setTimeout
globalThis.setTimeout = ((run: () => void, ms?: number) =>
  setTimer(run, ms === ANSWER_WITHIN_MS ? ANSWERED_HERE_MS : ms)) as typeof globalThis.setTimeout

export type Yanked = boolean | string

export interface Belief {
  upload: Upload
  contents: Set<string | undefined>
  yanks: Set<Yanked>
  /** Whether the file was deleted, so that its name is refused for ever. */
  burned: Set<boolean>
  /** Answered 200 once, so that from then on every client must find it at any moment. */
  seen: boolean
}

export type Model = Map<string, Belief>
export type Standing = 'active' | 'archived' | 'quarantined'

interface Page {
  files: { filename: string; yanked?: Yanked }[]
  'project-status'?: { status: Standing }
}

let newborn: { subject: Subject; again: () => Promise<void> } | undefined

export class World {
  readonly subject: Subject
  readonly problems: string[] = []
  /** True from a jump of the clock until the publisher is at rest: nobody can be fresh in between. */
  mayBeStale = false
  checks = 0
  readonly #standings = new Map<string, Set<Standing>>()
  #warm: Reader
  #model: Model
  #turn = 0

  private constructor(subject: Subject, warm: Reader, model: Model) {
    this.subject = subject
    this.#warm = warm
    this.#model = model
  }

  /** A repository whose ceremony was just held: 256 bins signed and put cost more than a sequence, so it is held once. */
  static async create(model: Model): Promise<World> {
    if (!newborn) {
      const subject = await Subject.create(FRESHNESS)
      newborn = { subject, again: await subject.keep() }
    }
    const { subject, again } = newborn
    await again()
    const warm = await subject.reader()
    const world = new World(subject, warm, model)
    subject.bucket.after = () => world.#checkReaders()
    return world
  }

  /** Makes the n-th write from now fail, once. */
  arm(nth: number, fate: 'lost' | 'unacknowledged' | 'refused', crash: boolean): void {
    let left = nth
    this.subject.bucket.judge = () => {
      if (left < 0 || left-- > 0) return undefined
      return { fate, ...(crash ? { strike: () => this.subject.state?.abort('injected crash') } : {}) }
    }
  }

  async upload(project: string, version: string, content: string): Promise<Answer> {
    return send(this.subject, await describeUpload(project, version, content))
  }

  async yank(project: string, filename: string, yanked: Yanked): Promise<Answer> {
    const { name: repository, token, stub } = this.subject
    try {
      const answer = await stub.yank({ repository, token, project, filename, yanked })
      return answer.ok ? (answer.visible ? 200 : 202) : answer.status
    } catch {
      return 'none'
    }
  }

  async remove(project: string, filename: string | undefined, purge: boolean): Promise<Answer> {
    const { name: repository, token, stub } = this.subject
    const what = { repository, token, project, ...(filename === undefined ? {} : { filename }) }
    try {
      const answer = await stub.remove({ ...what, purge, reason: 'model' })
      return answer.ok ? (answer.visible ? 200 : 202) : answer.status
    } catch {
      return 'none'
    }
  }

  async setStatus(project: string, status: Standing): Promise<Answer> {
    const { name: repository, token, stub } = this.subject
    try {
      const answer = await stub.setStatus({ repository, token, project, status })
      return answer.ok ? (answer.visible ? 200 : 202) : answer.status
    } catch {
      return 'none'
    }
  }

  /** The statuses a project may have. */
  standings(project: string): Set<Standing> {
    const known = this.#standings.get(project) ?? new Set<Standing>(['active'])
    this.#standings.set(project, known)
    return known
  }

  /** The alarm alone brings the publisher to rest, and what it then shows must be believed. */
  async rest(): Promise<void> {
    const { subject } = this
    for (let round = 0; ; round++) {
      const fault = await subject.alarmFault()
      if (fault) this.problems.push(fault)
      const survived = await subject.alarm().then(
        () => true,
        () => false,
      )
      const status = await subject.status()
      if (status.state !== 'live') this.problems.push(`a person is needed: ${status.halted}`)
      const open = await subject.rows("SELECT 1 AS x FROM publications WHERE state = 'open'")
      if (status.staged === 0 && open.length === 0 && status.lastError === undefined && survived) break
      if (round === 8) throw new Error(`not at rest: ${JSON.stringify(status)}`)
    }
    this.mayBeStale = false
    await this.#look()
    this.fail()
  }

  /** Whatever waits must have an alarm. */
  async checkAlarm(): Promise<void> {
    const fault = await this.subject.alarmFault()
    if (fault) this.problems.push(fault)
    this.fail()
  }

  /** @throws if anything was found broken so far */
  fail(): void {
    const all = [...this.problems, ...this.subject.bucket.violations]
    if (all.length > 0) throw new Error(all.join('\n'))
  }

  /** After every single write: a fresh and a warm client complete, and find a file that was answered 200, and its page. */
  async #checkReaders(): Promise<void> {
    const seen = [...this.#model.values()].filter((belief) => belief.seen)
    const belief = seen[this.#turn++ % Math.max(seen.length, 1)]
    this.checks++
    for (const kind of ['warm', 'fresh'] as const)
      try {
        const store = kind === 'warm' ? this.#warm.store : undefined
        await this.#readOne(await this.subject.reader(store), belief)
      } catch (error) {
        if (error instanceof ExpiredError && this.mayBeStale) continue
        this.problems.push(`after write ${this.subject.bucket.writes} a ${kind} client failed: ${error}`)
      }
  }

  async #readOne(reader: Reader, belief: Belief | undefined): Promise<void> {
    if (!belief) return void (await reader.client.refresh())
    const { path, page, filename } = belief.upload
    const bytes = await reader.read(path)
    const [content] = [...belief.contents]
    if (!bytes || new TextDecoder().decode(bytes) !== content)
      throw new Error(`${filename} is not what was answered 200`)
    const text = new TextDecoder().decode((await reader.readSame(page)) ?? new Uint8Array())
    if (!text.includes(filename)) throw new Error(`the page lacks ${filename}`)
  }

  /** What a client sees now, held against every belief; a belief becomes what was seen. */
  async #look(): Promise<void> {
    await this.#warm.client.refresh()
    const list = await this.#warm.text('simple/vnd.pypi.simple.v1.json')
    for (const [name, belief] of this.#model) {
      const { upload, contents, yanks } = belief
      const bytes = await this.#warm.readSame(upload.path)
      const content = bytes && new TextDecoder().decode(bytes)
      const page = await this.#warm.readSame(upload.page)
      const shown: Page = page ? JSON.parse(new TextDecoder().decode(page)) : { files: [] }
      const { files } = shown
      const standing = shown['project-status']?.status ?? 'active'
      const standings = this.standings(upload.project)
      if (page && !standings.has(standing))
        this.problems.push(`${upload.project} is ${standing}, not ${[...standings].join(' or ')}`)
      if (page) this.#standings.set(upload.project, new Set([standing]))
      belief.seen = false
      if (standing === 'quarantined') {
        if (files.length > 0 || bytes) this.problems.push(`${name}: is offered in quarantine`)
        continue
      }
      if (!contents.has(content)) this.problems.push(`${name}: ${content} is there, not ${[...contents].join(' or ')}`)
      if (content !== undefined) belief.burned = new Set([false])
      const entry = files.find(({ filename }) => filename === upload.filename)
      if ((entry === undefined) !== (content === undefined)) this.problems.push(`${name}: page and bin disagree`)
      if (entry && !yanks.has(entry.yanked ?? false))
        this.problems.push(`${name}: yanked is ${entry.yanked}, not ${[...yanks].join(' or ')}`)
      if (entry && !list?.includes(`"${upload.project}"`)) this.problems.push(`${upload.project} is not in the list`)
      belief.contents = new Set([content])
      if (entry) belief.yanks = new Set([entry.yanked ?? false])
      belief.seen = content !== undefined
    }
  }
}
