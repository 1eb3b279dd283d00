// Fifty uploads of 20 MB at once: the peak of the face's memory, sampled from workerd's inspector (JavaScript heap and
// the buffers outside it). An isolate on Cloudflare has 128 MB. Counterpart: the bytes in flight.
//
// An upload that waits too long for a buffer is answered 503 with Retry-After, and is sent again, as its message says.
import { percentile } from '../figures.ts'
import { watchHeap } from '../heap.ts'
import { Http } from '../http.ts'
import { Inspector } from '../inspector.ts'
import { largeWheel, sharedMember } from '../large-wheel.ts'
import { inParallel } from '../load.ts'
import { freePort } from '../place.ts'
import type { Scenario } from '../scenario.ts'
import { settled, startBench } from '../service.ts'

const MB = 1_000_000
const FILE_BYTES = 20 * MB
const TARGET_MB = 96
/** Tries of one upload: waiting for a buffer ends after 12 s each time. */
const TRIES = 12

export const memory: Scenario = {
  name: 'memory',
  title: 'uploads of 20 MB at once, memory of the face',
  async run(context) {
    const uploads = context.quick ? 10 : 50
    const shared = sharedMember(FILE_BYTES)
    const files = Array.from({ length: uploads }, (_, i) => largeWheel(`bench-large-${i}`, '1.0', shared))
    const inspectorPort = await freePort()
    const service = await startBench({ inspectorPort })
    try {
      const inspector = await Inspector.open(inspectorPort, 'tuf-edge')
      const idle = await inspector.heap()
      const peak = watchHeap(inspector)
      const http = new Http(service.url, uploads)
      const started = performance.now()
      let again = 0
      const times = await inParallel(files, uploads, async (file) => {
        const began = performance.now()
        for (let attempt = 1; ; attempt++) {
          const answer = await http.send(service.upload(file))
          if (answer.status === 200 || answer.status === 202) return performance.now() - began
          if (answer.status !== 503 || attempt === TRIES)
            throw new Error(`${file.filename} was answered ${answer.status}: ${answer.bytes}`)
          again++
          const seconds = Number(answer.headers['retry-after'] ?? 1)
          await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
        }
      })
      const seconds = (performance.now() - started) / 1000
      await settled(service)
      http.close()
      const found = await peak.stop()
      inspector.close()
      const megabytes = found.bytes / MB
      const base = (idle.usedSize + idle.backingStorageSize) / MB
      return [
        {
          name: 'peak memory of the face',
          value: megabytes,
          unit: 'MB',
          counterpart: { name: 'MB in flight', value: (uploads * FILE_BYTES) / MB },
          target: { text: `< ${TARGET_MB} MB`, met: megabytes < TARGET_MB },
          note: `heap ${(found.heap / MB).toFixed(0)} + buffers ${(found.buffers / MB).toFixed(0)}, idle ${base.toFixed(0)}, ${found.samples} samples`,
        },
        {
          name: `${uploads} uploads of 20 MB`,
          value: (uploads * FILE_BYTES) / MB / seconds,
          unit: 'MB/s',
          note: `${seconds.toFixed(1)} s, p50 ${(percentile(times, 0.5) / 1000).toFixed(1)} s, ${again} answers "send it again" (503)`,
        },
      ]
    } finally {
      await service.stop()
    }
  },
}
