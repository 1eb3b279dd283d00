// A bucket that fails on purpose, and that checks the rules the real one cannot: an immutable key never changes its
// bytes, and a key that was deleted never returns.
import { bindings } from './repository.ts'

export type Mode =
  /** Nothing is written, the call fails. */
  | 'fail-before'
  /** The write lands, the call fails. */
  | 'fail-after'

export interface Faults {
  bucket: R2Bucket
  /** Keys put, in order. */
  puts: string[]
  /** Called before every put; a mode makes it fail. */
  onPut: (key: string, index: number) => Mode | undefined
  violations: string[]
}

export function faultyBucket(real: R2Bucket = bindings.BUCKET): Faults {
  const seen = new Map<string, string>()
  const faults: Faults = { bucket: real, puts: [], onPut: () => undefined, violations: [] }
  const digest = async (bytes: Uint8Array) =>
    [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>))].join()
  const deleted = new Set<string>()
  faults.bucket = new Proxy(real, {
    get(target, property) {
      if (property === 'delete')
        return (keys: string | string[]) => {
          for (const key of [keys].flat()) deleted.add(key)
          return target.delete(keys)
        }
      if (property !== 'put') {
        const member = Reflect.get(target, property) as unknown
        return typeof member === 'function' ? member.bind(target) : member
      }
      return async (key: string, value: ArrayBuffer | Uint8Array, options: R2PutOptions) => {
        const mode = faults.onPut(key, faults.puts.push(key) - 1)
        if (deleted.has(key)) faults.violations.push(`${key} returned after its delete`)
        if (mode === 'fail-before') throw new Error(`injected: ${key} was not written`)
        const stored = await target.put(key, value, options)
        if (stored && !key.endsWith('timestamp.json')) {
          const now = await digest(new Uint8Array(value as ArrayBuffer))
          if (seen.has(key) && seen.get(key) !== now) faults.violations.push(`${key} changed its bytes`)
          seen.set(key, now)
        }
        if (mode === 'fail-after') throw new Error(`injected: ${key} was written, the answer was lost`)
        return stored
      }
    },
  })
  return faults
}
