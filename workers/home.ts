// The page for people: `/`. What is in this index, how to install from it, and by what it can be checked. One HTML text,
// no script, no outside asset, everything escaped. Bucket reads: as a project page, of the list.

import { formatDate } from '../tuf/dates.ts'
import { baseOf } from '../tuf/layout.ts'
import { nameOf, urlOf } from './addresses.ts'
import { objectOf, staleness, WHOLE_BYTES_MAX } from './content.ts'
import type { Env } from './env.ts'
import { Corrupt } from './errors.ts'
import type { Publication } from './publication.ts'
import type { Reader } from './reader.ts'
import { listTarget } from './simple.ts'

const NAMES_SHOWN_MAX = 100

interface Packages {
  count: number
  names: string[]
}

export async function answerHome(env: Env, reader: Reader, request: Request): Promise<Response> {
  const publication = await reader.current(env)
  const list = await publication.find(env, listTarget('json'))
  if (!list) throw new Corrupt('the project list is in no role.')
  const place = publication.trusted.place
  // A list of some 100,000 names is not read for a page that shows 100.
  const packages =
    list.length <= WHOLE_BYTES_MAX ? readList(await reader.whole(env, objectOf(place, list), reader.pages)) : undefined
  const nonce = crypto.randomUUID()
  const html = render({ url: urlOf(reader.repository, request), publication, packages, nonce, now: Date.now() })
  return new Response(html, {
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Cache-Control': 'no-cache',
      'Content-Security-Policy': `default-src 'none'; img-src data:; style-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
      ...staleness(list),
    },
  })
}

/** The list is ours and its digest was checked; only its form is read here. */
function readList(bytes: Uint8Array): Packages {
  const { projects } = JSON.parse(new TextDecoder().decode(bytes)) as { projects: { name: string }[] }
  return { count: projects.length, names: projects.slice(0, NAMES_SHOWN_MAX).map(({ name }) => name) }
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => ESCAPES[c]!)

/** Milliseconds as people say them; the larger unit and the next. */
function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 1) return 'less than a minute'
  const units: [string, number][] = [
    ['day', Math.floor(minutes / 1440)],
    ['hour', Math.floor(minutes / 60) % 24],
    ['minute', minutes % 60],
  ]
  const used = units.slice(units.findIndex(([, n]) => n > 0)).slice(0, 2)
  return used.flatMap(([unit, n]) => (n > 0 ? [`${n} ${unit}${n === 1 ? '' : 's'}`] : [])).join(' ')
}

interface Facts {
  /** Of the index, without the slash at its end. */
  url: string
  publication: Publication
  packages: Packages | undefined
  nonce: string
  now: number
}

function render({ url, publication, packages, nonce, now }: Facts): string {
  const { trusted, timestamp } = publication
  const index = escaped(`${url}/simple/`)
  const fingerprint = trusted.files.get(1)?.sha256 ?? ''
  const base = baseOf(trusted.place.repository)
  const left = timestamp.signed.expiresMs - now
  const freshness =
    left > 0
      ? `<span class="good">fresh</span> for another ${duration(left)}`
      : `<strong class="bad">stale</strong> since ${escaped(timestamp.signed.expires)}`
  const first = escaped(packages?.names[0] ?? 'PACKAGE')
  const host = escaped(nameOf(url))
  const legacy = escaped(`${url}/legacy/`)
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${host} · Python package index</title>
<link rel="icon" href="${ICON}">
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<main>
<header>
<h1>Python package index</h1>
<p>${packages ? counted(packages.count) : 'Many packages'}, every answer signed and ${freshness}.</p>
</header>
${trusted.development ? DEVELOPMENT : ''}<section aria-labelledby="install">
<h2 id="install">Install</h2>
<pre tabindex="0"><code>pip install --index-url ${index} ${first}</code></pre>
<pre tabindex="0"><code>uv pip install --default-index ${index} ${first}</code></pre>
</section>
<section aria-labelledby="upload">
<h2 id="upload">Upload</h2>
<p>With a token of this index in <code>TWINE_PASSWORD</code> or <code>UV_PUBLISH_TOKEN</code>:</p>
<pre tabindex="0"><code>TWINE_USERNAME=__token__ twine upload --repository-url ${legacy} dist/*</code></pre>
<pre tabindex="0"><code>uv publish --publish-url ${legacy} dist/*</code></pre>
</section>
<section aria-labelledby="packages">
<h2 id="packages">Packages</h2>
${packageList(packages, base)}</section>
<section aria-labelledby="verify">
<h2 id="verify">Verify</h2>
<p>A client that begins with the first root below accepts nothing that the operator's keys did not sign. Take it once, and
compare its SHA-256 with what the operator published elsewhere. With the client of <code>tuf-edge</code>:</p>
<pre tabindex="0"><code>curl -o root.json ${escaped(`${url}/tuf/1.root.json`)}</code></pre>
<pre tabindex="0"><code>npx tuf-edge fetch ${first} --index ${escaped(`${url}/`)} --root root.json --into downloads</code></pre>
<dl>
<dt>First root</dt><dd><a href="${base}/tuf/1.root.json">${base}/tuf/1.root.json</a></dd>
<dt>Its SHA-256</dt><dd><code class="digest">${escaped(fingerprint)}</code></dd>
<dt>Present root</dt><dd>version ${trusted.root.signed.version}, until ${escaped(trusted.root.signed.expires)}</dd>
<dt>Timestamp</dt><dd>version ${publication.version}, until ${escaped(formatDate(timestamp.signed.expiresMs))}</dd>
</dl>
</section>
</main>
</body>
</html>
`
}

const counted = (count: number): string => (count === 1 ? '1 package' : `${count.toLocaleString('en')} packages`)

function packageList(packages: Packages | undefined, base: string): string {
  if (!packages) return `<p>There are too many to list here: see <a href="${base}/simple/">the whole index</a>.</p>\n`
  if (packages.count === 0) return '<p>None yet. The first upload appears here.</p>\n'
  const items = packages.names.map(
    (name) => `<li><a href="${base}/simple/${encodeURIComponent(name)}/">${escaped(name)}</a></li>`,
  )
  const more = packages.count - packages.names.length
  const rest =
    more > 0 ? `<p>and ${more.toLocaleString('en')} more in <a href="${base}/simple/">the whole index</a>.</p>\n` : ''
  const first = encodeURIComponent(packages.names[0]!)
  const pages = `<p>These are the pages that installers read: files and nothing else. What a package says of itself is at
<a href="${base}/pypi/${first}/json">${base}/pypi/${first}/json</a>, and so for each.</p>\n`
  return `${pages}<ul>\n${items.join('\n')}\n</ul>\n${rest}`
}

const DEVELOPMENT = `<p class="notice" role="note"><strong>Development index.</strong> Its keys were made without a ceremony and are
guarded by nobody. Only this machine is answered.</p>
`

/** A tick on a shield; the page has no other picture. */
const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#18713f" d="M8 1l6 2v5c0 4-3 6-6 7-3-1-6-3-6-7V3z"/><path fill="none" stroke="#fff" stroke-width="1.6" d="M5 8l2 2 4-4"/></svg>',
)}`

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5a6675; --paper: #fbfbf9; --card: #fff; --line: #dfe3e8; --link: #0b57a4; --good: #18713f; --bad: #a32222; --notice: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #9aa6b5; --paper: #14181e; --card: #1b2129; --line: #313a46; --link: #7db7f2; --good: #6fcf97; --bad: #ff8f8f; --notice: #3a3115; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 0.6rem; }
header p { color: var(--dim); margin: 0.4rem 0 0; }
a { color: var(--link); text-underline-offset: 0.15em; }
code, pre { font-family: ui-monospace, 'Cascadia Mono', Menlo, Consolas, monospace; font-size: 0.9rem; }
pre { margin: 0.5rem 0; padding: 0.7rem 0.9rem; overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
ul { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 0.2rem 1rem; }
li { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.35rem 1.25rem; margin: 0; }
dt { color: var(--dim); }
dd { margin: 0; }
.digest { overflow-wrap: anywhere; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.notice { background: var(--notice); border: 1px solid var(--line); border-radius: 6px; padding: 0.7rem 0.9rem; }
@media (max-width: 32rem) { dl { grid-template-columns: 1fr; gap: 0 0; } dd { margin-bottom: 0.5rem; } }
`
