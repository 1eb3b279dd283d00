// The ceremony of a test's index as the API takes it: keys made here, one of each, signed for a month.
import { holdCeremony, makeOfflineKey, type OnlineKeys } from '../../cli/ceremony.ts'
import { STANDARD } from './repository.ts'

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes))

export async function ceremonyBody(online: OnlineKeys) {
  const [root, targets, bins] = [await makeOfflineKey(), await makeOfflineKey(), await makeOfflineKey()]
  const signed = await holdCeremony({
    online,
    offline: { root: [root], targets: [targets], bins: [bins] },
    thresholds: { root: 1, targets: 1, bins: 1 },
    expiresMs: Date.now() + 30 * 86_400_000,
    development: true,
  })
  return {
    roots: [toBase64(signed.root)],
    targets: toBase64(signed.targets),
    bins: toBase64(signed.bins),
    freshness: STANDARD,
  }
}
