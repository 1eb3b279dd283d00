// RSS 2.0 of what is new, in Warehouse's shape: `/rss/updates.xml`, the newest releases, and `/rss/packages.xml`, the newest
// projects. State: what the publisher said, for a minute, so that nobody can load it with polling; a feed may lag by that.
// Cost: one read of the timestamp; one RPC a minute and isolate.
import type { RecentAnswer } from '../durable-objects/rpc-projects.ts'
import { encodeSegment } from '../pypi/names.ts'
import { nameOf, urlOf } from './addresses.ts'
import type { Env } from './env.ts'
import { NotFound, publisher, Unavailable } from './errors.ts'
import { Flights } from './memory.ts'
import type { Reader } from './reader.ts'

const KEPT_MS = 60_000

type Recent = Extract<RecentAnswer, { ok: true }>
interface Item {
  title: string
  link: string
  id: string
  /** Unix milliseconds. */
  time: number
}

export class Feeds {
  readonly #reader: Reader
  readonly #flights = new Flights()
  #recent: { until: number; answer: Recent } | undefined

  constructor(reader: Reader) {
    this.#reader = reader
  }

  async answer(env: Env, request: Request, path: string): Promise<Response> {
    const about = FEEDS[path]
    if (!about) throw new NotFound()
    // As every other answer: none from an index that cannot be verified.
    await this.#reader.current(env)
    const index = urlOf(this.#reader.repository, request)
    const items = about.items(await this.#ask(env), index)
    const title = `${nameOf(index)}: ${about.title}`
    return new Response(render(title, index, about.description, items), {
      headers: {
        'Content-Type': 'application/rss+xml; charset=utf-8',
        'Cache-Control': request.headers.has('Authorization') ? 'private, no-cache' : 'public, no-cache',
        'Content-Security-Policy': "default-src 'none'; sandbox",
      },
    })
  }

  async #ask(env: Env): Promise<Recent> {
    const now = Date.now()
    if (this.#recent && now < this.#recent.until) return this.#recent.answer
    return this.#flights.share('recent', async () => {
      const answer = await publisher(async () => env.PUBLIC.recent(this.#reader.repository))
      if (!answer.ok) throw new Unavailable(answer.message)
      this.#recent = { until: Date.now() + KEPT_MS, answer }
      return answer
    })
  }
}

const FEEDS: Readonly<
  Record<string, { title: string; description: string; items(recent: Recent, index: string): Item[] }>
> = {
  '/rss/updates.xml': {
    title: 'recent updates',
    description: 'The newest releases of this index',
    items: ({ releases }, index) =>
      releases.map(({ project, version, uploaded }) => ({
        title: `${project} ${version}`,
        link: `${index}/simple/${project}/`,
        id: `${index}/pypi/${project}/${encodeSegment(version)}/json`,
        time: uploaded,
      })),
  },
  '/rss/packages.xml': {
    title: 'newest packages',
    description: 'The newest projects of this index',
    items: ({ projects }, index) =>
      projects.map(({ project, created }) => ({
        title: `${project} added`,
        link: `${index}/simple/${project}/`,
        id: `${index}/simple/${project}/`,
        time: created,
      })),
  },
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }
const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => ESCAPES[c]!)

/** RFC 822 dates, as RSS 2.0 wants them: what `toUTCString` writes. */
function render(title: string, index: string, description: string, items: readonly Item[]): string {
  const entries = items.map(
    ({ title: name, link, id, time }) => `<item>
<title>${escaped(name)}</title>
<link>${escaped(link)}</link>
<guid isPermaLink="false">${escaped(id)}</guid>
<pubDate>${new Date(time).toUTCString()}</pubDate>
</item>
`,
  )
  return `<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0">
<channel>
<title>${escaped(title)}</title>
<link>${escaped(index)}/</link>
<description>${escaped(description)}</description>
<language>en</language>
${entries.join('')}</channel>
</rss>
`
}
