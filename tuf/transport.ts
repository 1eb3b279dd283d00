// What a client fetches through. The answer's body is a stream that the client cuts off at its own limits; a transport
// adds only what needs the network: redirects, time limits, connection errors.
import { DownloadError } from './errors.ts'

/** An answer as the client needs it. */
export interface Answer {
  readonly status: number
  /** Decoded bytes (after any Content-Encoding): what lengths and digests are about (TAP 10). */
  readonly body: ReadableStream<Uint8Array>
}

export interface Transport {
  /**
   * Starts fetching `url`.
   *
   * @param maxBytes the client reads no more than this; a transport may use it to refuse early
   * @throws {DownloadError} if there is no answer; HTTP errors are answers
   */
  fetch(url: string, maxBytes: number): Promise<Answer>
}

/** Timers count in signed 32 bits and fire at once beyond: 24 days, reached after 2.2 GB at the default speed. */
const TIMER_MAX_MS = 2 ** 31 - 1

export interface WebTransportOptions {
  /** The function to fetch with; the platform's by default. */
  fetch?: (url: string, init: { signal: AbortSignal }) => Promise<Response>
  /** Milliseconds until the headers must be there, and beyond which the body must keep up `minBytesPerSecond`. */
  graceMs?: number
  /** A body slower than this on average is cut off, so that a server cannot hold a client for ever. */
  minBytesPerSecond?: number
}

/**
 * A transport over `fetch`. Defaults: 30 s of grace, then 1 KiB/s on average: a 2 MB snapshot may take half an hour on
 * a very bad line, and one byte a second ends after half a minute.
 */
export function webTransport(options: WebTransportOptions = {}): Transport {
  const { graceMs = 30_000, minBytesPerSecond = 1024 } = options
  const send = options.fetch ?? ((url: string, init: { signal: AbortSignal }) => fetch(url, init))
  return {
    async fetch(url) {
      const abort = new AbortController()
      // Only time spent waiting for the network counts: whoever reads slowly is not the server's fault.
      let waited = 0
      const withDeadline = async <T>(received: number, work: Promise<T>): Promise<T> => {
        const started = Date.now()
        const left = Math.min(graceMs + (received / minBytesPerSecond) * 1000 - waited, TIMER_MAX_MS)
        const timer = setTimeout(() => abort.abort(new Error('the server is too slow')), Math.max(0, left))
        try {
          return await work
        } catch (cause) {
          throw new DownloadError(`Fetching ${url} failed: ${reasonOf(cause)}.`, undefined, { cause })
        } finally {
          clearTimeout(timer)
          waited += Date.now() - started
        }
      }
      const response = await withDeadline(0, send(url, { signal: abort.signal }))
      return { status: response.status, body: paced(response.body, withDeadline) }
    },
  }
}

/** `body` with every read under the deadline. */
function paced(
  body: ReadableStream<Uint8Array> | null,
  withDeadline: <T>(received: number, work: Promise<T>) => Promise<T>,
): ReadableStream<Uint8Array> {
  const reader = body?.getReader()
  let received = 0
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = await (reader ? withDeadline(received, reader.read()) : undefined)
      if (!chunk || chunk.done) return controller.close()
      received += chunk.value.length
      controller.enqueue(chunk.value)
    },
    async cancel(why) {
      await reader?.cancel(why)
    },
  })
}

/** Why there is no answer, without a full stop. Node's `fetch failed` has what failed as its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause instanceof Error) return reasonOf(error.cause)
  // Several addresses that all failed have no message but a code.
  return (error.message || String((error as { code?: unknown }).code ?? 'no connection')).replace(/\.$/, '')
}
