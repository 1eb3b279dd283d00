// The flip interval of Cloudflare (R2 takes one write a second on a key) with 500 uploads in flight at once: is there
// never more than one flip a second, and can every file that was answered 200 or 202 be downloaded afterwards?
import { createHash } from 'node:crypto'
import { percentile } from '../figures.ts'
import { Http } from '../http.ts'
import { inParallel } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { settled, startBench } from '../service.ts'
import { smallWheel } from '../uploads.ts'

const INTERVAL_MS = 1_000
const JSON_PAGE = 'application/vnd.pypi.simple.v1+json'
/** Pause between two looks at the timestamp, which see two flips that are too near to each other. */
const WATCH_MS = 25

export const interval: Scenario = {
  name: 'interval',
  title: 'flip interval 1,000 ms, 500 uploads in flight',
  async run(context) {
    const count = context.quick ? 150 : 500
    const files = Array.from({ length: count }, (_, i) => smallWheel(`bench-wave-${i}`, '1.0'))
    const service = await startBench({ flipIntervalMs: INTERVAL_MS })
    try {
      const http = new Http(service.url, count)
      const before = (await service.status()).live
      const started = performance.now()
      const seen = watch(service.url)
      const answers = await inParallel(files, count, (file) => http.send(service.upload(file)))
      const answered = performance.now() - started
      await settled(service)
      const seconds = (performance.now() - started) / 1000
      const gaps = await seen.stop()
      const after = (await service.status()).live
      const refused = answers.filter(({ status }) => status !== 200 && status !== 202)
      const flips = after.timestamp - before.timestamp
      context.note(`${count} uploads in ${seconds.toFixed(1)} s, ${flips} flips, ${refused.length} refused`)

      const accepted = files.filter((_, i) => answers[i]!.status < 300)
      const readers = new Http(service.url, 8)
      const found = await inParallel(accepted, 8, async ({ project, filename, sha256 }) => {
        const page = await readers.get(`/simple/${project}/`, { Accept: JSON_PAGE })
        if (page.status !== 200) return false
        const { files: listed } = JSON.parse(page.bytes.toString()) as { files: { filename: string; url: string }[] }
        const url = listed.find((file) => file.filename === filename)?.url
        if (url === undefined) return false
        const { status, bytes } = await readers.get(new URL(url, `${service.url}/simple/${project}/`).pathname)
        return status === 200 && createHash('sha256').update(bytes).digest('hex') === sha256
      })
      const lost = found.filter((good) => !good).length
      const nearest = gaps.length === 0 ? INTERVAL_MS : Math.min(...gaps)
      const late = answers.filter(({ status }) => status === 202).length
      http.close()
      readers.close()
      return [
        {
          name: 'flips',
          value: flips / seconds,
          unit: '/s',
          counterpart: { name: 'allowed', value: 1000 / INTERVAL_MS },
          target: { text: '≤ 1 a second', met: flips <= Math.ceil(seconds) && nearest >= INTERVAL_MS },
          note: `${flips} in ${seconds.toFixed(1)} s, nearest two at most ${nearest.toFixed(0)} ms apart`,
        },
        {
          name: 'accepted files lost',
          value: lost,
          unit: `of ${accepted.length}`,
          target: { text: 'none', met: lost === 0 && refused.length === 0 },
          note: `${answers.length - late - refused.length} answered 200, ${late} 202, ${refused.length} refused`,
        },
        {
          name: 'until the last was visible',
          value: seconds,
          unit: 's',
          note: `answered p50 ${percentile(
            answers.map(({ ms }) => ms),
            0.5,
          ).toFixed(0)} ms, last ${answered.toFixed(0)} ms`,
        },
      ]
    } finally {
      await service.stop()
    }
  },
}

/**
 * Watches the timestamp. A flip lies between the sending of the last look that did not see it and the answer of the first
 * that did, so what is returned are the longest times that can lie between two flips: one below the interval is too near.
 */
function watch(url: string): { stop(): Promise<number[]> } {
  const http = new Http(url, 1)
  const flips: { after: number; before: number }[] = []
  let running = true
  const loop = (async () => {
    let etag = ''
    let last = 0
    while (running) {
      const sent = performance.now()
      const answer = await http.get('/tuf/timestamp.json', etag === '' ? {} : { 'If-None-Match': etag })
      if (answer.status === 200) {
        if (etag !== '') flips.push({ after: last, before: performance.now() })
        etag = String(answer.headers.etag)
      }
      last = sent
      await new Promise((resolve) => setTimeout(resolve, WATCH_MS))
    }
  })()
  return {
    async stop() {
      running = false
      await loop
      http.close()
      return flips.slice(1).map(({ before }, i) => before - flips[i]!.after)
    },
  }
}
