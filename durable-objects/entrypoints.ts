// The two doors the face may knock at. `Public` changes nothing by itself; `Member` passes the caller's token on, and
// the object authorises inside the transaction of the change. Neither creates an object: only the ceremony does.
import { WorkerEntrypoint } from 'cloudflare:workers'
import { UNAUTHENTICATED } from '../pypi/refusal.ts'
import { metadataKey, REPOSITORY_NAME, timestampKey } from '../tuf/layout.ts'
import { type Env, objectOf } from './env.ts'
import type { Caller } from './operator.ts'
import type { Publisher } from './publisher.ts'
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
import { digest, looksLikeToken, sameSecret } from './tokens.ts'

/** Repositories this isolate has seen to exist. Existence never ends, so a positive answer is kept. */
const existing = new Set<string>()

/** Calls the repository's object, if there is one. (A stub is never returned: `in` and `typeof` lie about it.) */
async function ask<T>(
  env: Env,
  repository: string,
  call: (stub: DurableObjectStub<Publisher>) => PromiseLike<T | Refused>,
): Promise<T | Refused> {
  if (!(await exists(env, repository)))
    return refused('unavailable', 503, 'This repository is not initialised yet: its ceremony has not been held.')
  return call(objectOf(env, repository))
}

/** A stranger's request must not create an object: where one lies is fixed for ever by whoever asks first. */
async function exists(env: Env, repository: string): Promise<boolean> {
  if (typeof repository !== 'string' || !REPOSITORY_NAME.test(repository)) return false
  if (existing.has(repository)) return true
  const found = await inBucket(env, repository)
  if (found) existing.add(repository)
  return found
}

async function inBucket(env: Env, repository: string): Promise<boolean> {
  const place = { repository, epoch: 1 }
  const found = (await env.BUCKET.head(timestampKey(place))) ?? (await env.BUCKET.head(metadataKey(place, 1, 'root')))
  return found !== null
}

export class Public extends WorkerEntrypoint<Env> {
  async trust(repository: string): Promise<Trust | Refused> {
    return ask<Trust>(this.env, repository, (stub) => stub.trust())
  }

  async refresh(repository: string): Promise<Done> {
    return ask<Done>(this.env, repository, (stub) => stub.refresh())
  }

  /** Whether (path, digest) is a page of a retained publication. */
  async retainsPage(repository: string, path: string, sha256: string): Promise<boolean> {
    return (await ask<boolean>(this.env, repository, (stub) => stub.retainsPage(path, sha256))) === true
  }

  /** The digest of a file that was published under this name, of a repository that is signed elsewhere. */
  async metadata(repository: string, role: string, version: number): Promise<MetadataAnswer> {
    return ask<MetadataAnswer>(this.env, repository, (stub) => stub.metadata(role, version))
  }

  async status(repository: string): Promise<Status | Refused> {
    return ask<Status>(this.env, repository, (stub) => stub.status())
  }

  /** The files that were purged last. */
  async purged(repository: string): Promise<PurgedAnswer> {
    return ask<PurgedAnswer>(this.env, repository, (stub) => stub.purged())
  }

  /** The newest releases and projects of what is live. */
  async recent(repository: string): Promise<RecentAnswer> {
    return ask<RecentAnswer>(this.env, repository, (stub) => stub.recent())
  }

  /** What the JWT of a trusted publisher must be made for. */
  async audience(repository: string): Promise<AudienceAnswer> {
    return ask<AudienceAnswer>(this.env, repository, (stub) => stub.audience())
  }
}

export class Member extends WorkerEntrypoint<Env> {
  async begin(request: BeginRequest): Promise<BeginAnswer> {
    return ask<BeginAnswer>(this.env, request.repository, (stub) => stub.begin(request))
  }

  async largeUpload(request: LargeRequest): Promise<LargeAnswer> {
    return ask<LargeAnswer>(this.env, request.repository, (stub) => stub.largeUpload(request))
  }

