// Strict text. State: none.

/** The bytes as UTF-8, a byte order mark included; null if they are anything else. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}
