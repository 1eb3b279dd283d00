// Who may write from a browser: pages of this origin. State: none.

/**
 * True for a request that a page of another origin makes in somebody's browser (Fetch standard, Fetch Metadata). No
 * uploader sends either header, and `Origin: null`, a sandboxed page, is as foreign as any.
 */
export function isForeign(request: Request): boolean {
  const origin = request.headers.get('origin')
  if (origin !== null && origin !== new URL(request.url).origin) return true
  const site = request.headers.get('sec-fetch-site')
  return site !== null && site !== 'none' && site !== 'same-origin'
}
