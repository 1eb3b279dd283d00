// A tuf-on-ci repository: signed by tuf-on-ci-sign, adopted while three clients go on reading, and pulled from.
import { beforeAll } from 'vitest'
import { adoptionTests } from './adoptions.ts'
import { TUF_CLIENTS } from './clients.ts'
import { prepare } from './environments.ts'
import { tufOnCi } from './owners.ts'

beforeAll(() => prepare(['tuf', 'gotuf', 'tuf-on-ci']))

adoptionTests(
  [{ name: 'tuf-on-ci', owner: tufOnCi, root: 1, added: ['tools', 'tools/new', 'pulled'], pulled: true }],
  TUF_CLIENTS,
)
