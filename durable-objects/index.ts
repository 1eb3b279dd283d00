// The publisher script: the object, its two doors, and the watchdog. No route leads here.
import { Public } from './entrypoints.ts'
import type { Env } from './env.ts'

export { Member, Public } from './entrypoints.ts'
export { Publisher } from './publisher.ts'

/** Repositories of one deployment; their folders are one page of a listing (R2 lists 1,000 at a time). */
const REPOSITORIES_MAX = 1_000

export default {
  /** The watchdog of every repository there is: one class A operation. Each object's own alarm is the clock. */
  async scheduled(_controller, env, ctx) {
    const { delimitedPrefixes } = await env.BUCKET.list({ prefix: 'r/', delimiter: '/', limit: REPOSITORIES_MAX })
    for (const prefix of delimitedPrefixes) {
      const repository = prefix.slice('r/'.length, -1)
      ctx.waitUntil(new Public(ctx, env).refresh(repository))
    }
  },
} satisfies ExportedHandler<Env>
