// The Publisher: one object a repository. It holds the online keys and the ledger, orders every change, and keeps the
// metadata fresh. Its memory is disposable: everything that matters is in the ledger before it is answered.
//
// Invariant: at most one pass runs (`#flight`). Callers wait for their queue row, not for a pass; after a failure the
// memory is dropped and the next event starts from the ledger.
import { DurableObject } from 'cloudflare:workers'
import { pageKey } from '../tuf/layout.ts'
import { type Accepted, acceptedBefore, begin, stage } from './accept.ts'
import { adopt, push, setOrigin, type Taken } from './adopt.ts'
import { copyFiles } from './copy.ts'
import { Custody } from './custody.ts'
import { type Env, readSettings, type Settings } from './env.ts'
import { nextAlarm } from './freshness.ts'
import { initialise } from './initialise.ts'
import { IssuerKeys } from './issuer-keys.ts'
import { abandonLarge, largeUpload } from './large-uploads.ts'
import { clearFact, getFact, setFact } from './ledger/facts.ts'
import { findFile } from './ledger/files.ts'
import { isRetainedPage } from './ledger/garbage.ts'
import { appendJournal, journalAfter, journalHead } from './ledger/journal.ts'
import { isUnpublished, nextUnpublished, offlineFile, offlineVersions } from './ledger/offline.ts'
import { findPage, pageMacHolds } from './ledger/pages.ts'
import { waitingCount } from './ledger/queue.ts'
import { liveRole } from './ledger/roles.ts'
import { createTables } from './ledger/schema.ts'
import { type Caller, operatorOf } from './operator.ts'
import { erasedOf, type Removed, remove, setStatus, yank } from './projects.ts'
import { type Context, Halt, RetryableFault } from './publication/context.ts'
import { runPass } from './publication/pass.ts'
import { addPublisher, audienceOf, burn, exchange, listPublishers, removePublisher, setAudience } from './publishers.ts'
import { quotaOf, setQuota } from './quotas.ts'
import { changeReading, mayRead, readingHolds } from './reading.ts'
import { notLive, rebuildBatch } from './rebuild.ts'
import { recent } from './recent.ts'
import { confirmOf, forgetHalt, resumeFromPublic } from './resume.ts'
import {
  type BeginAnswer,
  type BeginRequest,
  type Done,
  type InitialiseRequest,
  type JournalAnswer,
  type KeysAnswer,
  type MintAnswer,
  type MintRequest,
  type RebuildAnswer,
  type RebuildRequest,
  type Refused,
  type ResumeAnswer,
  type ResumeRequest,
  refused,
  type StageAnswer,
  type StageRequest,
  type Status,
  type Trust,
  type YankRequest,
} from './rpc.ts'
import type { AdoptRequest, MetadataAnswer, OriginRequest, PushAnswer, PushRequest } from './rpc-adopt.ts'
import type { LargeAnswer, LargeRequest } from './rpc-large.ts'
import type {
  AddPublisherAnswer,
  AddPublisherRequest,
  AudienceAnswer,
  AudienceRequest,
  ExchangeAnswer,
  ExchangeRequest,
  ListPublishersAnswer,
  ListPublishersRequest,
  RemovePublisherRequest,
} from './rpc-oidc.ts'
import type {
  QuotaAnswer,
  QuotaQuestion,
  QuotaRequest,
  RecentAnswer,
  RemoveAnswer,
  RemoveRequest,
  StatusRequest,
} from './rpc-projects.ts'
import type {
  ListTokensAnswer,
  ListTokensRequest,
  MayReadAnswer,
  ReadingRequest,
  RevokeAnswer,
  RevokeRequest,
} from './rpc-tokens.ts'
import type { FreshnessRequest, GarbageAnswer, WebhookRequest } from './rpc-upkeep.ts'
import { statusOf } from './status.ts'
import { listTokens, mint, revoke } from './token-register.ts'
import { changeFreshness, listGarbage } from './upkeep.ts'
import { Waiters } from './waiters.ts'
import { deliverNotices, setWebhook, takeNotices } from './webhook.ts'

