// The two doors the face may knock at. `Public` changes nothing by itself; `Member` passes the caller's token on, and
// the object authorises inside the transaction of the change. Neither creates an object: only the ceremony does.
import { WorkerEntrypoint } from 'cloudflare:workers'
import { metadataKey, REPOSITORY_NAME, timestampKey } from '../tuf/layout.ts'
import type { Env } from './env.ts'
import type { Publisher } from './publisher.ts'
import {
  type BeginAnswer,
  type BeginRequest,
  type Done,
  type InitialiseRequest,
  type KeysAnswer,
  type MintAnswer,
  type MintRequest,
  type Refused,
  refused,
  type StageAnswer,
  type StageRequest,
  type Status,
  type Trust,
  type YankRequest,
} from './rpc.ts'
import type { FreshnessRequest, GarbageAnswer, WebhookRequest } from './rpc-upkeep.ts'
import { looksLikeToken, sameSecret } from './tokens.ts'

/** Repositories this isolate has seen to exist. Existence never ends, so a positive answer is kept. */
const existing = new Set<string>()

/** Calls the repository's object, if there is one. (A stub is never returned: `in` and `typeof` lie about it.) */
async function ask<T>(
  env: Env,
  repository: string,
  call: (stub: DurableObjectStub<Publisher>) => PromiseLike<T | Refused>,
): Promise<T | Refused> {
  if (!(await exists(env, repository)))
    return refused('unavailable', 503, 'This repository is not initialised yet: run `tuf-edge init`.')
  return call(env.PUBLISHER.getByName(repository))
}

/** A stranger's request must not create an object: where one lies is fixed for ever by whoever asks first. */
async function exists(env: Env, repository: string): Promise<boolean> {
  if (typeof repository !== 'string' || !REPOSITORY_NAME.test(repository)) return false
  if (existing.has(repository)) return true
  const place = { repository, epoch: 1 }
  const found = (await env.BUCKET.head(timestampKey(place))) ?? (await env.BUCKET.head(metadataKey(place, 1, 'root')))
  if (found) existing.add(repository)
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

  async status(repository: string): Promise<Status | Refused> {
    return ask<Status>(this.env, repository, (stub) => stub.status())
  }
}

export class Member extends WorkerEntrypoint<Env> {
  async begin(request: BeginRequest): Promise<BeginAnswer> {
    return ask<BeginAnswer>(this.env, request.repository, (stub) => stub.begin(request))
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
  async createKeys(repository: string, secret: string): Promise<KeysAnswer> {
    if (!REPOSITORY_NAME.test(repository)) return refused('invalid', 400, `'${repository}' is not a repository name.`)
    return this.#bootstrap(secret) ?? this.env.PUBLISHER.getByName(repository).createKeys(repository)
  }

  /** The ceremony's second half. */
  async initialise(request: InitialiseRequest, secret: string): Promise<Done> {
    if (!REPOSITORY_NAME.test(request.repository)) return refused('invalid', 400, 'That is not a repository name.')
    return this.#bootstrap(secret) ?? this.env.PUBLISHER.getByName(request.repository).initialise(request)
  }

  /** Takes an admin token, or the bootstrap secret until the first admin token exists. */
  async mint(request: MintRequest, secret: string): Promise<MintAnswer> {
    const bearer = looksLikeToken(secret) ? secret : { bootstrap: true as const }
    const denied = typeof bearer === 'string' ? undefined : this.#bootstrap(secret)
    return denied ?? ask<MintAnswer>(this.env, request.repository, (stub) => stub.mint(request, bearer))
  }

  #bootstrap(secret: string): Refused | undefined {
    const expected = this.env.BOOTSTRAP_SECRET
    if (typeof expected === 'string' && expected.length >= 32 && sameSecret(secret, expected)) return undefined
    return refused('unauthorised', 401, 'Invalid or non-existent authentication information.')
  }
}
