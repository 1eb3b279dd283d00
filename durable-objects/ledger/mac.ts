// What tells a row of this ledger from one that somebody else wrote: an HMAC under a key that is derived from the wrapping
// secret and is in no table. Rows whose content decides what is signed, or who may have something signed, carry one; it
// does not hold for another row, table or repository. (It cannot tell an old row that comes back: the fence does that.)
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { timingSafeEqual } from '../../tuf/digest.ts'

type Part = string | number | null
/** Tables whose rows carry a MAC; those of `files` are older and name no table. That of a reservation is its ticket. */
type Table =
  | 'statuses'
  | 'pages'
  | 'tokens'
  | 'offline'
  | 'garbage'
  | 'publishers'
  | 'settings'
  | 'reservations'
  | 'staged'
  | 'voices'

/**
 * MACs computed lately. A bin is rendered whole whenever one of its projects changes, so its other rows are asked for again
 * and again: 15 µs of hashing each, a tenth of that from here. A row that somebody changed has another message, and its
 * MAC is computed. Two generations of 16,384 messages, ≈ 450 B each with their MAC: at most 15 MB.
 */
const GENERATION = 16_384
interface Recent {
  young: Map<string, Uint8Array>
  old: Map<string, Uint8Array>
}
const recent = new WeakMap<Uint8Array, Recent>()

/** Lengths before values: no two different lists give the same message. */
export function macOf(key: Uint8Array, parts: readonly Part[], table?: Table): Uint8Array {
  const texts = parts.map((value) => (value === null ? '-' : `${String(value).length}:${value}`))
  const message = [...(table ? [table] : []), ...texts].join('|')
  const known = recent.get(key) ?? { young: new Map(), old: new Map() }
  const mac = known.young.get(message) ?? known.old.get(message) ?? hmac(sha256, key, utf8ToBytes(message))
  known.young.set(message, mac)
  recent.set(key, known.young.size < GENERATION ? known : { young: new Map(), old: known.young })
  return mac
}

export const macHolds = (key: Uint8Array, parts: readonly Part[], mac: ArrayBuffer | null, table?: Table): boolean =>
  mac !== null && timingSafeEqual(macOf(key, parts, table), new Uint8Array(mac))
