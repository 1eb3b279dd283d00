// Files that were purged: their digest URLs answer 410, so that a client learns that asking again is of no use. State: what
// the publisher said, for a minute. It is told all of them at once, so made-up names cost it one question a minute, and
// where it does not answer the URL is just 404. Nothing is served or withheld because of what stands here.
import type { Env } from './env.ts'
import { log } from './errors.ts'
import { Flights, within } from './memory.ts'

const KEPT_MS = 60_000
const WAIT_MS = 1_000

export class Purges {
  readonly #flights = new Flights()
  #known: { until: number; pairs: ReadonlySet<string> } = { until: 0, pairs: new Set() }

  /** @param path of the target */
  async has(env: Env, repository: string, path: string, sha256: string): Promise<boolean> {
    if (Date.now() >= this.#known.until) await within(this.#ask(env, repository), WAIT_MS, undefined)
    return this.#known.pairs.has(`${path} ${sha256}`)
  }

  #ask(env: Env, repository: string): Promise<void> {
    return this.#flights.share('purges', async () => {
      try {
        const answer = await env.PUBLIC.purged(repository)
        if (answer.ok) this.#known = { until: Date.now() + KEPT_MS, pairs: new Set(answer.pairs) }
      } catch (error) {
        log('purges', error)
      }
    })
  }
}
