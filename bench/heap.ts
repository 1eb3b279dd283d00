// The peak of an isolate's memory while something goes on: JavaScript heap and the buffers outside it, garbage included.
import type { Inspector } from './inspector.ts'

const SAMPLE_MS = 50

export interface Peak {
  bytes: number
  heap: number
  buffers: number
  samples: number
}

/** Samples until it is stopped. */
export function watchHeap(inspector: Inspector): { stop(): Promise<Peak> } {
  const peak: Peak = { bytes: 0, heap: 0, buffers: 0, samples: 0 }
  let running = true
  const loop = (async () => {
    while (running) {
      const { usedSize, backingStorageSize } = await inspector.heap()
      peak.samples++
      if (usedSize + backingStorageSize > peak.bytes) {
        peak.bytes = usedSize + backingStorageSize
        peak.heap = usedSize
        peak.buffers = backingStorageSize
      }
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))
    }
  })()
  return {
    async stop() {
      running = false
      await loop
      return peak
    },
  }
}
