// The ceremony: offline keys are made here, on a person's machine, and sign what the publisher cannot. Pure: no files,
// no network; the callers decide where keys go. Private keys leave this module only as PKCS#8.
import { binDelegations, type Profile, topDelegations } from '../tuf/bins.ts'
import { rootSigned, targetsSigned } from '../tuf/build.ts'
import { fromHex, toHex } from '../tuf/hex.ts'
import { ed25519Key, type Key } from '../tuf/keys.ts'
import { ed25519Signer, type Signer, signRole } from '../tuf/sign.ts'
import { verifySignature } from '../tuf/verify.ts'

/** What is fixed for ever by the first ceremony: 256 bins by the shard in the target path. */
export const PROFILE: Profile = { kind: 'sharded', bins: 256, prefix: 'bin' }

export type OfflineRole = 'root' | 'targets' | 'bins'
export const OFFLINE_ROLES: readonly OfflineRole[] = ['root', 'targets', 'bins']

export interface OfflineKey {
  key: Key
  signer: Signer
  /** PKCS#8, DER. */
  pkcs8: Uint8Array
}

/** What the publisher answers when asked for its keys. */
export interface OnlineKeys {
  repositoryId: string
  keys: { role: string; public: string; keyid: string; proof: string }[]
}

export interface CeremonyInput {
  online: OnlineKeys
  offline: Record<OfflineRole, OfflineKey[]>
  thresholds: Record<OfflineRole, number>
  /** Unix milliseconds when root, targets and bins expire. */
  expiresMs: number
  /** A development root says so in its metadata, and everything but loopback refuses it. */
  development: boolean
  /** Of all three files; 1 unless the ceremony is held again for an index that is public already. */
  version?: number
}

export interface CeremonyResult {
  root: Uint8Array
  targets: Uint8Array
  bins: Uint8Array
}

export async function makeOfflineKey(): Promise<OfflineKey> {
  const pair = (await crypto.subtle.generateKey({ name: 'Ed25519' }, true, ['sign', 'verify'])) as CryptoKeyPair
  const key = ed25519Key(toHex(new Uint8Array((await crypto.subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer)))
  const pkcs8 = new Uint8Array((await crypto.subtle.exportKey('pkcs8', pair.privateKey)) as ArrayBuffer)
  return { key, signer: ed25519Signer(pair.privateKey, key), pkcs8 }
}

/** Signs root, targets and bins over the publisher's public keys. @throws if a key's proof does not hold. */
export async function holdCeremony(input: CeremonyInput): Promise<CeremonyResult> {
  const { offline, thresholds, expiresMs, version = 1 } = input
  const online = await checkProofs(input.online)
  const role = (name: OfflineRole) => ({
    keyids: offline[name].map(({ key }) => key.keyid),
    threshold: thresholds[name],
  })
  const single = (key: Key) => ({ keyids: [key.keyid], threshold: 1 })
  const root = rootSigned({
    version,
    expiresMs,
    keys: [...offline.root, ...offline.targets].map(({ key }) => key).concat(online.timestamp, online.snapshot),
    roles: {
      root: role('root'),
      targets: role('targets'),
      timestamp: single(online.timestamp),
      snapshot: single(online.snapshot),
    },
    ...(input.development ? { extra: { 'x-tuf-edge-development': true } } : {}),
  })
  const targets = targetsSigned({
    version,
    expiresMs,
    targets: [],
    delegations: topDelegations({
      indexKey: online.bin,
      binsKeys: offline.bins.map(({ key }) => key),
      binsThreshold: thresholds.bins,
    }),
  })
  const bins = targetsSigned({ version, expiresMs, targets: [], delegations: binDelegations(PROFILE, online.bin) })
  const sign = (name: OfflineRole, signed: Parameters<typeof signRole>[0]) =>
    signRole(
      signed,
      offline[name].map(({ signer }) => signer),
    )
  return { root: await sign('root', root), targets: await sign('targets', targets), bins: await sign('bins', bins) }
}

/** Each online key must have signed for its own role in this repository: a proof copied from elsewhere does not hold. */
async function checkProofs(online: OnlineKeys): Promise<Record<'timestamp' | 'snapshot' | 'bin', Key>> {
  const { timestamp, snapshot, bin } = await provenKeys(online)
  if (!timestamp || !snapshot || !bin) throw new Error('The service did not name its timestamp, snapshot and bin keys.')
  return { timestamp, snapshot, bin }
}

/** The service's keys by role. @throws if it could not prove that it has one of them */
export async function provenKeys({ repositoryId, keys }: OnlineKeys): Promise<Partial<Record<string, Key>>> {
  const checked = new Map<string, Key>()
  for (const { role, public: publicHex, proof } of keys) {
    fromHex(publicHex)
    const key = ed25519Key(publicHex)
    const message = new TextEncoder().encode(`tuf-edge proof of possession 1\n${repositoryId}\n${role}\n${key.keyid}`)
    if (!(await verifySignature(key, message, proof)))
      throw new Error(`The service could not prove that it holds its ${role} key. Nothing was signed; ask again.`)
    checked.set(role, key)
  }
  return Object.fromEntries(checked)
}
