// A repository that tuftool made is adopted, signed by tuftool, and added to by tuftool, while tough and python-tuf go on reading.
import { beforeAll } from 'vitest'
import { adoptionTests } from '../adoptions.ts'
import { prepare } from '../environments.ts'
import { tuftool } from '../tuftool.ts'

beforeAll(() => prepare(['tough', 'tuftool', 'tuf']))
adoptionTests(
  [{ name: 'tuftool', owner: tuftool, root: 2, added: ['team', 'team-new', 'pushed'] }],
  ['tough', 'python-tuf'],
)
