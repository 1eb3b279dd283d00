// Everything that is signed at the moment, read straight from the bucket: timestamp, snapshot, every role, and every page
// that a role names. What it finds is compared with what was accepted.
import { sha256Hex } from '../../tuf/digest.ts'
import { metadataKey, type Place, pageKey, timestampKey } from '../../tuf/layout.ts'
import { parseSnapshot, parseTargets, parseTimestamp } from '../../tuf/metadata.ts'
import { bindings } from './repository.ts'

export interface SignedTree {
  /** `path sha256` of every file. */
  files: string[]
  /** Projects that have a page, or are in the project list. */
  projects: string[]
  /** Digests that pages mention: of files and of their metadata. */
  mentioned: string[]
  /** Objects that signed metadata names and the bucket has not, or not with that digest. */
  broken: string[]
}

/** Roles that are the same file as before are not read again. */
const known = new Map<string, { path: string; sha256: string }[]>()

export async function readSignedTree(place: Place): Promise<SignedTree> {
  const tree: SignedTree = { files: [], projects: [], mentioned: [], broken: [] }
  const timestamp = parseTimestamp((await bytesOf(timestampKey(place)))!).signed
  const bytes = await named(
    tree,
    metadataKey(place, timestamp.snapshot.version, 'snapshot'),
    digestOf(timestamp.snapshot),
  )
  if (!bytes) return tree
  const roles = [...parseSnapshot(bytes).signed.meta].filter(
    // Version 1 of a bin is the one of the empty index.
    ([role, { version }]) => role === 'index' || (/^bin-..$/.test(role) && version > 1),
  )
  const projects = new Set<string>()
  for (const [role, meta] of roles)
    for (const { path, sha256 } of await targetsOf(tree, place, role, meta.version, digestOf(meta))) {
      if (path.startsWith('files/')) {
        tree.files.push(`${path} ${sha256}`)
        continue
      }
      const page = await named(tree, pageKey(place, path, sha256), sha256)
      const text = new TextDecoder().decode(page)
      const project = /^simple\/[^/]+\/([^/]+)\//.exec(path)?.[1]
      if (project === undefined)
        for (const [, name] of text.matchAll(/"name":\s*"([^"]+)"|<a href="([^"/]+)/g)) projects.add(name ?? '')
      else projects.add(project)
      tree.mentioned.push(...(text.match(/[0-9a-f]{64}/g) ?? []))
    }
  projects.delete('')
  return { ...tree, projects: [...projects].sort() }
}

async function targetsOf(tree: SignedTree, place: Place, role: string, version: number, sha256: string) {
  const key = metadataKey(place, version, role)
  const held = known.get(`${key} ${sha256}`)
  if (held) return held
  const bytes = await named(tree, key, sha256)
  if (!bytes) return []
  const { targets } = parseTargets(bytes).signed
  const found = [...targets].map(([path, file]) => ({ path, sha256: digestOf(file) }))
  known.set(`${key} ${sha256}`, found)
  return found
}

const digestOf = ({ hashes }: { hashes?: ReadonlyMap<string, string> }): string => hashes?.get('sha256') ?? ''

async function bytesOf(key: string): Promise<Uint8Array | undefined> {
  const object = await bindings.BUCKET.get(key)
  return object ? new Uint8Array(await object.arrayBuffer()) : undefined
}

async function named(tree: SignedTree, key: string, sha256: string): Promise<Uint8Array | undefined> {
  const bytes = await bytesOf(key)
  if (bytes && (await sha256Hex(bytes)) === sha256) return bytes
  tree.broken.push(key)
  return undefined
}
