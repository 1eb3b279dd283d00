// The Publisher: one object a repository. It holds the online keys and the ledger, orders every change, and keeps the
// metadata fresh. Its memory is disposable: everything that matters is in the ledger before it is answered.
//
// What is here is the calls; each authorises where its change is made. Callers wait for their queue row, not for a pass
// (flight.ts).
import { DurableObject } from 'cloudflare:workers'
import { pageKey } from '../tuf/layout.ts'
import { acceptedBefore, begin, stage } from './accept.ts'
import { setOrigin } from './adopt.ts'
import { attestationTrust, setTrustRoot, trustRootOf } from './attestations.ts'
import { forgetBatch, lookAtBatch, stagePart } from './batches.ts'
import { mayPut, reserve, reserved } from './direct-uploads.ts'
import type { Env } from './env.ts'
import { Flight } from './flight.ts'
import { HandingOver } from './handing-over.ts'
import { initialise } from './initialise.ts'
import { IssuerKeys } from './issuer-keys.ts'
import { abandonLarge, largeUpload } from './large-uploads.ts'
import { getFact, isInitialised, setFact } from './ledger/facts.ts'
import { isRetainedPage } from './ledger/garbage.ts'
import { journalAfter, journalHead } from './ledger/journal.ts'
import { findPage, pageMacHolds } from './ledger/pages.ts'
import { liveRole } from './ledger/roles.ts'
import { createTables } from './ledger/schema.ts'
import { type Caller, operatorOf } from './operator.ts'
import { erasedOf, purged, type Removed, remove, setStatus, yank } from './projects.ts'
import { addPublisher, audienceOf, burn, exchange, listPublishers, removePublisher, setAudience } from './publishers.ts'
import { setPull } from './pull.ts'
import { quotaOf, setQuota } from './quotas.ts'
import { changeReading, mayRead, readingHolds } from './reading.ts'
import { notLive, rebuildBatch } from './rebuild.ts'
import { recent } from './recent.ts'
import { handedBack } from './release.ts'
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
import type {
  AdoptRequest,
  BatchAnswer,
  BatchRequest,
  GateRequest,
  MetadataAnswer,
  OriginRequest,
  PartAnswer,
  PartRequest,
  PullRequest,
  PushAnswer,
  PushRequest,
  PutTargetAnswer,
  PutTargetRequest,
} from './rpc-adopt.ts'
import type { AttestationTrustAnswer, TrustRootAnswer, TrustRootRequest } from './rpc-attestations.ts'
import type { ReserveAnswer, ReservedAnswer, TicketAnswer, TicketRequest } from './rpc-direct.ts'
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
  PurgedAnswer,
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
import { mayPutTarget, setGate } from './target-files.ts'
import { listTokens, type Minter, mint, revoke } from './token-register.ts'
import { metadataOf, trustOf } from './trust.ts'
import { changeFreshness, listGarbage } from './upkeep.ts'
import { setWebhook } from './webhook.ts'