export class Publisher extends DurableObject<Env> {
  readonly #settings: Settings
  #context: Context | undefined
  #flight: Promise<void> | undefined
  readonly #waiters = new Waiters()
  readonly #issuerKeys = new IssuerKeys()
  #telling = false
  #copying = false
  /** Replaced by tests only. */
  clock: () => number = Date.now

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#settings = readSettings(env)
    createTables(state.storage.sql)
  }

  /** Makes ledger and online keys; harmless to repeat until the ceremony is over. */
  async createKeys(repository: string, adopted: boolean): Promise<KeysAnswer> {
    const { sql } = this.ctx.storage
    if (getFact(sql, 'state') === 'live') return refused('conflict', 409, 'This repository is initialised already.')
    if (getFact(sql, 'state') === undefined)
      this.ctx.storage.transactionSync(() => {
        setFact(sql, 'repository', repository)
        setFact(sql, 'epoch', 1)
        setFact(sql, 'repositoryId', crypto.randomUUID())
        setFact(sql, 'state', 'keys')
        if (adopted) setFact(sql, 'kind', 'adopted')
      })
    if ((getFact(sql, 'kind') === 'adopted') !== adopted)
      return refused('conflict', 409, 'The keys of this repository were made for the other kind: use another name.')
    const { custody } = this.#ctx()
    await custody.create(this.clock(), adopted)
    if (getFact(sql, 'wrappingCheck') === undefined) setFact(sql, 'wrappingCheck', await custody.checkValue())
    return { ok: true, repositoryId: getFact(sql, 'repositoryId')!, keys: await custody.publicKeys() }
  }

  /** Accepts what the ceremony signed and publishes the empty index. */
  async initialise(request: InitialiseRequest): Promise<Done> {
    const state = getFact(this.ctx.storage.sql, 'state')
    if (state === undefined) return refused('invalid', 400, 'Ask for the online keys first.')
    if (state === 'live') return refused('conflict', 409, 'This repository is initialised already.')
    const answer = await initialise(this.#ctx(), request, () => this.#arm())
    if (!answer.ok) return answer
    await this.#pass()
    if (liveRole(this.ctx.storage.sql, 'timestamp')) return { ok: true }
    return refused('unavailable', 503, `Initialised, but not published yet: ${this.#lastError()}`)
  }

  /** Takes over a repository that is signed elsewhere, and publishes it under our snapshot and timestamp. */
  async adopt(request: AdoptRequest): Promise<PushAnswer> {
    const { sql } = this.ctx.storage
    if (getFact(sql, 'state') !== 'keys' || getFact(sql, 'kind') !== 'adopted')
      return refused(
        'conflict',
        409,
        'Ask for the keys of a repository to be adopted first; one that is live takes a push.',
      )
    return this.#published(await this.#alone(() => adopt(this.#ctx(), request, () => this.#arm())))
  }

  /** New files of people's roles, all or none. */
  async push(request: PushRequest): Promise<PushAnswer> {
    const unready = this.#unready()
    if (unready) return unready
    return this.#published(await this.#alone(() => push(this.#ctx(), request, () => this.#arm())))
  }

  setOrigin(request: OriginRequest): Done {
    return this.#unready() ?? setOrigin(this.#ctx(), request)
  }

  /** What was published under this name, if it is kept. */
  metadata(role: string, version: number): MetadataAnswer {
    const { sql } = this.ctx.storage
    const row = isUnpublished(sql, role, version)
      ? undefined
      : offlineFile(sql, this.#ctx().custody.macKey(), role, version)
    if (!row) return refused('missing', 404, `There is no ${version}.${role}.json.`)
    return { ok: true, sha256: row.sha256, length: row.bytes.length }
  }

  begin(request: BeginRequest): BeginAnswer {
    return this.#unready() ?? begin(this.#ctx(), request)
  }

  /** One step of an upload in parts. */
  largeUpload(request: LargeRequest): LargeAnswer {
    const unready = this.#unready()
    if (unready) return unready
    const answer = largeUpload(this.#ctx(), request)
    // What is given up in a day must be seen then.
    this.#arm()
    return answer
  }

  abandonLarge(request: BeginRequest): Done {
    return this.#unready() ?? abandonLarge(this.#ctx(), request)
  }

  /** Durable when this returns; visible too unless it says otherwise. */
  async stage(request: StageRequest): Promise<StageAnswer> {
    const unready = this.#unready()
    if (unready) return unready
    const accepted = this.#change(() => stage(this.#ctx(), request))
    return this.#untilPublished(request, accepted)
  }

  /** For an upload that `begin` called a duplicate: its 200, too, means visible. */
  async whenVisible(request: BeginRequest): Promise<StageAnswer> {
    return this.#unready() ?? this.#untilPublished(request, acceptedBefore(this.#ctx(), request))
  }

  async yank(request: YankRequest): Promise<StageAnswer> {
    const unready = this.#unready()
    if (unready) return unready
    return this.#untilVisible(this.#change(() => yank(this.#ctx(), request)))
  }

  /** Deletes or purges; a purge has erased the bytes when this returns, if the bucket took the delete. */
  async remove(request: RemoveRequest): Promise<RemoveAnswer> {
    const unready = this.#unready()
    if (unready) return unready
    const removed = this.#change((): Removed => remove(this.#ctx(), request))
    if (!removed.ok) return removed
    const answer = await this.#untilVisible(removed)
    if (!answer.ok) return answer
    const counted = { ok: true as const, visible: answer.visible, files: removed.files.length }
    if (request.purge !== true) return counted
    // The collector works at the end of a pass.
    this.#arm()
    await this.#pass()
    return { ...counted, erased: erasedOf(this.ctx.storage.sql, removed.files) }
  }

  setQuota(request: QuotaRequest): Done {
    return this.#unready() ?? setQuota(this.#ctx(), request)
  }

  quota(question: QuotaQuestion): QuotaAnswer {
    return this.#unready() ?? quotaOf(this.#ctx(), question)
  }

  /** PEP 792. */
  async setStatus(request: StatusRequest): Promise<StageAnswer> {
    const unready = this.#unready()
    if (unready) return unready
    return this.#untilVisible(this.#change(() => setStatus(this.#ctx(), request)))
  }

  /** `bootstrap` tells that the caller proved the bootstrap secret instead of sending an admin token. */
  mint(request: MintRequest, bearer: string | { bootstrap: true }): MintAnswer {
    return this.#uninitialised() ?? mint(this.#ctx(), request, bearer)
  }

  tokens(request: ListTokensRequest): ListTokensAnswer {
    return this.#uninitialised() ?? listTokens(this.#ctx(), request)
  }

  /** The token ends here and now; a face may still remember for a minute that it may read. */
  revoke(request: RevokeRequest): RevokeAnswer {
    const uninitialised = this.#uninitialised()
    if (uninitialised) return uninitialised
    const answer = revoke(this.#ctx(), request)
    if (!answer.ok) return answer
    const { seqs = [], ...given } = answer
    this.#waiters.announce(seqs)
    return given
  }

  addPublisher(request: AddPublisherRequest): AddPublisherAnswer {
    return this.#unready() ?? addPublisher(this.#ctx(), request)
  }

  listPublishers(request: ListPublishersRequest): ListPublishersAnswer {
    return listPublishers(this.#ctx(), request)
  }

  /** Also while it has halted: who must not publish any more does not wait for a repair. */
  removePublisher(request: RemovePublisherRequest): Done {
    return removePublisher(this.#ctx(), request)
  }

  audience(): AudienceAnswer {
    return this.#unready() ?? { ok: true, audience: audienceOf(this.#ctx()) }
  }

  setAudience(request: AudienceRequest): Done {
    return this.#unready() ?? setAudience(this.#ctx(), request)
  }

  /** A JWT of somebody's CI for a token. */
  async exchange({ identity }: ExchangeRequest): Promise<ExchangeAnswer> {
    return this.#unready() ?? exchange(this.#ctx(), this.#issuerKeys, identity)
  }

  burn(token: string): Done {
    return burn(this.#ctx(), token)
  }

  /** Runs a pass if anything is due; the watchdog, readers and operators may all call it. */
  async refresh(): Promise<Done> {
    const unready = this.#unready()
    if (unready) {
      this.#tell()
      return unready
    }
    await this.#pass()
    const error = this.#lastError()
    return this.#unready() ?? (error ? refused('unavailable', 503, error) : { ok: true })
  }

  trust(): Trust | Refused {
    const { sql } = this.ctx.storage
    const live = liveRole(sql, 'timestamp')
    if (!live) return refused('unavailable', 503, 'This repository is not initialised yet.')
    const roots = offlineVersions(sql, this.#ctx().custody.macKey(), 'root')
      .filter(({ version }) => !isUnpublished(sql, 'root', version))
      .map(({ version, sha256, bytes }) => ({ version, sha256, length: bytes.length }))
    const development = getFact(sql, 'development') === 1
    // Not one holds: the secret is another, and the next pass says so in its halt.
    if (roots.length === 0)
      return refused(
        'unavailable',
        503,
        'No root in the ledger can be read with this WRAPPING_SECRET. Put the old one back.',
      )
    const adopted = getFact(sql, 'kind') === 'adopted'
    const origin = getFact(sql, 'origin') ?? ''
    return {
      ok: true,
      epoch: this.#ctx().place.epoch,
      roots,
      timestamp: live.version,
      development,
      ...(adopted ? { adopted: { origin } } : {}),
    }
  }

  /** True while a page that this or a past publication named is kept for clients that are still reading it. */
  retainsPage(path: string, sha256: string): boolean {
    const { sql } = this.ctx.storage
    // Between a flip and its finish the page just replaced is still the ledger's live one.
    const macKey = this.#ctx().custody.macKey()
    const page = findPage(sql, path)
    const live = page?.sha256 === sha256 && pageMacHolds(macKey, page)
    return live || isRetainedPage(sql, macKey, pageKey(this.#ctx().place, path, sha256))
  }

  status(): Status {
    return statusOf(this.ctx.storage.sql, this.clock())
  }

  /** The newest releases and projects; answers while the publisher has halted. */
  recent(): RecentAnswer {
    return this.#uninitialised() ?? recent(this.#ctx())
  }

  /** Other times; what they call for is signed before this answers, if the bucket takes it. */
  async setFreshness(request: FreshnessRequest): Promise<Done> {
    const unready = this.#unready()
    if (unready) return unready
    const done = this.ctx.storage.transactionSync(() => {
      const result = changeFreshness(this.#ctx(), request)
      if (result.ok) this.#arm()
      return result
    })
    if (done.ok) await this.#pass()
    return done
  }

  /** Where warnings, halts, quarantines and foreign writes are told. */
  async setWebhook(request: WebhookRequest): Promise<Done> {
    const done = await setWebhook(this.#ctx(), request)
    if (done.ok) this.#tell()
    return done
  }

  /** Closes the repository to readers without a token, or opens it. */
  async setReading(request: ReadingRequest): Promise<Done> {
    const unready = this.#unready()
    if (unready) return unready
    const done = this.ctx.storage.transactionSync(() => {
      const result = changeReading(this.#ctx(), request)
      if (result.ok) this.#arm()
      return result
    })
    if (!done.ok) return done
    await this.#pass()
    return readingHolds(this.#ctx())
  }

  /** Answers while the publisher has halted: what is published stays readable. */
  mayRead(token: string): MayReadAnswer {
    return this.#uninitialised() ?? mayRead(this.#ctx(), token)
  }

  garbage(token: string): GarbageAnswer {
    return this.#unready() ?? listGarbage(this.#ctx(), token)
  }

  /** Clears a halt whose cause is gone, or takes over what the public repository says. */
  async resume(request: ResumeRequest, caller: Caller): Promise<ResumeAnswer> {
    const { sql } = this.ctx.storage
    const operator = operatorOf(this.#ctx(), caller, ['admin'])
    if ('ok' in operator) return operator
    const state = getFact(sql, 'state')
    if (state === undefined) return refused('invalid', 400, 'Ask for the online keys first.')
    if (state !== 'live' && !request.fromPublic) return notLive()
    const resumed = await this.#alone(async () =>
      request.fromPublic ? resumeFromPublic(this.#ctx(), operator.id, request) : forgetHalt(this.#ctx(), operator.id),
    )
    if ('ok' in resumed) return resumed
    const { applied, changes } = resumed
    if (applied) {
      this.#arm()
      await this.#pass()
    }
    const halted = getFact(sql, 'halted')
    return {
      ok: true,
      applied,
      state: halted === undefined ? (getFact(sql, 'state') ?? 'keys') : 'halted',
      ...(halted === undefined ? {} : { halted }),
      ...(changes ? { difference: changes.shown, confirm: confirmOf(changes, request) } : {}),
    }
  }

  /** One batch of filling the bucket again from the ledger; with the last one the metadata is made fresh. */
  async rebuild({ cursor, limit }: RebuildRequest, caller: Caller): Promise<RebuildAnswer> {
    const { sql } = this.ctx.storage
    const operator = operatorOf(this.#ctx(), caller, ['admin'])
    if ('ok' in operator) return operator
    if (getFact(sql, 'state') !== 'live') return notLive()
    const answer = await this.#alone(() => rebuildBatch(this.#ctx(), operator.id, cursor, limit))
    if (answer.ok && answer.cursor === undefined && !this.#unready()) await this.#pass()
    return answer
  }

  /** Journal rows after `after`, oldest first. */
  journal(after: number, limit: number, token: string): JournalAnswer {
    const { sql } = this.ctx.storage
    const operator = operatorOf(this.#ctx(), token, ['audit', 'admin'])
    if ('ok' in operator) return operator
    return { ok: true, rows: journalAfter(sql, after, limit), head: journalHead(sql).seq }
  }

  /** Never throws: the platform drops an alarm for good after six failures. */
  override async alarm(): Promise<void> {
    // The next alarm is set before the work, so that a pass that dies cannot stop the loop.
    this.#arm()
    await this.#pass()
    this.#tell()
  }

  /** Drops what memory holds; the next event starts from the ledger. */
  forget(): void {
    this.#context = undefined
  }

  #ctx(): Context {
    const { sql } = this.ctx.storage
    this.#context ??= {
      sql,
      storage: this.ctx.storage,
      bucket: this.env.BUCKET,
      ...(this.env.COPY ? { copy: this.env.COPY } : {}),
      custody: new Custody(sql, this.#settings.wrappingSecret),
      place: { repository: getFact(sql, 'repository')!, epoch: getFact(sql, 'epoch')! },
      flipIntervalMs: this.#settings.flipIntervalMs,
      now: () => this.clock(),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    }
    return this.#context
  }

  #uninitialised(): Refused | undefined {
    if (getFact(this.ctx.storage.sql, 'state') === 'live') return undefined
    return refused('unavailable', 503, 'This repository is not initialised yet: its ceremony has not been held.')
  }

  #unready(): Refused | undefined {
    const uninitialised = this.#uninitialised()
    if (uninitialised) return uninitialised
    const halted = getFact(this.ctx.storage.sql, 'halted')
    return halted === undefined ? undefined : refused('halted', 503, `halted: ${halted}`)
  }

  readonly #lastError = (): string | undefined => getFact(this.ctx.storage.sql, 'lastError')

  /** Publishes what a batch brought, within this call if the bucket takes it. */
  async #published(taken: Taken | Refused): Promise<PushAnswer> {
    if (!taken.ok) return taken
    if (taken.accepted.length > 0) await this.#pass()
    const { sql } = this.ctx.storage
    const visible = liveRole(sql, 'timestamp') !== undefined && (nextUnpublished(sql) ?? Infinity) > this.clock()
    return { ...taken, visible }
  }

  /** A change and its alarm in one transaction; the flight starts at once, the alarm is for a crash before it ends. */
  #change<T extends Accepted>(change: () => T): T {
    const accepted = this.ctx.storage.transactionSync(() => {
      const result = change()
      if (result.ok && result.seq !== undefined) this.#arm()
      return result
    })
    if (accepted.ok && accepted.seq !== undefined) this.ctx.waitUntil(this.#pass())
    return accepted
  }

  async #untilPublished({ project, filename, wait }: BeginRequest, accepted: Accepted): Promise<StageAnswer> {
    if (accepted.ok && wait === false) return { ok: true, visible: accepted.seq === undefined }
    const answer = await this.#untilVisible(accepted)
    const row = answer.ok && findFile(this.ctx.storage.sql, project, filename)
    if (row && row.state === 'quarantined')
      return refused('unavailable', 503, `${filename} was not published: ${row.reason}`)
    if (answer.ok && !row)
      return refused('unavailable', 503, `${filename} was taken back: the token that staged it was revoked.`)
    return answer
  }

  async #untilVisible(accepted: Accepted): Promise<StageAnswer> {
    if (!accepted.ok) return accepted
    const { seq } = accepted
    if (seq === undefined) return { ok: true, visible: true }
    return { ok: true, visible: await this.#waiters.wait(seq) }
  }

  /** Joins the running pass or starts one; what was staged during a pass is taken by its next round or by another. */
  async #pass(): Promise<void> {
    this.#flight ??= this.#run().finally(() => {
      this.#flight = undefined
    })
    await this.#flight
    // A change may have arrived after the pass looked for the last time and before it ended.
    if (waitingCount(this.ctx.storage.sql) > 0 && this.#unready() === undefined && this.#lastError() === undefined)
      await this.#pass()
  }

  /** Copies what became live, beside everything else. */
  #copy(): void {
    if (this.#copying) return
    this.#copying = true
    const copy = async () => {
      try {
        await copyFiles(this.#ctx())
      } finally {
        this.#copying = false
        this.#arm()
      }
    }
    this.ctx.waitUntil(copy())
  }

  /** Tells the webhook what is new, beside everything else: a receiver that hangs keeps nothing waiting. */
  #tell(): void {
    if (getFact(this.ctx.storage.sql, 'webhook') === undefined || this.#telling) return
    const ctx = this.#ctx()
    takeNotices(ctx)
    this.#telling = true
    const tell = async () => {
      try {
        await deliverNotices(ctx)
      } finally {
        this.#telling = false
        this.#arm()
      }
    }
    this.ctx.waitUntil(tell())
  }

  /** Repairs run when no pass does, and no pass runs beside them. */
  async #alone<T>(work: () => Promise<T | Refused>): Promise<T | Refused> {
    while (this.#flight) await this.#flight
    let release = () => {}
    this.#flight = new Promise<void>((resolve) => {
      release = resolve
    })
    try {
      return await work()
    } catch (error) {
      if (error instanceof RetryableFault) return refused('unavailable', 503, error.message)
      throw error
    } finally {
      this.#flight = undefined
      release()
    }
  }

  async #run(): Promise<void> {
    if (this.#unready()) return
    const { sql } = this.ctx.storage
    try {
      if (getFact(sql, 'wrappingCheck') !== (await this.#ctx().custody.checkValue()))
        throw new Halt('WRAPPING_SECRET is not the one the online keys were wrapped with. Put the old one back.')
      await runPass(this.#ctx(), (seqs) => this.#waiters.announce(seqs))
      if (getFact(sql, 'lastError') !== undefined) {
        clearFact(sql, 'lastError')
        clearFact(sql, 'failures')
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.ctx.storage.transactionSync(() => {
        setFact(sql, 'lastError', message)
        setFact(sql, 'failures', (getFact(sql, 'failures') ?? 0) + 1)
        if (error instanceof Halt) {
          setFact(sql, 'halted', message)
          appendJournal(sql, this.clock(), { event: 'halted', reason: message })
        }
      })
      console.error(JSON.stringify({ event: error instanceof Halt ? 'halted' : 'pass-failed', message }))
      this.forget()
    }
    this.#copy()
    this.#tell()
    this.#arm()
  }

  #arm(): void {
    const { storage } = this.ctx
    const at = nextAlarm(storage.sql, this.clock())
    if (at !== null) void storage.setAlarm(at)
  }
}
