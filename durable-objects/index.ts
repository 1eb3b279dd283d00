// The publisher script: the object, its two doors, and the watchdog. No route leads here.
import { Public } from './entrypoints.ts'
import type { Env } from './env.ts'

export { Member, Public } from './entrypoints.ts'
export { Publisher } from './publisher.ts'

/** Repositories the watchdog looks after. */
const REPOSITORIES = ['main']

export default {
  async scheduled(_controller, env, ctx) {
    for (const repository of REPOSITORIES) ctx.waitUntil(new Public(ctx, env).refresh(repository))
  },
} satisfies ExportedHandler<Env>
