// Everything that one state of an index names, verified: all roots, all roles, all targets. State: none.

import { Client, type Store } from '../tuf/client.ts'
import { DownloadError, MismatchError } from '../tuf/errors.ts'
import { LIMITS } from '../tuf/limits.ts'
import type { TargetFile } from '../tuf/metadata.ts'
import { readAll } from '../tuf/stream.ts'
import { type Transport, webTransport } from '../tuf/transport.ts'
import { TrustedSet } from '../tuf/trusted.ts'
import { apiUrl } from './api.ts'
import { inLanes } from './lanes.ts'

/** `fetch` with the token, if there is one, in its header. */
export function transportOf(token: string | undefined): Transport {
  if (token === undefined) return webTransport()
  return webTransport({
    fetch: (url, init) =>
      // A redirect would carry the token to wherever it leads.
      fetch(url, { ...init, headers: { authorization: `Bearer ${token}` }, redirect: 'error' }),
  })
}

export const verifyingClient = (base: string, store: Store, transport: Transport): Client =>
  new Client({
    store,
    transport,
    metadataUrl: apiUrl(base, '/tuf/').href,
    targetsUrl: apiUrl(base, '/tuf/targets/').href,
  })

/** A file by its URL, whole. @throws DownloadError unless it is answered 200 */
export async function fetchWhole(transport: Transport, url: string, maxBytes: number): Promise<Uint8Array> {
  const { status, body } = await transport.fetch(url, maxBytes)
  if (status === 200) return readAll(body, maxBytes, url)
  await body.cancel()
  throw new DownloadError(`Fetching ${url} was answered with status ${status}.`, status)
}

/**
 * Roots 1 … the newest, byte for byte, each signed as the one before it asks. The first is believed because the chain leads
 * through the one that is trusted.
 */
export async function allRoots(base: string, trusted: Uint8Array, set: TrustedSet, transport: Transport) {
  const get = (version: number) =>
    fetchWhole(transport, apiUrl(base, `/tuf/${version}.root.json`).href, LIMITS.rootBytes)
  const first = await get(1)
  const chain = await TrustedSet.start(first, set.now)
  const roots = new Map([[1, first]])
  while (chain.root.signed.version < set.root.signed.version) {
    const bytes = await get(chain.root.signed.version + 1)
    const { signed } = await chain.updateRoot(bytes)
    roots.set(signed.version, bytes)
  }
  const same = (a: Uint8Array, b: Uint8Array | undefined) => b !== undefined && Buffer.compare(a, b) === 0
  if (![...roots.values()].some((bytes) => same(trusted, bytes)) || !same(set.root.bytes, roots.get(roots.size)))
    throw new MismatchError('The index serves a chain of roots that does not lead through the trusted one.')
  return roots
}

/** Every role below `targets`, held by `set` from then on, and the targets that all of them list, by path. */
export async function allTargets(
  set: TrustedSet,
  read: (name: string, maxBytes: number) => Promise<Uint8Array>,
  kept: (name: string) => Promise<Uint8Array | undefined>,
): Promise<{ roles: string[]; targets: Map<string, TargetFile> }> {
  const roles = ['targets']
  const targets = new Map(set.targets('targets')!.signed.targets)
  for (let from = 0; from < roles.length; from++) {
    const delegator = roles[from]!
    const names = (set.targets(delegator)?.signed.delegations?.roles ?? []).map(({ name }) => name)
    await inLanes(names, async (name) => {
      const { version, length } = set.metaOf(name)
      const file = `${version}.${name}.json`
      const take = (bytes: Uint8Array) => set.updateDelegated(bytes, name, delegator)
      const held = await kept(file)
      const known = held && (await take(held).catch(() => undefined))
      const { signed } = known ?? (await take(await read(file, length ?? LIMITS.targetsBytes)))
      if (!roles.includes(name)) roles.push(name)
      for (const [path, target] of signed.targets) if (!targets.has(path)) targets.set(path, target)
    })
  }
  return { roles, targets }
}
