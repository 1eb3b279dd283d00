// The attacks. All but the last are played with nothing but write access to the bucket, which is what a leaked bucket token
// gives. Each is shown to TUF clients behind a mirror that checks nothing, to TUF clients and a plain client behind the
// service, and then undone, by the service itself wherever it can.
// Invariant: an attack touches only what nobody has asked for since it was published (the service answers what it has in
// memory, and would hide the attack), and at most three attacks replace the timestamp: the fourth within an hour makes
// the publisher halt, as it should.
import { createHash } from 'node:crypto'
import { timestampSigned } from '../tuf/build.ts'
import { blobKey, timestampKey } from '../tuf/layout.ts'
import { parseTimestamp } from '../tuf/metadata.ts'
import { signRole } from '../tuf/sign.ts'
import { makeOfflineKey } from './ceremony.ts'
import { makeRelease, publish, type Release } from './demo-packages.ts'
import { startRelay } from './demo-servers.ts'
import { DEMO_PLACE, type Stage } from './demo-stage.ts'
import { expectThat, expectVerdict, type Step, type Tell } from './demo-steps.ts'
import { askThrough, askWitness } from './demo-witnesses.ts'
import { pagePath } from './fetch.ts'

const HEAL_MS = 15_000
const HEAL_POLL_MS = 50
const DAY_MS = 86_400_000

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Target and genuine bytes that a TUF client asks for during an attack. */
interface Wanted {
  path: string
  bytes: Uint8Array
}

export function attackSteps(stage: Stage): Step[] {
  const bucket = () => stage.service.runtime.bucket
  return [
    {
      id: 'attack-file-byte',
      title: 'Attack: one byte of a file is changed in the bucket',
      aim: 'make people run code that its author never wrote',
      async run(tell) {
        const release = stage.releases.weather
        const key = blobKey(DEMO_PLACE, sha256(release.bytes), 1)
        const changed = release.bytes.slice()
        changed[changed.length >> 1]! ^= 1
        await overwrite(stage, tell, key, changed)
        await behindMirror(stage, tell, release)
        await Promise.all([behindService(stage, tell, release), plainRefused(stage, tell, release)])
        await bucket().put(key, release.bytes)
        await worksAgain(stage, tell, release, 'once the bytes are put back')
      },
    },
    {
      id: 'attack-old-page',
      title: 'Attack: a page is replaced by the page of an earlier publication',
      aim: 'hide a release from everybody, for instance one that mends a hole',
      async run(tell) {
        const release = stage.releases.notes
        const { earlier, present } = await stage.pagesOf(release.project)
        for (const [form, key] of present) await overwrite(stage, tell, key, (await bucket().get(earlier.get(form)!))!)
        const wanted = { path: pagePath(release.project), bytes: stage.kept.get(present.get('json')!)! }
        await behindMirror(stage, tell, wanted)
        await Promise.all([behindService(stage, tell, wanted), plainRefused(stage, tell, release)])
        for (const key of present.values()) await bucket().put(key, stage.kept.get(key)!)
        await worksAgain(stage, tell, release, 'once the pages are put back')
      },
    },
    {
      id: 'attack-old-bin',
      title: 'Attack: a signed list of files is replaced by that of an earlier publication',
      aim: 'the same, with a list that bears a genuine signature',
      async run(tell) {
        const release = stage.releases.clock
        const { earlier, present } = await stage.binsOf(release)
        await overwrite(stage, tell, present, (await bucket().get(earlier))!)
        await behindMirror(stage, tell, release)
        await Promise.all([behindService(stage, tell, release), plainRefused(stage, tell, release)])
        const next = makeRelease(release.project, '1.2')
        await publish(stage.url, stage.service.tokens.upload, next)
        await worksAgain(stage, tell, next, 'once the next upload has written a new list')
      },
    },
    {
      id: 'attack-old-timestamp',
      title: 'Attack: an old timestamp is put back',
      aim: 'turn the whole index back to an earlier day',
      async run(tell) {
        await overwriteTimestamp(stage, tell, stage.oldTimestamp)
      },
    },
    {
      id: 'attack-forged-timestamp',
      title: "Attack: a new timestamp, signed by the attacker's own key",
      aim: 'have the index say whatever the attacker likes',
      async run(tell) {
        await overwriteTimestamp(stage, tell, await forgeTimestamp((await bucket().get(timestampKey(DEMO_PLACE)))!))
      },
    },
    {
      id: 'attack-network',
      title: 'Attack: the network alters what the index answers',
      aim: 'swap the file, and the digest on the page with it',
      run: (tell) => networkLies(stage, tell),
    },
  ]
}

async function overwrite(stage: Stage, tell: Tell, key: string, bytes: Uint8Array): Promise<void> {
  const { bucket } = stage.service.runtime
  const before = await bucket.get(key)
  if (before) stage.kept.set(key, before)
  await bucket.put(key, bytes)
  // The attack itself must have happened, or its refusal would mean nothing.
  const done = before !== null && Buffer.compare(before, bytes) !== 0
  tell(expectThat('the attacker', done, `overwrites ${key}`, done ? undefined : `nothing to overwrite at ${key}`))
}

