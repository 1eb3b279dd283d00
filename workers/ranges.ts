// Conditional and range requests (RFC 9110, 13 and 14), decided from the entity tag and the length alone: both are known
// from signed metadata, so a 304, a 416 or a HEAD costs no object read. State: none.

/** Inclusive byte positions. */
export interface ByteRange {
  first: number
  last: number
}

/** A strong entity tag from a digest. */
export const etagOf = (sha256: string): string => `"${sha256}"`

/** Whether `If-None-Match` names this entity: weak comparison, `*` names any (RFC 9110, 13.1.2). */
export function noneMatches(header: string | null, etag: string): boolean {
  if (header === null) return false
  if (header.trim() === '*') return true
  return header.split(',').some((member) => member.trim().replace(/^W\//, '') === etag)
}

/**
 * The one range to answer with, null for the whole, or 'unsatisfiable'.
 *
 * Ignored, which RFC 9110 (14.2) leaves to the server and clients must cope with: other units, malformed ranges, more than
 * one range (no installer sends several), and any range whose `If-Range` is not this very entity. An `If-Range` date never
 * matches, because no Last-Modified is sent that it could come from.
 */
export function chooseRange(
  range: string | null,
  ifRange: string | null,
  etag: string,
  length: number,
): ByteRange | null | 'unsatisfiable' {
  if (range === null) return null
  // Strong comparison: a weak tag never stands for the same bytes (RFC 9110, 13.1.5).
  if (ifRange !== null && ifRange.trim() !== etag) return null
  const match = /^bytes\s*=\s*(\d*)-(\d*)\s*$/i.exec(range.trim())
  if (!match || (match[1] === '' && match[2] === '')) return null
  const [from, to] = [match[1]!, match[2]!]
  if (from === '') {
    const suffix = Number(to)
    if (suffix === 0 || length === 0) return 'unsatisfiable'
    return { first: Math.max(0, length - suffix), last: length - 1 }
  }
  const first = Number(from)
  const last = to === '' ? length - 1 : Number(to)
  if (to !== '' && last < first) return null
  return first >= length ? 'unsatisfiable' : { first, last: Math.min(last, length - 1) }
}