export class Publisher extends DurableObject<Env> {
  readonly #flight: Flight
  readonly #handingOver: HandingOver
  readonly #issuerKeys = new IssuerKeys()
  /** Replaced by tests only. */
  clock: () => number = Date.now

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#flight = new Flight(
      () => this.ctx,
      () => this.env,
      () => this.clock(),
    )
    this.#handingOver = new HandingOver(this.#flight, () => this.ctx)
    createTables(state.storage.sql)
  }

  /** Makes ledger and online keys; harmless to repeat until the ceremony is over. */
  async createKeys(repository: string, adopted: boolean): Promise<KeysAnswer> {
    const { sql } = this.ctx.storage
    if (isInitialised(sql)) return refused('conflict', 409, 'This repository is initialised already.')
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
    const { custody } = this.#flight.ctx()
    await custody.create(this.clock(), adopted)
    if (getFact(sql, 'wrappingCheck') === undefined) setFact(sql, 'wrappingCheck', await custody.checkValue())
    return { ok: true, repositoryId: getFact(sql, 'repositoryId')!, keys: await custody.publicKeys() }
  }

  /** Accepts what the ceremony signed and publishes the empty index. */
  async initialise(request: InitialiseRequest): Promise<Done> {
    const state = getFact(this.ctx.storage.sql, 'state')
    if (state === undefined) return refused('invalid', 400, 'Ask for the online keys first.')
    if (state !== 'keys') return refused('conflict', 409, 'This repository is initialised already.')
    const answer = await initialise(this.#flight.ctx(), request, () => this.#flight.arm())
    if (!answer.ok) return answer
    await this.#flight.pass()
    if (liveRole(this.ctx.storage.sql, 'timestamp')) return { ok: true }
    return refused('unavailable', 503, `Initialised, but not published yet: ${this.#flight.lastError()}`)
  }

  /** Takes over a repository that is signed elsewhere, and publishes it under our snapshot and timestamp. */
  async adopt(request: AdoptRequest): Promise<PushAnswer> {
    return this.#handingOver.adopt(request)
  }

  /** New files of people's roles, all or none. */
  async push(request: PushRequest): Promise<PushAnswer> {
    return this.#handingOver.push(request)
  }

  /** A part of a batch that is too large for one call. */
  async stagePart(request: PartRequest, bearer: string | { bootstrap: true }): Promise<PartAnswer> {
    return stagePart(this.#flight.ctx(), request, bearer)
  }

  lookAtBatch(request: BatchRequest, bearer: string | { bootstrap: true }): BatchAnswer {
    return lookAtBatch(this.#flight.ctx(), request, bearer)
  }

  forgetBatch(request: BatchRequest, bearer: string | { bootstrap: true }): Done {
    return forgetBatch(this.#flight.ctx(), request, bearer)
  }

  /** The owner takes the repository back. */
  async release(request: PushRequest): Promise<PushAnswer> {
    return this.#handingOver.release(request)
  }

  setOrigin(request: OriginRequest): Done {
    return this.#flight.unready() ?? setOrigin(this.#flight.ctx(), request)
  }

  /** Where new metadata is fetched; the first pull follows at once. */
  setPull(request: PullRequest): Done {
    const done = this.#flight.unready() ?? setPull(this.#flight.ctx(), request)
    if (done.ok) this.#handingOver.pull()
    return done
  }

  setGate(request: GateRequest): Done {
    return this.#flight.unready() ?? setGate(this.#flight.ctx(), request)
  }

  mayPutTarget(request: PutTargetRequest): PutTargetAnswer {
    return this.#flight.unready() ?? mayPutTarget(this.#flight.ctx(), request)
  }

  metadata(role: string, version: number): MetadataAnswer {
    return metadataOf(this.#flight.ctx(), role, version)
  }

  begin(request: BeginRequest): BeginAnswer {
    return this.#flight.unready() ?? begin(this.#flight.ctx(), request)
  }

  /** One step of an upload in parts. */
  largeUpload(request: LargeRequest): LargeAnswer {
    const unready = this.#flight.unready()
    if (unready) return unready
    const answer = largeUpload(this.#flight.ctx(), request)
    // What is given up in a day must be seen then.
    this.#flight.arm()
    return answer
  }

  abandonLarge(request: BeginRequest): Done {
    return this.#flight.unready() ?? abandonLarge(this.#flight.ctx(), request)
  }

  /** A place for the bytes of a direct upload. */
  reserve(request: BeginRequest): ReserveAnswer {
    const unready = this.#flight.unready()
    if (unready) return unready
    const answer = reserve(this.#flight.ctx(), request, this.env)
    this.#flight.arm()
    return answer
  }

  reserved(request: BeginRequest): ReservedAnswer {
    return this.#flight.unready() ?? reserved(this.#flight.ctx(), request)
  }

  mayPut(request: TicketRequest): TicketAnswer {
    return this.#flight.unready() ?? mayPut(this.#flight.ctx(), request)
  }

  /** Durable when this returns; visible too unless it says otherwise. */
  async stage(request: StageRequest): Promise<StageAnswer> {
    const unready = this.#flight.unready()
    if (unready) return unready
    const accepted = this.#flight.change(() => stage(this.#flight.ctx(), request))
    return this.#flight.untilPublished(request, accepted)
  }

  /** For an upload that `begin` called a duplicate: its 200, too, means visible. */
  async whenVisible(request: BeginRequest): Promise<StageAnswer> {
    return this.#flight.unready() ?? this.#flight.untilPublished(request, acceptedBefore(this.#flight.ctx(), request))
  }

  async yank(request: YankRequest): Promise<StageAnswer> {
    const unready = this.#flight.unready()
    if (unready) return unready
    return this.#flight.untilVisible(this.#flight.change(() => yank(this.#flight.ctx(), request)))
  }

  /** Deletes or purges; a purge has erased the bytes when this returns, if the bucket took the delete. */
  async remove(request: RemoveRequest): Promise<RemoveAnswer> {
    const unready = this.#flight.unready()
    if (unready) return unready
    const removed = this.#flight.change((): Removed => remove(this.#flight.ctx(), request))
    if (!removed.ok) return removed
    const answer = await this.#flight.untilVisible(removed)
    if (!answer.ok) return answer
    const counted = { ok: true as const, visible: answer.visible, files: removed.files.length }
    if (request.purge !== true) return counted
    // The collector works at the end of a pass.
    this.#flight.arm()
    await this.#flight.pass()
    return { ...counted, erased: erasedOf(this.ctx.storage.sql, removed.files) }
  }

  setQuota(request: QuotaRequest): Done {
    return this.#flight.unready() ?? setQuota(this.#flight.ctx(), request)
  }

  attestationTrust(request: BeginRequest): AttestationTrustAnswer {
    return this.#flight.unready() ?? attestationTrust(this.#flight.ctx(), request)
  }

  setTrustRoot(request: TrustRootRequest): Done {
    return this.#flight.unready() ?? setTrustRoot(this.#flight.ctx(), request)
  }

  trustRoot(token: string): TrustRootAnswer {
    return this.#flight.unready() ?? trustRootOf(this.#flight.ctx(), token)
  }

  quota(question: QuotaQuestion): QuotaAnswer {
    return this.#flight.unready() ?? quotaOf(this.#flight.ctx(), question)
  }

  /** PEP 792. */
  async setStatus(request: StatusRequest): Promise<StageAnswer> {
    const unready = this.#flight.unready()
    if (unready) return unready
    return this.#flight.untilVisible(this.#flight.change(() => setStatus(this.#flight.ctx(), request)))
  }

  mint(request: MintRequest, bearer: Minter): MintAnswer {
    return this.#flight.uninitialised() ?? mint(this.#flight.ctx(), request, bearer)
  }

  tokens(request: ListTokensRequest): ListTokensAnswer {
    return this.#flight.uninitialised() ?? listTokens(this.#flight.ctx(), request)
  }

  /** The token ends here and now; a face may still remember for a minute that it may read. */
  revoke(request: RevokeRequest): RevokeAnswer {
    const uninitialised = this.#flight.uninitialised()
    if (uninitialised) return uninitialised
    const answer = revoke(this.#flight.ctx(), request)
    if (!answer.ok) return answer
    const { seqs = [], ...given } = answer
    this.#flight.announce(seqs)
    return given
  }

  addPublisher(request: AddPublisherRequest): AddPublisherAnswer {
    return this.#flight.unready() ?? addPublisher(this.#flight.ctx(), request)
  }

  listPublishers(request: ListPublishersRequest): ListPublishersAnswer {
    return listPublishers(this.#flight.ctx(), request)
  }

  /** Also while it has halted: who must not publish any more does not wait for a repair. */
  removePublisher(request: RemovePublisherRequest): Done {
    return removePublisher(this.#flight.ctx(), request)
  }

  audience(): AudienceAnswer {
    return this.#flight.unready() ?? { ok: true, audience: audienceOf(this.#flight.ctx()) }
  }

  setAudience(request: AudienceRequest): Done {
    return this.#flight.unready() ?? setAudience(this.#flight.ctx(), request)
  }

  /** A JWT of somebody's CI for a token. */
  async exchange({ identity }: ExchangeRequest): Promise<ExchangeAnswer> {
    return this.#flight.unready() ?? exchange(this.#flight.ctx(), this.#issuerKeys, identity)
  }

  burn(token: string): Done {
    return burn(this.#flight.ctx(), token)
  }

  /** Runs a pass if anything is due; the watchdog, readers and operators may all call it. */
  async refresh(): Promise<Done> {
    const unready = this.#flight.unready()
    if (unready) {
      this.#flight.tell()
      return unready
    }
    await this.#flight.pass()
    this.#handingOver.pull()
    const error = this.#flight.lastError()
    return this.#flight.unready() ?? (error ? refused('unavailable', 503, error) : { ok: true })
  }

  trust(): Trust | Refused {
    return trustOf(this.#flight.ctx())
  }

  /** True while a page that this or a past publication named is kept for clients that are still reading it. */
  retainsPage(path: string, sha256: string): boolean {
    const { sql } = this.ctx.storage
    // Between a flip and its finish the page just replaced is still the ledger's live one.
    const macKey = this.#flight.ctx().custody.macKey()
    const page = findPage(sql, path)
    const live = page?.sha256 === sha256 && pageMacHolds(macKey, page)
    return live || isRetainedPage(sql, macKey, pageKey(this.#flight.ctx().place, path, sha256))
  }

  status(): Status {
    return statusOf(this.ctx.storage.sql, this.clock())
  }

  /** What was purged, for readers that ask for it by its digest. */
  purged(): PurgedAnswer {
    return this.#flight.uninitialised() ?? { ok: true, pairs: purged(this.#flight.ctx()) }
  }

  /** The newest releases and projects; answers while the publisher has halted. */
  recent(): RecentAnswer {
    return this.#flight.uninitialised() ?? recent(this.#flight.ctx())
  }

  /** Other times; what they call for is signed before this answers, if the bucket takes it. */
  async setFreshness(request: FreshnessRequest): Promise<Done> {
    const unready = this.#flight.unready()
    if (unready) return unready
    const done = this.ctx.storage.transactionSync(() => {
      const result = changeFreshness(this.#flight.ctx(), request)
      if (result.ok) this.#flight.arm()
      return result
    })
    if (done.ok) await this.#flight.pass()
    return done
  }

  /** Where warnings, halts, quarantines and foreign writes are told. */
  async setWebhook(request: WebhookRequest): Promise<Done> {
    const done = await setWebhook(this.#flight.ctx(), request)
    if (done.ok) this.#flight.tell()
    return done
  }

  /** Closes the repository to readers without a token, or opens it. To close it is written down also while it is halted. */
  async setReading(request: ReadingRequest): Promise<Done> {
    const unready = this.#flight.unready()
    if (unready && !(unready.code === 'halted' && request.private === true)) return unready
    const done = this.ctx.storage.transactionSync(() => {
      const result = changeReading(this.#flight.ctx(), request)
      if (result.ok) this.#flight.arm()
      return result
    })
    if (!done.ok) return done
    await this.#flight.pass()
    return readingHolds(this.#flight.ctx())
  }

  /** Answers while the publisher has halted: what is published stays readable. */
  mayRead(token: string): MayReadAnswer {
    return this.#flight.uninitialised() ?? mayRead(this.#flight.ctx(), token)
  }

  garbage(token: string): GarbageAnswer {
    return this.#flight.unready() ?? listGarbage(this.#flight.ctx(), token)
  }

  /** Clears a halt whose cause is gone, or takes over what the public repository says. */
  async resume(request: ResumeRequest, caller: Caller): Promise<ResumeAnswer> {
    const { sql } = this.ctx.storage
    const operator = operatorOf(this.#flight.ctx(), caller, ['admin'])
    if ('ok' in operator) return operator
    const state = getFact(sql, 'state')
    if (state === undefined) return refused('invalid', 400, 'Ask for the online keys first.')
    if (state === 'released') return handedBack(sql)!
    if (state !== 'live' && !request.fromPublic) return notLive()
    const resumed = await this.#flight.alone(async () =>
      request.fromPublic
        ? resumeFromPublic(this.#flight.ctx(), operator.id, request)
        : forgetHalt(this.#flight.ctx(), operator.id),
    )
    if ('ok' in resumed) return resumed
    const { applied, changes } = resumed
    if (applied) {
      this.#flight.arm()
      await this.#flight.pass()
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
    const operator = operatorOf(this.#flight.ctx(), caller, ['admin'])
    if ('ok' in operator) return operator
    if (getFact(sql, 'state') !== 'live') return notLive()
    const answer = await this.#flight.alone(() => rebuildBatch(this.#flight.ctx(), operator.id, cursor, limit))
    if (answer.ok && answer.cursor === undefined && !this.#flight.unready()) await this.#flight.pass()
    return answer
  }

  /** Journal rows after `after`, oldest first. */
  journal(after: number, limit: number, token: string): JournalAnswer {
    const { sql } = this.ctx.storage
    const operator = operatorOf(this.#flight.ctx(), token, ['audit', 'admin'])
    if ('ok' in operator) return operator
    return { ok: true, rows: journalAfter(sql, after, limit), head: journalHead(sql).seq }
  }

  /** Never throws: the platform drops an alarm for good after six failures. */
  override async alarm(): Promise<void> {
    // The next alarm is set before the work, so that a pass that dies cannot stop the loop.
    this.#flight.arm()
    await this.#flight.pass()
    this.#handingOver.pull()
    this.#flight.tell()
  }

  /** Drops what memory holds; the next event starts from the ledger. */
  forget(): void {
    this.#flight.forget()
  }
}
