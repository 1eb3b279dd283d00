// A repository with 300 roots, no two of which name the same keys, adopted while three clients go on reading.
import { beforeAll, expect } from 'vitest'
import { adoptionTests, type Visit } from './adoptions.ts'
import { TUF_CLIENTS } from './clients.ts'
import { prepare } from './environments.ts'
import { pythonTuf } from './owners.ts'

beforeAll(() => prepare(['tuf', 'gotuf']))

adoptionTests(
  [
    {
      name: 'chain',
      owner: pythonTuf,
      make: ['--chain'],
      root: 300,
      from: 100,
      added: ['team', 'team/new', 'pushed'],
      afterwards: farBehind,
    },
  ],
  TUF_CLIENTS,
)

/**
 * All three take 256 roots in a refresh. tuf-js and go-tuf go on from there the next time; python-tuf begins with the root it
 * is given every time, so it needs a newer one.
 */
async function farBehind({ cold, here }: Visit): Promise<void> {
  for (const client of cold(1)) {
    expect(await client.look(here), client.name).toMatchObject({ ok: false })
    const again = await client.look(here)
    if (client.name === 'python-tuf') expect(again, client.name).toMatchObject({ ok: false })
    else expect(again, client.name).toMatchObject({ ok: true, version: { root: 302 } })
  }
}
