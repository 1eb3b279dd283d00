// The operators' API, upkeep: freshness, webhook, what the collector will do. State: none; who may do what is decided by
// the publisher in the transaction of the change.
import type { Hono } from 'hono'
import type { Done, Freshness, Refused } from '../durable-objects/rpc.ts'
import type { FreshnessProfile, GarbageAnswer, WebhookRequest } from '../durable-objects/rpc-upkeep.ts'
import { asInteger, asString } from '../tuf/fields.ts'
import type { Json } from '../tuf/json.ts'
import { answer, credentialOf, objectOf, readBody } from './api-json.ts'
import type { Env } from './env.ts'

/** A URL and a secret are a few hundred bytes. */
const BODY_BYTES_MAX = 16 * 1024
/** Life and tick times, in seconds. */
const TIMES = ['timestampSeconds', 'snapshotSeconds', 'binSeconds', 'tickSeconds'] satisfies (keyof Freshness)[]

type Given<T> = Exclude<T, Refused>

/** The name of a profile, or four times in seconds. Which names there are is the publisher's to know. */
export function freshnessFrom(value: Json | undefined): FreshnessProfile | Freshness {
  if (typeof value === 'string') return value as FreshnessProfile
  const seconds = objectOf(value, 'freshness', TIMES)
  const time = (name: keyof Freshness) => asInteger(seconds.get(name), 1, name)
  return {
    timestampSeconds: time('timestampSeconds'),
    snapshotSeconds: time('snapshotSeconds'),
    binSeconds: time('binSeconds'),
    tickSeconds: time('tickSeconds'),
  }
}

/** Adds the routes to `api`. @param repository the one that `/api/` is about */
export function addUpkeep(api: Hono<{ Bindings: Env }>, repository: string): void {
  /** `{"freshness": "tight"}`, or the four times. Takes an admin token. */
  api.put('/api/settings/freshness', async (c) => {
    const token = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, ['freshness'])
    const freshness = freshnessFrom(body.get('freshness'))
    return answer<Given<Done>>(await c.env.MEMBER.setFreshness({ repository, token, freshness }))
  })

  /** `{"url": "https://…", "secret": "…"}`. Takes an admin token; the secret is never given back. */
  api.put('/api/settings/webhook', async (c) => {
    const token = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, ['url', 'secret'])
    const webhook = { url: asString(body.get('url'), 'url'), secret: asString(body.get('secret'), 'secret') }
    return setWebhook(c.env, { repository, token, webhook })
  })

  api.delete('/api/settings/webhook', (c) =>
    setWebhook(c.env, { repository, token: credentialOf(c.req.raw), webhook: null }),
  )

  /** What the collector would delete, when and why. Takes an admin or audit token; deletes nothing. */
  api.get('/api/garbage', async (c) =>
    answer<Given<GarbageAnswer>>(await c.env.MEMBER.garbage(repository, credentialOf(c.req.raw))),
  )
}

const setWebhook = async (env: Env, request: WebhookRequest): Promise<Response> =>
  answer<Given<Done>>(await env.MEMBER.setWebhook(request))
