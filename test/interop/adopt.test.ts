// Repositories of python-tuf and go-tuf, with and without consistent snapshots, adopted while three clients go on reading.
import { beforeAll } from 'vitest'
import { adoptionTests } from './adoptions.ts'
import { TUF_CLIENTS } from './clients.ts'
import { prepare } from './environments.ts'
import { goTuf, pythonTuf } from './owners.ts'

beforeAll(() => prepare(['tuf', 'gotuf']))

const python = { owner: pythonTuf, root: 4, added: ['team', 'team/new', 'pushed'] as [string, string, string] }
adoptionTests(
  [
    { ...python, name: 'python', handedBack: true },
    { ...python, name: 'python-plain', make: ['--plain'], plain: true, handedBack: true },
    { name: 'go-plain', owner: goTuf, plain: true, root: 3, added: ['tools', 'tools/new', 'pushed'] },
  ],
  TUF_CLIENTS,
)
