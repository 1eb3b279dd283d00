// The demo's story up to the attacks: the service starts, authors publish, somebody installs, TUF clients verify.
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { initStore } from '../tuf/client.ts'
import { moduleText } from './demo-packages.ts'
import type { Stage } from './demo-stage.ts'
import { expectThat, expectVerdict, type Step, type Tell } from './demo-steps.ts'
import { askWitness, ownWitness, tufJsWitness } from './demo-witnesses.ts'
import { clientOf, fetchRelease } from './fetch.ts'
import { fileStore } from './file-store.ts'
import { unpackWheel } from './unpack.ts'

export function storySteps(stage: Stage): Step[] {
  return [
    {
      id: 'start',
      title: 'The index starts on this machine',
      async run(tell) {
        await stage.start()
        tell(expectThat('the service', stage.service.first, `holds its first ceremony and runs at ${stage.url}`))
      },
    },
    {
      id: 'publish',
      title: 'Authors publish',
      async run(tell) {
        await stage.publishAll()
        const names = Object.values(stage.releases).map(({ project }) => project)
        tell(expectThat('authors', true, `upload 1.0 and 1.1 of ${names.join(', ')}, as twine does`))
      },
    },
    { id: 'install', title: 'Somebody installs', run: (tell) => install(stage, tell) },
    {
      id: 'verify',
      title: 'TUF clients verify it, given nothing but 1.root.json',
      run: (tell) => verify(stage, tell),
    },
  ]
}

async function install(stage: Stage, tell: Tell): Promise<void> {
  await stage.waitForPython()
  const release = stage.releases.greeting
  const { python } = stage
  if (typeof python !== 'string') {
    const said = await python.installAndImport(stage.relay, release)
    const expected = `installs ${release.project} in a fresh virtual environment; imported, it says "${release.says}"`
    tell(
      expectThat(
        `pip (Python ${python.version})`,
        said === release.says,
        expected,
        said === release.says ? undefined : said,
      ),
    )
    return
  }
  const trust = join(stage.folder, 'installer')
  await initStore(fileStore(trust), stage.root)
  const fetched = await fetchRelease(clientOf(stage.url, trust), release.project)
  const site = join(stage.folder, 'site')
  await mkdir(site, { recursive: true })
  await unpackWheel(fetched.bytes, site)
  const text = await readFile(join(site, `${release.module}.py`), 'utf8')
  const ok = text === moduleText(release.says)
  const expected = `installs ${fetched.filename} in place of pip. ${python}`
  tell(expectThat('our own client', ok, expected, ok ? undefined : text))
}

async function verify(stage: Stage, tell: Tell): Promise<void> {
  const own = await ownWitness(join(stage.folder, 'tuf-edge-client'), stage.root)
  const other = await tufJsWitness(join(stage.folder, 'tuf-js-client'), stage.root)
  stage.witnesses = other ? [own, other] : [own]
  const release = stage.releases.greeting
  for (const witness of stage.witnesses) {
    const outcome = await askWitness(witness, stage.url, release.path, release.bytes)
    tell(expectVerdict(`${witness.name}, ${release.filename}`, 'genuine', outcome))
  }
}
