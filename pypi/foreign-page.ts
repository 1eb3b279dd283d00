// Reads the simple pages of any index (PEP 503, 592, 629, 691, 700), in both forms, leniently: another index's page is
// what it is, and what is taken from it is checked by digest and by everything an upload is checked by. State: none.

/** A file as another index lists it. */
export interface ForeignFile {
  readonly filename: string
  /** Absolute, without fragment. */
  readonly url: string
  /** Algorithm → lower-case hex, as the page has them. */
  readonly hashes: ReadonlyMap<string, string>
  /** PEP 700, if it is given. */
  readonly uploadTime?: string
  /** Absent: the page does not say. An HTML page has no way to say that a file is not yanked, and many know no yanks. */
  readonly yanked?: boolean | string
}

/** The page is none that can be read; the message says why. */
export class ForeignPageError extends Error {
  override name = 'ForeignPageError'
}

const JSON_TYPE = /^application\/vnd\.pypi\.simple\.v\d+\+json\b/i

const OPENING = /<!--|<a(?=[\s>])/gi
const ATTRIBUTE = /([a-z][a-z0-9-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/gi
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", '#39': "'" }

type Json = Record<string, unknown>

/** Projects of a list, as absolute URLs of their pages by the name that is shown. */
export function readForeignList(text: string, contentType: string, url: string): Map<string, string> {
  if (!JSON_TYPE.test(contentType))
    return new Map(
      anchors(text).flatMap(({ href, shown }) => (href && shown ? [[shown, new URL(href, withSlash(url)).href]] : [])),
    )
  const { projects } = objectOf(text)
  if (!Array.isArray(projects)) throw new ForeignPageError('the list has no projects')
  return new Map(
    projects.flatMap((each: unknown) => {
      const name = (each as Json | null)?.name
      return typeof name === 'string' ? [[name, new URL(`${encodeURIComponent(name)}/`, withSlash(url)).href]] : []
    }),
  )
}

/** Files of a project page. */
export function readForeignPage(text: string, contentType: string, url: string): ForeignFile[] {
  if (!JSON_TYPE.test(contentType)) return anchors(text).flatMap((anchor) => fileOf(anchor, url))
  const { files } = objectOf(text)
  if (!Array.isArray(files)) throw new ForeignPageError('the page has no files')
  return files.map((each: unknown) => {
    const file = (each ?? {}) as Json
    const { filename, yanked } = file
    if (typeof filename !== 'string' || typeof file.url !== 'string')
      throw new ForeignPageError('a file of the page has no name or no address')
    const hashes = Object.entries((file.hashes ?? {}) as Json).filter(([, hex]) => typeof hex === 'string')
    const time = file['upload-time']
    return {
      filename,
      url: new URL(file.url, url).href.replace(/#.*/, ''),
      hashes: new Map(hashes.map(([name, hex]) => [name.toLowerCase(), (hex as string).toLowerCase()])),
      ...(typeof time === 'string' ? { uploadTime: time } : {}),
      ...(typeof yanked === 'string' || typeof yanked === 'boolean' ? { yanked: yanked === '' || yanked } : {}),
    }
  })
}

interface Anchor {
  href: string
  shown: string
  attributes: ReadonlyMap<string, string>
}

/**
 * By hand and not by one pattern: attribute values may hold `>` (`data-requires-python=">=3.9"` is often written without
 * escapes), and each character is looked at once, whatever is left open.
 */
function anchors(html: string): Anchor[] {
  const found: Anchor[] = []
  for (let at = 0; ; ) {
    OPENING.lastIndex = at
    const opening = OPENING.exec(html)
    if (!opening) return found
    const inside = OPENING.lastIndex
    if (opening[0] === '<!--') {
      at = html.indexOf('-->', inside)
      if (at < 0) return found
      continue
    }
    const close = endOfTag(html, inside)
    if (close < 0) return found
    const next = html.indexOf('<', close)
    at = next < 0 ? html.length : next
    const attributes = attributesOf(html.slice(inside, close))
    found.push({ href: attributes.get('href') ?? '', shown: decode(html.slice(close + 1, at)).trim(), attributes })
  }
}

/** Where the `>` is that ends a tag, or -1. */
function endOfTag(html: string, from: number): number {
  for (let i = from; i >= 0 && i < html.length; i++) {
    const c = html[i]!
    if (c === '>') return i
    if (c === '"' || c === "'") {
      i = html.indexOf(c, i + 1)
      if (i < 0) return -1
    }
  }
  return -1
}

const attributesOf = (inside: string): Map<string, string> =>
  new Map([...inside.matchAll(ATTRIBUTE)].map(([, name, a, b, c]) => [name!.toLowerCase(), decode(a ?? b ?? c ?? '')]))

function fileOf({ href, attributes }: Anchor, page: string): ForeignFile[] {
  if (href === '') return []
  const url = new URL(href, page)
  const filename = decodeURIComponent(url.pathname.split('/').at(-1) ?? '')
  const digest = /^#([a-z0-9_]+)=([0-9a-f]+)$/i.exec(url.hash)
  if (filename === '') return []
  const yanked = attributes.get('data-yanked')
  return [
    {
      filename,
      url: url.href.replace(/#.*/, ''),
      hashes: new Map(digest ? [[digest[1]!.toLowerCase(), digest[2]!.toLowerCase()]] : []),
      ...(yanked === undefined ? {} : { yanked: yanked || true }),
    },
  ]
}

function objectOf(text: string): Json {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Json
  } catch {
    // said below
  }
  throw new ForeignPageError('the page is no JSON object')
}

function decode(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]+|#39));/gi, (all, hex, decimal, name) => {
    const code = hex ? Number.parseInt(hex, 16) : decimal ? Number(decimal) : undefined
    if (code !== undefined) return code <= 0x10ffff ? String.fromCodePoint(code) : all
    return ENTITIES[String(name).toLowerCase()] ?? all
  })
}

/** Links of a list are relative to the list as a folder, with or without its slash. */
const withSlash = (url: string): string => (url.endsWith('/') ? url : `${url}/`)
