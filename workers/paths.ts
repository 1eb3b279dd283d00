// From a URL to path segments. Invariant: routes see the path as it came, undecoded; a segment is decoded exactly once,
// and one that could mean another path than it looks like has no meaning at all.

/** The path of a request as it stands in the URL: no query, nothing decoded. */
export function rawPath(request: Request): string {
  const { url } = request
  const start = url.indexOf('/', url.indexOf('://') + 3)
  if (start < 0) return '/'
  const end = url.slice(start).search(/[?#]/)
  return end < 0 ? url.slice(start) : url.slice(start, start + end)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f/\\]/

/**
 * The decoded segments behind `prefix`, or undefined if the path is no plain one: an empty segment (but for the one that
 * a trailing slash makes), `.` or `..`, a separator or control character under a percent sign, or broken encoding.
 *
 * @param prefix what the route matched, with its slash
 */
export function segmentsBehind(prefix: string, path: string): string[] | undefined {
  if (!path.startsWith(prefix)) return undefined
  const raw = path.slice(prefix.length).split('/')
  const segments: string[] = []
  for (const [i, segment] of raw.entries()) {
    if (segment === '' && i < raw.length - 1) return undefined
    const decoded = decodeOnce(segment)
    if (decoded === undefined || decoded === '.' || decoded === '..' || FORBIDDEN.test(decoded)) return undefined
    segments.push(decoded)
  }
  return segments
}

/** Undefined: broken encoding. */
export function decodeOnce(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

/** A name or an address, with or without a port (RFC 9110, 7.2). */
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/

/** False where `Host` is none: the runtime makes a URL of whatever was sent, which is no URL then or has another path. */
export function hasHost(request: Request): boolean {
  const host = request.headers.get('host')
  return (host === null || HOST.test(host)) && URL.canParse(request.url)
}

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]'])

export const isLoopback = (request: Request): boolean => LOOPBACK.has(new URL(request.url).hostname)