  async abandonLarge(request: BeginRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.abandonLarge(request))
  }

  async reserve(request: BeginRequest): Promise<ReserveAnswer> {
    return ask<ReserveAnswer>(this.env, request.repository, (stub) => stub.reserve(request))
  }

  async reserved(request: BeginRequest): Promise<ReservedAnswer> {
    return ask<ReservedAnswer>(this.env, request.repository, (stub) => stub.reserved(request))
  }

  async mayPut(request: TicketRequest): Promise<TicketAnswer> {
    return ask<TicketAnswer>(this.env, request.repository, (stub) => stub.mayPut(request))
  }

  async stage(request: StageRequest): Promise<StageAnswer> {
    return ask<StageAnswer>(this.env, request.repository, (stub) => stub.stage(request))
  }

  /** Waits with a duplicate for the publication of what was accepted before; takes nothing. */
  async whenVisible(request: BeginRequest): Promise<StageAnswer> {
    return ask<StageAnswer>(this.env, request.repository, (stub) => stub.whenVisible(request))
  }

  async yank(request: YankRequest): Promise<StageAnswer> {
    return ask<StageAnswer>(this.env, request.repository, (stub) => stub.yank(request))
  }

  async remove(request: RemoveRequest): Promise<RemoveAnswer> {
    return ask<RemoveAnswer>(this.env, request.repository, (stub) => stub.remove(request))
  }

  async setQuota(request: QuotaRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setQuota(request))
  }

  /** What the attestations of an upload are to be compared with. */
  async attestationTrust(request: BeginRequest): Promise<AttestationTrustAnswer> {
    return ask<AttestationTrustAnswer>(this.env, request.repository, (stub) => stub.attestationTrust(request))
  }

  async setTrustRoot(request: TrustRootRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setTrustRoot(request))
  }

  async trustRoot(repository: string, token: string): Promise<TrustRootAnswer> {
    return ask<TrustRootAnswer>(this.env, repository, (stub) => stub.trustRoot(token))
  }

  async quota(question: QuotaQuestion): Promise<QuotaAnswer> {
    return ask<QuotaAnswer>(this.env, question.repository, (stub) => stub.quota(question))
  }

  async setStatus(request: StatusRequest): Promise<StageAnswer> {
    return ask<StageAnswer>(this.env, request.repository, (stub) => stub.setStatus(request))
  }

  async setFreshness(request: FreshnessRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setFreshness(request))
  }

  async setWebhook(request: WebhookRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setWebhook(request))
  }

  /** What the collector would delete; deletes nothing. */
  async garbage(repository: string, token: string): Promise<GarbageAnswer> {
    return ask<GarbageAnswer>(this.env, repository, (stub) => stub.garbage(token))
  }

  /** The ceremony's first half: the one call that creates an object. */
  async createKeys(repository: string, secret: string, adopted = false): Promise<KeysAnswer> {
    if (!REPOSITORY_NAME.test(repository)) return refused('invalid', 400, `'${repository}' is not a repository name.`)
    return this.#bootstrap(secret) ?? objectOf(this.env, repository).createKeys(repository, adopted)
  }

  /** The ceremony's second half. */
  async initialise(request: InitialiseRequest, secret: string): Promise<Done> {
    if (!REPOSITORY_NAME.test(request.repository)) return refused('invalid', 400, 'That is not a repository name.')
    return this.#bootstrap(secret) ?? objectOf(this.env, request.repository).initialise(request)
  }

  /** Takes over a repository that is signed elsewhere. */
  async adopt(request: AdoptRequest, secret: string): Promise<PushAnswer> {
    if (!REPOSITORY_NAME.test(request.repository)) return refused('invalid', 400, 'That is not a repository name.')
    return this.#bootstrap(secret) ?? objectOf(this.env, request.repository).adopt(request)
  }

  /** Takes a token; before the adoption the bootstrap secret. */
  async stagePart(request: PartRequest, secret: string): Promise<PartAnswer> {
    return this.#stage<PartAnswer>(request.repository, secret, (stub, bearer) => stub.stagePart(request, bearer))
  }

  /** As `stagePart`. */
  async lookAtBatch(request: BatchRequest, secret: string): Promise<BatchAnswer> {
    return this.#stage<BatchAnswer>(request.repository, secret, (stub, bearer) => stub.lookAtBatch(request, bearer))
  }

  /** As `stagePart`. */
  async forgetBatch(request: BatchRequest, secret: string): Promise<Done> {
    return this.#stage<Done>(request.repository, secret, (stub, bearer) => stub.forgetBatch(request, bearer))
  }

  async push(request: PushRequest): Promise<PushAnswer> {
    return ask<PushAnswer>(this.env, request.repository, (stub) => stub.push(request))
  }

  /** Hands an adopted repository back to its owner. */
  async release(request: PushRequest): Promise<PushAnswer> {
    return ask<PushAnswer>(this.env, request.repository, (stub) => stub.release(request))
  }

  async setPull(request: PullRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setPull(request))
  }

  async setGate(request: GateRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setGate(request))
  }

  /** Whether a target file may be put into the bucket. */
  async mayPutTarget(request: PutTargetRequest): Promise<PutTargetAnswer> {
    return ask<PutTargetAnswer>(this.env, request.repository, (stub) => stub.mayPutTarget(request))
  }

  async setOrigin(request: OriginRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setOrigin(request))
  }

  /** Takes an admin token, or the bootstrap secret until an admin token is used; later a new secret, if no admin is left. */
  async mint(request: MintRequest, secret: string): Promise<MintAnswer> {
    const bearer = looksLikeToken(secret) ? secret : { bootstrap: digest(secret) }
    const denied = typeof bearer === 'string' ? undefined : this.#bootstrap(secret)
    return denied ?? ask<MintAnswer>(this.env, request.repository, (stub) => stub.mint(request, bearer))
  }

  async setReading(request: ReadingRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setReading(request))
  }

  /** Noise never reaches the object: form and checksum are looked at here. */
  async mayRead(repository: string, token: string): Promise<MayReadAnswer> {
    if (!looksLikeToken(token)) return refused('unauthorised', 401, UNAUTHENTICATED)
    return ask<MayReadAnswer>(this.env, repository, (stub) => stub.mayRead(token))
  }

  async tokens(request: ListTokensRequest): Promise<ListTokensAnswer> {
    return ask<ListTokensAnswer>(this.env, request.repository, (stub) => stub.tokens(request))
  }

  async revoke(request: RevokeRequest): Promise<RevokeAnswer> {
    return ask<RevokeAnswer>(this.env, request.repository, (stub) => stub.revoke(request))
  }

  async addPublisher(request: AddPublisherRequest): Promise<AddPublisherAnswer> {
    return ask<AddPublisherAnswer>(this.env, request.repository, (stub) => stub.addPublisher(request))
  }

  async listPublishers(request: ListPublishersRequest): Promise<ListPublishersAnswer> {
    return ask<ListPublishersAnswer>(this.env, request.repository, (stub) => stub.listPublishers(request))
  }

  async removePublisher(request: RemovePublisherRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.removePublisher(request))
  }

  async setAudience(request: AudienceRequest): Promise<Done> {
    return ask<Done>(this.env, request.repository, (stub) => stub.setAudience(request))
  }

  /** Takes the JWT of a trusted publisher, which the object verifies itself. */
  async exchange(request: ExchangeRequest): Promise<ExchangeAnswer> {
    return ask<ExchangeAnswer>(this.env, request.repository, (stub) => stub.exchange(request))
  }

  /** Ends a token that `exchange` gave. */
  async burn(repository: string, token: string): Promise<Done> {
    return ask<Done>(this.env, repository, (stub) => stub.burn(token))
  }

  /** Takes an admin token; the bootstrap secret where the ledger is empty or the bucket lost. */
  async resume(request: ResumeRequest, secret: string): Promise<ResumeAnswer> {
    return this.#repair<ResumeAnswer>(request.repository, secret, (stub, caller) => stub.resume(request, caller))
  }

  /** As `resume`. */
  async rebuild(request: RebuildRequest, secret: string): Promise<RebuildAnswer> {
    return this.#repair<RebuildAnswer>(request.repository, secret, (stub, caller) => stub.rebuild(request, caller))
  }

  async journal(repository: string, after: number, limit: number, token: string): Promise<JournalAnswer> {
    return ask<JournalAnswer>(this.env, repository, (stub) => stub.journal(after, limit, token))
  }

  /** Before its adoption a repository has neither tokens nor anything in the bucket. */
  async #stage<T>(
    repository: string,
    secret: string,
    call: (stub: DurableObjectStub<Publisher>, bearer: string | { bootstrap: true }) => PromiseLike<T | Refused>,
  ): Promise<T | Refused> {
    if (!REPOSITORY_NAME.test(repository)) return refused('invalid', 400, 'That is not a repository name.')
    if (looksLikeToken(secret)) return ask<T>(this.env, repository, (stub) => call(stub, secret))
    return this.#bootstrap(secret) ?? call(objectOf(this.env, repository), { bootstrap: true })
  }

  /** A token is known by the ledger, and the ledger through the bucket: who lost either proves himself otherwise. */
  async #repair<T>(
    repository: string,
    secret: string,
    call: (stub: DurableObjectStub<Publisher>, caller: Caller) => PromiseLike<T | Refused>,
  ): Promise<T | Refused> {
    if (typeof repository !== 'string' || !REPOSITORY_NAME.test(repository))
      return refused('invalid', 400, 'That is not a repository name.')
    if (!looksLikeToken(secret)) {
      const denied = this.#bootstrap(secret)
      if (denied) return denied
      // The timestamp goes back last, so a rebuild in batches keeps its proof until it is complete.
      const bucketLost = (await this.env.BUCKET.head(timestampKey({ repository, epoch: 1 }))) === null
      return call(objectOf(this.env, repository), { bootstrap: true, bucketLost })
    }
    if (await exists(this.env, repository)) return call(objectOf(this.env, repository), secret)
    return refused('unavailable', 503, 'The bucket holds no repository: a lost one takes the bootstrap secret.')
  }

  #bootstrap(secret: string): Refused | undefined {
    const expected = this.env.BOOTSTRAP_SECRET
    if (typeof expected === 'string' && expected.length >= 32 && sameSecret(secret, expected)) return undefined
    return refused('unauthorised', 401, UNAUTHENTICATED)
  }
}
