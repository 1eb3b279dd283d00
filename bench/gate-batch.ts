// Memory and time of one large batch at the gate and in the client's walk, as the publisher has it in one call: a repository
// of many delegated roles.
//
//   node cli/bootstrap.mjs node --expose-gc bench/gate-batch.ts [roles] [targets a role]
//
// The figure is what lives beside the batch's own bytes while the result is held; a publisher has 128 MB for everything.

import { newSigner, Repository } from '../test/unit/tuf/repository.ts'
import { snapshotSigned, targetsSigned, timestampSigned } from '../tuf/build.ts'
import { Kept, refreshAsClient, walkRoles } from '../tuf/client-walk.ts'
import { sha256Hex } from '../tuf/digest.ts'
import { admit, type SignedFile } from '../tuf/gate.ts'
import { signRole } from '../tuf/sign.ts'

const [roles = 10_000, targets = 1] = process.argv.slice(2).map(Number)
const collect = (globalThis as { gc?: () => void }).gc
if (!collect) throw new Error('Run it with --expose-gc.')
const live = (): number => {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 1e6
}

/** Processor time, which is what a platform bounds. */
function secondsSince(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from)
  return (user + system) / 1e6
}

const repository = await Repository.make(Date.now())
const alice = await newSigner()
const key = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: alice.key.public } }
const names = Array.from({ length: roles }, (_, i) => `role-${i}`)
const delegations = {
  keys: { [alice.keyid]: key },
  roles: names.map((name) => ({ name, keyids: [alice.keyid], threshold: 1, paths: [`${name}/*`], terminating: false })),
}
const expiresMs = Date.now() + 90 * 86_400_000
const files: SignedFile[] = [
  { role: 'root', bytes: repository.files.get('1.root.json')! },
  {
    role: 'targets',
    bytes: await signRole(
      targetsSigned({ version: 1, expiresMs, targets: [], delegations }),
      repository.signers.targets,
    ),
  },
]
for (const name of names) {
  const listed = Array.from(
    { length: targets },
    (_, i) => [`${name}/${i}`, { length: i, sha256: 'a'.repeat(64) }] as const,
  )
  files.push({ role: name, bytes: await signRole(targetsSigned({ version: 1, expiresMs, targets: listed }), [alice]) })
}
const batch = files.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1e6

const before = live()
const start = process.cpuUsage()
const held = { root: undefined, roles: new Map(), load: () => Promise.reject(new Error('nothing is held')) }
const admitted = await admit(files, held, { now: Date.now() })
const seconds = secondsSince(start)
const after = live()

const meta = admitted.roles.map(
  ({ role, version, sha256, bytes }) => [role, { version, sha256, length: bytes.length }] as const,
)
const { snapshot: signers, timestamp: timers } = repository.signers
const walked = process.cpuUsage()
const snapshot = await signRole(snapshotSigned({ version: 1_001, expiresMs, meta }), signers)
const named = { version: 1_001, length: snapshot.length, sha256: await sha256Hex(snapshot) }
const timestamp = await signRole(timestampSigned({ version: 1_001, expiresMs, snapshot: named }), timers)
const given = new Map(admitted.roles.map(({ role, bytes }) => [role, bytes]))
const load = async (role: string) => given.get(role)
const present = { roots: new Map(), timestamp, snapshot, consistentSnapshot: true, load }
const kept = new Kept({ root: repository.files.get('1.root.json')! })
const client = await refreshAsClient(kept, present, Date.now(), 'A new client')
await walkRoles(client, present, new Map(admitted.roles.map((role) => [role.role, role])), held)
const walkSeconds = secondsSince(walked)
const afterWalk = live()
const figures = {
  roles: admitted.roles.length,
  batchMB: Number(batch.toFixed(1)),
  besideMB: Number((after - before).toFixed(1)),
  seconds: Number(seconds.toFixed(1)),
  besideWalkMB: Number((afterWalk - before).toFixed(1)),
  walkSeconds: Number(walkSeconds.toFixed(1)),
}
console.log(JSON.stringify(figures))
