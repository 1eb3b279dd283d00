// The token of a request. State: none. Whether it is known and what it may do is the publisher's to say, inside the
// transaction of the change: here it only has to be readable.

/** Makes uploaders and pip ask for credentials (RFC 7617). */
export const CHALLENGE = 'Basic realm="tuf-edge"'

/** Printable ASCII, four times the length of our tokens: whatever is longer was never minted here. */
const READABLE = /^[\x21-\x7e]{1,212}$/

/**
 * The token of `Authorization: Bearer TOKEN` or `Basic base64(user:TOKEN)`. The user name is `__token__` by custom and
 * means nothing: some tools cannot be told to send it. Undefined if there is none that can be read.
 */
export function tokenOf(headers: Headers): string | undefined {
  const [scheme, value, ...rest] = (headers.get('authorization') ?? '').trim().split(/ +/)
  if (scheme === undefined || value === undefined || rest.length > 0) return undefined
  const token = scheme.toLowerCase() === 'bearer' ? value : scheme.toLowerCase() === 'basic' ? password(value) : ''
  return token !== undefined && READABLE.test(token) ? token : undefined
}

function password(encoded: string): string | undefined {
  try {
    const pair = atob(encoded)
    const colon = pair.indexOf(':')
    return colon < 0 ? undefined : pair.slice(colon + 1)
  } catch {
    return undefined
  }
}