async function behindMirror(stage: Stage, tell: Tell, { path, bytes }: Wanted): Promise<void> {
  for (const witness of stage.witnesses) {
    const outcome = await askWitness(witness, stage.mirror.url, path, bytes)
    tell(expectVerdict(`${witness.name}, from a mirror that checks nothing`, 'refused by the client', outcome))
  }
}

async function behindService(stage: Stage, tell: Tell, { path, bytes }: Wanted): Promise<void> {
  for (const witness of stage.witnesses) {
    const outcome = await askThrough(witness, stage.tufRelay, path, bytes)
    tell(expectVerdict(`${witness.name}, from the index`, 'refused by the service', outcome))
  }
}

async function plainRefused(stage: Stage, tell: Tell, release: Release): Promise<void> {
  const { installer } = stage
  const outcome = await installer.install(stage.relay, release)
  tell(expectVerdict(`${installer.name}, from the index`, 'refused by the service', outcome))
}

async function worksAgain(stage: Stage, tell: Tell, release: Release, how: string): Promise<void> {
  const { installer } = stage
  const [plain, ...proven] = await Promise.all([
    installer.install(stage.relay, release),
    ...stage.witnesses.map((witness) => askWitness(witness, stage.url, release.path, release.bytes)),
  ])
  stage.witnesses.forEach(({ name }, i) => {
    tell(expectVerdict(`${name}, ${how}`, 'genuine', proven[i]!))
  })
  tell(expectVerdict(`${installer.name}, ${how}`, 'genuine', plain))
}

/**
 * Plays an attack on the one object that is overwritten in normal work. The clients have seen the present before. The plain
 * client is the first to ask the service, whose reader tells the publisher; the publisher then replaces the timestamp.
 */
async function overwriteTimestamp(stage: Stage, tell: Tell, bytes: Uint8Array): Promise<void> {
  const release = stage.releases.greeting
  for (const witness of stage.witnesses) await witness.read(stage.url, release.path)
  await overwrite(stage, tell, timestampKey(DEMO_PLACE), bytes)
  await behindMirror(stage, tell, release)
  await plainRefused(stage, tell, release)
  const healed = await timeToHeal(stage, bytes)
  const seen =
    healed === undefined
      ? `still there after ${HEAL_MS / 1000} s`
      : `replaced the foreign timestamp within ${healed} ms`
  tell(expectThat('the publisher', healed !== undefined, 'replaces the foreign timestamp by a fresh one', seen))
  await worksAgain(stage, tell, release, 'afterwards')
}

/** Milliseconds until the index answers again, from a timestamp that is not the attacker's. */
async function timeToHeal({ url, service }: Stage, foreign: Uint8Array): Promise<number | undefined> {
  const started = performance.now()
  while (performance.now() - started < HEAL_MS) {
    const answer = await fetch(`${url}/tuf/timestamp.json`)
    await answer.arrayBuffer()
    const present = await service.runtime.bucket.get(timestampKey(DEMO_PLACE))
    if (answer.ok && present && Buffer.compare(present, foreign) !== 0) return Math.round(performance.now() - started)
    await new Promise((resolve) => setTimeout(resolve, HEAL_POLL_MS))
  }
  return undefined
}

/** What the present timestamp says, a version on, under a key that the attacker made. */
async function forgeTimestamp(present: Uint8Array): Promise<Uint8Array> {
  const { version, snapshot } = parseTimestamp(present).signed
  const { signer } = await makeOfflineKey()
  const digest = snapshot.hashes?.get('sha256')
  if (digest === undefined || snapshot.length === undefined) throw new Error('The timestamp names no digest.')
  const named = { version: snapshot.version, length: snapshot.length, sha256: digest }
  return signRole(timestampSigned({ version: version + 1, expiresMs: Date.now() + DAY_MS, snapshot: named }), [signer])
}

/** The network swaps a wheel and, everywhere, its digest: the one attack that a plain client cannot notice. */
async function networkLies(stage: Stage, tell: Tell): Promise<void> {
  const release = stage.releases.greeting
  const evil = makeRelease(release.project, release.version, 'written by the network')
  const [digest, evilDigest] = [sha256(release.bytes), sha256(evil.bytes)]
  const liar = await startRelay(stage.url, (path, bytes) => {
    if (path.endsWith(release.filename)) return evil.bytes
    return Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll(digest, evilDigest), 'latin1')
  })
  try {
    for (const witness of stage.witnesses) {
      const outcome = await askWitness(witness, liar.url, release.path, release.bytes)
      tell(expectVerdict(`${witness.name}, through that network`, 'refused by the client', outcome))
    }
    const { name } = stage.installer
    const outcome = await stage.installer.install(liar, release)
    // Said as it is: against the network a plain client has HTTPS, and against the service it has nothing.
    tell(expectVerdict(`${name}, through that network: not protected`, 'altered', outcome))
  } finally {
    await liar.stop()
  }
  await worksAgain(stage, tell, release, 'without that network')
}
